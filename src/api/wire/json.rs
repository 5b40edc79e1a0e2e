//! JSON as the body of an answer.

use serde::Serialize;

use crate::service::{Error, Result};

/// Its media type.
pub(in crate::api) const JSON: &str = "application/json";

/// The JSON of a body.
///
/// # Errors
/// When the value can't be written: a defect.
pub(in crate::api) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(Error::internal)
}
