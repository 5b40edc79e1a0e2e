//! Events: retrieve, list, and forget in time.

use std::time::Duration;

use super::{Error, Result, Service, caller::Caller, policy::Action};
use crate::domain::{
    clock::Timestamp,
    collection::{Page, Selection, Take},
    event::Event,
    id::EventId,
};

/// How many events one transaction forgets at most: few, so that it keeps nobody waiting.
const BATCH: u32 = 500;

impl Service {
    /// Returns an event.
    ///
    /// # Errors
    /// When it isn't there, or the caller may not see it.
    pub async fn retrieve_event(&self, caller: &Caller, event: EventId) -> Result<Event> {
        let event = self.store.read().await?.find_event(caller.account_id, event).await?.ok_or(Error::NotFound)?;
        if Action::ReadEvents.reach(caller.role).is_everything() || event.user_id == caller.user_id {
            Ok(event)
        } else {
            Err(Error::Forbidden)
        }
    }

    /// Returns some of the account's events, as far as the caller may see them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_events(&self, caller: &Caller, selection: &Selection, take: Take<'_, Event>) -> Result<Page> {
        let by = (!Action::ReadEvents.reach(caller.role).is_everything()).then_some(caller.user_id);
        Ok(self.store.list(caller.user_id).await?.list_events(caller.account_id, by, selection, take).await?)
    }

    /// Forgets the events that are older than that, in small transactions. Returns how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_events(&self, retention: Duration) -> Result<u64> {
        let age = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp::from_micros(self.clock.now().as_micros().saturating_sub(age));
        let mut pruned = 0;
        loop {
            let mut writer = self.store.write().await?;
            let batch = writer.prune_events(before, BATCH).await?;
            writer.commit().await?;
            pruned += batch;
            if batch < u64::from(BATCH) {
                return Ok(pruned);
            }
            tokio::task::yield_now().await;
        }
    }
}
