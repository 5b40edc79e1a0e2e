//! Events.

use sqlx::QueryBuilder;

use super::{
    Conn, StoreError, Writer,
    collection::{Scope, list},
    columns::rows,
    lister::Lister,
    on,
};
use crate::domain::{
    clock::Timestamp,
    collection::{Field, Kind, Page, Selection, Take},
    event::Event,
    id::{AccountId, EventId, TokenId, UserId},
};

/// The fields that filters, orders and includes may name. Events have no labels, and nobody modifies them.
pub static FIELDS: &[Field] = &[
    Field::new("type", Kind::Constant("application/astra-event")),
    Field::new("version", Kind::Constant("1.4")),
    Field::new("id", Kind::Text("id")),
    Field::new("name", Kind::Text("name")),
    Field::new("sequenceCount", Kind::Number("sequence_count")),
    Field::new("summary", Kind::Text("summary")),
    Field::new("eventTime", Kind::Instant("created_at")),
    Field::new("source", Kind::Constant("tokenward")),
    Field::new("resourceID", Kind::Text("resource_id")),
    Field::new("additionalResourceIDs", Kind::Object),
    Field::new("resourceType", Kind::Text("resource_type")),
    Field::new("correlationID", Kind::Text("correlation_id")),
    Field::new("severity", Kind::Text("severity")),
    Field::new("class", Kind::Text("class")),
    Field::new("description", Kind::Text("description")),
    Field::new("resourceURI", Kind::OptionalText("resource_uri")),
    Field::new("resourceMethod", Kind::OptionalText("resource_method")),
    Field::new("resourceMethodResult", Kind::OptionalText("resource_method_result")),
    Field::new("userID", Kind::Text("user_id")),
    Field::new("accountID", Kind::Text("account_id")),
    Field::new("metadata", Kind::Object),
    Field::new("metadata.labels[*].name", Kind::OptionalText("NULL")),
    Field::new("metadata.labels[*].value", Kind::OptionalText("NULL")),
    Field::new("metadata.creationTimestamp", Kind::Instant("created_at")),
    Field::new("metadata.modificationTimestamp", Kind::Instant("created_at")),
    Field::new("metadata.createdBy", Kind::Text("user_id")),
    Field::new("metadata.modifiedBy", Kind::OptionalText("NULL")),
];

/// How many events one statement keeps: SQLite and PostgreSQL take some ten thousand values.
const AT_ONCE: usize = 50;

macro_rules! columns {
    () => {
        "id, account_id, sequence_count, name, summary, description, class, severity, created_at, resource_id, resource_type, \
         related_user_id, user_id, correlation_id, resource_uri, resource_method, resource_method_result"
    };
}

rows!(Event {
    id,
    account_id,
    sequence_count,
    name,
    summary,
    description,
    class,
    severity,
    created_at,
    resource_id,
    resource_type,
    related_user_id,
    user_id,
    correlation_id,
    resource_uri,
    resource_method,
    resource_method_result,
});

/// The events of an account: all of them, or those that a user caused.
pub(super) fn scope(account: AccountId, by: Option<UserId>) -> Scope {
    let mut keys = vec![account.to_string()];
    keys.extend(by.map(|user| user.to_string()));
    let within: &[&str] = if by.is_some() { &["account_id = $1 AND user_id = $2"] } else { &["account_id = $1"] };
    Scope { columns: columns!(), table: "events", within, keys }
}

impl Conn {
    /// When the oldest event happened, of all accounts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn oldest_event(&mut self) -> Result<Option<Timestamp>, StoreError> {
        const FIND: &str = "SELECT min(created_at) FROM events";
        Ok(on!(self, c => sqlx::query_scalar(FIND).fetch_one(c).await)?)
    }

    /// The event, if it is in that account's log.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_event(&mut self, account: AccountId, event: EventId) -> Result<Option<Event>, StoreError> {
        const FIND: &str = concat!("SELECT ", columns!(), " FROM events WHERE id = $1 AND account_id = $2");
        Ok(on!(self, c => sqlx::query_as(FIND).bind(event).bind(account).fetch_optional(c).await)?)
    }
}

impl Lister {
    /// Some of the account's events: of all of them, or of those that a user caused.
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
    /// Keeps events at the end of their account's log, whose lock this transaction holds. Gives them their places there, and their
    /// times: after that of every earlier event.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn insert_events(&mut self, account: AccountId, events: &mut [Event]) -> Result<(), StoreError> {
        // Once for all of them: PostgreSQL walks through every version that a transaction leaves of a row.
        const NEXT: &str = "UPDATE accounts SET event_count = event_count + $2, changed_at = changed_at + $2 WHERE id = $1 \
             RETURNING event_count - $2, changed_at - $2";
        const INSERT: &str = concat!("INSERT INTO events (", columns!(), ") ");
        if events.is_empty() {
            return Ok(());
        }
        let many = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let (mut count, mut at): (i64, Timestamp) = on!(self, c => sqlx::query_as(NEXT).bind(account).bind(many).fetch_one(c).await)?;
        for event in &mut *events {
            (count, at) = (count + 1, at.next());
            (event.sequence_count, event.created_at) = (count, at);
        }
        for some in events.chunks(AT_ONCE) {
            on!(self, c => {
                let mut query = QueryBuilder::new(INSERT);
                query.push_values(some, |mut row, event| {
                    row.push_bind(event.id).push_bind(event.account_id).push_bind(event.sequence_count).push_bind(&event.name)
                        .push_bind(&event.summary).push_bind(&event.description).push_bind(event.class).push_bind(event.severity)
                        .push_bind(event.created_at).push_bind(&event.resource_id).push_bind(&event.resource_type)
                        .push_bind(event.related_user_id).push_bind(event.user_id).push_bind(&event.correlation_id)
                        .push_bind(&event.resource_uri).push_bind(&event.resource_method).push_bind(&event.resource_method_result);
                });
                let is_usual = some.len() == 1 || some.len() == AT_ONCE;
                query.build().persistent(is_usual).execute(c).await.map(drop)
            })?;
        }
        Ok(())
    }

    /// Notes that a token is being turned away, unless that was noted less than that many microseconds from `now`. True if it wasn't.
    /// What was noted later than now, before the clock went back, counts as long ago.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_refusal(&mut self, token: TokenId, now: Timestamp, every: i64) -> Result<bool, StoreError> {
        const NOTE: &str = "UPDATE tokens SET refused_at = $2 \
             WHERE id = $1 AND (refused_at IS NULL OR refused_at <= $2 - $3 OR refused_at >= $2 + $3) RETURNING id";
        let noted: Option<TokenId> = on!(self, c => sqlx::query_scalar(NOTE).bind(token).bind(now).bind(every).fetch_optional(c).await)?;
        Ok(noted.is_some())
    }

    /// Forgets some of the events that are older than that, the oldest first. Returns how many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune_events(&mut self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        const PRUNE: &str = "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
        self.next_is_bulk();
        Ok(on!(self, c => sqlx::query(PRUNE).bind(before).bind(i64::from(most)).execute(c).await.map(|done| done.rows_affected()))?)
    }
}
