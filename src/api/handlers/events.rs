//! The operations on events (spec/contract/CONTRACT.md §7 and §9).

use poem_openapi::{OpenApi, param::Path};

use crate::{
    api::{
        request::{collection::CollectionQuery, credentials::Bearer, responder::Responder},
        resources::event::Event,
        wire::{
            answer::{Answer, Retrieved},
            page::Listed,
            problem::Problem,
            tag::Tag,
        },
    },
    domain::id::{AccountId, EventId},
};

/// The event operations.
pub(in crate::api) struct Events;

#[OpenApi(tag = "Tag::Events")]
impl Events {
    /// Retrieve an event
    ///
    /// Returns an entry of the account's audit log. Viewers and members may retrieve only events that they caused
    /// themselves.
    #[oai(path = "/accounts/:account_id/core/v1/events/:event_id", method = "get", operation_id = "retrieve_event")]
    async fn retrieve_event(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        /// The event's id.
        event_id: Path<EventId>,
        responder: Responder,
    ) -> Result<Answer<Retrieved<Event>>, Problem> {
        let event = caller.service.retrieve_event(&caller, event_id.0).await?;
        responder.retrieved(event)
    }

    /// List events
    ///
    /// Returns the account's audit log, one page at a time, oldest first unless `orderBy` is given. Viewers and members
    /// see only events that they caused themselves.
    #[oai(path = "/accounts/:account_id/core/v1/events", method = "get", operation_id = "list_events")]
    async fn list_events(
        &self,
        caller: Bearer,
        /// The account's id.
        #[oai(name = "account_id")]
        _account: Path<AccountId>,
        query: CollectionQuery,
    ) -> Result<Answer<Listed<Event>>, Problem> {
        let (asked, mut items) = query.read::<Event>()?;
        let page = caller.service.list_events(&caller, &asked.selection, &mut |item| items.take(item)).await?;
        Ok(asked.answer(items, page)?)
    }
}
