//! The problems that clients can be told (spec/contract/CONTRACT.md §5), and the one conversion from service errors.

use std::{sync::Arc, time::Duration};

use poem::{
    IntoResponse, Response,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaResponses, Registry},
};
use serde::Serialize;

use super::{
    catalogue::{Entry, Kind, NO_NUMBER},
    challenge::INVALID_TOKEN,
};
use crate::{
    config::PublicUrl,
    service::{self, FieldError, error::Cause},
};

/// How long a client is asked to wait before it tries again.
pub(in crate::api) const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The most characters of its own input that a client is shown again.
const LONGEST_QUOTE: usize = 64;

/// The most faults that an answer lists.
pub(in crate::api) const MOST_FAULTS: usize = 16;

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
            Kind::InvalidQuery => Self::InvalidQuery(one("limit", "must be a whole number from 1 to 9223372036854775807")),
            Kind::UnsupportedQuery => Self::UnsupportedQuery(one("sort", "is not a parameter of this operation")),
            Kind::NotJson => Self::NotJson,
            Kind::NotTheSchema => Self::NotTheSchema("`name` must have at most 63 characters.".to_owned()),
            Kind::InvalidFields => Self::InvalidFields(one("name", "must not begin or end with a space")),
            Kind::Conflict => Self::Conflict(one("id", "can't change")),
            Kind::Forbidden => Self::Forbidden,
            Kind::InvalidHeaders => Self::InvalidHeaders(one("If-Match", "must be * or a list of entity tags, each in double quotes")),
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
        let &Entry { number, status, title, detail, .. } = self.entry(method);
        let mut body = ProblemBody {
            r#type: if number == NO_NUMBER { "about:blank".to_owned() } else { format!("https://astra.netapp.io/problems/{number}") },
            title: title.to_owned(),
            detail: detail.to_owned(),
            status: status.as_u16().to_string(),
            correlation_id: correlation_id.to_owned(),
            reason: None,
            invalid_params: None,
            invalid_fields: None,
            schema_validation_failure: None,
        };
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
    pub(in crate::api) fn render(&self, method: &Method, correlation_id: &str, public_url: Option<&PublicUrl>) -> Response {
        let json = serde_json::to_vec(&self.body(method, correlation_id)).unwrap_or_default();
        let mut response = self.head(Response::builder().content_type("application/problem+json").body(json), method, correlation_id);
        let (base, number) = (public_url.map_or("", PublicUrl::as_str), self.entry(method).number);
        if let Ok(help) = HeaderValue::from_str(&format!("<{base}/problems/{number}>; rel=\"help\""))
            && number != NO_NUMBER
        {
            response.headers_mut().insert(header::LINK, help);
        }
        response
    }

    /// An answer with the problem's status and headers. What lies behind a failure of ours goes to the log here, and nowhere else.
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
            Self::Unavailable(_) | Self::Crowded | Self::Busy => set(header::RETRY_AFTER, &RETRY_AFTER.as_secs().to_string()),
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

/// A handler knows neither the request's method nor its correlation id; it hands the problem to the gate, which renders it.
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

/// Why a request was not answered as it hoped (RFC 9457). `type`, `title`, `detail` and `status` are the same for every instance
/// of a problem type; the other members say what is particular to this one.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "Problem")]
pub struct ProblemBody {
    /// Names the kind of problem; the number at the end is the one to tell apart by.
    r#type: String,
    /// The kind of problem in a few words.
    title: String,
    /// The kind of problem in a sentence.
    detail: String,
    /// The response's status code, as text.
    status: String,
    /// Names this very request: it stands in the `X-Correlation-ID` header and in the server's log, too.
    #[serde(rename = "correlationID")]
    #[oai(rename = "correlationID")]
    correlation_id: String,
    /// Of a refusal that isn't for want of a role: which bound of the server is reached, and what would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The query parameters or headers that have to be mended, each once: all of them, or the first 16.
    #[serde(rename = "invalidParams", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "invalidParams")]
    invalid_params: Option<Vec<Fault>>,
    /// The fields of the body that have to be mended, each once: all of them, or the first 16.
    #[serde(rename = "invalidFields", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "invalidFields")]
    invalid_fields: Option<Vec<Fault>>,
    /// Which field of the body breaks the schema, and how.
    #[serde(rename = "schemaValidationFailure", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "schemaValidationFailure")]
    schema_validation_failure: Option<String>,
}

impl ProblemBody {
    /// The kind of problem in a few words.
    pub fn title(&self) -> &str {
        &self.title
    }
}

/// Something that has to be mended.
#[derive(Debug, Serialize, Object)]
struct Fault {
    /// The parameter, header or field.
    name: String,
    /// What would mend it.
    reason: String,
}

impl From<&FieldError> for Fault {
    fn from(error: &FieldError) -> Self {
        Self { name: quoted(&error.name), reason: error.reason.clone() }
    }
}

/// The faults that an answer tells of: nobody gets much more than it has sent.
fn listed(faults: &[FieldError]) -> Vec<Fault> {
    let mut listed: Vec<Fault> = faults.iter().take(MOST_FAULTS).map(Fault::from).collect();
    if let (Some(last), true) = (listed.last_mut(), faults.len() > MOST_FAULTS) {
        last.reason += " (and there are more to mend: this lists 16)";
    }
    listed
}

/// A client's own words, as they may be shown again: at most 64 characters, and nothing that could be a secret.
pub(in crate::api) fn quoted(input: &str) -> String {
    if crate::domain::secret::may_hold_secret(input) { "[redacted]".to_owned() } else { input.chars().take(LONGEST_QUOTE).collect() }
}
