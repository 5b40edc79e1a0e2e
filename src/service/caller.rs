//! The authenticated caller of an operation, with its account and role.

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

/// An authenticated user with a role in an account. Every operation below `/accounts/{account_id}` needs one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account that the request is about.
    pub account_id: AccountId,
    /// The authenticated user.
    pub user_id: UserId,
    /// The token that the user authenticated with.
    pub token_id: TokenId,
    /// The user's role in the account.
    pub role: Role,
    /// In which request.
    pub context: Arc<RequestContext>,
}

/// An authenticated user, with or without a role in an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The authenticated user.
    pub user_id: UserId,
    /// The token that the user authenticated with.
    pub token_id: TokenId,
    /// The account that the request is about, and the user's role there; `None` if the user has no access to it.
    pub membership: Option<(AccountId, Role)>,
    /// In which request.
    pub context: Arc<RequestContext>,
}

impl Identity {
    /// The caller, in the account that the request is about.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the user has no access to that account, or the account doesn't exist.
    pub fn caller(&self) -> Result<Caller> {
        let (account_id, role) = self.membership.ok_or(Error::Forbidden)?;
        let Self { user_id, token_id, .. } = *self;
        Ok(Caller { account_id, user_id, token_id, role, context: Arc::clone(&self.context) })
    }

    /// Checks the token again and returns the identity at that instant. A write calls this within its transaction, so
    /// that a revocation during the request takes effect.
    pub(super) async fn reauthenticate(&self, conn: &mut Conn, now: Timestamp) -> Result<Self> {
        let credential = authentication::reauthenticate(conn, self.token_id, AccountChoice::None, now).await?;
        Ok(identify(&credential, None, Arc::clone(&self.context)))
    }
}

impl Service {
    /// Authenticates a secret in a request about `account` (`None`: about no account, or one that can't exist). Records
    /// the user's activity, or that the secret was refused.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] when the secret is malformed, unknown, or may not be used now; or when the store
    /// fails.
    pub async fn authenticate(
        &self,
        secret: &str,
        account: Option<AccountId>,
        context: Arc<RequestContext>,
    ) -> Result<Identity> {
        let credential = self.admit(secret, account.into(), &context).await?;
        Ok(identify(&credential, account, context))
    }

    /// The credential of a secret, if it may be used now. Records the same as [`Service::authenticate`].
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
            // Every refused secret is recorded, known or not, so that the responses take equally long.
            Outcome::Refused(digest) => {
                self.activity.refused(digest, by);
                Err(Error::InvalidCredentials)
            }
            Outcome::Malformed => Err(Error::InvalidCredentials),
        }
    }
}

impl Caller {
    /// The caller as it is at that instant, read within a transaction, so that a revocation during the request takes
    /// effect.
    pub(super) async fn reauthenticate(&self, conn: &mut Conn, now: Timestamp) -> Result<Self> {
        let account = AccountChoice::Given(self.account_id);
        let credential = authentication::reauthenticate(conn, self.token_id, account, now).await?;
        identify(&credential, Some(self.account_id), Arc::clone(&self.context)).caller()
    }

    /// Whether the caller may perform the action on that user or its resources.
    pub(super) fn reaches(&self, action: Action, member: &Member) -> bool {
        let reach = action.reach(self.role);
        let is_guest = member.home != self.account_id;
        if member.id == self.user_id && reach.own() {
            // A guest controls its own resources; the rest of its user record is controlled by its home account.
            return !is_guest || action != Action::AdministerUsers;
        }
        reach.covers(self.role, member.role) && !(is_guest && action.is_about_the_user())
    }

    /// Checks that the caller may perform the action on everything in its account.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the caller may not.
    pub(super) fn may(&self, action: Action) -> Result<()> {
        if action.reach(self.role).is_everything() { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// Checks that the caller may perform the action on a resource of that user. A caller that may only access its own
    /// tokens doesn't learn whether another user exists.
    ///
    /// # Errors
    /// [`Error::Forbidden`]; [`Error::NotFound`] when the user isn't in the account.
    pub(super) async fn may_with(&self, action: Action, user: UserId, conn: &mut Conn) -> Result<()> {
        self.may_learn_of(action, user)?;
        let member = conn.find_member(self.account_id, user).await?.ok_or(Error::NotFound)?;
        self.reach(action, &member)
    }

    /// Checks that the caller may learn whether that user or its resources exist.
    pub(super) fn may_learn_of(&self, action: Action, user: UserId) -> Result<()> {
        let is_hidden = user != self.user_id && action.hides_existence() && action.reach(self.role).is_confined();
        if is_hidden { Err(Error::Forbidden) } else { Ok(()) }
    }

    /// Checks what [`Caller::reaches`] returns.
    pub(super) fn reach(&self, action: Action, member: &Member) -> Result<()> {
        if self.reaches(action, member) { Ok(()) } else { Err(Error::Forbidden) }
    }
}

/// The identity that belongs to a credential, with the role in the account in which the role was looked up.
pub(super) fn identify(credential: &Credential, account: Option<AccountId>, context: Arc<RequestContext>) -> Identity {
    let Credential { user_id, token_id, role, ref role_constraints, account_is_enabled, .. } = *credential;
    let account_is_enabled = account_is_enabled == Some(true);
    let opens = |role: &Role| role_constraints.as_ref().is_some_and(|c| opens(*role, c, account_is_enabled));
    Identity { user_id, token_id, membership: account.zip(role.filter(opens)), context }
}

/// Whether a role gives access to its account: it needs a scope, and in a disabled account it must be the role of
/// owner.
pub(super) fn opens(role: Role, constraints: &RoleConstraints, account_is_enabled: bool) -> bool {
    constraints.grant() && (account_is_enabled || role == Role::Owner)
}
