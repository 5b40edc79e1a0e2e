//! The gate that every request passes. It checks, in the order of spec/contract/CONTRACT.md §2: correlation id,
//! credentials, account, route, method, `Accept`, names of query parameters. Then it calls the handler, renders its
//! problem, adds headers to the response, and writes the log line.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use poem::{
    Endpoint, IntoResponse as _, Request, Response,
    error::{MethodNotAllowedError, NotFoundError},
    http::{HeaderValue, Method, StatusCode, Uri, header},
};
use poem_openapi::error::ParsePathError;
use tokio::{runtime::Handle, task::JoinSet};

use super::{
    admission::Class,
    area::Area,
    context::Shared,
    correlation::{CORRELATION_ID, correlation_id},
    credentials::presented,
    negotiation::choose,
    query::Query,
    route::Route,
    routed::RoutedRequest,
};
use crate::{
    api::{operations::VERIFY, wire::problem::Problem},
    domain::{event::RequestContext, id::AccountId},
    service::{Error, caller::Identity},
};

/// The maximum duration of a request, including the time in which its body is sent. If it takes longer, the database
/// hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// The data of the log line of a request.
#[derive(Default)]
struct Record {
    route: Option<String>,
    /// Whether the operation verifies a token.
    verifies: bool,
    account: Option<AccountId>,
    identity: Option<Identity>,
}

/// The gate in front of all routes.
pub(in crate::api) struct Gate<O, P>(pub Arc<Behind<O, P>>);

/// The endpoints behind the gate, and their state.
pub(in crate::api) struct Behind<O, P> {
    /// The operations in the document.
    pub operations: O,
    /// The pages that aren't operations: the document and Swagger UI.
    pub pages: P,
    pub shared: Shared,
    /// The runtime on which changes run; `None`: the same as for all other requests. A change takes many steps, and
    /// each of them would otherwise wait behind thousands of requests that are refused in one step.
    pub changes: Option<Handle>,
}

impl<O: Endpoint<Output = Response> + 'static, P: Endpoint<Output = Response> + 'static> Endpoint for Gate<O, P> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let Self(behind) = self;
        let shared = &behind.shared;
        let target = Target::of(&request, shared);
        let (method, area, correlation_id) = (request.method().clone(), target.area, target.correlation_id.clone());
        request.set_data(shared.clone());
        let class = target.class(&method);
        let admitted = match class {
            Some(class) => shared.admission.admit(&mut request, class).await,
            None => Ok(()),
        };
        let (response, mut record) = match (admitted, &behind.changes) {
            (Err(problem), _) => (problem.into_response(), Record::default()),
            (Ok(()), Some(runtime)) if class.is_some_and(Class::changes) => {
                // Aborted when the client hangs up.
                let mut apart = JoinSet::new();
                let behind = Arc::clone(behind);
                apart.spawn_on(async move { behind.answer(request, target).await }, runtime);
                let answered = apart.join_next().await.and_then(Result::ok);
                answered.unwrap_or_else(|| {
                    (Problem::from(Error::internal("a change panicked")).into_response(), Record::default())
                })
            }
            (Ok(()), _) => behind.answer(request, target).await,
        };
        if let (Some(metrics), Some(route), true) = (&shared.metrics, &record.route, record.verifies) {
            metrics.count_verification(route, &response);
        }
        let is_busy = matches!(response.data(), Some(Problem::Busy));
        let mut response = match response.data::<Problem>() {
            Some(problem) => area.render(problem, &method, &correlation_id, shared.public_url.as_ref()),
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
        if area != Area::Open {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        record.identity = record.identity.take().or_else(|| response.data::<Identity>().cloned());
        let elapsed = started.elapsed();
        if let Some(metrics) = &shared.metrics {
            metrics.count(&method, record.route.as_deref(), response.status(), elapsed.as_secs_f64());
        }
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        // There may be very many requests that are refused because the server is busy: the log only gives their number.
        if !is_busy {
            record.log(&method, &response, micros, &correlation_id);
        }
        Ok(response)
    }
}

impl<O: Endpoint<Output = Response>, P: Endpoint<Output = Response>> Behind<O, P> {
    /// The response to an admitted request, not yet rendered, and the data for its log line.
    async fn answer(&self, mut request: Request, target: Target) -> (Response, Record) {
        let mut record = Record::default();
        let answer = async {
            match self.check(&mut request, target, &mut record).await {
                Ok(()) if record.route.is_some() => self.operations.call(request).await.unwrap_or_else(answer_to),
                Ok(()) => self.pages.call(request).await.unwrap_or_else(answer_to),
                Err(problem) => problem.into_response(),
            }
        };
        // A write that is aborted here may or may not have happened, as when the connection breaks.
        let answer = tokio::time::timeout(DEADLINE, answer).await;
        let response =
            answer.unwrap_or_else(|_| Problem::from(Error::unavailable("the deadline has passed")).into_response());
        (response, record)
    }

