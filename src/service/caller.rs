//! Who calls, and in which account.

use std::sync::Arc;

use super::{Error, Result, Service, policy::Action};
use crate::{
    domain::{
        event::Occasion,
        id::{AccountId, TokenId, UserId},
        role::Role,
        role_binding::RoleConstraints,
        secret::Secret,
        user::UserState,
    },
    store::{Conn, caller::Holder, user::Member},
};

/// Someone with a role in an account: what every operation below `/accounts/{account_id}` needs to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account that is spoken to.
    pub account_id: AccountId,
    /// Who speaks.
    pub user_id: UserId,
    /// With which token.
    pub token_id: TokenId,
    /// As what.
    pub role: Role,
    /// In which request.
    pub occasion: Arc<Occasion>,
}

/// Whose secret was presented, whatever it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who speaks.
    pub user_id: UserId,
    /// With which token.
    pub token_id: TokenId,
    /// The account that is spoken to and the role there, if the user has any part in it.
    pub membership: Option<(AccountId, Role)>,
    /// In which request.
    pub occasion: Arc<Occasion>,
}

/// Which account a secret speaks to.
#[derive(Debug, Clone, Copy)]
pub(super) enum SpokenTo {
    /// That one; `None`: none, or one that can't exist.
    Account(Option<AccountId>),
    /// The one that its user was created in.
    Home,
}

impl Identity {
    /// The caller, in the account that is spoken to.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for who has no part in that account, and for an account that doesn't exist.
    pub fn caller(&self) -> Result<Caller> {
        let (account_id, role) = self.membership.ok_or(Error::Forbidden)?;
        let Self { user_id, token_id, .. } = *self;
        Ok(Caller { account_id, user_id, token_id, role, occasion: Arc::clone(&self.occasion) })
    }

    /// The same as it is now: what was revoked while the request was under way counts. A write asks within its transaction.
    pub(super) async fn again(&self, conn: &mut Conn) -> Result<Self> {
        again(conn, self.token_id, None, &self.occasion).await
    }
}

impl Service {
    /// Whose secret is this, speaking to that account (`None`: to none, or to one that can't exist)? Notes when the user
    /// was last here, or that its token was turned away.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] when nobody may use it now; or when the store fails.
    pub async fn authenticate(&self, secret: &str, account: Option<AccountId>, occasion: Arc<Occasion>) -> Result<Identity> {
        let holder = self.admit(secret, SpokenTo::Account(account), &occasion).await?;
        Ok(identify(&holder, account, occasion))
    }

    /// The holder of a secret, if it may be used now. Notes it, as above.
    pub(super) async fn admit(&self, secret: &str, spoken_to: SpokenTo, occasion: &Arc<Occasion>) -> Result<Holder> {
        let Ok(secret) = Secret::parse(secret) else { return Err(Error::InvalidCredentials) };
        let mut conn = self.store.read().await?;
        let found = match spoken_to {
            SpokenTo::Account(account) => conn.find_usable_holder(secret.digest(), account).await?,
            SpokenTo::Home => conn.find_usable_holder_at_home(secret.digest()).await?,
        };
        drop(conn);
        // For every refused secret: how long the answer takes must not tell a known one from an unknown one.
        let Some(holder) = found else {
            self.activity.refused(secret.digest(), occasion);
            return Err(Error::InvalidCredentials);
        };
        self.activity.saw(holder.user_id, holder.last_act_at, self.clock.now());
        Ok(holder)
    }
}

impl Caller {
    /// The caller as it is now, asked within a transaction: what was revoked while the request was under way counts.
    pub(super) async fn again(&self, conn: &mut Conn) -> Result<Self> {
        again(conn, self.token_id, Some(self.account_id), &self.occasion).await?.caller()
    }

    /// May the caller do this with what is of that member, or is that member?
    pub(super) fn reaches(&self, action: Action, member: &Member) -> bool {
        let reach = action.reach(self.role);
        let is_guest = member.home != self.account_id;
        if member.id == self.user_id && reach.own() {
            // A guest's own things are its own; what else there is to say of it, its home account says.
            return !is_guest || action != Action::AdministerUsers;
        }
        reach.covers(self.role, member.role) && !(is_guest && action.is_about_the_user())
    }

    /// May the caller do this in its account?
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(super) fn may(&self, action: Action) -> Result<()> {
        if action.reach(self.role).is_everything() { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// May the caller do this with what belongs to that user? Whoever is confined to its own tokens learns nothing of others: not even
    /// whether the user exists.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; [`Error::NotFound`] when the user isn't in the account, or `exists` says that what is asked for isn't.
    pub(super) async fn may_with(
        &self,
        action: Action,
        user: UserId,
        conn: &mut Conn,
        exists: impl AsyncFnOnce(&mut Conn) -> Result<bool>,
    ) -> Result<()> {
        if user != self.user_id && action.is_discreet() && action.reach(self.role).is_confined() {
            return Err(Error::Forbidden);
        }
        let member = conn.find_member(self.account_id, user).await?.ok_or(Error::NotFound)?;
        if !exists(conn).await? {
            return Err(Error::NotFound);
        }
        if self.reaches(action, &member) { Ok(()) } else { Err(Error::Forbidden) }
    }
}

async fn again(conn: &mut Conn, token: TokenId, account: Option<AccountId>, occasion: &Arc<Occasion>) -> Result<Identity> {
    let holder = conn.find_holder_again(token, account).await?.filter(is_usable).ok_or(Error::InvalidCredentials)?;
    Ok(identify(&holder, account, Arc::clone(occasion)))
}

pub(super) fn is_usable(holder: &Holder) -> bool {
    holder.state == UserState::Active && holder.is_enabled
}

pub(super) fn identify(holder: &Holder, account: Option<AccountId>, occasion: Arc<Occasion>) -> Identity {
    let opens = |role: &Role| holder.role_constraints.as_ref().is_some_and(|c| opens(*role, c, holder.account_is_enabled == Some(true)));
    let role = holder.role.filter(opens);
    Identity { user_id: holder.user_id, token_id: holder.token_id, membership: account.zip(role), occasion }
}

/// Whether a role opens its account. One without any scope is none; a disabled account refuses everyone but its owners.
pub(super) fn opens(role: Role, constraints: &RoleConstraints, account_is_enabled: bool) -> bool {
    constraints.grant() && (account_is_enabled || role == Role::Owner)
}
