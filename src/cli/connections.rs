//! The options for connections, and the check that the system allows enough file descriptors for them.

use std::time::Duration;

use clap::Args;

use crate::{
    config::TrustedProxy,
    server::places::{LEAVING, Limits, RESERVE},
};

/// How many connections the port for metrics serves.
const METRICS: usize = 16;
/// Descriptors for other uses than connections to clients and the database: the log, signals, the system's
/// notifications about sockets.
const SPARE: usize = 24;
/// Descriptors for each connection to the database: one to SQLite has the file and its log open, one to PostgreSQL may
/// be replaced while it is being closed.
const FOR_DATABASE: usize = 2;
/// How many connections may be closing at the same time, if the system allows it.
const MANY_LEAVING: u64 = 1_000;

#[derive(Debug, Clone, Args)]
pub(super) struct Connections {
    /// How many connections are served at a time. When all places are taken, the connection that has idled the longest
    /// makes room. Each takes a file descriptor, of which `ulimit -n` must leave about 100 more.
    #[arg(long, env = "TOKENWARD_MAX_CONNECTIONS", default_value_t = 900, value_parser = clap::value_parser!(u32)
        .range(1..=1_000_000), value_name = "NUMBER")]
    max_connections: u32,
    /// How many of them one client address has, or one /64 network of IPv6. 0 for no bound. Doesn't apply to the
    /// addresses of `--trusted-proxy`.
    #[arg(long, env = "TOKENWARD_MAX_CONNECTIONS_PER_CLIENT", default_value_t = 100, value_name = "NUMBER")]
    max_connections_per_client: u32,
    /// How long the head of a request may take to arrive, from its first byte to its last; and the first byte of a new
    /// connection.
    #[arg(long, env = "TOKENWARD_HEAD_TIMEOUT", default_value_t = 10, value_parser = clap::value_parser!(u64)
        .range(1..=3600), value_name = "SECONDS")]
    head_timeout: u64,
    /// How long the body of a request may take to arrive.
    // No longer than a request may take in total.
    #[arg(long, env = "TOKENWARD_BODY_TIMEOUT", default_value_t = 30, value_parser = clap::value_parser!(u64)
        .range(1..=30), value_name = "SECONDS")]
    body_timeout: u64,
    /// How much memory the answers may take that clients haven't read yet. Beyond it the connections end that have had
    /// the most for the longest.
    #[arg(long, env = "TOKENWARD_ANSWER_MEMORY", default_value_t = 256, value_parser = clap::value_parser!(u32)
        .range(8..=1_000_000), value_name = "MIB")]
    answer_memory: u32,
    /// How many sockets of clients there are descriptors for.
    #[arg(skip = usize::MAX)]
    sockets: usize,
}

impl Connections {
    /// The limits of the clients' port.
    pub fn limits(&self, proxies: Vec<TrustedProxy>) -> Limits {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Limits {
            connections: size(self.max_connections),
            sockets: self.sockets,
            per_client: size(self.max_connections_per_client),
            proxies,
            head_timeout: Duration::from_secs(self.head_timeout),
            body_timeout: Duration::from_secs(self.body_timeout),
            answer_memory: size(self.answer_memory).saturating_mul(1024 * 1024),
        }
    }

    /// The limits of the port for metrics.
    pub fn limits_for_metrics(&self) -> Limits {
        Limits { connections: METRICS, sockets: METRICS + RESERVE + LEAVING, per_client: 0, ..self.limits(vec![]) }
    }

    /// Raises the process's limit of descriptors as far as is needed and allowed. If that isn't enough, lowers the
    /// number of connections, and logs that.
    ///
    /// # Errors
    /// One sentence, when no connection could be served.
    #[cfg(unix)]
    pub fn fit_descriptors(mut self, with_metrics: bool, database: u32) -> Result<Self, String> {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let database = FOR_DATABASE as u64 * u64::from(database);
        let for_metrics = if with_metrics { METRICS + RESERVE + LEAVING } else { 0 };
        let unserved = database + (SPARE + for_metrics) as u64;
        let others = unserved + (RESERVE + LEAVING) as u64;
        let wished = u64::from(self.max_connections) + others + MANY_LEAVING;
        let limits = getrlimit(Resource::Nofile);
        let mut limit = limits.current.unwrap_or(u64::MAX);
        if limit < wished {
            let raised = limits.maximum.map_or(wished, |most| most.min(wished));
            if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limits }).is_ok() {
                limit = raised;
            }
        }
        self.sockets = usize::try_from(limit.saturating_sub(unserved)).unwrap_or(usize::MAX);
        let fewer = u32::try_from(limit.saturating_sub(others)).unwrap_or(u32::MAX).min(self.max_connections);
        let why =
            format!("the limit of file descriptors (ulimit -n) is {limit}, of which {others} are for other things");
        if fewer == 0 {
            return Err(format!("no connection can be served: {why}"));
        }
        if fewer < self.max_connections {
            tracing::warn!(
                "{fewer} connections are served at a time, not {} as --max-connections asks: {why}",
                self.max_connections
            );
        }
        self.max_connections = fewer;
        Ok(self)
    }

    #[cfg(not(unix))]
    pub fn fit_descriptors(self, _: bool, _: u32) -> Result<Self, String> {
        Ok(self)
    }
}
