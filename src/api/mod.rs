//! HTTP: the wire's types, and handlers of a few lines. No file uses itself by way of others.
//!
//! A request passes the [`gate`], then its handler, and comes back through the gate. The [`document`] is
//! made of the annotated types and handlers, and the gate is driven by it.

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

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The most items that a page of a collection holds.
    pub page_cap: u64,
    /// Under which URL clients reach the server, if that can't be seen from their requests.
    pub public_url: Option<PublicUrl>,
    /// Whether Swagger UI takes a token from the fragment of its address: for demonstrations, where nothing is at
    /// stake.
    pub demo: bool,
    /// How many refused tokens, and reports of leaks, each client has a minute before it is told to wait; 0 for no
    /// bound.
    pub failure_budget: u32,
    /// Whose word is believed on where requests come from.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The header in which proxies may be sent a secret instead of `Authorization`.
    pub credential_header: Option<HeaderName>,
    /// Where to count, if anybody reads it.
    pub metrics: Option<metrics::Metrics>,
    /// The threads that changes are worked on, if they have some of their own.
    pub changes: Option<Handle>,
}

impl Default for Settings {
    /// As an operator gets it who sets nothing.
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

/// The whole HTTP surface of a service.
///
/// # Errors
/// When the document can't be made: a defect.
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
