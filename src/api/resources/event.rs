//! Events over HTTP (spec/contract/CONTRACT.md §9): the audit log.

use poem_openapi::Object;
use serde::Serialize;

use crate::{
    api::wire::{
        metadata::Metadata,
        resource::resource,
        scalar::{Identifier, Time, choice, constant},
    },
    domain::{
        event::{self, Class, Severity},
        id::{AccountId, EventId, UserId},
    },
    store::event::FIELDS,
};

resource! {
    /// Media type of an event.
    EventType = "application/astra-event",
    /// The version of an event's schema.
    EventVersion = "1.4" or "1.3" or "1.2" or "1.1" or "1.0";
    Event of event::Event, FIELDS
}

constant!(
    /// Who tells of events.
    EventSource = "tokenward"
);
choice!(
    /// How much an event matters.
    EventSeverity = Severity
);
choice!(
    /// What kind of thing happened: a change, or a refusal.
    EventClass = Class
);

/// An entry of the audit log: who did what, when, in which request.
#[derive(Debug, Clone, Serialize, Object)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
pub struct Event {
    /// The media type of the resource.
    pub r#type: EventType,
    /// The version of the resource's schema.
    pub version: EventVersion,
    /// The event's id.
    pub id: EventId,
    /// Which kind of event, with dots: `token.created`.
    pub name: String,
    /// The event's place in the account's log: it rises with every event.
    pub sequence_count: i64,
    /// What happened, in a few words.
    pub summary: String,
    /// When it happened.
    pub event_time: Time,
    /// Who tells of it: this server.
    pub source: EventSource,
    /// What it happened to.
    #[serde(rename = "resourceID")]
    #[oai(rename = "resourceID")]
    pub resource_id: Identifier,
    /// Whose that is, for tokens and role bindings: the user's id.
    #[serde(rename = "additionalResourceIDs")]
    #[oai(rename = "additionalResourceIDs", validator(unique_items))]
    pub additional_resource_ids: Vec<UserId>,
    /// The media type of what it happened to.
    pub resource_type: String,
    /// Names the request in which it happened.
    #[serde(rename = "correlationID")]
    #[oai(rename = "correlationID")]
    pub correlation_id: Identifier,
    /// How much it matters.
    pub severity: Severity,
    /// What kind of thing happened.
    pub class: Class,
    /// What happened, in a sentence.
    pub description: String,
    /// The path of the request. Absent for what operators did on the command line.
    #[serde(rename = "resourceURI", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "resourceURI", skip_serializing_if_is_none)]
    pub resource_uri: Option<String>,
    /// The method of the request, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub resource_method: Option<String>,
    /// The status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub resource_method_result: Option<String>,
    /// Who did it: the nil UUID for an operator on the command line.
    #[serde(rename = "userID")]
    #[oai(rename = "userID")]
    pub user_id: UserId,
    /// In whose log it stands.
    #[serde(rename = "accountID")]
    #[oai(rename = "accountID")]
    pub account_id: AccountId,
    /// When the event was written, and by whom.
    pub metadata: Metadata,
}

impl From<event::Event> for Event {
    fn from(event: event::Event) -> Self {
        Self {
            r#type: EventType,
            version: EventVersion,
            id: event.id,
            name: event.name,
            sequence_count: event.sequence_count,
            summary: event.summary,
            event_time: Time(event.created_at),
            source: EventSource,
            resource_id: event.resource_id.into(),
            additional_resource_ids: event.related_user_id.into_iter().collect(),
            resource_type: event.resource_type,
            correlation_id: event.correlation_id.into(),
            severity: event.severity,
            class: event.class,
            description: event.description,
            resource_uri: event.resource_uri,
            resource_method: event.resource_method,
            resource_method_result: event.resource_method_result,
            account_id: event.account_id,
            metadata: Metadata {
                labels: vec![],
                creation_timestamp: Time(event.created_at),
                modification_timestamp: Time(event.created_at),
                created_by: event.user_id,
                modified_by: None,
            },
            user_id: event.user_id,
        }
    }
}
