//! Operations about a secret that somebody presents, for gateways, services and whoever finds one.

pub(in crate::api) mod leaks;
pub(in crate::api) mod oauth2;
pub(in crate::api) mod verify;
