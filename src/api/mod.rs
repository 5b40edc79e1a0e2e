//! The HTTP API: resource types, short handlers, and the gate in front of them. No file depends on itself through
//! others.
//!
//! A request passes the [`gate`], then its handler; the response passes the gate again. The [`document`] is generated
//! from the annotated types and handlers, and the gate reads its routes from the document.

mod apis;
pub mod document;
mod handlers;
pub mod operations;
mod pages;
pub mod process;
pub mod request;
mod resources;
mod verification;
mod wire;

use std::sync::Arc;

use poem::{
    Endpoint, EndpointExt as _, IntoEndpoint as _, IntoResponse as _, Response, http::HeaderName,
    middleware::CatchPanic,
};
use poem_openapi::OpenApiService;
use tokio::runtime::Handle;

use crate::{
    config::{PublicUrl, TrustedProxy},
    service::{Error, Service},
};
use apis::APIS;
use document::{assembly, openapi_3_0};
use pages::swagger_ui;
use process::metrics;
use request::{
    admission, client,
    context::{Parts, Shared},
    gate, route,
};
use wire::problem::Problem;

/// The settings of the HTTP API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The maximum number of items on a page of a collection.
    pub page_cap: u64,
    /// The URL at which clients reach the server; `None`: it is derived from each request.
    pub public_url: Option<PublicUrl>,
    /// Whether Swagger UI signs in with a token from the fragment of its URL: only for demonstrations, without real
    /// data.
    pub demo: bool,
    /// The maximum number of refused tokens, and separately of leak reports, per client and minute, before the client
    /// has to wait; 0 for no limit.
    pub failure_budget: u32,
    /// The proxies whose `X-Forwarded-For` is trusted for the client's address.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The header that may carry the secret on `/verify` in place of `Authorization`.
    pub credential_header: Option<HeaderName>,
    /// The metrics to update; `None` if no metrics are exposed.
    pub metrics: Option<metrics::Metrics>,
    /// The runtime on which changes run; `None`: the same as for all other requests.
    pub changes: Option<Handle>,
}

impl Default for Settings {
    /// The settings when the operator configures nothing.
    fn default() -> Self {
        Self {
            page_cap: 1_000,
            public_url: None,
            failure_budget: 20,
            trusted_proxies: vec![],
            credential_header: None,
            metrics: None,
            changes: None,
            demo: false,
        }
    }
}

/// The HTTP endpoint of a service: all operations, the document and Swagger UI.
///
/// # Errors
/// When the document can't be generated: a defect.
pub fn endpoint(
    service: Service,
    settings: Settings,
) -> Result<impl Endpoint<Output = Response>, assembly::DocumentError> {
    let document = assembly::document(settings.public_url.as_ref())?;
    let documents = swagger_ui::Documents {
        json: assembly::json(&document)?.into(),
        yaml: assembly::yaml(&document)?.into(),
        json_3_0: assembly::json(&openapi_3_0::translated(&document)?)?.into(),
    };
    let shared = Shared(Arc::new(Parts {
        service,
        page_cap: settings.page_cap,
        public_url: settings.public_url,
        budgets: client::Budgets::new(settings.failure_budget, settings.trusted_proxies),
        credential_header: settings.credential_header,
        metrics: settings.metrics,
        admission: admission::Admission::default(),
        routes: route::Routes::of(&document),
        schemas: assembly::schemas(&document)?,
    }));
    let panicked =
        |_: Box<dyn std::any::Any + Send>| Problem::from(Error::internal("a handler panicked")).into_response();
    let operations = OpenApiService::new(APIS, "", "")
        .into_endpoint()
        .with(CatchPanic::new().with_handler(panicked))
        .map_to_response();
    let pages = swagger_ui::routes(documents, settings.demo).map_to_response();
    Ok(gate::Gate(Arc::new(gate::Behind { operations, pages, shared, changes: settings.changes })))
}
