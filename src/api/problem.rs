//! The problems that clients can be told (CONTRACT.md §5), and the one conversion from service errors.

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

use super::surface::INVALID_TOKEN;
use crate::{
    config::PublicUrl,
    service::{self, FieldError, error::Cause},
};

/// How long a client is asked to wait before it tries again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The most characters of its own input that a client is shown again.
const LONGEST_QUOTE: usize = 64;

/// The most faults that an answer lists.
pub(super) const MOST_FAULTS: usize = 16;

/// What isn't in the published catalogue has no number; its type is `about:blank` (RFC 9457 §4.2.1).
const NO_NUMBER: u16 = 0;

/// Why a request isn't answered as it hoped.
#[derive(Debug, Clone)]
pub enum Problem {
    /// 1 for `PUT` and `DELETE`, 2 for every other method.
    NotFound,
    /// 3
    MissingToken,
    /// 4
    InvalidToken,
    /// 5
    InvalidQuery(Vec<FieldError>),
    /// 6
    UnsupportedQuery(Vec<FieldError>),
    /// 7
    NotJson,
    /// 8, with a sentence that says which field and why.
    NotTheSchema(String),
    /// 9
    InvalidFields(Vec<FieldError>),
    /// 10
    Conflict(Vec<FieldError>),
    /// 11
    Forbidden,
    /// 11, with a sentence that says of what there is as much as there may be.
    QuotaReached(String),
    /// 12
    InvalidHeaders(Vec<FieldError>),
    /// 32
    NotAcceptable,
    /// 34, with what the log shall say.
    Internal(Arc<Cause>),
    /// 38
    PreconditionFailed,
    /// 41, with what the log shall say.
    Unavailable(Arc<Cause>),
    /// 41: more is asked than can be done.
    Busy,
    /// 69, with the methods that are allowed, comma-separated.
    MethodNotAllowed(String),
    /// 85
    TooLarge,
    /// None of the catalogue's: too many tokens were refused; for how many seconds to wait.
    TooManyFailures(u32),
    /// 41: all places for connections are taken. That isn't a failure, and the log needn't say why.
    Crowded,
    /// None of the catalogue's: what came isn't HTTP.
    Malformed,
    /// None of the catalogue's: the body has taken too long.
    BodyTooSlow,
    /// None of the catalogue's.
    UriTooLong,
    /// None of the catalogue's.
    HeadTooLarge,
}

/// The constants of a problem type.
struct Facts {
    number: u16,
    status: StatusCode,
    title: &'static str,
    detail: &'static str,
}

impl Problem {
    /// As the published catalogue has it.
    fn facts(&self, method: &Method) -> Facts {
        let facts = |number, status, title, detail| Facts { number, status, title, detail };
        match self {
            Self::NotFound if matches!(*method, Method::PUT | Method::DELETE) => {
                facts(1, StatusCode::NOT_FOUND, "Resource not found", "The resource specified in the request URI wasn't found.")
            }
            Self::NotFound => {
                facts(2, StatusCode::NOT_FOUND, "Collection not found", "The collection specified in the request URI wasn't found.")
            }
            Self::MissingToken => {
                facts(3, StatusCode::UNAUTHORIZED, "Missing bearer token", "The request is missing the required bearer token.")
            }
            Self::InvalidToken => facts(
                4,
                StatusCode::UNAUTHORIZED,
                "Invalid bearer token",
                "The bearer token provided is invalid, revoked, or doesn't exist.",
            ),
            Self::InvalidQuery(_) => {
                facts(5, StatusCode::BAD_REQUEST, "Invalid query parameters", "The supplied query parameters are invalid.")
            }
            Self::UnsupportedQuery(_) => facts(
                6,
                StatusCode::BAD_REQUEST,
                "Query parameters not supported",
                "The supplied query parameters aren't supported for this endpoint.",
            ),
            Self::NotJson => facts(7, StatusCode::BAD_REQUEST, "Invalid JSON payload", "The request body is not valid JSON."),
            Self::NotTheSchema(_) => {
                facts(8, StatusCode::BAD_REQUEST, "Invalid JSON resource", "The request body JSON doesn't conform to the schema.")
            }
            Self::InvalidFields(_) => {
                facts(9, StatusCode::BAD_REQUEST, "Invalid JSON resource", "The request body JSON didn't pass extended validation.")
            }
            Self::Conflict(_) => facts(
                10,
                StatusCode::CONFLICT,
                "JSON resource conflict",
                "The request body JSON contains a field that conflicts with an idempotent value.",
            ),
            Self::Forbidden | Self::QuotaReached(_) => {
                facts(11, StatusCode::FORBIDDEN, "Operation not permitted", "The requested operation isn't permitted.")
            }
            Self::InvalidHeaders(_) => facts(12, StatusCode::BAD_REQUEST, "Invalid headers", "The request headers are invalid."),
            Self::NotAcceptable => {
                facts(32, StatusCode::NOT_ACCEPTABLE, "Unsupported content type", "The response can't be returned in the requested format.")
            }
            Self::Internal(_) => {
                facts(34, StatusCode::INTERNAL_SERVER_ERROR, "Internal server error", "The server was unable to process this request.")
            }
            Self::PreconditionFailed => {
                facts(38, StatusCode::PRECONDITION_FAILED, "Precondition not met", "The conditional headers aren't satisfied.")
            }
            Self::Unavailable(_) | Self::Crowded | Self::Busy => {
                facts(41, StatusCode::SERVICE_UNAVAILABLE, "Service not ready", "Currently, the service can't respond to this request.")
            }
            Self::MethodNotAllowed(_) => facts(
                69,
                StatusCode::METHOD_NOT_ALLOWED,
                "Method not supported",
                "The requested method isn't supported for the specified resource.",
            ),
            Self::TooLarge => facts(85, StatusCode::PAYLOAD_TOO_LARGE, "Request body too large", "The request body is too large."),
            Self::TooManyFailures(_) => facts(
                NO_NUMBER,
                StatusCode::TOO_MANY_REQUESTS,
                "Too Many Requests",
                "Too many requests of this kind have come from this address. Good tokens are still accepted.",
            ),
            Self::Malformed => facts(NO_NUMBER, StatusCode::BAD_REQUEST, "Bad Request", "What was sent is no HTTP request."),
            Self::BodyTooSlow => {
                facts(NO_NUMBER, StatusCode::REQUEST_TIMEOUT, "Request Timeout", "The request body has taken too long to arrive.")
            }
            Self::UriTooLong => facts(NO_NUMBER, StatusCode::URI_TOO_LONG, "URI Too Long", "The request's URI is too long."),
            Self::HeadTooLarge => facts(
                NO_NUMBER,
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "Request Header Fields Too Large",
                "The request has too many headers, or they are too large.",
            ),
        }
    }

