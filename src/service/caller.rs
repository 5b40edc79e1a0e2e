//! Who calls, and in which account.

use super::{
    Error, Result, Service,
    policy::{Action, Reach, reach},
};
use crate::{
    domain::{
        id::{AccountId, TokenId, UserId},
        role::Role,
        role_binding::RoleConstraints,
        secret::Secret,
        user::UserState,
    },
    store::{Conn, caller::Holder},
};

/// Someone with a role in an account: what every operation below `/accounts/{account_id}` needs to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The account that is spoken to.
    pub account_id: AccountId,
    /// Who speaks.
    pub user_id: UserId,
    /// With which token.
    pub token_id: TokenId,
    /// As what.
    pub role: Role,
}

/// Whose secret was presented, whatever it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Who speaks.
    pub user_id: UserId,
    /// With which token.
    pub token_id: TokenId,
    /// The account that is spoken to and the role there, if the user has any part in it.
    pub membership: Option<(AccountId, Role)>,
}

impl Identity {
    /// The caller, in the account that is spoken to.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for who has no part in that account, and for an account that doesn't exist.
    pub fn caller(self) -> Result<Caller> {
        let (account_id, role) = self.membership.ok_or(Error::Forbidden)?;
        Ok(Caller { account_id, user_id: self.user_id, token_id: self.token_id, role })
    }
}

impl Service {
    /// Whose secret is this, speaking to that account (`None`: to one that can't exist)?
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] when nobody may use it now; or when the store fails.
    pub async fn authenticate(&self, secret: &str, account: Option<AccountId>) -> Result<Identity> {
        let Ok(secret) = Secret::parse(secret) else { return Err(Error::InvalidCredentials) };
        let holder = self.store.read().await?.find_holder(secret.digest(), account).await?;
        identify(holder, account)
    }
}

impl Caller {
    /// The caller as it is now, asked within a transaction: what was revoked while the request was under way counts.
    pub(super) async fn again(self, conn: &mut Conn) -> Result<Self> {
        let holder = conn.find_holder_again(self.token_id, Some(self.account_id)).await?;
        identify(holder, Some(self.account_id))?.caller()
    }

    /// May the caller do this with what belongs to that user? Whoever is confined to its own learns nothing of others: not even
    /// whether the user exists.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; [`Error::NotFound`] when the user isn't in the account, or `exists` says that what is asked for isn't.
    pub(super) async fn may(
        &self,
        action: Action,
        user: UserId,
        conn: &mut Conn,
        exists: impl AsyncFnOnce(&mut Conn) -> Result<bool>,
    ) -> Result<()> {
        let reach = reach(self.role, action);
        if user != self.user_id && reach == Reach::Own {
            return Err(Error::Forbidden);
        }
        let member = conn.find_member(self.account_id, user).await?.ok_or(Error::NotFound)?;
        if !exists(conn).await? {
            return Err(Error::NotFound);
        }
        let role = effective(member.role, member.role_constraints.as_ref());
        if user == self.user_id || reach.covers(self.role, role) { Ok(()) } else { Err(Error::Forbidden) }
    }
}

/// A role without any scope is none.
fn effective(role: Option<Role>, constraints: Option<&RoleConstraints>) -> Option<Role> {
    role.filter(|_| constraints.is_some_and(|constraints| !constraints.0.is_empty()))
}

fn identify(holder: Option<Holder>, account: Option<AccountId>) -> Result<Identity> {
    let usable = holder.filter(|holder| holder.state == UserState::Active && holder.is_enabled);
    let holder = usable.ok_or(Error::InvalidCredentials)?;
    let role = effective(holder.role, holder.role_constraints.as_ref());
    // A disabled account refuses everyone but its owners.
    let role = role.filter(|role| holder.account_is_enabled == Some(true) || *role == Role::Owner);
    Ok(Identity { user_id: holder.user_id, token_id: holder.token_id, membership: account.zip(role) })
}
