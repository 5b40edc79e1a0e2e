//! JSON bodies of responses.

use serde::Serialize;

use crate::service::{Error, Result};

/// The media type of JSON.
pub(in crate::api) const JSON: &str = "application/json";

/// Serializes a body as JSON.
///
/// # Errors
/// When the value can't be serialized: a defect.
pub(in crate::api) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(Error::internal)
}
