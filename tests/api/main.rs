//! Every operation, called as a client would, on every database, each answer held against the document and its
//! snapshot.
//!
//! SQLite always; PostgreSQL when `TEST_DATABASE_URL` names a server where schemas can be made.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod app;
mod collection;
mod deletion;
mod demo;
mod document;
mod fuzz;
mod gateways;
mod knowers;
mod matrix;
mod model;
mod operation;
mod outage;
mod pages;
mod people;
mod problems;
mod quotas;
mod races;
mod roles;
mod token;
mod verification;
