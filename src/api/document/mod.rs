//! The OpenAPI document: generated from the annotated types and handlers, and completed with what annotations can't
//! express.

pub mod assembly;
pub(in crate::api) mod enum_names;
pub(in crate::api) mod examples;
pub(in crate::api) mod links;
pub mod openapi_3_0;
pub(in crate::api) mod parameters;
pub(in crate::api) mod problems;
