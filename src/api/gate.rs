//! What every request passes, in the order of CONTRACT.md §2: correlation id, credentials, account, route, method, `Accept`, names of
//! query parameters; then its handler; then, on the way out, problems, headers and the log line.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use percent_encoding::percent_decode;
use poem::{
    Endpoint, FromRequest, IntoResponse as _, Request, RequestBody, Response,
    error::{MethodNotAllowedError, NotFoundError},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header},
};

use poem_openapi::error::ParsePathError;
use tokio::{runtime::Handle, task::JoinSet};

use super::{
    Shared,
    caller::presented,
    negotiation::choose,
    problem::{MOST_FAULTS, Problem, quoted},
    surface::Surface,
    verification,
};
use crate::{
    domain::{
        entropy::Entropy,
        event::Occasion,
        id::{AccountId, parse_identifier, random_uuid},
    },
    service::{Error, FieldError, caller::Identity},
};

/// How long a request may take altogether, the sending of its body included. Past that, the database hangs.
const DEADLINE: Duration = Duration::from_secs(30);
pub(super) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// The decoded query of a request: names, and values where those are UTF-8.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, Option<String>)>);

impl Query {
    /// Reads a query, or a form: they are written alike.
    pub fn parse(raw: &str) -> Self {
        let decode = |text: &str| {
            let spaces = text.replace('+', " ");
            percent_decode(spaces.as_bytes()).decode_utf8().ok().map(std::borrow::Cow::into_owned)
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

    /// Whether any parameter is given more than once.
    pub fn repeats(&self) -> bool {
        let mut seen = HashSet::new();
        !self.0.iter().all(|(name, _)| seen.insert(name))
    }

    /// The parameters that aren't among the known ones, each once, up to one more than are listed.
    pub fn unknown(&self, known: &[impl AsRef<str>]) -> Vec<FieldError> {
        let mut seen = HashSet::new();
        let is_known = |name: &str| known.iter().any(|known| known.as_ref() == name);
        let unknown = self.0.iter().filter(|(name, _)| !is_known(name) && seen.insert(quoted(name)));
        unknown.take(MOST_FAULTS + 1).map(|(name, _)| FieldError::new(name, "is not a parameter of this operation")).collect()
    }
}

/// What the gate has found out about a request, for its handler.
#[derive(Debug, Clone, Default)]
pub(super) struct Admitted {
    /// The path, as the client sent it.
    pub path: String,
    /// The decoded query.
    pub query: Query,
    /// The media type that the client prefers among those that the operation offers.
    pub media_type: Option<String>,
}

impl Admitted {
    /// What the gate has given the request to carry.
    pub fn of(request: &Request) -> Result<Self, Problem> {
        request.data().cloned().ok_or_else(|| Error::internal("an operation stands outside the gate").into())
    }
}

impl<'a> FromRequest<'a> for Admitted {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self::of(request)?)
    }
}

/// The query of an operation outside `/accounts` that has no parameters: none, else the request is refused. Below `/accounts` the gate
/// sees to that; here the credentials, which come first, are the handler's.
pub(super) struct NoQuery;

