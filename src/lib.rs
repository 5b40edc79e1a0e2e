//! tokenward: a self-hosted API-token service.
//!
//! The code has five layers, listed from the lowest up. A file uses only layers below its own, and each kind of
//! resource has the same file name in every layer:
//!
//! - [`domain`]: the kinds of resources and their rules; no database, no HTTP.
//! - [`store`]: the two databases; one file of SQL per kind of resource.
//! - [`service`]: the use cases: authorise, check, write.
//! - [`api`]: HTTP; wire types and handlers per kind of resource, and one module for each concern that all of them
//!   share.
//! - [`server`], [`background`], [`tls`], [`log`], [`files`], [`cli`] and [`config`]: the process around it.
//!
//! The path of a request: [`server`] accepts it, the gate in [`api`] authenticates it and finds its operation, and a
//! handler calls one method of [`service::Service`], which queries the [`store`]. The result becomes an answer, or an
//! error response, and passes through the gate again on its way out.

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
