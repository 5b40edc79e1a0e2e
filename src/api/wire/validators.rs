//! The validators of conditional requests: entity tag and modification time (RFC 9110 §8.8).

use std::time::UNIX_EPOCH;

use md5::{Digest as _, Md5};

use crate::domain::clock::Timestamp;

pub(in crate::api) fn etag(json: &[u8]) -> String {
    let mut tag = "\"".to_owned();
    for byte in Md5::digest(json) {
        tag += &format!("{byte:02x}");
    }
    tag + "\""
}

/// The validators of a representation, with which conditions are compared.
pub(in crate::api) struct Validators {
    /// A strong entity tag, with its quotes.
    pub etag: String,
    /// When the representation last changed.
    pub modified_at: Timestamp,
}

/// Formats an HTTP date (RFC 9110 §5.6.7).
pub(in crate::api) fn http_date(at: Timestamp) -> String {
    let seconds = u64::try_from(at.seconds()).unwrap_or_default();
    httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}
