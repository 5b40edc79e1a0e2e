//! What every request passes, in the order of CONTRACT.md §2: correlation id, credentials, account, route, method, `Accept`, names of
//! query parameters; then its handler; then, on the way out, problems, headers and the log line.

use std::time::Instant;

use percent_encoding::percent_decode;
use poem::{
    Endpoint, IntoResponse as _, Request, Response,
    error::{MethodNotAllowedError, NotFoundError},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
};

use super::{Shared, caller::presented, exchange::Negotiated, negotiation::choose, problem::Problem};
use crate::{
    domain::id::{AccountId, parse_identifier, random_uuid},
    service::{Error, FieldError, caller::Identity},
};

const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// The decoded query of a request: names, and values where those are UTF-8.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, Option<String>)>);

impl Query {
    fn parse(raw: &str) -> Self {
        let decode = |text: &str| {
            let spaces = text.replace('+', " ");
            percent_decode(spaces.as_bytes()).decode_utf8().ok().map(|text| text.into_owned())
        };
        let pairs = raw.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name).unwrap_or_else(|| name.to_owned()), decode(value))
        });
        Self(decoded.collect())
    }

    /// The values of a parameter; `None` for one that isn't UTF-8.
    pub fn values(&self, name: &str) -> impl Iterator<Item = Option<&str>> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_deref())
    }

    /// The parameters that aren't among the known ones, each once.
    fn unknown(&self, known: &[String]) -> Vec<FieldError> {
        let mut unknown: Vec<FieldError> = vec![];
        for (name, _) in &self.0 {
            if !known.contains(name) && !unknown.iter().any(|fault| fault.name == *name) {
                unknown.push(FieldError::new(name, "is not a parameter of this operation"));
            }
        }
        unknown
    }
}

/// What the log line tells of a request.
#[derive(Default)]
struct Record {
    route: Option<String>,
    account: Option<AccountId>,
    identity: Option<Identity>,
}

/// The gate before all routes.
pub(super) struct Gate<E> {
    pub inner: E,
    pub shared: Shared,
}

impl<E: Endpoint<Output = Response>> Endpoint for Gate<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let method = request.method().clone();
        let protected = is_protected(request.uri().path());
        let correlation_id = self.correlation_id(request.headers());
        let mut record = Record::default();
        request.set_data(self.shared.clone());

        let response = match self.admit(&mut request, protected, &mut record).await {
            Ok(()) => self.inner.call(request).await.unwrap_or_else(answer_to),
            Err(problem) => problem.into_response(),
        };
        let mut response = match response.data::<Problem>() {
            Some(problem) => problem.render(&method, &correlation_id),
            None => response,
        };
        if method == Method::HEAD {
            response.set_body(());
        }
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&correlation_id) {
            headers.insert(CORRELATION_ID, value);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if protected {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        record.log(&method, &response, micros, &correlation_id);
        Ok(response)
    }
}

impl<E> Gate<E> {
    /// Lets a request through to its handler, with what it has learned of it.
    async fn admit(&self, request: &mut Request, protected: bool, record: &mut Record) -> Result<(), Problem> {
        let path = request.uri().path().to_owned();
        if protected {
            let mut segments = path.split('/').skip(2);
            let account = segments.next();
            record.account = account.and_then(|segment| segment.parse().ok());
            let identity = self.shared.service.authenticate(presented(request.headers())?, record.account).await?;
            record.identity = Some(identity);
            if account.is_some() {
                request.set_data(identity.caller()?);
            }
        }
        let Some(route) = self.shared.routes.find(&path) else {
            // The pages beside the operations have a router of their own.
            return if protected { Err(Problem::NotFound) } else { Ok(()) };
        };
        record.route = Some(route.template.clone());
        let operation = route.operation(request.method()).ok_or_else(|| Problem::MethodNotAllowed(route.allowed()))?;
        if !protected {
            return Ok(());
        }
        if !operation.offers.is_empty() {
            let chosen = choose(request.headers(), &operation.offers).ok_or(Problem::NotAcceptable)?.to_owned();
            request.set_data(Negotiated(chosen));
        }
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let unknown = query.unknown(&operation.query);
        if !unknown.is_empty() {
            return Err(Problem::UnsupportedQuery(unknown));
        }
        request.set_data(query);
        Ok(())
    }

    /// The client's own, if it is one; else a new one.
    fn correlation_id(&self, headers: &HeaderMap) -> String {
        let mut given = headers.get_all(CORRELATION_ID).iter();
        if let (Some(value), None) = (given.next(), given.next())
            && let Some(id) = value.to_str().ok().and_then(parse_identifier).filter(|id| !id.is_nil())
        {
            return id.to_string();
        }
        random_uuid(self.shared.service.entropy()).unwrap_or_default().to_string()
    }
}

impl Record {
    fn log(&self, method: &Method, response: &Response, micros: u64, correlation_id: &str) {
        tracing::info!(
            %method,
            // The path itself may hold anything; the template is ours.
            route = self.route.as_deref().unwrap_or("-"),
            status = response.status().as_u16(),
            micros,
            correlation_id,
            account = self.account.map(tracing::field::display),
            user = self.identity.map(|identity| tracing::field::display(identity.user_id)),
            token = self.identity.map(|identity| tracing::field::display(identity.token_id)),
            "request"
        );
    }
}

fn is_protected(path: &str) -> bool {
    path == "/accounts" || path.starts_with("/accounts/")
}

/// Errors that the framework hands on: ours, and its own.
fn answer_to(error: poem::Error) -> Response {
    let problem = match error.data::<Problem>() {
        Some(problem) => problem.clone(),
        None if error.is_from_response() => return error.into_response(),
        None if error.is::<NotFoundError>() => Problem::NotFound,
        None if error.is::<MethodNotAllowedError>() => Problem::MethodNotAllowed("GET, HEAD".to_owned()),
        None => Error::internal(error).into(),
    };
    problem.into_response()
}
