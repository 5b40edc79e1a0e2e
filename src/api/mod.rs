//! HTTP: the wire's types, and handlers of a few lines. One file per noun; what concerns all of them stands beside, once each.
//!
//! A request passes the [`gate`], then its handler, and comes back through the gate. The [`document`] is made of the annotated types
//! and handlers, and the gate is driven by it.

mod account;
pub mod admission;
mod body;
mod caller;
mod client;
mod collection;
mod conditions;
mod cursor;
pub mod document;
mod enum_names;
mod event;
mod example;
mod exchange;
mod fields;
mod gate;
mod help;
mod json;
mod leak;
mod links;
mod metadata;
pub mod metrics;
mod negotiation;
mod oauth2;
pub mod openapi_3_0;
mod operations;
mod postal_address;
mod problem;
pub mod refusal;
mod resource;
mod role_binding;
mod route;
mod scalar;
mod surface;
mod token;
mod ui;
mod user;
mod verification;
mod verification_document;

use std::{ops::Deref, sync::Arc};

use poem::{Endpoint, EndpointExt as _, IntoEndpoint as _, IntoResponse as _, Request, Response, http::HeaderName, middleware::CatchPanic};
use poem_openapi::{OpenApiService, Tags};
use tokio::runtime::Handle;

use crate::{
    config::{PublicUrl, TrustedProxy},
    service::{Error, Service},
};
use problem::Problem;

/// How the operations are grouped in the document.
#[derive(Tags)]
enum Tag {
    /// Issue, retrieve, list, modify and revoke API tokens.
    Tokens,
    /// Whose tokens they are.
    Users,
    /// Who has which role.
    RoleBindings,
    /// The tenants.
    Accounts,
    /// The audit log.
    Events,
    /// Is a token good, and whose is it? For reverse proxies and other services.
    Verification,
    /// What can go wrong, and what to do then.
    Problems,
    /// For those who run the server.
    Operations,
}

/// All operations.
macro_rules! apis {
    ($($api:path),* $(,)?) => {
        type Apis = ($($api,)*);
        const APIS: Apis = ($($api,)*);
    };
}
apis!(
    token::Tokens,
    user::Users,
    role_binding::RoleBindings,
    account::Accounts,
    event::Events,
    verification::Verifications,
    oauth2::OAuth2,
    leak::Leaks,
    help::Help,
    operations::Operations,
);

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The most items that a page of a collection holds.
    pub page_cap: u64,
    /// Under which URL clients reach the server, if that can't be seen from their requests.
    pub public_url: Option<PublicUrl>,
    /// Whether Swagger UI takes a token from the fragment of its address: for demonstrations, where nothing is at stake.
    pub demo: bool,
    /// How many refused tokens, and reports of leaks, each client has a minute before it is told to wait; 0 for no bound.
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

/// What all requests share.
#[derive(Clone)]
struct Shared(Arc<Parts>);

struct Parts {
    service: Service,
    page_cap: u64,
    public_url: Option<PublicUrl>,
    budgets: client::Budgets,
    credential_header: Option<HeaderName>,
    metrics: Option<metrics::Metrics>,
    admission: admission::Admission,
    routes: route::Routes,
    schemas: body::Schemas,
}

impl Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Shared {
    /// What the gate has given the request to carry.
    fn of(request: &Request) -> Result<Self, Problem> {
        request.data().cloned().ok_or_else(|| Error::internal("an operation stands outside the gate").into())
    }
}

/// The whole HTTP surface of a service.
///
/// # Errors
/// When the document can't be made: a defect.
pub fn endpoint(service: Service, settings: Settings) -> Result<impl Endpoint<Output = Response>, document::DocumentError> {
    let document = document::document(settings.public_url.as_ref())?;
    let documents = ui::Documents {
        json: document::json(&document)?.into(),
        yaml: document::yaml(&document)?.into(),
        json_3_0: document::json(&openapi_3_0::translated(&document)?)?.into(),
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
        schemas: document::schemas(&document)?,
    }));
    let panicked = |_: Box<dyn std::any::Any + Send>| Problem::from(Error::internal("a handler panicked")).into_response();
    let operations = OpenApiService::new(APIS, "", "").into_endpoint().with(CatchPanic::new().with_handler(panicked)).map_to_response();
    let pages = ui::routes(documents, settings.demo).map_to_response();
    Ok(gate::Gate(Arc::new(gate::Behind { operations, pages, shared, changes: settings.changes })))
}
