//! Use cases: authorise, check, write. One file per noun; who may do what stands in [`policy`] alone.

pub mod account;
pub mod activity;
mod authentication;
pub mod bootstrap;
pub mod caller;
pub mod change;
pub mod deletion;
pub mod demo;
pub mod error;
pub mod event;
pub mod operator;
pub mod permit;
pub mod policy;
pub mod precondition;
pub mod quota;
pub mod role_binding;
pub mod token;
pub mod user;
pub mod verification;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::sync::Notify;

use self::{activity::Activity, authentication::Authenticator};
pub use crate::store::{Place, Unfit};
use crate::{
    domain::{
        clock::{Clock, Timestamp},
        entropy::Entropy,
    },
    store::{
        Store,
        meter::{Latency, PoolState},
    },
};
pub use error::{Error, FieldError, Result};
use quota::Quotas;

/// The token service: a store, a clock and a source of randomness. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Parts>);

/// What the service is made of. Only this floor sees into it.
pub struct Parts {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    continue_key: Vec<u8>,
    authenticator: Authenticator,
    activity: Activity,
    /// Says that a deletion has left work for the background.
    deletions: Notify,
    quotas: OnceLock<Quotas>,
}

impl std::ops::Deref for Service {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Why the store can't do all that is asked of it.
#[derive(Debug)]
pub enum Unready {
    /// It doesn't answer. For the log only.
    Unreachable(Error),
    /// It can't write, or isn't where it was.
    Unfit(Unfit),
}

impl Service {
    /// Puts the service on a store.
    ///
    /// # Errors
    /// When the store or the source of randomness fails.
    pub async fn new(store: Store, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self> {
        let known = store.read().await?.find_continue_key().await?;
        let continue_key = if let Some(key) = known {
            key
        } else {
            let mut key = [0; 32];
            entropy.fill(&mut key)?;
            let mut writer = store.write().await?;
            writer.offer_continue_key(&key).await?;
            let key = writer.continue_key().await?;
            writer.commit().await?;
            key
        };
        let (activity, deletions, quotas) = (Activity::default(), Notify::new(), OnceLock::new());
        let authenticator = Authenticator::new(store.clone(), Arc::clone(&clock));
        let parts = Parts { store, clock, entropy, continue_key, authenticator, activity, deletions, quotas };
        Ok(Self(Arc::new(parts)))
    }

    /// Sets how much users and accounts may hold. Counts the first time; without it the defaults hold.
    pub fn set_quotas(&self, quotas: Quotas) {
        let _ = self.quotas.set(quotas);
    }

    /// The key that seals what clients carry from one page of a collection to the next; all servers on one database
    /// share it.
    #[must_use]
    pub fn continue_key(&self) -> &[u8] {
        &self.continue_key
    }

    /// The source of randomness.
    #[must_use]
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether there is an account yet. Asks the store, and so also tells whether it answers.
    ///
    /// # Errors
    /// When it doesn't.
    pub async fn is_bootstrapped(&self) -> Result<bool> {
        Ok(self.store.read().await?.has_account().await?)
    }

    /// Whether the store can do all that is asked of it: whether it answers, takes writes, and still is the one that
    /// was opened. Waits until that is known.
    ///
    /// # Errors
    /// Why it can't.
    pub async fn readiness(&self) -> std::result::Result<(), Unready> {
        let answered = match self.store.place() {
            Place::Here => self.is_bootstrapped().await,
            place => return Err(Unready::Unfit(Unfit::Misplaced(place))),
        };
        // Asking may be what has shown that it isn't there any more.
        match self.store.place() {
            Place::Here => answered.map_err(Unready::Unreachable)?,
            place => return Err(Unready::Unfit(Unfit::Misplaced(place))),
        };
        self.store.fitness().await.map_err(Unready::Unfit)
    }

    /// How long to wait for the store where it usually answers within that time: longer if it is far away.
    #[must_use]
    pub fn patience(&self, usual: Duration) -> Duration {
        self.store.patience(usual)
    }

    /// How long the store takes.
    #[must_use]
    pub fn store_latency(&self) -> &Latency {
        self.store.latency()
    }

    /// The store's connections.
    #[must_use]
    pub fn pools(&self) -> [PoolState; 3] {
        self.store.pools()
    }

    /// Lets go of the store.
    pub async fn close(&self) {
        self.store.close().await;
    }
}
