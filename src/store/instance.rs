//! Queries of the table `instance`, whose only row holds what all servers on one database share.

use super::{Conn, Dialect, StoreError, Writer, on};
use crate::domain::clock::Timestamp;

impl Writer {
    /// Stores the instant before which events are deleted.
    pub async fn set_pruned_before(&mut self, before: Timestamp) -> Result<(), StoreError> {
        const SET: &str = "UPDATE instance SET pruned_before = $1 WHERE id = 1";
        on!(self, c => sqlx::query(SET).bind(before).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Stores the key that seals `continue` tokens, unless there is one already.
    pub async fn offer_continue_key(&mut self, key: &[u8]) -> Result<(), StoreError> {
        const OFFER: &str = "INSERT INTO instance (id, continue_key) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
        on!(self, c => sqlx::query(OFFER).bind(key).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Waits until no other server is bootstrapping, and prevents that until the commit.
    pub async fn lock_instance(&mut self) -> Result<(), StoreError> {
        const LOCK: &str = "UPDATE instance SET id = id WHERE id = 1";
        on!(self, c => sqlx::query(LOCK).execute(c).await.map(drop))?;
        Ok(())
    }

    /// Changes something that nobody reads, so that the commit has something to write.
    pub(super) async fn touch_instance(&mut self) -> Result<(), StoreError> {
        if self.dialect() == Dialect::Postgres {
            return self.lock_instance().await;
        }
        // SQLite writes nothing if a row doesn't change.
        let version: i64 = on!(self, c => sqlx::query_scalar("PRAGMA user_version").fetch_one(c).await)?;
        let next = if version == 1 { "PRAGMA user_version = 2" } else { "PRAGMA user_version = 1" };
        on!(self, c => sqlx::query(next).execute(c).await.map(drop))
    }
}

impl Conn {
    /// The key that seals `continue` tokens; `None` if there is none yet.
    pub async fn find_continue_key(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        const FIND: &str = "SELECT continue_key FROM instance WHERE id = 1";
        on!(self, c => sqlx::query_scalar(FIND).fetch_optional(c).await)
    }

    /// The instant before which events have been deleted; `None` if none ever were.
    pub async fn pruned_before(&mut self) -> Result<Option<Timestamp>, StoreError> {
        const FIND: &str = "SELECT pruned_before FROM instance WHERE id = 1";
        Ok(on!(self, c => sqlx::query_scalar(FIND).fetch_one(c).await)?)
    }

    /// The key that seals `continue` tokens.
    pub async fn continue_key(&mut self) -> Result<Vec<u8>, StoreError> {
        const FIND: &str = "SELECT continue_key FROM instance WHERE id = 1";
        Ok(on!(self, c => sqlx::query_scalar(FIND).fetch_one(c).await)?)
    }
}
