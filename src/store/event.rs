//! The table of events and its queries.

use super::{
    Conn, StoreError, Writer,
    collection::{Scope, list},
    lister::Lister,
    on,
    table::table,
};
use crate::domain::{
    clock::Timestamp,
    collection::{Page, Selection, Take},
    event::Event,
    id::{AccountId, EventId, TokenId, UserId},
};

table! {
    "events" holds many event: Event;
    const name: Text as "name",
    const sequence_count: Number as "sequenceCount",
    const summary: Text as "summary",
    const created_at: Instant as "eventTime",
    _: Constant("tokenward") as "source",
    const resource_id: Text as "resourceID",
    const related_user_id: Object as "additionalResourceIDs",
    const resource_type: Text as "resourceType",
    const correlation_id: Text as "correlationID",
    const severity: Text as "severity",
    const class: Text as "class",
    const description: Text as "description",
    const resource_uri: OptionalText as "resourceURI",
    const resource_method: OptionalText as "resourceMethod",
    const resource_method_result: OptionalText as "resourceMethodResult",
    const user_id: Text as "userID",
    const account_id: Text as "accountID",
    // Events have no labels and are never modified.
    _: Object as "metadata",
    _: OptionalText("NULL") as "metadata.labels[*].name",
    _: OptionalText("NULL") as "metadata.labels[*].value",
    _: Instant("created_at") as "metadata.creationTimestamp",
    _: Instant("created_at") as "metadata.modificationTimestamp",
    _: Text("user_id") as "metadata.createdBy",
    _: OptionalText("NULL") as "metadata.modifiedBy",
}

/// The events of an account: all of them, or those that a user caused.
pub(super) fn scope(account: AccountId, by: Option<UserId>) -> Scope {
    let mut keys = vec![account.to_string()];
    keys.extend(by.map(|user| user.to_string()));
    let within: &[&str] = if by.is_some() { &["account_id = $1 AND user_id = $2"] } else { &["account_id = $1"] };
    Scope { columns: columns!(), table: "events", within, keys }
}

impl Conn {
    /// The time of the oldest event of all accounts; `None` if there are no events.
    pub async fn oldest_event(&mut self) -> Result<Option<Timestamp>, StoreError> {
        const FIND: &str = "SELECT min(created_at) FROM events";
        Ok(on!(self, c => sqlx::query_scalar(FIND).fetch_one(c).await)?)
    }

    /// The event, if it is in that account's log.
    pub async fn find_event(&mut self, account: AccountId, event: EventId) -> Result<Option<Event>, StoreError> {
        const FIND: &str = concat!("SELECT ", columns!(), " FROM events WHERE id = $1 AND account_id = $2");
        Ok(on!(self, c => sqlx::query_as(FIND).bind(event).bind(account).fetch_optional(c).await)?)
    }
}

impl Lister {
    /// A page of the account's events; with `by`, only of those that this user caused.
    ///
    /// # Errors
    /// [`StoreError::TooDear`], or when the store fails.
    pub async fn list_events(
        &mut self,
        account: AccountId,
        by: Option<UserId>,
        selection: &Selection,
        take: Take<'_, Event>,
    ) -> Result<Page, StoreError> {
        list(self, &scope(account, by), selection, take).await
    }
}

impl Writer {
    /// Appends events to the log of their account, whose lock this transaction holds. Sets their sequence counts, and
    /// their times: later than that of every earlier event.
    pub async fn insert_events(&mut self, account: AccountId, events: &mut [Event]) -> Result<(), StoreError> {
        // One update for all events: PostgreSQL steps through every version of a row that a transaction has created.
        const NEXT: &str = "UPDATE accounts SET event_count = event_count + $2, changed_at = changed_at + $2 WHERE id \
            = $1 \
             RETURNING event_count - $2, changed_at - $2";
        if events.is_empty() {
            return Ok(());
        }
        let many = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let (mut count, mut at): (i64, Timestamp) =
            on!(self, c => sqlx::query_as(NEXT).bind(account).bind(many).fetch_one(c).await)?;
        for event in &mut *events {
            (count, at) = (count + 1, at.next());
            (event.sequence_count, event.created_at) = (count, at);
        }
        insert(self, events).await
    }

    /// Records that a token was refused at `now`, unless a refusal less than `every` microseconds before or after `now`
    /// is recorded already. Returns whether it was recorded. A recorded time further in the future, from before the
    /// clock was set back, is overwritten.
    pub async fn note_refusal(&mut self, token: TokenId, now: Timestamp, every: i64) -> Result<bool, StoreError> {
        const NOTE: &str = "UPDATE tokens SET refused_at = $2 \
             WHERE id = $1 AND (refused_at IS NULL OR refused_at <= $2 - $3 OR refused_at >= $2 + $3) RETURNING id";
        let noted: Option<TokenId> =
            on!(self, c => sqlx::query_scalar(NOTE).bind(token).bind(now).bind(every).fetch_optional(c).await)?;
        Ok(noted.is_some())
    }

    /// Deletes up to `most` events that are older than `before`, oldest first. Returns how many.
    pub async fn prune_events(&mut self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        const PRUNE: &str =
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
        self.next_is_bulk();
        Ok(on!(self, c => sqlx::query(PRUNE).bind(before).bind(i64::from(most)).execute(c)
                .await.map(|done| done.rows_affected()))?)
    }
}
