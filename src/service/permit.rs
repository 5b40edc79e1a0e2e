//! Permits: a `may_…` method of the service checks a permission and returns a permit, and the operation consumes it. So
//! no operation runs without a check. The check is made before the request's body is read, and repeated within the
//! change.

use super::caller::{Caller, Identity};
use crate::domain::id::{RoleBindingId, TokenId, UserId};

/// Proof that a permission was checked: `who` may perform an operation on `target`.
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
    /// Grant a role; `of` is the user in whose collection it is requested, if any.
    CreateRoleBinding { of: Option<UserId> };
    /// Modify or revoke that role binding; `of` is the user in whose collection it is requested, if any.
    ChangeRoleBinding { of: Option<UserId>, id: RoleBindingId };
    /// Create an account.
    CreateAccount {};
    /// Modify or delete the caller's account.
    ChangeAccount {};
}

/// A permit for an operation that isn't about one account.
pub type PermitOfIdentity<Target> = Permit<Target, Identity>;
