//! tokenward: a self-hosted API-token service.

pub mod config;
pub mod domain;
pub mod service;
pub mod store;
