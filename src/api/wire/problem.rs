//! The problems that responses report (spec/contract/CONTRACT.md §5), and the only conversion from service errors.

use std::{sync::Arc, time::Duration};

use poem::{
    IntoResponse, Response,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
};
use poem_openapi::{
    ApiResponse,
    registry::{MetaResponses, Registry},
};

use super::{
    catalogue::{Entry, Kind, NO_NUMBER},
    challenge::INVALID_TOKEN,
    problem_body::{ProblemBody, listed},
};
use crate::{
    config::PublicUrl,
    service::{self, FieldError, error::Cause},
};

/// How long a client must wait after a 503 before it tries again (`Retry-After`).
pub(in crate::api) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request failed.
#[derive(Debug, Clone)]
pub enum Problem {
    /// The requested resource or collection doesn't exist.
    NotFound,
    /// The request presents no bearer token.
    MissingToken,
    /// The bearer token is unknown, revoked or not usable now.
    InvalidToken,
    /// Query parameters have invalid values.
    InvalidQuery(Vec<FieldError>),
    /// The operation doesn't have these query parameters.
    UnsupportedQuery(Vec<FieldError>),
    /// The body isn't JSON.
    NotJson,
    /// The body doesn't conform to the schema, with a sentence that says which field and why.
    NotTheSchema(String),
    /// Fields of the body violate rules that the schema can't express.
    InvalidFields(Vec<FieldError>),
    /// Fields of the body conflict with existing data.
    Conflict(Vec<FieldError>),
    /// The caller isn't permitted to do this.
    Forbidden,
    /// A quota is reached, with a sentence that says which.
    QuotaReached(String),
    /// Headers are invalid.
    InvalidHeaders(Vec<FieldError>),
    /// `Accept` accepts none of the offered media types.
    NotAcceptable,
    /// The server has failed, with the cause for the log.
    Internal(Arc<Cause>),
    /// The conditional headers aren't satisfied.
    PreconditionFailed,
    /// Something that the server needs is unavailable, with the cause for the log.
    Unavailable(Arc<Cause>),
    /// Too many requests are in progress.
    Busy,
    /// The method isn't supported, with the allowed methods, comma-separated.
    MethodNotAllowed(String),
    /// The body is too large.
    TooLarge,
    /// The client has sent too many refused tokens or leak reports, with the number of seconds to wait.
    TooManyFailures(u32),
    /// The maximum number of connections is reached. That isn't a failure, so there is no cause for the log.
    Crowded,
    /// The request isn't valid HTTP.
    Malformed,
    /// The body has taken too long to arrive.
    BodyTooSlow,
    /// The request's URI is too long.
    UriTooLong,
    /// The request has too many headers, or they are too large.
    HeadTooLarge,
}

impl Problem {
    /// The kind of problem; a missing resource has another kind for `PUT` and `DELETE` than for other methods.
    pub(in crate::api) fn kind(&self, method: &Method) -> Kind {
        match self {
            Self::NotFound if matches!(*method, Method::PUT | Method::DELETE) => Kind::NotFoundToChange,
            Self::NotFound => Kind::NotFound,
            Self::MissingToken => Kind::MissingToken,
            Self::InvalidToken => Kind::InvalidToken,
            Self::InvalidQuery(_) => Kind::InvalidQuery,
            Self::UnsupportedQuery(_) => Kind::UnsupportedQuery,
            Self::NotJson => Kind::NotJson,
            Self::NotTheSchema(_) => Kind::NotTheSchema,
            Self::InvalidFields(_) => Kind::InvalidFields,
            Self::Conflict(_) => Kind::Conflict,
            Self::Forbidden | Self::QuotaReached(_) => Kind::Forbidden,
            Self::InvalidHeaders(_) => Kind::InvalidHeaders,
            Self::NotAcceptable => Kind::NotAcceptable,
            Self::Internal(_) => Kind::Internal,
            Self::PreconditionFailed => Kind::PreconditionFailed,
            Self::Unavailable(_) | Self::Crowded | Self::Busy => Kind::Unavailable,
            Self::MethodNotAllowed(_) => Kind::MethodNotAllowed,
            Self::TooLarge => Kind::TooLarge,
            Self::TooManyFailures(_) => Kind::TooManyFailures,
            Self::Malformed => Kind::Malformed,
            Self::BodyTooSlow => Kind::BodyTooSlow,
            Self::UriTooLong => Kind::UriTooLong,
            Self::HeadTooLarge => Kind::HeadTooLarge,
        }
    }

