//! Is this secret good, and whose is it? Asked by gateways, by other services, and by whoever holds it; and the ways to
//! be rid of a token with nothing but its secret.

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

/// A good token, whose it is, and what that user is in one account.
#[derive(Debug, Clone)]
pub struct Verification {
    /// Token, user, account and role.
    pub identity: Identity,
    /// What the token is called.
    pub token_name: ResourceName,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// How the user is reached.
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

    /// The account and the role there, if that role is at least this one.
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
    /// Whose secret is this, and what is its user in that account (`None`: in the one that it was created in)? Notes
    /// what [`Service::authenticate`] notes.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] when nobody may use it now; or when the store fails.
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

    /// What the caller may know of a secret that somebody has presented to it; `None` if that one is good for nothing
    /// where the caller may ask. The account that is told of is the user's own if the caller may ask there, else the
    /// one whose role is the oldest. Who is asked about hasn't done anything, so nothing is noted of it.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] for a caller that is none any more: its question may have been long on its way;
    /// [`Error::Forbidden`] for one that may ask nowhere, unless it asks about its own token; or when the store fails.
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
        // Read first: a match would hold on to the connection while the change waits for one.
        let found = self.store.read().await?.find_credential(*token_id, AccountChoice::None).await?;
        match found {
            Some(credential) => self.revoke(&credential, EventKind::Deleted, *user_id, context).await,
            None => Ok(()),
        }
    }

    /// Revokes the token of a secret: whoever holds it may (RFC 7009). One that is nobody's is as good as revoked.
    pub async fn revoke_secret(&self, secret: &str, context: &Arc<RequestContext>) -> Result<()> {
        match self.authenticator.find(secret, AccountChoice::None).await? {
            Some(known) => self.revoke(&known, EventKind::Deleted, known.user_id, context).await,
            None => Ok(()),
        }
    }

    /// Revokes what is ours of secrets that somebody has found somewhere. Nobody is known to have done it.
    ///
    /// # Errors
    /// When the store fails. What was revoked until then stays so.
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
            // The account is gone, and the token with it.
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

/// The roles that open their accounts to a user.
async fn grants(conn: &mut Conn, user: UserId) -> Result<Vec<Grant>> {
    let mut grants = conn.grants_of(user).await?;
    grants.retain(|grant| opens(grant.role, &grant.role_constraints, grant.account_is_enabled));
    Ok(grants)
}
