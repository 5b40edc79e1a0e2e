//! Operations about the process itself: health, and metrics.

pub(in crate::api) mod health;
pub mod metrics;
