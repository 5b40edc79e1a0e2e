//! The error responses in the document: which problems each operation can respond with, and in which format.

use serde_json::json;
use utoipa::openapi::{Content, Ref, RefOr, Response, example::ExampleBuilder, path};

use super::parameters::header;
use crate::{
    api::{
        operations::{Errors, Operation, Shape},
        wire::{
            catalogue::{Entry, Kind, NO_NUMBER},
            oauth_error::OAuthError,
            problem::Problem,
        },
    },
    domain::sample,
};

/// Adds the problems of an operation to its responses.
pub(in crate::api) fn add(row: &Operation, operation: &mut path::Operation) {
    for kind in row.problems() {
        let status = kind.entry().status.as_u16();
        let response = operation.responses.responses.entry(status.to_string());
        if let RefOr::T(response) = response.or_insert_with(|| RefOr::T(empty(row, status))) {
            describe(row, kind, response);
        }
    }
}

/// The response of that status, without any problem yet.
fn empty(row: &Operation, status: u16) -> Response {
    let mut response = Response::new("");
    let mut add = |name: &str, description| response.headers.insert(name.to_owned(), header(description));
    if !matches!(row.shape, Shape::Ask | Shape::Act) {
        add("Link", "Where the problem is explained (`rel=\"help\"`).");
    }
    match status {
        401 => drop(add("WWW-Authenticate", "How to authenticate (RFC 6750 §3).")),
        403 if row.errors != Errors::Problem => drop(add("WWW-Authenticate", "What is missing (RFC 6750 §3).")),
        429 | 503 => drop(add("Retry-After", "When to try again, in seconds.")),
        _ => {}
    }
    response
}

/// Adds a kind of problem to the response of its status.
fn describe(row: &Operation, kind: Kind, response: &mut Response) {
    let &Entry { number, title, detail, .. } = kind.entry();
    let (media_type, schema, name, summary, description, example) = match row.errors {
        Errors::Bare => {
            response.description += bare(kind);
            return;
        }
        Errors::OAuth => {
            let problem = match kind {
                Kind::NotTheSchema => Problem::NotTheSchema("The form lacks the parameter `token`.".to_owned()),
                kind => Problem::sample(kind),
            };
            let error = OAuthError::of(&problem);
            let description = format!("`{}`: {}", error.error, error.error_description);
            ("application/json", "OAuthError", error.error.clone(), error.error.clone(), description, json!(error))
        }
        Errors::Problem => {
            let body = json!(Problem::sample_body(kind, sample::CORRELATION));
            let (name, described) = match number {
                NO_NUMBER => ("too_many_requests".to_owned(), format!("{title}: {detail}")),
                number => (format!("problem_{number}"), format!("Problem {number}, {title}: {detail}")),
            };
            ("application/problem+json", "Problem", name, title.to_owned(), described, body)
        }
    };
    if !response.description.is_empty() {
        response.description += "\n\n";
    }
    response.description += &description;
    let content = response.content.entry(media_type.to_owned());
    if let RefOr::T(content) = content.or_insert_with(|| RefOr::T(Content::new(Some(Ref::from_schema_name(schema))))) {
        let example = ExampleBuilder::new().summary(summary).value(Some(example)).build();
        content.examples.insert(name, RefOr::T(example));
    }
}

/// The description of a response without a body.
fn bare(kind: Kind) -> &'static str {
    match kind {
        Kind::MissingToken => "There is no token, or it is no good.",
        Kind::Forbidden => {
            "The token is good, and not good enough, or its role has more scopes than a header carries; or the query \
                can't be understood; \
             or too many tokens from this address were refused."
        }
        Kind::Internal => Kind::Internal.entry().detail,
        _ => "The server can't answer now. Nobody passes; nginx makes a 500 of it.",
    }
}
