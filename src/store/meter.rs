//! Metrics of the database: how long connections are in use, and how many there are.

use std::time::Instant;

use prometheus_client::metrics::{
    family::Family,
    histogram::{Histogram, exponential_buckets},
};

use super::{Pools, Store};

/// The label that distinguishes reads, pages of collections and writes.
pub type Access = [(&'static str, &'static str); 1];
pub(super) const READ: Access = [("access", "read")];
pub(super) const LIST: Access = [("access", "list")];
pub(super) const WRITE: Access = [("access", "write")];

/// Seconds from the request for a connection or a transaction until its release.
pub type Latency = Family<Access, Histogram, fn() -> Histogram>;

/// From 50 µs to 1.6 s, doubling.
fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 16))
}

pub(super) fn latency() -> Latency {
    Family::new_with_constructor(buckets)
}

/// Measures the time until it is dropped.
#[derive(Debug)]
pub(super) struct Timer {
    begun: Instant,
    histogram: Histogram,
}

impl Timer {
    pub fn start(latency: &Latency, access: Access) -> Self {
        Self { begun: Instant::now(), histogram: latency.get_or_create_owned(&access) }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.histogram.observe(self.begun.elapsed().as_secs_f64());
    }
}

/// The state of a pool of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// What its connections are for: `read`, `list` or `write`.
    pub access: &'static str,
    /// Connections in use.
    pub busy: usize,
    /// Connections that wait for work.
    pub idle: usize,
}

impl Store {
    /// The histograms of how long connections are in use.
    #[must_use]
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// The current state of the pools.
    #[must_use]
    pub fn pools(&self) -> [PoolState; 3] {
        let state = |access, size: u32, idle: usize| {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            PoolState { access, busy: size.saturating_sub(idle), idle: idle.min(size) }
        };
        match &self.pools {
            Pools::Sqlite { read, list, write, .. } => [
                state("read", read.size(), read.num_idle()),
                state("list", list.size(), list.num_idle()),
                state("write", write.size(), write.num_idle()),
            ],
            Pools::Postgres { read, list, write, .. } => [
                state("read", read.size(), read.num_idle()),
                state("list", list.size(), list.num_idle()),
                state("write", write.size(), write.num_idle()),
            ],
        }
    }
}
