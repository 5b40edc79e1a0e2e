//! What the document says of the operations outside `/accounts` beside what their annotations do: errors, examples, parameters.

use serde_json::{Value, json};
use utoipa::openapi::{
    Content, Ref, RefOr, Response,
    example::ExampleBuilder,
    path::{Operation, ParameterIn},
};

use super::{
    document::{header, parameter},
    example::SECRET,
    oauth2::OAuthError,
    problem::Problem,
    scalar::IDENTIFIER,
};
use crate::{
    domain::{role::Role, sample},
    service::Error,
};

/// How an operation says what is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// As a problem.
    Problem,
    /// As RFC 6749 has it.
    OAuth,
    /// By its status and headers alone.
    Bare,
}

/// Adds what is missing.
pub(super) fn finish(operation: &mut Operation) {
    let unavailable = || Problem::from(Error::unavailable(""));
    let internal = || Problem::from(Error::internal(""));
    let no_query = || Problem::example(6);
    let no_form = || Problem::NotTheSchema("The form lacks the parameter `token`.".to_owned());
    let limited = || Problem::TooManyFailures(42);
    let (manner, problems) = match operation.operation_id.as_deref() {
        Some("verify_token") => {
            let roles = Role::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>().join("|");
            let parameters = [
                (
                    "account",
                    sample::ACCOUNT,
                    IDENTIFIER.to_owned(),
                    "Only if the user has a role in this account. Else it is the account that the user was created in.",
                ),
                ("role", "member", format!("^({roles})$"), "Only if the user's role is at least this one: viewer, member, admin or owner."),
            ];
            let parameters = parameters
                .map(|(name, example, pattern, text)| RefOr::T(parameter(name, ParameterIn::Query, text, Some(&pattern), example)));
            operation.parameters.get_or_insert_default().extend(parameters);
            (Manner::Bare, vec![Problem::MissingToken, Problem::Forbidden, internal(), unavailable()])
        }
        Some("who_am_i" | "revoke_presented_token") => {
            let problems = [Problem::MissingToken, Problem::InvalidToken, limited(), internal(), unavailable()];
            (Manner::Problem, no_query().into_iter().chain(problems).collect())
        }
        Some("report_leaks") => {
            let numbered = [6, 7, 8, 12, 85, 34, 41].into_iter().filter_map(Problem::example);
            (Manner::Problem, numbered.chain([limited()]).collect())
        }
        Some("introspect_token") => (
            Manner::OAuth,
            vec![
                no_form(),
                Problem::MissingToken,
                Problem::InvalidToken,
                Problem::Forbidden,
                Problem::TooLarge,
                limited(),
                internal(),
                unavailable(),
            ],
        ),
        Some("revoke_token") => (Manner::OAuth, vec![no_form(), Problem::TooLarge, internal(), unavailable()]),
        _ => return,
    };
    for problem in problems {
        add(operation, manner, &problem);
    }
}

fn add(operation: &mut Operation, manner: Manner, problem: &Problem) {
    let method = poem::http::Method::GET;
    let status = problem.status(&method);
    let response = operation.responses.responses.entry(status.as_u16().to_string()).or_insert_with(|| {
        let mut response = Response::new("");
        response.headers.insert("X-Correlation-ID".to_owned(), header("Names this request; the server's log has it, too."));
        let facts = match status.as_u16() {
            401 => Some(("WWW-Authenticate", "How to authenticate (RFC 6750 §3).")),
            403 if manner != Manner::Problem => Some(("WWW-Authenticate", "What is missing (RFC 6750 §3).")),
            429 | 503 => Some(("Retry-After", "When to try again, in seconds.")),
            _ => None,
        };
        response.headers.extend(facts.map(|(name, description)| (name.to_owned(), header(description))));
        RefOr::T(response)
    });
    let RefOr::T(response) = response else { return };
    let body = serde_json::to_value(problem.body(&method, sample::CORRELATION)).unwrap_or_default();
    let member = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (media_type, schema, name, description, example) = match manner {
        Manner::Bare => {
            response.description += match status.as_u16() {
                401 => "There is no token, or it is no good.",
                403 => {
                    "The token is good, and not good enough, or its role has more scopes than a header carries; or the query can't be understood; or too many tokens from this address were refused."
                }
                500 => "The server was unable to process this request.",
                _ => "The server can't answer now. Nobody passes; nginx makes a 500 of it.",
            };
            return;
        }
        Manner::OAuth => {
            let error = OAuthError::of(problem);
            let description = format!("`{}`: {}", error.error, error.error_description);
            ("application/json", "OAuthError", error.error.clone(), description, json!(error))
        }
        Manner::Problem => {
            let number = member("type").rsplit('/').next().and_then(|number| number.parse::<u16>().ok());
            let (name, description) = match number {
                Some(number) => (format!("problem_{number}"), format!("Problem {number}, {}: {}", member("title"), member("detail"))),
                None => ("too_many_requests".to_owned(), format!("{}: {}", member("title"), member("detail"))),
            };
            ("application/problem+json", "Problem", name, description, body.clone())
        }
    };
    if !response.description.is_empty() {
        response.description += "\n\n";
    }
    response.description += &description;
    let content =
        response.content.entry(media_type.to_owned()).or_insert_with(|| RefOr::T(Content::new(Some(Ref::from_schema_name(schema)))));
    if let RefOr::T(content) = content {
        let summary = if manner == Manner::OAuth { name.clone() } else { member("title") };
        let example = ExampleBuilder::new().summary(summary).value(Some(example)).build();
        content.examples.insert(name, RefOr::T(example));
    }
}

/// The example of each schema that is a body.
pub(super) fn example(schema: &str) -> Option<Value> {
    use sample::{ACCOUNT, TOKEN, TOKEN_NAME, USER};
    let email = sample::OWNER[0];
    Some(match schema {
        "WhoAmI" => json!({ "tokenID": TOKEN, "tokenName": TOKEN_NAME, "userID": USER, "email": email,
            "accountID": ACCOUNT, "role": "owner", "roleConstraints": ["*"] }),
        "LeakReport" => json!({ "secrets": [SECRET] }),
        "TokenForm" => json!({ "token": SECRET, "token_type_hint": "access_token" }),
        "Introspection" => json!({ "active": true, "sub": USER, "username": email, "client_id": TOKEN,
            "token_type": "Bearer", "iat": 1_768_469_400, "jti": TOKEN, "iss": "https://tokens.example", "scope": "viewer member admin owner",
            "account": ACCOUNT, "role": "owner", "role_constraints": ["*"] }),
        "OAuthError" => json!(OAuthError::of(&Problem::InvalidToken)),
        _ => return None,
    })
}
