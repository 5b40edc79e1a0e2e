//! The values of `WWW-Authenticate` for tokens that don't suffice (RFC 6750 §3.1).

/// The challenge for an invalid token (RFC 6750 §3.1).
pub(in crate::api) const INVALID_TOKEN: &str = "Bearer realm=\"tokenward\", error=\"invalid_token\"";

/// The challenge for a valid token whose permissions don't suffice (RFC 6750 §3.1).
pub(in crate::api) const INSUFFICIENT_SCOPE: &str = "Bearer realm=\"tokenward\", error=\"insufficient_scope\"";
