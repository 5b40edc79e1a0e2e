//! Verification and introspection of secrets, for gateways, other services and token holders; and revocation of a token
//! by its secret.

use std::sync::Arc;

use super::{
    Error, Result, Service,
    authentication::Outcome,
    caller::{Identity, identify, opens},
    policy::Action,
};
use crate::{
    domain::{
        clock::Timestamp,
        credential::{AccountChoice, Credential},
        event::{EventKind, RequestContext, Subject},
        id::{AccountId, UserId},
        name::{Email, ResourceName},
        role::Role,
        role_binding::RoleConstraints,
    },
    store::{Conn, credential::Grant},
};

/// A valid token, its user, and the user's role in one account.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The token, the user, the account and the role.
    pub identity: Identity,
    /// The token's name.
    pub token_name: ResourceName,
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// The user's email address.
    pub email: Email,
    /// The scopes of the role, if the user has one.
    pub role_constraints: Option<RoleConstraints>,
}

impl Verification {
    fn of(credential: Credential, account: AccountId, context: Arc<RequestContext>) -> Self {
        let identity = identify(&credential, Some(account), context);
        let Credential { token_name, issued_at, email, role_constraints, .. } = credential;
        let role_constraints = role_constraints.filter(|_| identity.membership.is_some());
        Self { identity, token_name, issued_at, email, role_constraints }
    }

    /// The account and the role there, if the role is at least `wanted`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if the user has no role in the account, or a lower one.
    pub fn at_least(&self, wanted: Option<Role>) -> Result<(AccountId, Role)> {
        self.identity.membership.filter(|(_, role)| Some(*role) >= wanted).ok_or(Error::Forbidden)
    }

    fn seen_from(mut self, grant: Grant) -> Self {
        self.identity.membership = Some((grant.account_id, grant.role));
        self.role_constraints = Some(grant.role_constraints);
        self
    }
}

impl Service {
    /// Verifies a secret, and returns its token, its user and the user's role in `account` (`None`: the user's home
    /// account). Records the same as [`Service::authenticate`].
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] when the secret is malformed, unknown, or may not be used now; or when the store
    /// fails.
    pub async fn verify(
        &self,
        secret: &str,
        account: Option<AccountId>,
        context: Arc<RequestContext>,
    ) -> Result<Verification> {
        let choice = account.map_or(AccountChoice::Home, AccountChoice::Given);
        let credential = self.admit(secret, choice, &context).await?;
        let account = account.unwrap_or(credential.home);
        Ok(Verification::of(credential, account, context))
    }

    /// Introspects a secret that was presented to the caller. Returns `None` if the secret is not valid, or its user
    /// has no access to an account where the caller may introspect tokens. Of such accounts, the result is about the
    /// user's home account, or else about the one with the user's oldest role binding. Records no activity of the user.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] if the caller's own token was revoked, or became unusable, during the request;
    /// [`Error::Forbidden`] if the caller may not introspect tokens in any account, unless it introspects its own
    /// token; or when the store fails.
    pub async fn introspect(&self, caller: &Verification, secret: &str) -> Result<Option<Verification>> {
        let mut conn = self.store.read().await?;
        caller.identity.reauthenticate(&mut conn, self.clock.now()).await?;
        let mut asks_in = grants(&mut conn, caller.identity.user_id).await?;
        asks_in.retain(|grant| Action::IntrospectTokens.reach(grant.role).is_everything());
        let credential = match self.authenticator.authenticate_on(&mut conn, secret, AccountChoice::Home).await? {
            Outcome::Accepted(credential, _) => Some(*credential),
            Outcome::Refused(_) | Outcome::Malformed => None,
        };
        let is_own = credential.as_ref().is_some_and(|credential| credential.token_id == caller.identity.token_id);
        if asks_in.is_empty() && !is_own {
            return Err(Error::Forbidden);
        }
        let Some(credential) = credential else { return Ok(None) };
        let home = credential.home;
        let found = Verification::of(credential, home, Arc::clone(&caller.identity.context));
        if is_own {
            return Ok(Some(found));
        }
        let mut theirs = grants(&mut conn, found.identity.user_id).await?;
        theirs.retain(|grant| asks_in.iter().any(|asked| asked.account_id == grant.account_id));
        theirs.sort_by_key(|grant| grant.account_id != home);
        Ok(theirs.into_iter().next().map(|grant| found.seen_from(grant)))
    }

    /// Revokes the token that was verified.
    pub async fn revoke_verified(&self, verified: &Verification) -> Result<()> {
        let Identity { token_id, user_id, context, .. } = &verified.identity;
        // Read before the `match`, which would hold the connection while the change waits for another.
        let found = self.store.read().await?.find_credential(*token_id, AccountChoice::None).await?;
        match found {
            Some(credential) => self.revoke(&credential, EventKind::Deleted, *user_id, context).await,
            None => Ok(()),
        }
    }

    /// Revokes the token of a secret. Whoever holds the secret may do this (RFC 7009). An unknown secret is not an
    /// error.
    pub async fn revoke_secret(&self, secret: &str, context: &Arc<RequestContext>) -> Result<()> {
        match self.authenticator.find(secret, AccountChoice::None).await? {
            Some(known) => self.revoke(&known, EventKind::Deleted, known.user_id, context).await,
            None => Ok(()),
        }
    }

    /// Revokes the tokens of secrets that were reported as leaked; ignores unknown secrets. The events carry the nil
    /// UUID as `userID`.
    ///
    /// # Errors
    /// When the store fails. The tokens revoked until then stay revoked.
    pub async fn report_leaks(&self, secrets: &[String], context: &Arc<RequestContext>) -> Result<()> {
        for secret in secrets {
            if let Some(credential) = self.authenticator.find(secret, AccountChoice::None).await? {
                self.revoke(&credential, EventKind::Leaked, UserId::nil(), context).await?;
            }
        }
        Ok(())
    }

    /// Revokes a token, whether or not it may be used now.
    async fn revoke(
        &self,
        credential: &Credential,
        kind: EventKind,
        by: UserId,
        context: &Arc<RequestContext>,
    ) -> Result<()> {
        let Credential { token_id, user_id, home, .. } = *credential;
        let mut change = match self.change_in(home, Some(user_id), by, Arc::clone(context)).await {
            // The account was deleted, and the token with it.
            Err(Error::Forbidden) => return Ok(()),
            change => change?,
        };
        if change.writer.find_token(user_id, token_id).await?.is_some() {
            change.writer.delete_token(token_id).await?;
            change.record(home, kind, Subject::Token(token_id, user_id)).await?;
            change.commit().await?;
        }
        Ok(())
    }
}

/// The roles that give a user access to their accounts.
async fn grants(conn: &mut Conn, user: UserId) -> Result<Vec<Grant>> {
    let mut grants = conn.grants_of(user).await?;
    grants.retain(|grant| opens(grant.role, &grant.role_constraints, grant.account_is_enabled));
    Ok(grants)
}