    /// Checks a request, and attaches what the gate has determined about it for the handler.
    async fn check(&self, request: &mut Request, target: Target, record: &mut Record) -> Result<(), Problem> {
        let context = || Arc::new(target.context(request.method()));
        match target.area {
            Area::Open => {}
            Area::Accounts => {
                let context = context();
                self.authenticate(request, &target, context, record).await?;
            }
            // Their handlers authenticate the caller themselves.
            Area::Verify | Area::OAuth | Area::Tokens => {
                let context = context();
                request.set_data(context);
            }
        }
        if target.area == Area::Verify {
            // Whatever the path and the method of the client's request to the proxy, this is one operation.
            (record.route, record.verifies) = (Some(VERIFY.to_owned()), true);
            let query = Query::parse(request.uri().query().unwrap_or_default());
            request.set_data(RoutedRequest { path: target.path, query, media_type: None });
            request.set_method(Method::GET);
            *request.uri_mut() = Uri::from_static(VERIFY);
            return Ok(());
        }
        let Some(route) = target.route else {
            return if target.area == Area::Open { Ok(()) } else { Err(Problem::NotFound) };
        };
        (record.route, record.verifies) = (Some(route.template.clone()), route.verifies());
        let operation = route.operation(request.method()).ok_or_else(|| Problem::MethodNotAllowed(route.allowed()))?;
        if target.area != Area::Accounts {
            // Outside resources, no request is refused because of `Accept` (spec/contract/CONTRACT.md §4, RFC 9110
            // §12.5.1), above all no revocation.
            request.set_data(RoutedRequest { path: target.path, ..RoutedRequest::default() });
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
        if let Some(repaired) = route.repaired(&target.path) {
            *request.uri_mut() = repaired.parse().map_err(|_| Problem::NotFound)?;
        }
        request.set_data(RoutedRequest { path: target.path, query, media_type });
        Ok(())
    }

    /// Authenticates the caller of an operation below `/accounts`, and attaches it to the request.
    async fn authenticate(
        &self,
        request: &mut Request,
        target: &Target,
        context: Arc<RequestContext>,
        record: &mut Record,
    ) -> Result<(), Problem> {
        let shared = &self.shared;
        let account = target.path.split('/').nth(2);
        record.account = account.and_then(|segment| segment.parse().ok());
        let identity = match presented(request.headers()) {
            Ok(secret) => shared.service.authenticate(secret, record.account, context).await.map_err(Problem::from),
            Err(problem) => Err(problem),
        };
        if let Err(Problem::InvalidToken) = identity {
            // Here the contract requires 401 however often it happens; for other operations the failure counts.
            let _ = shared.budgets.fail(request, &shared.service);
        }
        let identity = identity?;
        record.identity = Some(identity.clone());
        if target.class(request.method()) == Some(Class::List) {
            shared.admission.admit_page(identity.user_id, request).await?;
        }
        if account.is_some() {
            request.set_data(identity.caller()?);
        } else {
            request.set_data(identity);
        }
        Ok(())
    }
}

/// The target of a request, as far as its head determines it.
struct Target {
    area: Area,
    route: Option<Arc<Route>>,
    path: String,
    correlation_id: String,
}

impl Target {
    fn of(request: &Request, shared: &Shared) -> Self {
        let path = request.uri().path();
        let area = Area::of(path);
        // Whatever stands behind `/verify` is one question.
        let route = if area == Area::Verify { None } else { shared.routes.find(path) };
        let correlation_id = correlation_id(request.headers(), shared.service.entropy());
        Self { area, route, path: path.to_owned(), correlation_id }
    }

    /// The class of the request for admission control.
    fn class(&self, method: &Method) -> Option<Class> {
        let operation = self.route.as_ref().and_then(|route| route.operation(method));
        Class::of(self.area, operation.map(|operation| operation.row.shape), method)
    }

    /// The context of the request for events. It contains the path only if that is well-formed and matches a route: any
    /// other path may contain anything.
    fn context(&self, method: &Method) -> RequestContext {
        let operation = self.route.as_ref().and_then(|route| route.operation(method));
        let named = || self.route.as_ref().is_some_and(|route| route.repaired(&self.path).is_none());
        let uri = if self.area == Area::Verify { Some(VERIFY) } else { named().then_some(self.path.as_str()) };
        let method = match *method {
            Method::GET | Method::HEAD => Some("get"),
            Method::POST => Some("post"),
            Method::PUT => Some("put"),
            Method::DELETE => Some("delete"),
            Method::OPTIONS => Some("options"),
            _ => None,
        };
        RequestContext {
            correlation_id: self.correlation_id.clone(),
            uri: uri.map(ToOwned::to_owned),
            method: method.map(ToOwned::to_owned),
            status: operation.map(|operation| operation.status.clone()),
            status_of_refusal: method.map(|_| StatusCode::UNAUTHORIZED.as_str().to_owned()),
        }
    }
}

impl Record {
    fn log(&self, method: &Method, response: &Response, micros: u64, correlation_id: &str) {
        tracing::info!(
            %method,
            // The path may contain anything; the template is ours.
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

/// The response for an error that the framework passes on: one of our problems, or an error of its own.
fn answer_to(error: poem::Error) -> Response {
    let problem = match error.data::<Problem>() {
        Some(problem) => problem.clone(),
        None if error.is_from_response() => return error.into_response(),
        // A value that can't be parsed as the parameter's type names no resource.
        None if error.is::<NotFoundError>() || error.is::<ParsePathError>() => Problem::NotFound,
        None if error.is::<MethodNotAllowedError>() => Problem::MethodNotAllowed("GET, HEAD".to_owned()),
        None => Error::internal(error).into(),
    };
    problem.into_response()
}
