//! Who calls, and in which account.

use std::sync::Arc;

use super::{
    Error, Result, Service,
    authentication::{self, Outcome},
    policy::Action,
};
use crate::{
    domain::{
        clock::Timestamp,
        credential::{AccountChoice, Credential},
        event::RequestContext,
        id::{AccountId, TokenId, UserId},
        role::Role,
        role_binding::RoleConstraints,
    },
    store::{Conn, user::Member},
};

/// Someone with a role in an account: what every operation below `/accounts/{account_id}` needs to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account that the request is about.
    pub account_id: AccountId,
    /// The user that calls.
    pub user_id: UserId,
    /// With which token.
    pub token_id: TokenId,
    /// As what.
    pub role: Role,
    /// In which request.
    pub context: Arc<RequestContext>,
}

/// Whose secret was presented, whatever it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user that calls.
    pub user_id: UserId,
    /// With which token.
    pub token_id: TokenId,
    /// The account that the request is about and the role there, if the user has any part in it.
    pub membership: Option<(AccountId, Role)>,
    /// In which request.
    pub context: Arc<RequestContext>,
}

impl Identity {
    /// The caller, in the account that the request is about.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for who has no part in that account, and for an account that doesn't exist.
    pub fn caller(&self) -> Result<Caller> {
        let (account_id, role) = self.membership.ok_or(Error::Forbidden)?;
        let Self { user_id, token_id, .. } = *self;
        Ok(Caller { account_id, user_id, token_id, role, context: Arc::clone(&self.context) })
    }

    /// The same as it is at that instant: what was revoked while the request was under way counts. A write asks within
    /// its transaction.
    pub(super) async fn reauthenticate(&self, conn: &mut Conn, now: Timestamp) -> Result<Self> {
        let credential = authentication::reauthenticate(conn, self.token_id, AccountChoice::None, now).await?;
        Ok(identify(&credential, None, Arc::clone(&self.context)))
    }
}

impl Service {
    /// Whose secret is this, in a request about that account (`None`: about none, or about one that can't exist)? Notes
    /// when the user was last seen, or that the secret was refused.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] when nobody may use it now; or when the store fails.
    pub async fn authenticate(
        &self,
        secret: &str,
        account: Option<AccountId>,
        context: Arc<RequestContext>,
    ) -> Result<Identity> {
        let credential = self.admit(secret, account.into(), &context).await?;
        Ok(identify(&credential, account, context))
    }

    /// The credential of a secret, if it may be used now. Notes what [`Service::authenticate`] notes.
    pub(super) async fn admit(
        &self,
        secret: &str,
        account: AccountChoice,
        by: &Arc<RequestContext>,
    ) -> Result<Credential> {
        match self.authenticator.authenticate(secret, account).await? {
            Outcome::Accepted(credential, now) => {
                self.activity.saw(credential.user_id, credential.last_act_at, now);
                Ok(*credential)
            }
            // Every refused secret is noted, known or not: so the answers take equally long.
            Outcome::Refused(digest) => {
                self.activity.refused(digest, by);
                Err(Error::InvalidCredentials)
            }
            Outcome::Malformed => Err(Error::InvalidCredentials),
        }
    }
}

impl Caller {
    /// The caller as it is at that instant, asked within a transaction: what was revoked while the request was under
    /// way counts.
    pub(super) async fn reauthenticate(&self, conn: &mut Conn, now: Timestamp) -> Result<Self> {
        let account = AccountChoice::Given(self.account_id);
        let credential = authentication::reauthenticate(conn, self.token_id, account, now).await?;
        identify(&credential, Some(self.account_id), Arc::clone(&self.context)).caller()
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

    /// May the caller do this with what belongs to that user? Whoever is confined to its own tokens learns nothing of
    /// others: not even whether the user exists.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; [`Error::NotFound`] when the user isn't in the account.
    pub(super) async fn may_with(&self, action: Action, user: UserId, conn: &mut Conn) -> Result<()> {
        self.may_learn_of(action, user)?;
        let member = conn.find_member(self.account_id, user).await?.ok_or(Error::NotFound)?;
        self.reach(action, &member)
    }

    /// May the caller learn whether that user, or what belongs to it, exists?
    pub(super) fn may_learn_of(&self, action: Action, user: UserId) -> Result<()> {
        let is_hidden = user != self.user_id && action.hides_existence() && action.reach(self.role).is_confined();
        if is_hidden { Err(Error::Forbidden) } else { Ok(()) }
    }

    /// As [`Caller::reaches`].
    pub(super) fn reach(&self, action: Action, member: &Member) -> Result<()> {
        if self.reaches(action, member) { Ok(()) } else { Err(Error::Forbidden) }
    }
}

/// Whose credential it is, with the role in the account in which that was looked up.
pub(super) fn identify(credential: &Credential, account: Option<AccountId>, context: Arc<RequestContext>) -> Identity {
    let Credential { user_id, token_id, role, ref role_constraints, account_is_enabled, .. } = *credential;
    let account_is_enabled = account_is_enabled == Some(true);
    let opens = |role: &Role| role_constraints.as_ref().is_some_and(|c| opens(*role, c, account_is_enabled));
    Identity { user_id, token_id, membership: account.zip(role.filter(opens)), context }
}

/// Whether a role opens its account. One without any scope is none; a disabled account refuses everyone but its owners.
pub(super) fn opens(role: Role, constraints: &RoleConstraints, account_is_enabled: bool) -> bool {
    constraints.grant() && (account_is_enabled || role == Role::Owner)
}
