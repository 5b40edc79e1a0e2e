//! A background task that monitors the database while it is served: whether it is still the one that was opened,
//! whether it accepts writes again after one has failed, and on SQLite how long its log is. Only readiness checks wait
//! for it, after a failed write.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Parts, Pools, Store, StoreError, postgres};

/// How often to check whether the database is where it was opened. A loss is detected by the second check at the
/// latest.
const EVERY: Duration = Duration::from_secs(2);
/// The least time between two attempts to write.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs until the store is closed or dropped.
pub(super) async fn keep(parts: Weak<Parts>) {
    while let Some(health) = parts.upgrade().map(|parts| Arc::clone(&parts.health)) {
        let _ = tokio::time::timeout(EVERY, health.doubted()).await;
        let Some(store) = parts.upgrade().map(Store) else { return };
        if health.is_closed() {
            return;
        }
        let write = async {
            if health.doubts_writes() {
                health.writes_work(store.touch().await.is_ok());
            }
        };
        tokio::join!(store.look(), write);
        drop(store);
        tokio::time::sleep(PAUSE).await;
    }
}

impl Store {
    async fn look(&self) {
        match &self.pools {
            Pools::Sqlite { file: Some(file), log, .. } => file.look(&self.health, log).await,
            Pools::Sqlite { .. } => {}
            Pools::Postgres { options, distance, .. } => postgres::look(self, options, *distance).await,
        }
    }

    /// Performs a minimal write, after checking that there is room for larger ones.
    async fn touch(&self) -> Result<(), StoreError> {
        if let Pools::Sqlite { file: Some(file), .. } = &self.pools {
            file.insist_on_room().await.map_err(|error| StoreError::Unavailable(sqlx::Error::Io(error)))?;
        }
        let mut writer = self.write().await?;
        writer.touch_instance().await?;
        writer.commit().await
    }
}
