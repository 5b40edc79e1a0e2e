//! The processing of a request before and after its handler, and the extractors that handlers use.

pub mod admission;
pub(in crate::api) mod area;
pub(in crate::api) mod body;
pub(in crate::api) mod client;
pub(in crate::api) mod collection;
pub(in crate::api) mod context;
pub(in crate::api) mod correlation;
pub(in crate::api) mod credentials;
pub(in crate::api) mod cursor;
pub(in crate::api) mod gate;
pub(in crate::api) mod json;
pub(in crate::api) mod negotiation;
pub(in crate::api) mod preconditions;
pub(in crate::api) mod query;
pub mod refusal;
pub(in crate::api) mod responder;
pub(in crate::api) mod route;
pub(in crate::api) mod routed;
pub(in crate::api) mod schemas;
