//! Events: retrieve, list, and prune old ones.

use std::time::Duration;

use super::{Error, Result, Service, caller::Caller, policy::Action};
use crate::domain::{
    collection::{Page, Selection, Take},
    event::Event,
    id::EventId,
};

/// The maximum number of events that one transaction deletes: small, so that other requests don't wait for it.
const BATCH: u32 = 500;

const A_DAY: Duration = Duration::from_hours(24);

/// How far pruning trusts the clock to say which events are old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cutoff {
    /// Trusts the clock entirely.
    AsTheClockSays,
    /// Lets the cutoff advance by at most one day, plus the time that has passed since the last run as far as this
    /// process knows. So a clock that is years ahead deletes almost nothing.
    ADayMore {
        /// The time since this process last pruned.
        passed: Duration,
    },
}

impl Service {
    /// Returns an event.
    ///
    /// # Errors
    /// When the event doesn't exist, or the caller may not see it.
    pub async fn retrieve_event(&self, caller: &Caller, event: EventId) -> Result<Event> {
        let event = self.store.read().await?.find_event(caller.account_id, event).await?.ok_or(Error::NotFound)?;
        let reach = Action::ReadEvents.reach(caller.role);
        let may = reach.is_everything() || (reach.own() && event.user_id == caller.user_id);
        if may { Ok(event) } else { Err(Error::Forbidden) }
    }

    /// Returns a page of those events of the account that the caller may see.
    pub async fn list_events(&self, caller: &Caller, selection: &Selection, take: Take<'_, Event>) -> Result<Page> {
        let reach = Action::ReadEvents.reach(caller.role);
        if !reach.is_everything() && !reach.own() {
            return Err(Error::Forbidden);
        }
        let by = (!reach.is_everything()).then_some(caller.user_id);
        Ok(self.store.list(caller.user_id).await?.list_events(caller.account_id, by, selection, take).await?)
    }

    /// Deletes the events that are older than `retention`, in small transactions. Returns their number.
    pub async fn prune_events(&self, retention: Duration, cutoff: Cutoff) -> Result<u64> {
        let wanted = self.clock.now().earlier(retention);
        let mut writer = self.store.write().await?;
        let last = writer.pruned_before().await?;
        let before = match cutoff {
            Cutoff::AsTheClockSays => wanted,
            Cutoff::ADayMore { passed } => {
                let most = match last {
                    Some(last) => last.later(A_DAY.saturating_add(passed)),
                    // No earlier pruning is recorded, so this one deletes nothing.
                    None => writer.oldest_event().await?.unwrap_or(wanted),
                };
                if wanted > most.later(A_DAY) {
                    tracing::warn!(
                        "events from before {wanted} should be forgotten by the clock and the retention, those from \
                            before {most} are: one of \
                         the two has jumped. If that is meant, start once with --prune-all"
                    );
                }
                wanted.min(most)
            }
        };
        if last.is_some_and(|last| wanted.later(A_DAY) < last) {
            tracing::warn!(
                "events were forgotten up to a later instant than {wanted}: the clock or the retention has jumped"
            );
        }
        // If this cutoff is earlier than the last one, the clock was wrong then or is wrong now. Keeping events for
        // longer does no harm.
        writer.set_pruned_before(before).await?;
        writer.commit().await?;
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
