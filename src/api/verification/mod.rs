//! Operations on a presented secret: verification, introspection, revocation and leak reports.

pub(in crate::api) mod leaks;
pub(in crate::api) mod oauth2;
pub(in crate::api) mod verify;
