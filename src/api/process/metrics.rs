//! Metrics for Prometheus, served on a separate port: they reveal how busy the service is, which clients should not
//! see.

use std::{borrow::Cow, sync::Arc};

use poem::{
    Endpoint, EndpointExt as _, Response, Route, get, handler,
    http::{Method, StatusCode, header},
    web::Data,
};
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};

use crate::{
    api::wire::{answer::Inactive, problem::Problem},
    service::Service,
};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Label = (&'static str, Cow<'static, str>);
type Connections = Family<[(&'static str, &'static str); 2], Gauge>;

/// All metrics of the service.
#[derive(Clone)]
pub struct Metrics(Arc<Parts>);

struct Parts {
    service: Service,
    registry: Registry,
    requests: Family<[Label; 3], Counter>,
    durations: Family<[Label; 3], Histogram, fn() -> Histogram>,
    verifications: Family<[Label; 2], Counter>,
    connections: Connections,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// A histogram whose buckets range from 100 µs to 3.3 s, each bound twice the previous one.
fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.0, 16))
}

impl Metrics {
    /// Creates the metrics of this service. `dropped` is the number of dropped log lines, which is counted elsewhere
    /// and only exposed here.
    #[must_use]
    pub fn of(service: Service, dropped: Counter) -> Self {
        let (requests, verifications, connections) = (Family::default(), Family::default(), Family::default());
        let durations = Family::new_with_constructor(buckets as fn() -> Histogram);
        let mut registry = Registry::with_prefix("tokenward");
        registry.register("build", "Which tokenward this is", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("http_requests", "Requests by method, template of the path and status", requests.clone());
        let help = "How long answers take, by method, template of the path and status";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, durations.clone());
        registry.register(
            "verifications",
            "Answers to whether a token is good, by operation and outcome",
            verifications.clone(),
        );
        let help = "From asking for a connection to the database until it is done with";
        registry.register_with_unit("store_access_duration", help, Unit::Seconds, service.store_latency().clone());
        registry.register("log_lines_dropped", "Lines of the log that couldn't be written", dropped);
        registry.register("store_connections", "Connections to the database", Connections::clone(&connections));
        Self(Arc::new(Parts { service, registry, requests, durations, verifications, connections }))
    }

    /// Counts a request. Labels hold the path's template in place of the path, and only common methods: otherwise
    /// clients could create any number of labels.
    pub(in crate::api) fn count(&self, method: &Method, route: Option<&str>, status: StatusCode, seconds: f64) {
        let known =
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH];
        let method = if known.contains(method) { method.as_str().to_owned().into() } else { "other".into() };
        let route = route.map_or("none".into(), |route| route.to_owned().into());
        let labels = [("method", method), ("route", route), ("status", status.as_str().to_owned().into())];
        self.0.requests.get_or_create(&labels).inc();
        self.0.durations.get_or_create(&labels).observe(seconds);
    }

    /// Counts a verification by its outcome. The response must not have been rendered yet.
    pub(in crate::api) fn count_verification(&self, route: &str, response: &Response) {
        self.0
            .verifications
            .get_or_create_owned(&[("route", route.to_owned().into()), ("outcome", outcome(response).into())])
            .inc();
    }

    /// `GET /metrics`.
    #[must_use]
    pub fn endpoint(&self) -> impl Endpoint<Output = Response> + use<> {
        Route::new().at("/metrics", get(metrics).data(self.clone())).map_to_response()
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        for pool in self.0.service.pools() {
            for (state, number) in [("busy", pool.busy), ("idle", pool.idle)] {
                let gauge = self.0.connections.get_or_create_owned(&[("access", pool.access), ("state", state)]);
                gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

/// The value of the label `outcome`.
fn outcome(response: &Response) -> &'static str {
    match response.data::<Problem>() {
        None if response.data::<Inactive>().is_some() => "inactive",
        None => "accepted",
        Some(problem) => problem.kind(&Method::GET).entry().outcome,
    }
}

#[handler]
fn metrics(Data(metrics): Data<&Metrics>) -> Response {
    match metrics.text() {
        Ok(text) => Response::builder().header(header::CONTENT_TYPE, OPEN_METRICS).body(text),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into(),
    }
}
