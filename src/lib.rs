//! tokenward: a self-hosted API-token service.
//!
//! The house has five floors. A file uses only floors below its own, and a noun has the same file name on each of them:
//!
//! - [`domain`]: the nouns and their rules; pure.
//! - [`store`]: the two databases; one file of SQL per noun.
//! - [`service`]: the use cases: authorise, check, write.
//! - [`api`]: HTTP; wire types and handlers per noun, and what concerns all of them once each.
//! - [`server`], [`background`], [`tls`], [`log`], [`files`], [`cli`] and [`config`]: the process around it.
//!
//! To follow a request: [`server`] accepts it, the gate in [`api`] authenticates it and finds its operation, a handler
//! calls one method of [`service::Service`], which asks the [`store`]; what comes back becomes an answer, or a problem,
//! and passes the gate again.

pub mod api;
pub mod background;
pub mod cli;
pub mod config;
pub mod domain;
pub mod files;
pub mod log;
pub mod server;
pub mod service;
pub mod store;
pub mod tls;
