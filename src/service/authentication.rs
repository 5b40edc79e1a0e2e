//! Whose secret is this, and may it be used now? The one place of the service that reads secrets and looks them up.
//!
//! How long a refusal takes must not tell whether the secret is known. So the store returns a token for an unknown
//! secret as well, the nearest one; it is read and judged in the same way, and only then are the digests compared.

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

/// Finds the credentials of secrets.
pub(super) struct Authenticator {
    store: Store,
    clock: Arc<dyn Clock>,
}

/// What became of a secret that was presented.
#[derive(Debug)]
pub(super) enum Outcome {
    /// No generator has made it: it wasn't looked up.
    Malformed,
    /// It is unknown, or may not be used now. Which of these isn't told, and callers must do the same for both.
    Refused(SecretDigest),
    /// It may be used at that instant.
    Accepted(Box<Credential>, Timestamp),
}

impl Authenticator {
    pub const fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// The credential of a secret, with the role in that account, if it may be used now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn authenticate(&self, secret: &str, account: AccountChoice) -> Result<Outcome> {
        let Some(digest) = digest_of(secret) else { return Ok(Outcome::Malformed) };
        let nearest = self.look_up(digest, account).await?;
        let now = self.clock.now();
        // Whichever token it is: what is unknown is judged as well. Opaque to the compiler, so that it doesn't put this
        // off until the digests have been compared.
        let credential = nearest.as_ref().and_then(|nearest| nearest.credential.as_ref().ok());
        let standing = black_box(credential.map(|credential| credential.standing(now)));
        Ok(match exact(nearest, digest)? {
            Some(credential) if standing == Some(Ok(())) => Outcome::Accepted(Box::new(credential), now),
            _ => Outcome::Refused(digest),
        })
    }

    /// The credential of a secret, whether or not it may be used; `None` if it is nobody's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, secret: &str, account: AccountChoice) -> Result<Option<Credential>> {
        match digest_of(secret) {
            Some(digest) => self.find_by_digest(digest, account).await,
            None => Ok(None),
        }
    }

    /// As [`Authenticator::find`], of a secret that was looked up before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_by_digest(&self, digest: SecretDigest, account: AccountChoice) -> Result<Option<Credential>> {
        exact(self.look_up(digest, account).await?, digest)
    }

    /// On a connection that is given back at once.
    async fn look_up(&self, digest: SecretDigest, account: AccountChoice) -> Result<Option<Nearest>> {
        Ok(self.store.read().await?.find_nearest(digest, account).await?)
    }
}

/// The nearest credential, if it is that of the digest.
fn exact(nearest: Option<Nearest>, digest: SecretDigest) -> Result<Option<Credential>> {
    let Some(Nearest { digest: found, credential }) = nearest else { return Ok(None) };
    if found == digest { Ok(Some(credential?)) } else { Ok(None) }
}

/// The credential of a token whose secret was accepted before, if it may still be used at that instant. A write asks
/// within its transaction: what was revoked while the request was under way counts, so nothing that is kept in memory
/// may answer this.
///
/// # Errors
/// [`Error::InvalidCredentials`] if it may not; or when the store fails.
pub async fn reauthenticate(conn: &mut Conn, id: TokenId, account: AccountChoice, at: Timestamp) -> Result<Credential> {
    let credential = conn.find_credential(id, account).await?.ok_or(Error::InvalidCredentials)?;
    credential.standing(at).map_err(|_| Error::InvalidCredentials)?;
    Ok(credential)
}

/// What a secret is looked up by; `None` if no generator has made it.
fn digest_of(secret: &str) -> Option<SecretDigest> {
    Secret::parse(secret).ok().map(|secret| secret.digest())
}
