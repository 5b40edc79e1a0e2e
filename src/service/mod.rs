//! The operations of the service: each authorises, checks and writes. One file per resource; permissions are defined in
//! [`policy`] only.

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

/// The parts of the service. Only this module and its children access the fields.
pub struct Parts {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    continue_key: Vec<u8>,
    authenticator: Authenticator,
    activity: Activity,
    /// Notified when a deletion has left work for the background task.
    deletions: Notify,
    quotas: OnceLock<Quotas>,
}

impl std::ops::Deref for Service {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Why the service isn't ready.
#[derive(Debug)]
pub enum Unready {
    /// The store doesn't answer. The error is for the log only.
    Unreachable(Error),
    /// The store can't write, or the database was removed or replaced.
    Unfit(Unfit),
}

impl Service {
    /// Creates the service on a store. Generates the key for `continue` tokens if the store has none.
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

    /// Sets the quotas of users and accounts. Only the first call has an effect; without one the defaults apply.
    pub fn set_quotas(&self, quotas: Quotas) {
        let _ = self.quotas.set(quotas);
    }

    /// The key that seals the `continue` tokens of collections. All servers on one database share it.
    #[must_use]
    pub fn continue_key(&self) -> &[u8] {
        &self.continue_key
    }

    /// The source of randomness.
    #[must_use]
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether there is an account yet. Queries the store every time, and so also shows whether the store answers.
    ///
    /// # Errors
    /// When the store doesn't answer.
    pub async fn is_bootstrapped(&self) -> Result<bool> {
        Ok(self.store.read().await?.has_account().await?)
    }

    /// Whether the service is ready: the store answers, accepts writes, and is still the database that was opened.
    /// Waits until this is known.
    ///
    /// # Errors
    /// Why the service isn't ready.
    pub async fn readiness(&self) -> std::result::Result<(), Unready> {
        let answered = match self.store.place() {
            Place::Here => self.is_bootstrapped().await,
            place => return Err(Unready::Unfit(Unfit::Misplaced(place))),
        };
        // The query may have shown that the database was removed or replaced.
        match self.store.place() {
            Place::Here => answered.map_err(Unready::Unreachable)?,
            place => return Err(Unready::Unfit(Unfit::Misplaced(place))),
        };
        self.store.fitness().await.map_err(Unready::Unfit)
    }

    /// How long to wait for the store if `usual` is enough without network latency: longer if the store is far away.
    #[must_use]
    pub fn patience(&self, usual: Duration) -> Duration {
        self.store.patience(usual)
    }

    /// The store's latency, as histograms.
    #[must_use]
    pub fn store_latency(&self) -> &Latency {
        self.store.latency()
    }

    /// The state of the store's connection pools.
    #[must_use]
    pub fn pools(&self) -> [PoolState; 3] {
        self.store.pools()
    }

    /// Closes the store.
    pub async fn close(&self) {
        self.store.close().await;
    }
}
