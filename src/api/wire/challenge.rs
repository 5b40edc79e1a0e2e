//! What `WWW-Authenticate` says of a token that doesn't suffice (RFC 6750 §3.1).

/// How a bearer is told that its token is no good (RFC 6750 §3.1).
pub(in crate::api) const INVALID_TOKEN: &str = "Bearer realm=\"tokenward\", error=\"invalid_token\"";

/// How a bearer is told that its token is good, and not enough (RFC 6750 §3.1).
pub(in crate::api) const INSUFFICIENT_SCOPE: &str = "Bearer realm=\"tokenward\", error=\"insufficient_scope\"";