    /// An instance of the problem of that number, for the document; `None` for a number that this server never answers with.
    pub(super) fn example(number: u16) -> Option<Self> {
        let one = |name: &str, reason: &str| vec![FieldError::new(name, reason)];
        let cause = || Arc::new(Cause::default());
        Some(match number {
            1 | 2 => Self::NotFound,
            3 => Self::MissingToken,
            4 => Self::InvalidToken,
            5 => Self::InvalidQuery(one("limit", "must be a whole number from 1 to 9223372036854775807")),
            6 => Self::UnsupportedQuery(one("sort", "is not a parameter of this operation")),
            7 => Self::NotJson,
            8 => Self::NotTheSchema("`name` must have at most 63 characters.".to_owned()),
            9 => Self::InvalidFields(one("name", "must not begin or end with a space")),
            10 => Self::Conflict(one("id", "can't change")),
            11 => Self::Forbidden,
            12 => Self::InvalidHeaders(one("If-Match", "must be * or a list of entity tags, each in double quotes")),
            32 => Self::NotAcceptable,
            34 => Self::Internal(cause()),
            38 => Self::PreconditionFailed,
            41 => Self::Unavailable(cause()),
            69 => Self::MethodNotAllowed("GET, HEAD".to_owned()),
            85 => Self::TooLarge,
            _ => return None,
        })
    }

    /// The problem's status.
    pub(super) fn status(&self, method: &Method) -> StatusCode {
        self.facts(method).status
    }

    /// The problem as it goes over the wire.
    pub(super) fn body(&self, method: &Method, correlation_id: &str) -> ProblemBody {
        let Facts { number, status, title, detail } = self.facts(method);
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

    /// The whole answer.
    pub(super) fn render(&self, method: &Method, correlation_id: &str, public_url: Option<&PublicUrl>) -> Response {
        let json = serde_json::to_vec(&self.body(method, correlation_id)).unwrap_or_default();
        let mut response = self.head(Response::builder().content_type("application/problem+json").body(json), method, correlation_id);
        let (base, number) = (public_url.map_or("", PublicUrl::as_str), self.facts(method).number);
        if let Ok(help) = HeaderValue::from_str(&format!("<{base}/problems/{number}>; rel=\"help\""))
            && number != NO_NUMBER
        {
            response.headers_mut().insert(header::LINK, help);
        }
        response
    }

    /// An answer with the problem's status and headers. What lies behind a failure of ours goes to the log here, and nowhere else.
    pub(super) fn head(&self, mut response: Response, method: &Method, correlation_id: &str) -> Response {
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
pub(super) fn quoted(input: &str) -> String {
    if crate::domain::secret::may_hold_secret(input) { "[redacted]".to_owned() } else { input.chars().take(LONGEST_QUOTE).collect() }
}
