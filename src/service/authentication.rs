//! Authentication: finds the token of a secret, and checks whether it may be used now. No other module of the service
//! parses secrets and looks them up.
//!
//! The time that a refusal takes must not reveal whether the secret is known. So the store returns a token for an
//! unknown secret as well, the one with the next digest; it is read and checked in the same way, and only then are the
//! digests compared.

use std::{hint::black_box, sync::Arc};

use super::{Error, Result};
use crate::{
    domain::{
        clock::{Clock, Timestamp},
        credential::{AccountChoice, Credential},
        id::TokenId,
        secret::{Secret, SecretDigest},
    },
    store::{Conn, Store, credential::Nearest},
};

/// Finds the credential that belongs to a secret.
pub(super) struct Authenticator {
    store: Store,
    clock: Arc<dyn Clock>,
}

/// The result of an authentication.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The secret is malformed, and wasn't looked up.
    Malformed,
    /// The secret is unknown, or may not be used now. Callers can't distinguish the two, and must treat them alike.
    Refused(SecretDigest),
    /// It may be used at that instant.
    Accepted(Box<Credential>, Timestamp),
}

impl Authenticator {
    pub const fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// The credential of a secret, with the role in that account, if it may be used now.
    pub async fn authenticate(&self, secret: &str, account: AccountChoice) -> Result<Outcome> {
        match digest_of(secret) {
            Some(digest) => self.judge(&mut self.store.read().await?, digest, account).await,
            None => Ok(Outcome::Malformed),
        }
    }

    /// As [`Authenticator::authenticate`], on a connection that the caller holds: nobody waits for a second one while
    /// holding a first.
    pub async fn authenticate_on(&self, conn: &mut Conn, secret: &str, account: AccountChoice) -> Result<Outcome> {
        match digest_of(secret) {
            Some(digest) => self.judge(conn, digest, account).await,
            None => Ok(Outcome::Malformed),
        }
    }

    async fn judge(&self, conn: &mut Conn, digest: SecretDigest, account: AccountChoice) -> Result<Outcome> {
        let nearest = conn.find_nearest(digest, account).await?;
        let now = self.clock.now();
        // Checked even if the secret is unknown. `black_box` keeps the compiler from delaying this until the digests
        // have been compared.
        let credential = nearest.as_ref().and_then(|nearest| nearest.credential.as_ref().ok());
        let standing = black_box(credential.map(|credential| credential.standing(now)));
        Ok(match exact(nearest, digest)? {
            Some(credential) if standing == Some(Ok(())) => Outcome::Accepted(Box::new(credential), now),
            _ => Outcome::Refused(digest),
        })
    }

    /// The credential of a secret, whether or not it may be used; `None` if no token has this secret.
    pub async fn find(&self, secret: &str, account: AccountChoice) -> Result<Option<Credential>> {
        match digest_of(secret) {
            Some(digest) => self.find_by_digest(digest, account).await,
            None => Ok(None),
        }
    }

    /// The credential of the secret with that digest, as [`Authenticator::find`] returns it.
    pub async fn find_by_digest(&self, digest: SecretDigest, account: AccountChoice) -> Result<Option<Credential>> {
        exact(self.store.read().await?.find_nearest(digest, account).await?, digest)
    }
}

/// The credential that the store returned, if it has that digest.
fn exact(nearest: Option<Nearest>, digest: SecretDigest) -> Result<Option<Credential>> {
    let Some(Nearest { digest: found, credential }) = nearest else { return Ok(None) };
    if found == digest { Ok(Some(credential?)) } else { Ok(None) }
}

/// The credential of a token whose secret was accepted before, if it may still be used at that instant. A write calls
/// this within its transaction, so that a revocation during the request takes effect; the answer must therefore never
/// come from a cache.
///
/// # Errors
/// [`Error::InvalidCredentials`] if the token may not be used; or when the store fails.
pub async fn reauthenticate(conn: &mut Conn, id: TokenId, account: AccountChoice, at: Timestamp) -> Result<Credential> {
    let credential = conn.find_credential(id, account).await?.ok_or(Error::InvalidCredentials)?;
    credential.standing(at).map_err(|_| Error::InvalidCredentials)?;
    Ok(credential)
}

