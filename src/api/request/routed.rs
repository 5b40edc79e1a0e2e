//! What the gate has determined about a request, for its handler.

use poem::{FromRequest, Request, RequestBody};

use super::query::Query;
use crate::{api::wire::problem::Problem, service::Error};

/// What the gate has determined about a request, for its handler.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct RoutedRequest {
    /// The path, as the client sent it.
    pub path: String,
    /// The decoded query.
    pub query: Query,
    /// The media type that the client prefers among those that the operation offers.
    pub media_type: Option<String>,
}

impl RoutedRequest {
    /// The data that the gate has attached to the request.
    pub fn of(request: &Request) -> Result<Self, Problem> {
        request.data().cloned().ok_or_else(|| Error::internal("an operation stands outside the gate").into())
    }
}

impl<'a> FromRequest<'a> for RoutedRequest {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self::of(request)?)
    }
}
