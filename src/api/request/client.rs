//! The client address of a request, and the budget of each client.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
};

use poem::{Request, http::HeaderMap};

use crate::{
    api::wire::problem::Problem,
    config::TrustedProxy,
    domain::{budget::Budget, clock::Timestamp},
    service::Service,
};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The budgets of each client: how many refused tokens and leak reports it may send.
pub(in crate::api) struct Budgets {
    failures: Mutex<Budget>,
    reports: Mutex<Budget>,
    trusted: Vec<TrustedProxy>,
}

impl Budgets {
    /// Allows `most` failures and as many reports per client and minute. The `X-Forwarded-For` of `trusted` proxies is
    /// trusted.
    pub fn new(most: u32, trusted: Vec<TrustedProxy>) -> Self {
        Self { failures: Mutex::new(Budget::new(most)), reports: Mutex::new(Budget::new(most)), trusted }
    }

    /// Counts a refused token.
    ///
    /// # Errors
    /// When the client has exceeded its budget.
    pub fn fail(&self, request: &Request, service: &Service) -> Result<(), Problem> {
        let Some(client) = self.client_of(request) else { return Ok(()) };
        lock(&self.failures).spend(client, service.now()).map_err(Problem::TooManyFailures)
    }

    /// The client that is about to report leaks. Its budget is charged only by [`Budgets::report`], so that an invalid
    /// report doesn't count.
    ///
    /// # Errors
    /// When the client has used up its budget of reports.
    pub fn reporter(&self, request: &Request, service: &Service) -> Result<Reporter, Problem> {
        let reporter = self.client_of(request).map(|client| (client, service.now()));
        if let Some((client, now)) = reporter {
            lock(&self.reports).check(client, now).map_err(Problem::TooManyFailures)?;
        }
        Ok(Reporter(reporter))
    }

    /// Counts a leak report.
    ///
    /// # Errors
    /// When the client has exceeded its budget of reports.
    pub fn report(&self, reporter: &Reporter) -> Result<(), Problem> {
        let Some((client, now)) = reporter.0 else { return Ok(()) };
        lock(&self.reports).spend(client, now).map_err(Problem::TooManyFailures)
    }

    fn client_of(&self, request: &Request) -> Option<IpAddr> {
        let peer = request.remote_addr().as_socket_addr()?;
        Some(client(peer.ip(), request.headers(), &self.trusted))
    }
}

/// The address of the client that reports leaks, and the time; `None` if the address isn't known.
pub(in crate::api) struct Reporter(Option<(IpAddr, Timestamp)>);

fn lock(budget: &Mutex<Budget>) -> MutexGuard<'_, Budget> {
    budget.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The client's address: the nearest one that doesn't belong to a trusted proxy. Each trusted proxy has appended the
/// address of its own client; entries of others can't be trusted.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[TrustedProxy]) -> IpAddr {
    let is_ours = |address: &IpAddr| trusted.iter().any(|network| network.contains(*address));
    let mut nearest = peer.to_canonical();
    let values: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    let mut hops = values.iter().rev().flat_map(|value| value.rsplit(','));
    while is_ours(&nearest) {
        let Some(hop) = hops.next().and_then(address) else { break };
        nearest = hop;
    }
    nearest
}

/// Parses an address; some proxies append the port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, poem::http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let trusted = ["10.0.0.0/8", "127.0.0.1", "fd00::/8"].map(|network| network.parse().unwrap());
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_our_proxies_are_believed() {
        for (peer, forwarded, wanted) in [
            ("192.0.2.1", &["198.51.100.1"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            // The left is the client's own invention.
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1,10.9.9.9", "fd00::7"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("127.0.0.1", &[" 2001:db8::1 "], "2001:db8::1"),
            ("127.0.0.2", &["2001:db8::1"], "127.0.0.2"),
            // What can't be read ends the chain at whoever passed it on.
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, "], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1", "\u{e9}"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ] {
            assert_eq!(seen(peer, forwarded), wanted, "{peer} {forwarded:?}");
        }
    }
}
