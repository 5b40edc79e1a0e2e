//! tokenward: a self-hosted API-token service.

pub mod api;
pub mod cli;
pub mod config;
pub mod domain;
pub mod server;
pub mod service;
pub mod store;
