//! What is answered before a request comes to the gate: what the server refuses by the look of its head, or for want of
//! a place.

use poem::{
    Response,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};

use super::{
    area::Area,
    correlation::{CORRELATION_ID, correlation_id},
};
use crate::{api::wire::problem::Problem, domain::entropy::OsEntropy, service::FieldError};

/// Why a request doesn't come to the gate.
#[derive(Debug)]
pub enum Refusal {
    /// It isn't HTTP.
    Malformed,
    /// Its URI is too long.
    UriTooLong,
    /// It has too many headers, or they are too large.
    HeadTooLarge,
    /// A header that says how the request is to be understood is wrong: which one, and what it must be.
    Header(&'static str, &'static str),
    /// All places are taken.
    Crowded,
}

impl Refusal {
    /// The answer to a request with these headers, after which its connection ends.
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
        // A request that can't be understood asks nothing of any area; what a proxy is told, or an OAuth client,
        // answers a question.
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
