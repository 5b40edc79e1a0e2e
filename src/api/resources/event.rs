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
    /// The source of an event.
    EventSource = "tokenward"
);
choice!(
    /// The severity of an event.
    EventSeverity = Severity
);
choice!(
    /// The class of an event: `user` for changes, `security` for refused tokens and for tokens revoked after a leak
    /// report.
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
    /// The kind of event, as resource and action: `token.created`.
    pub name: String,
    /// The event's position in the account's log; it increases with every event.
    pub sequence_count: i64,
    /// What happened, in a few words: `Token created`.
    pub summary: String,
    /// When the event happened.
    pub event_time: Time,
    /// The source of the event: this server.
    pub source: EventSource,
    /// The id of the resource that the event is about.
    #[serde(rename = "resourceID")]
    #[oai(rename = "resourceID")]
    pub resource_id: Identifier,
    /// For tokens and role bindings: the id of the user that the resource belongs to.
    #[serde(rename = "additionalResourceIDs")]
    #[oai(rename = "additionalResourceIDs", validator(unique_items))]
    pub additional_resource_ids: Vec<UserId>,
    /// The media type of the resource that the event is about.
    pub resource_type: String,
    /// The correlation id of the request that caused the event.
    #[serde(rename = "correlationID")]
    #[oai(rename = "correlationID")]
    pub correlation_id: Identifier,
    /// The event's severity.
    pub severity: Severity,
    /// The event's class.
    pub class: Class,
    /// What happened, in a sentence.
    pub description: String,
    /// The path of the request. Absent if it names no resource or collection, and for actions of operators on the
    /// command line.
    #[serde(rename = "resourceURI", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "resourceURI", skip_serializing_if_is_none)]
    pub resource_uri: Option<String>,
    /// The method of the request, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub resource_method: Option<String>,
    /// The status code of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub resource_method_result: Option<String>,
    /// The user that caused the event; the nil UUID for operators on the command line and for leak reports.
    #[serde(rename = "userID")]
    #[oai(rename = "userID")]
    pub user_id: UserId,
    /// The account whose log contains the event.
    #[serde(rename = "accountID")]
    #[oai(rename = "accountID")]
    pub account_id: AccountId,
    /// When the event was recorded, and the user that caused it.
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
