//! The problems that clients can be told (spec/contract/CONTRACT.md §5), and the one conversion from service errors.

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

/// How long a client is asked to wait before it tries again.
pub(in crate::api) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request isn't answered as it hoped.
#[derive(Debug, Clone)]
pub enum Problem {
    /// What is asked for isn't there.
    NotFound,
    /// The request presents no bearer token.
    MissingToken,
    /// The bearer token is no good.
    InvalidToken,
    /// Query parameters have values that can't be used.
    InvalidQuery(Vec<FieldError>),
    /// Query parameters aren't known.
    UnsupportedQuery(Vec<FieldError>),
    /// The body isn't JSON.
    NotJson,
    /// The body isn't as the schema wants it, with a sentence that says which field and why.
    NotTheSchema(String),
    /// Fields of the body break rules.
    InvalidFields(Vec<FieldError>),
    /// Fields of the body contradict what is so.
    Conflict(Vec<FieldError>),
    /// The caller may not do this.
    Forbidden,
    /// There is as much of something as there may be, with a sentence that says of what.
    QuotaReached(String),
    /// Headers can't be used.
    InvalidHeaders(Vec<FieldError>),
    /// `Accept` takes nothing that is offered.
    NotAcceptable,
    /// The server has failed, with what the log shall say.
    Internal(Arc<Cause>),
    /// The conditional headers don't hold.
    PreconditionFailed,
    /// Something that the server needs isn't there now, with what the log shall say.
    Unavailable(Arc<Cause>),
    /// More is asked than can be done.
    Busy,
    /// The method isn't known here, with the methods that are allowed, comma-separated.
    MethodNotAllowed(String),
    /// The body is too large.
    TooLarge,
    /// Too many tokens were refused; for how many seconds to wait.
    TooManyFailures(u32),
    /// All places for connections are taken. That isn't a failure, and the log needn't say why.
    Crowded,
    /// What came isn't HTTP.
    Malformed,
    /// The body has taken too long.
    BodyTooSlow,
    /// The request's URI is too long.
    UriTooLong,
    /// The request has too many headers, or they are too large.
    HeadTooLarge,
}

impl Problem {
    /// Of which kind it is; a missing resource is told otherwise to whoever would change it.
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

    /// A problem of that kind, for the document and the pages.
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

    /// The problem as it goes over the wire.
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

    /// A problem of that kind as a client gets it.
    pub(in crate::api) fn sample_body(kind: Kind, correlation_id: &str) -> ProblemBody {
        let method = if kind == Kind::NotFoundToChange { Method::PUT } else { Method::GET };
        Self::sample(kind).body(&method, correlation_id)
    }

    /// The whole answer.
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

    /// An answer with the problem's status and headers. What lies behind a failure of ours goes to the log here, and
    /// nowhere else.
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

/// A handler knows neither the request's method nor its correlation id; it hands the problem to the gate, which renders
/// it.
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
        // What lies on the error itself is what the framework hands on.
        error.set_data(problem);
        error
    }
}

/// Which operation can answer with which problem stands in one place, where the document is finished.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![] }
    }

    fn register(registry: &mut Registry) {
        <ProblemBody as poem_openapi::types::Type>::register(registry);
    }
}