/// The digest by which a secret is looked up; `None` if the secret is malformed.
fn digest_of(secret: &str) -> Option<SecretDigest> {
    Secret::parse(secret).ok().map(|secret| secret.digest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::DatabaseUrl,
        domain::{
            clock::SystemClock,
            entropy::OsEntropy,
            id::AccountId,
            name::{Email, FreeText, ResourceName},
            role::Role,
        },
        service::{
            Service,
            bootstrap::{Bootstrap, Bootstrapped},
        },
    };

    async fn bootstrapped() -> (Service, Bootstrapped) {
        let store = Store::open(&DatabaseUrl::Memory).await.unwrap();
        let service = Service::new(store, Arc::new(SystemClock), Arc::new(OsEntropy)).await.unwrap();
        let bootstrap = Bootstrap {
            account_name: ResourceName::parse("x").unwrap(),
            email: Email::parse("owner@example.com").unwrap(),
            first_name: FreeText::parse("Ada").unwrap(),
            last_name: FreeText::parse("Byron").unwrap(),
            token_name: ResourceName::parse("x").unwrap(),
            secret: None,
        };
        let bootstrapped = service.bootstrap(bootstrap).await.unwrap().unwrap();
        (service, bootstrapped)
    }

    /// Nobody's, and the only token there is comes next after it.
    fn before(known: &Secret) -> Secret {
        let mut secrets = std::iter::repeat_with(|| Secret::generate(&OsEntropy).unwrap());
        secrets.find(|secret| secret.digest().0 < known.digest().0).unwrap()
    }

    async fn is_refused(service: &Service, secret: &Secret) -> bool {
        let outcome = service.authenticator.authenticate(secret.expose(), AccountChoice::Home).await.unwrap();
        matches!(outcome, Outcome::Refused(digest) if digest == secret.digest())
    }

    async fn is_known(service: &Service, secret: &Secret) -> bool {
        service.authenticator.find(secret.expose(), AccountChoice::None).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn the_role_is_that_in_the_account_that_was_asked_for() {
        let (service, bootstrapped) = bootstrapped().await;
        for (account, role) in [
            (AccountChoice::None, None),
            (AccountChoice::Given(bootstrapped.account_id), Some(Role::Owner)),
            (AccountChoice::Given(AccountId::nil()), None),
            (AccountChoice::Home, Some(Role::Owner)),
        ] {
            let outcome = service.authenticator.authenticate(bootstrapped.secret.expose(), account).await.unwrap();
            let Outcome::Accepted(credential, now) = outcome else { panic!("{outcome:?}") };
            assert_eq!((credential.token_id, credential.role), (bootstrapped.token_id, role), "{account:?}");
            let mut conn = service.store.read().await.unwrap();
            assert_eq!(reauthenticate(&mut conn, bootstrapped.token_id, account, now).await.unwrap(), *credential);
        }
    }

    #[tokio::test]
    async fn the_token_that_comes_next_is_not_taken_for_an_unknown_one() {
        let (service, bootstrapped) = bootstrapped().await;
        let unknown = before(&bootstrapped.secret);
        assert!(is_refused(&service, &unknown).await && !is_known(&service, &unknown).await);
        let nonsense = service.authenticator.authenticate("nonsense", AccountChoice::None).await.unwrap();
        assert!(matches!(nonsense, Outcome::Malformed));
    }

    #[tokio::test]
    async fn a_disabled_users_token_is_known_and_refused() {
        let (service, bootstrapped) = bootstrapped().await;
        let mut writer = service.store.write().await.unwrap();
        let mut user = writer.find_user(bootstrapped.user_id).await.unwrap().unwrap();
        user.is_enabled = false;
        writer.update_user(&user).await.unwrap();
        writer.commit().await.unwrap();
        assert!(is_refused(&service, &bootstrapped.secret).await && is_known(&service, &bootstrapped.secret).await);
        assert!(is_refused(&service, &before(&bootstrapped.secret)).await);
        let mut conn = service.store.read().await.unwrap();
        let refused = reauthenticate(&mut conn, bootstrapped.token_id, AccountChoice::None, service.now()).await;
        assert!(matches!(refused, Err(Error::InvalidCredentials)));
    }

    #[tokio::test]
    async fn what_is_left_of_a_deleted_user_or_account_is_nobodys() {
        for is_account in [false, true] {
            let (service, bootstrapped) = bootstrapped().await;
            let mut writer = service.store.write().await.unwrap();
            if is_account {
                writer.delete_account(bootstrapped.account_id).await.unwrap();
            } else {
                writer.delete_user(bootstrapped.user_id).await.unwrap();
            }
            writer.commit().await.unwrap();
            assert!(
                is_refused(&service, &bootstrapped.secret).await && !is_known(&service, &bootstrapped.secret).await
            );
            assert!(is_refused(&service, &before(&bootstrapped.secret)).await);
        }
    }
}
