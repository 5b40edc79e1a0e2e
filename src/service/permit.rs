//! Permits: the `may_…` methods of the service give them out, and what a permit is for consumes it. So nothing is done
//! that wasn't asked for first. What a request found to be allowed before its body arrived is asked again within the
//! change.

use super::caller::{Caller, Identity};
use crate::domain::id::{RoleBindingId, TokenId, UserId};

/// That somebody may do something.
#[derive(Debug)]
pub struct Permit<Target, Who = Caller> {
    pub(super) who: Who,
    pub(super) target: Target,
}

impl<Target, Who: Clone> Permit<Target, Who> {
    pub(super) fn new(who: &Who, target: Target) -> Self {
        Self { who: who.clone(), target }
    }
}

macro_rules! targets {
    ($($(#[doc = $doc:literal])* $name:ident { $($field:ident: $type:ty),* };)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name {
            $(pub(super) $field: $type,)*
        }
    )*};
}

targets! {
    /// Issue a token to that user.
    CreateToken { user: UserId };
    /// Modify or delete that user's token.
    ChangeToken { user: UserId, token: TokenId };
    /// Create a user in the caller's account.
    CreateUser {};
    /// Modify that user.
    ModifyUser { user: UserId };
    /// Delete that user.
    DeleteUser { user: UserId };
    /// Grant a role; `of` is the user in whose collection.
    CreateRoleBinding { of: Option<UserId> };
    /// Modify or revoke that role binding; `of` is the user in whose collection it is requested.
    ChangeRoleBinding { of: Option<UserId>, id: RoleBindingId };
    /// Create an account.
    CreateAccount {};
    /// Modify or delete the caller's account.
    ChangeAccount {};
}

/// That somebody who speaks to no account may do something.
pub type PermitOfIdentity<Target> = Permit<Target, Identity>;
