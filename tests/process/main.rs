//! The binary, run as operators run it: its command line, its signals, its log, and what survives when it is killed.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod cli;
mod crash;
mod metrics;
mod operator;
mod program;
mod serving;
mod tls;
