//! The state that all requests share.

use std::{ops::Deref, sync::Arc};

use poem::{Request, http::HeaderName};

use super::{admission::Admission, client::Budgets, route::Routes, schemas::Schemas};
use crate::{
    api::{process::metrics::Metrics, wire::problem::Problem},
    config::PublicUrl,
    service::{Error, Service},
};

/// The state that all requests share.
#[derive(Clone)]
pub(in crate::api) struct Shared(pub Arc<Parts>);

pub(in crate::api) struct Parts {
    pub service: Service,
    pub page_cap: u64,
    pub public_url: Option<PublicUrl>,
    pub budgets: Budgets,
    pub credential_header: Option<HeaderName>,
    pub metrics: Option<Metrics>,
    pub admission: Admission,
    pub routes: Routes,
    pub schemas: Schemas,
}

impl Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Shared {
    /// The shared state that the gate has attached to the request.
    pub fn of(request: &Request) -> Result<Self, Problem> {
        request.data().cloned().ok_or_else(|| Error::internal("an operation stands outside the gate").into())
    }
}