impl<'a> FromRequest<'a> for NoQuery {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let unknown = Query::parse(request.uri().query().unwrap_or_default()).unknown(&[""; 0]);
        if unknown.is_empty() { Ok(Self) } else { Err(Problem::UnsupportedQuery(unknown).into()) }
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
pub(super) struct Gate<O, P>(pub Arc<Behind<O, P>>);

/// What the gate leads to.
pub(super) struct Behind<O, P> {
    /// What the document knows.
    pub operations: O,
    /// What stands beside.
    pub pages: P,
    pub shared: Shared,
    /// Where changes are worked on. Each takes many steps, and among thousands of requests that are refused in one each of these would wait
    /// for its turn. `None`: where all else is.
    pub changes: Option<Handle>,
}

impl<O: Endpoint<Output = Response> + 'static, P: Endpoint<Output = Response> + 'static> Endpoint for Gate<O, P> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let method = request.method().clone();
        let surface = Surface::of(request.uri().path());
        let Self(behind) = self;
        let shared = &behind.shared;
        let correlation_id = correlation_id(request.headers(), shared.service.entropy());
        request.set_data(shared.clone());
        let (response, mut record) = match (shared.admission.admit(&mut request, surface).await, &behind.changes) {
            (Ok(true), Some(runtime)) => {
                // Aborted when the client hangs up.
                let mut apart = JoinSet::new();
                let (behind, correlation_id) = (Arc::clone(behind), correlation_id.clone());
                apart.spawn_on(async move { behind.answer(request, surface, &correlation_id).await }, runtime);
                let answered = apart.join_next().await.and_then(Result::ok);
                answered.unwrap_or_else(|| (Problem::from(Error::internal("a change panicked")).into_response(), Record::default()))
            }
            (Ok(_), _) => behind.answer(request, surface, &correlation_id).await,
            (Err(problem), _) => (problem.into_response(), Record::default()),
        };
        if let (Some(metrics), Some(route)) = (&shared.metrics, &record.route) {
            metrics.count_verification(route, &response);
        }
        let is_busy = matches!(response.data(), Some(Problem::Busy));
        let mut response = match response.data::<Problem>() {
            Some(problem) => surface.render(problem, &method, &correlation_id, shared.public_url.as_ref()),
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
        if surface != Surface::Open {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        record.identity = record.identity.take().or_else(|| response.data::<Identity>().cloned());
        let elapsed = started.elapsed();
        if let Some(metrics) = &shared.metrics {
            metrics.count(&method, record.route.as_deref(), response.status(), elapsed.as_secs_f64());
        }
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        // Of those that are refused for want of a place there may be very many: the log says how many.
        if !is_busy {
            record.log(&method, &response, micros, &correlation_id);
        }
        Ok(response)
    }
}

impl<O: Endpoint<Output = Response>, P: Endpoint<Output = Response>> Behind<O, P> {
    /// The answer to a request that is worked on.
    async fn answer(&self, mut request: Request, surface: Surface, correlation_id: &str) -> (Response, Record) {
        let mut record = Record::default();
        let answer = async {
            match self.check(&mut request, surface, correlation_id, &mut record).await {
                Ok(()) if record.route.is_some() => self.operations.call(request).await.unwrap_or_else(answer_to),
                Ok(()) => self.pages.call(request).await.unwrap_or_else(answer_to),
                Err(problem) => problem.into_response(),
            }
        };
        // A write that is cut off here may have happened or not, as when the connection breaks.
        let answer = tokio::time::timeout(DEADLINE, answer).await;
        let response = answer.unwrap_or_else(|_| Problem::from(Error::unavailable("the deadline has passed")).into_response());
        (response, record)
    }

