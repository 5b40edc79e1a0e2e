//! Responses to requests that don't reach the gate: the server refuses them because of their head, or because it has
//! reached the maximum number of connections.

use poem::{
    Response,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};

use super::{
    area::Area,
    correlation::{CORRELATION_ID, correlation_id},
};
use crate::{api::wire::problem::Problem, domain::entropy::OsEntropy, service::FieldError};

/// Why a request doesn't reach the gate.
#[derive(Debug)]
pub enum Refusal {
    /// It isn't valid HTTP.
    Malformed,
    /// Its URI is too long.
    UriTooLong,
    /// It has too many headers, or they are too large.
    HeadTooLarge,
    /// A header that determines how the request is parsed is invalid: its name, and what it must be.
    Header(&'static str, &'static str),
    /// The maximum number of connections is reached.
    Crowded,
}

impl Refusal {
    /// The response to a request with these headers; it closes the connection.
    #[must_use]
    pub fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response {
        let problem = match self {
            Self::Malformed => Problem::Malformed,
            Self::UriTooLong => Problem::UriTooLong,
            Self::HeadTooLarge => Problem::HeadTooLarge,
            Self::Header(name, reason) => Problem::InvalidHeaders(vec![FieldError::new(*name, *reason)]),
            Self::Crowded => Problem::Crowded,
        };
        let correlation_id = correlation_id(headers, &OsEntropy);
        // The formats for proxies and OAuth clients are for well-formed requests only: a malformed one belongs to no
        // area.
        let mut response = match self {
            Self::Crowded => Area::of(path).render(&problem, method, &correlation_id, None),
            _ => problem.render(method, &correlation_id, None),
        };
        if *method == Method::HEAD {
            response.set_body(());
        }
        let status: StatusCode = response.status();
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&correlation_id) {
            headers.insert(CORRELATION_ID, value);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        tracing::info!(%method, status = status.as_u16(), correlation_id, reason = ?self, "refused");
        response
    }
}
