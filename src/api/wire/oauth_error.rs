//! Errors as OAuth 2.0 clients expect them (RFC 6749 §5.2, RFC 6750 §3.1).

use poem::{
    Response,
    http::{HeaderValue, Method, header},
};
use poem_openapi::Object;
use serde::Serialize;

use super::{challenge::INSUFFICIENT_SCOPE, json::JSON, problem::Problem};

/// Why a request failed (RFC 6749 §5.2, RFC 6750 §3.1).
#[derive(Debug, Serialize, Object)]
#[oai(rename = "OAuthError")]
pub struct OAuthError {
    /// The error code.
    pub error: String,
    /// A description of the error for people.
    pub error_description: String,
}

impl OAuthError {
    /// The OAuth 2.0 error that corresponds to a problem.
    pub fn of(problem: &Problem) -> Self {
        let (error, description) = problem.kind(&Method::POST).entry().oauth;
        let description = if let Problem::NotTheSchema(sentence) = problem { sentence } else { description };
        Self { error: error.to_owned(), error_description: description.to_owned() }
    }
}

/// Renders a problem as an OAuth 2.0 error response.
pub(in crate::api) fn render(problem: &Problem, method: &Method, correlation_id: &str) -> Response {
    let json = serde_json::to_vec(&OAuthError::of(problem)).unwrap_or_default();
    let mut response = problem.head(Response::builder().content_type(JSON).body(json), method, correlation_id);
    if matches!(problem, Problem::Forbidden) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(INSUFFICIENT_SCOPE));
    }
    response
}