    /// Lets a request through to its handler, with what it has learned of it.
    async fn check(&self, request: &mut Request, surface: Surface, correlation_id: &str, record: &mut Record) -> Result<(), Problem> {
        let path = request.uri().path().to_owned();
        let occasion = || Arc::new(self.occasion(request, surface, &path, correlation_id));
        match surface {
            Surface::Open => {}
            Surface::Accounts => {
                let mut segments = path.split('/').skip(2);
                let account = segments.next();
                record.account = account.and_then(|segment| segment.parse().ok());
                let identity = match presented(request.headers()) {
                    Ok(secret) => self.shared.service.authenticate(secret, record.account, occasion()).await.map_err(Problem::from),
                    Err(problem) => Err(problem),
                };
                if let Err(Problem::InvalidToken) = identity {
                    // Here the contract answers 401 however often; elsewhere this counts.
                    let _ = self.shared.budgets.fail(request, &self.shared.service);
                }
                let identity = identity?;
                record.identity = Some(identity.clone());
                self.shared.admission.admit_of(identity.user_id, request, surface).await?;
                if account.is_some() {
                    request.set_data(identity.caller()?);
                } else {
                    request.set_data(identity);
                }
            }
            // Their handlers find out for themselves who calls.
            Surface::Verify | Surface::OAuth | Surface::Tokens => request.set_data(occasion()),
        }
        if surface == Surface::Verify {
            // Whatever a client asks of a proxy, by whichever method: it is one question here.
            record.route = Some(verification::PATH.to_owned());
            let query = Query::parse(request.uri().query().unwrap_or_default());
            request.set_data(Admitted { path, query, media_type: None });
            request.set_method(Method::GET);
            *request.uri_mut() = Uri::from_static(verification::PATH);
            return Ok(());
        }
        let Some(route) = self.shared.routes.find(&path) else {
            return if surface == Surface::Open { Ok(()) } else { Err(Problem::NotFound) };
        };
        record.route = Some(route.template.clone());
        let operation = route.operation(request.method()).ok_or_else(|| Problem::MethodNotAllowed(route.allowed()))?;
        if surface != Surface::Accounts {
            // What is no resource has one representation or none, and is answered whatever `Accept` says (CONTRACT.md §4, RFC 9110
            // §12.5.1): above all no revocation is refused for it.
            request.set_data(Admitted { path, ..Admitted::default() });
            return Ok(());
        }
        let media_type = match operation.offers.as_slice() {
            [] => None,
            offers => Some(choose(request.headers(), offers).ok_or(Problem::NotAcceptable)?.to_owned()),
        };
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let unknown = query.unknown(&operation.query);
        if !unknown.is_empty() {
            return Err(Problem::UnsupportedQuery(unknown));
        }
        if let Some(repaired) = route.repaired(&path) {
            *request.uri_mut() = repaired.parse().map_err(|_| Problem::NotFound)?;
        }
        request.set_data(Admitted { path, query, media_type });
        Ok(())
    }

    /// What events tell of the request. Of the path only if it names something: any other may hold anything.
    fn occasion(&self, request: &Request, surface: Surface, path: &str, correlation_id: &str) -> Occasion {
        let named = || self.shared.routes.find(path).is_some_and(|route| route.repaired(path).is_none());
        let uri = if surface == Surface::Verify { Some(verification::PATH) } else { named().then_some(path) };
        let method = match *request.method() {
            Method::GET | Method::HEAD => Some("get"),
            Method::POST => Some("post"),
            Method::PUT => Some("put"),
            Method::DELETE => Some("delete"),
            Method::OPTIONS => Some("options"),
            _ => None,
        };
        Occasion { correlation_id: correlation_id.to_owned(), uri: uri.map(ToOwned::to_owned), method: method.map(ToOwned::to_owned) }
    }
}

/// The client's own, if it is one; else a new one.
pub(super) fn correlation_id(headers: &HeaderMap, entropy: &dyn Entropy) -> String {
    let mut given = headers.get_all(CORRELATION_ID).iter();
    if let (Some(value), None) = (given.next(), given.next())
        && let Some(id) = value.to_str().ok().and_then(parse_identifier).filter(|id| !id.is_nil())
    {
        return id.to_string();
    }
    random_uuid(entropy).unwrap_or_default().to_string()
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
            user = self.identity.as_ref().map(|identity| tracing::field::display(identity.user_id)),
            token = self.identity.as_ref().map(|identity| tracing::field::display(identity.token_id)),
            "request"
        );
    }
}

/// Errors that the framework hands on: ours, and its own.
fn answer_to(error: poem::Error) -> Response {
    let problem = match error.data::<Problem>() {
        Some(problem) => problem.clone(),
        None if error.is_from_response() => return error.into_response(),
        // What can't be read as the parameter's type names nothing.
        None if error.is::<NotFoundError>() || error.is::<ParsePathError>() => Problem::NotFound,
        None if error.is::<MethodNotAllowedError>() => Problem::MethodNotAllowed("GET, HEAD".to_owned()),
        None => Error::internal(error).into(),
    };
    problem.into_response()
}
