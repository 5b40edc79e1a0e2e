//! Rate limits: how often each client may perform an operation within a minute.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};

use super::clock::Timestamp;

/// A minute, in microseconds.
const WINDOW: i64 = 60_000_000;
/// The number of clients in one generation. At least this many clients are remembered, and at most twice as many, in
/// about a megabyte.
const REMEMBERED: usize = 16_384;

/// The operations that each client has performed in its present window of one minute, and their limit. A client is an
/// IPv4 address, or the /64 network from which an IPv6 host picks its addresses.
///
/// The windows are kept in two generations, and the older one is dropped as a whole, so that neither time nor memory
/// grows with the number of clients. If more clients come within a minute than can be remembered, the clients with the
/// oldest windows get a new window early.
#[derive(Debug)]
pub struct Budget {
    most: u32,
    since: Timestamp,
    present: HashMap<u64, Window>,
    past: HashMap<u64, Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    begun: Timestamp,
    spent: u32,
}

impl Window {
    /// Microseconds until the window ends; `None` if it has ended, or if the clock went back.
    fn left(self, now: Timestamp) -> Option<i64> {
        let passed = now.as_micros().saturating_sub(self.begun.as_micros());
        (0..WINDOW).contains(&passed).then_some(WINDOW - passed)
    }

    /// Whole seconds after which the window has ended.
    fn wait(self, now: Timestamp) -> u32 {
        let left = self.left(now).unwrap_or(WINDOW);
        u32::try_from(left.div_euclid(1_000_000) + 1).unwrap_or(u32::MAX)
    }
}

impl Budget {
    /// Allows each client `most` operations a minute; 0 means no limit.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self { most, since: Timestamp::from_micros(0), present: HashMap::new(), past: HashMap::new() }
    }

    /// Checks that the client may perform another operation, without counting one.
    ///
    /// # Errors
    /// As [`Budget::spend`].
    pub fn check(&self, client: IpAddr, now: Timestamp) -> Result<(), u32> {
        let window = self.window(client_key(client), now);
        if self.most == 0 || window.spent < self.most { Ok(()) } else { Err(window.wait(now)) }
    }

    /// Counts one operation of the client.
    ///
    /// # Errors
    /// When the client has used up its limit: the seconds until its next window.
    pub fn spend(&mut self, client: IpAddr, now: Timestamp) -> Result<(), u32> {
        if self.most == 0 {
            return Ok(());
        }
        let age = now.as_micros().saturating_sub(self.since.as_micros());
        if !(0..WINDOW).contains(&age) || self.present.len() >= REMEMBERED {
            self.past = std::mem::take(&mut self.present);
            self.since = now;
        }
        let client = client_key(client);
        let mut window = self.window(client, now);
        window.spent = window.spent.saturating_add(1);
        self.present.insert(client, window);
        if window.spent <= self.most { Ok(()) } else { Err(window.wait(now)) }
    }

    fn window(&self, client: u64, now: Timestamp) -> Window {
        let remembered = self.present.get(&client).or_else(|| self.past.get(&client)).copied();
        remembered.filter(|window| window.left(now).is_some()).unwrap_or(Window { begun: now, spent: 0 })
    }
}

/// The client as a number: an IPv4 address, or the upper 64 bits of an IPv6 address. IPv4 addresses have the numbers of
/// the networks in `::/32`, which is reserved.
#[must_use]
pub fn client_key(client: IpAddr) -> u64 {
    let whole: Ipv6Addr = match client.to_canonical() {
        IpAddr::V4(address) => return u64::from(u32::from(address)),
        IpAddr::V6(address) => address,
    };
    u64::try_from(u128::from(whole) >> 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_768_469_400_000_000 + seconds * 1_000_000)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_budget_lasts_a_minute_from_the_first() {
        let mut budget = Budget::new(3);
        let one = address("192.0.2.1");
        for second in 0..3 {
            assert_eq!(budget.spend(one, at(second)), Ok(()));
        }
        assert_eq!(budget.check(one, at(10)), Err(51));
        assert_eq!(budget.check(address("192.0.2.2"), at(10)), Ok(()));
        assert_eq!(budget.spend(one, at(10)), Err(51));
        assert_eq!(budget.spend(address("192.0.2.2"), at(10)), Ok(()));
        assert_eq!(budget.spend(one, at(59)), Err(2));
        assert_eq!(budget.spend(one, at(60)), Ok(()));
        // A clock that goes back locks nobody out for long.
        assert_eq!(budget.spend(one, at(-100_000)), Ok(()));
        assert_eq!(Budget::new(0).spend(one, at(0)), Ok(()));
    }

    #[test]
    fn clients_are_networks_where_hosts_have_many_addresses() {
        let mut budget = Budget::new(1);
        assert_eq!(budget.spend(address("2001:db8::1"), at(0)), Ok(()));
        assert!(budget.spend(address("2001:db8::ffff:1"), at(0)).is_err());
        assert_eq!(budget.spend(address("2001:db8:0:1::1"), at(0)), Ok(()));
        assert_eq!(budget.spend(address("192.0.2.1"), at(0)), Ok(()));
        assert!(budget.spend(address("::ffff:192.0.2.1"), at(0)).is_err());
    }

    #[test]
    fn memory_is_bounded_whoever_comes() {
        let mut budget = Budget::new(1);
        for n in 0..200_000_u32 {
            assert_eq!(budget.spend(IpAddr::V4(n.into()), at(0)), Ok(()));
            assert!(budget.present.len() <= REMEMBERED && budget.past.len() <= REMEMBERED);
        }
        assert!(budget.spend(IpAddr::V4(199_999.into()), at(0)).is_err());
    }
}
