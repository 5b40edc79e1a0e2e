//! The types of responses and bodies: scalars, resources, responses and problems. Nothing here depends on a request.

pub(in crate::api) mod answer;
pub(in crate::api) mod catalogue;
pub(in crate::api) mod challenge;
pub(in crate::api) mod json;
pub(in crate::api) mod metadata;
pub(in crate::api) mod oauth_error;
pub(in crate::api) mod page;
pub(in crate::api) mod problem;
pub(in crate::api) mod problem_body;
pub(in crate::api) mod resource;
pub(in crate::api) mod scalar;
pub(in crate::api) mod tag;
pub(in crate::api) mod validators;
