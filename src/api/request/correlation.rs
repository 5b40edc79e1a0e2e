//! The correlation id, which identifies a request in responses, events and the log.

use poem::http::{HeaderMap, HeaderName};

use crate::domain::{
    entropy::Entropy,
    id::{parse_identifier, random_uuid},
};

pub(in crate::api) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// The client's correlation id, if it is a valid identifier; else a new one.
pub(in crate::api) fn correlation_id(headers: &HeaderMap, entropy: &dyn Entropy) -> String {
    let mut given = headers.get_all(CORRELATION_ID).iter();
    if let (Some(value), None) = (given.next(), given.next())
        && let Some(id) = value.to_str().ok().and_then(parse_identifier).filter(|id| !id.is_nil())
    {
        return id.to_string();
    }
    random_uuid(entropy).unwrap_or_default().to_string()
}