    fn entry(&self, method: &Method) -> &'static Entry {
        self.kind(method).entry()
    }

    /// A sample problem of that kind, for the document and the pages.
    pub(in crate::api) fn sample(kind: Kind) -> Self {
        let one = |name: &str, reason: &str| vec![FieldError::new(name, reason)];
        let cause = || Arc::new(Cause::default());
        match kind {
            Kind::NotFoundToChange | Kind::NotFound => Self::NotFound,
            Kind::MissingToken => Self::MissingToken,
            Kind::InvalidToken => Self::InvalidToken,
            Kind::InvalidQuery => {
                Self::InvalidQuery(one("limit", "must be a whole number from 1 to 9223372036854775807"))
            }
            Kind::UnsupportedQuery => Self::UnsupportedQuery(one("sort", "is not a parameter of this operation")),
            Kind::NotJson => Self::NotJson,
            Kind::NotTheSchema => Self::NotTheSchema("`name` must have at most 63 characters.".to_owned()),
            Kind::InvalidFields => Self::InvalidFields(one("name", "must not begin or end with a space")),
            Kind::Conflict => Self::Conflict(one("id", "can't change")),
            Kind::Forbidden => Self::Forbidden,
            Kind::InvalidHeaders => {
                Self::InvalidHeaders(one("If-Match", "must be * or a list of entity tags, each in double quotes"))
            }
            Kind::NotAcceptable => Self::NotAcceptable,
            Kind::Internal => Self::Internal(cause()),
            Kind::PreconditionFailed => Self::PreconditionFailed,
            Kind::Unavailable => Self::Unavailable(cause()),
            Kind::MethodNotAllowed => Self::MethodNotAllowed("GET, HEAD".to_owned()),
            Kind::TooLarge => Self::TooLarge,
            Kind::TooManyFailures => Self::TooManyFailures(42),
            Kind::Malformed => Self::Malformed,
            Kind::BodyTooSlow => Self::BodyTooSlow,
            Kind::UriTooLong => Self::UriTooLong,
            Kind::HeadTooLarge => Self::HeadTooLarge,
        }
    }

    /// The problem's status.
    pub(in crate::api) fn status(&self, method: &Method) -> StatusCode {
        self.entry(method).status
    }

    /// The problem's body.
    pub(in crate::api) fn body(&self, method: &Method, correlation_id: &str) -> ProblemBody {
        let mut body = ProblemBody::of(self.entry(method), correlation_id);
        match self {
            Self::InvalidQuery(faults) | Self::UnsupportedQuery(faults) | Self::InvalidHeaders(faults) => {
                body.invalid_params = Some(listed(faults));
            }
            Self::InvalidFields(faults) | Self::Conflict(faults) => body.invalid_fields = Some(listed(faults)),
            Self::QuotaReached(sentence) => body.reason = Some(sentence.clone()),
            Self::NotTheSchema(sentence) => body.schema_validation_failure = Some(sentence.clone()),
            _ => {}
        }
        body
    }

    /// The body of a sample problem of that kind.
    pub(in crate::api) fn sample_body(kind: Kind, correlation_id: &str) -> ProblemBody {
        let method = if kind == Kind::NotFoundToChange { Method::PUT } else { Method::GET };
        Self::sample(kind).body(&method, correlation_id)
    }

    /// The complete response.
    pub(in crate::api) fn render(
        &self,
        method: &Method,
        correlation_id: &str,
        public_url: Option<&PublicUrl>,
    ) -> Response {
        let json = serde_json::to_vec(&self.body(method, correlation_id)).unwrap_or_default();
        let mut response =
            self.head(Response::builder().content_type("application/problem+json").body(json), method, correlation_id);
        let (base, number) = (public_url.map_or("", PublicUrl::as_str), self.entry(method).number);
        if let Ok(help) = HeaderValue::from_str(&format!("<{base}/problems/{number}>; rel=\"help\""))
            && number != NO_NUMBER
        {
            response.headers_mut().insert(header::LINK, help);
        }
        response
    }

    /// Sets the problem's status and headers on a response. The cause of a server failure is logged here, and nowhere
    /// else.
    pub(in crate::api) fn head(&self, mut response: Response, method: &Method, correlation_id: &str) -> Response {
        if let Self::Internal(cause) | Self::Unavailable(cause) = self {
            tracing::error!(correlation_id, cause = cause.for_log(), "request failed");
        }
        response.set_status(self.status(method));
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        };
        match self {
            Self::MissingToken => set(header::WWW_AUTHENTICATE, "Bearer realm=\"tokenward\""),
            Self::InvalidToken => set(header::WWW_AUTHENTICATE, INVALID_TOKEN),
            Self::MethodNotAllowed(allowed) => set(header::ALLOW, allowed),
            Self::Unavailable(_) | Self::Crowded | Self::Busy => {
                set(header::RETRY_AFTER, &RETRY_AFTER.as_secs().to_string());
            }
            Self::BodyTooSlow => set(header::CONNECTION, "close"),
            Self::TooManyFailures(seconds) => set(header::RETRY_AFTER, &seconds.to_string()),
            _ => {}
        }
        response
    }
}

impl From<service::Error> for Problem {
    fn from(error: service::Error) -> Self {
        use service::Error as E;
        match error {
            E::InvalidCredentials => Self::InvalidToken,
            E::Forbidden => Self::Forbidden,
            E::QuotaReached(sentence) => Self::QuotaReached(sentence),
            E::NotFound => Self::NotFound,
            E::Invalid(faults) => Self::InvalidFields(faults),
            E::TooDear(fault) => Self::InvalidQuery(vec![fault]),
            E::PreconditionFailed => Self::PreconditionFailed,
            E::Conflict(faults) => Self::Conflict(faults),
            E::Unavailable(cause) => Self::Unavailable(Arc::new(cause)),
            E::Internal(cause) => Self::Internal(Arc::new(cause)),
        }
    }
}

/// Attaches the problem to a placeholder response, for the gate to render: a handler knows neither the request's method
/// nor its correlation id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).finish();
        response.set_data(self);
        response
    }
}

impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        let mut error = Self::from_status(StatusCode::INTERNAL_SERVER_ERROR);
        // The framework passes on only the data of the error itself.
        error.set_data(problem);
        error
    }
}

/// Declares no responses: `document/problems.rs` adds the problems of each operation to the document.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![] }
    }

    fn register(registry: &mut Registry) {
        <ProblemBody as poem_openapi::types::Type>::register(registry);
    }
}
