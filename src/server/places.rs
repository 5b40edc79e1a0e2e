//! The admission of connections: how many are served at a time, how many per client, and which are closed to make room
//! for others.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::activity::Activity;
use crate::{config::TrustedProxy, domain::budget::client_key};

/// How many connections may be open at most beyond those that are served: to be refused with an answer, and for health
/// checks.
pub const RESERVE: usize = 32;
/// How many more may be open at least while they are being closed. Short connections in quick succession must not take
/// the descriptors that connections to the database need.
pub const LEAVING: usize = 16;
/// How many connections of the reserve one client may have.
const RESERVE_PER_CLIENT: usize = 4;

/// The limits of the number of connections, of their time and of memory.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many connections may be open in total. Further ones wait until one has ended.
    pub sockets: usize,
    /// How many connections are served at a time.
    pub connections: usize,
    /// How many of them one client may have; 0 for no limit.
    pub per_client: usize,
    /// The proxies, whose connections aren't counted per client.
    pub proxies: Vec<TrustedProxy>,
    /// How long the head of a request may take.
    pub head_timeout: Duration,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// How many bytes of answers may wait to be sent.
    pub answer_memory: usize,
}

/// The places of all connections.
pub struct Places {
    limits: Limits,
    /// Bytes of answers that wait to be sent.
    held: AtomicUsize,
    taken: Mutex<Taken>,
}

/// Connections by their number, which is higher for later ones.
#[derive(Default)]
struct Taken {
    next: u64,
    served: HashMap<u64, Connection>,
    reserve: BTreeMap<u64, Connection>,
    /// The number of served connections of each client.
    per_client: HashMap<u64, usize>,
}

struct Connection {
    /// The client's key; `None` for a proxy.
    client: Option<u64>,
    activity: Arc<Activity>,
}

impl Places {
    /// The places of a server, all of them free.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, held: AtomicUsize::new(0), taken: Mutex::default() }
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection. If all are taken, the connection that has been idle the longest is closed; if the
    /// client has too many, one of its own. If none can be closed, the new connection gets a place in the reserve.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Place {
        let peer = peer.to_canonical();
        let client = (!self.limits.proxies.iter().any(|proxy| proxy.contains(peer))).then(|| client_key(peer));
        let mut taken = self.taken();
        let own = client.and_then(|client| taken.per_client.get(&client)).copied().unwrap_or_default();
        let is_served = if self.limits.per_client > 0 && own >= self.limits.per_client {
            self.make_room(&mut taken, |connection| connection.client == client)
        } else {
            taken.served.len() < self.limits.connections || self.make_room(&mut taken, |_| true)
        };
        let activity = Arc::new(Activity::default());
        let connection = Connection { client, activity: Arc::clone(&activity) };
        let number = taken.next;
        taken.next += 1;
        if is_served {
            if let Some(client) = client {
                *taken.per_client.entry(client).or_default() += 1;
            }
            taken.served.insert(number, connection);
        } else {
            taken.make_room_in_reserve(client);
            taken.reserve.insert(number, connection);
        }
        Place { places: Arc::clone(self), number, activity, is_served }
    }

    /// Ends the connection with the lowest rank among these, if any may be closed.
    fn make_room(&self, taken: &mut Taken, among: impl Fn(&Connection) -> bool) -> bool {
        let now = Instant::now();
        let ranked = taken.served.iter().filter(|(_, connection)| among(connection));
        let ranked = ranked.filter_map(|(number, connection)| Some((connection.activity.rank(now)?, *number)));
        let Some((_, number)) = ranked.min() else { return false };
        self.end(taken, number);
        true
    }

    /// Ends some idle connections, to free descriptors for other uses.
    pub fn shrink(&self) {
        let mut taken = self.taken();
        for _ in 0..RESERVE {
            if !self.make_room(&mut taken, |_| true) {
                return;
            }
        }
    }

    fn end(&self, taken: &mut Taken, number: u64) {
        if let Some(connection) = taken.remove(number) {
            self.held.fetch_sub(connection.activity.evict(), Ordering::Relaxed);
        }
    }

    /// Records bytes of an answer that wait to be sent. If there are too many in total, the connections that have had
    /// the most for the longest are ended.
    pub fn hold(&self, activity: &Activity, bytes: usize) {
        activity.hold(bytes);
        if self.held.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.limits.answer_memory {
            return;
        }
        let (mut taken, now) = (self.taken(), Instant::now());
        while self.held.load(Ordering::Relaxed) > self.limits.answer_memory {
            let weighed = taken
                .served
                .iter()
                .filter_map(|(number, connection)| Some((connection.activity.weight(now)?, *number)));
            let Some((_, number)) = weighed.max() else { return };
            tracing::warn!("answers that nobody reads take too much memory: a connection is closed");
            self.end(&mut taken, number);
        }
    }

    /// Records that such bytes were sent or given up.
    pub fn release(&self, activity: &Activity, bytes: usize) {
        if activity.release(bytes) {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Taken {
    fn make_room_in_reserve(&mut self, client: Option<u64>) {
        let of_client =
            self.reserve.iter().filter(|(_, connection)| connection.client == client).map(|(number, _)| *number);
        let of_client: Vec<u64> = of_client.collect();
        let oldest = if of_client.len() >= RESERVE_PER_CLIENT {
            of_client.first().copied()
        } else if self.reserve.len() >= RESERVE {
            self.reserve.keys().next().copied()
        } else {
            None
        };
        if let Some(connection) = oldest.and_then(|number| self.reserve.remove(&number)) {
            connection.activity.evict();
        }
    }

    fn remove(&mut self, number: u64) -> Option<Connection> {
        let Some(connection) = self.served.remove(&number) else { return self.reserve.remove(&number) };
        if let Some(client) = connection.client
            && let std::collections::hash_map::Entry::Occupied(mut own) = self.per_client.entry(client)
        {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
        Some(connection)
    }
}

/// A connection's place, until it is dropped.
pub struct Place {
    places: Arc<Places>,
    number: u64,
    /// The activity of the connection.
    pub activity: Arc<Activity>,
    /// Whether it is served, or one of the reserve.
    pub is_served: bool,
}

impl Place {
    /// All places of the server.
    #[must_use]
    pub fn places(&self) -> &Arc<Places> {
        &self.places
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections: usize, per_client: usize) -> Arc<Places> {
        let proxies = vec!["10.0.0.1".parse().unwrap()];
        let second = Duration::from_secs(1);
        Arc::new(Places::new(Limits {
            connections,
            sockets: 1000,
            per_client,
            proxies,
            head_timeout: second,
            body_timeout: second,
            answer_memory: 1000,
        }))
    }

    fn admit(places: &Arc<Places>, peer: &str) -> Place {
        places.admit(peer.parse().unwrap())
    }

    async fn is_evicted(place: &Place) -> bool {
        tokio::time::timeout(Duration::from_millis(1), place.activity.evicted()).await.is_ok()
    }

    #[tokio::test]
    async fn the_longest_idle_one_makes_room() {
        let places = places(2, 0);
        let (first, second) = (admit(&places, "192.0.2.1"), admit(&places, "192.0.2.2"));
        drop(first.activity.begin());
        assert!(admit(&places, "192.0.2.3").is_served);
        assert!(is_evicted(&second).await && !is_evicted(&first).await);
    }

    #[tokio::test]
    async fn whoever_is_worked_for_stays_and_the_reserve_serves_the_rest() {
        let places = places(1, 0);
        let busy = admit(&places, "192.0.2.1");
        let _request = busy.activity.begin();
        let more: Vec<Place> = (0..=RESERVE).map(|n| admit(&places, &format!("198.51.100.{n}"))).collect();
        assert!(!is_evicted(&busy).await && more.iter().all(|place| !place.is_served));
        assert!(is_evicted(&more[0]).await && !is_evicted(&more[1]).await);
    }

    #[tokio::test]
    async fn one_client_has_so_many_and_a_proxy_as_many_as_there_are() {
        let places = places(100, 3);
        for peers in [["192.0.2.1"; 4], ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"]] {
            let held = peers.map(|peer| admit(&places, peer));
            assert!(
                held.iter().all(|place| place.is_served) && is_evicted(&held[0]).await && !is_evicted(&held[1]).await
            );
            let _requests: Vec<_> = held.iter().map(|place| place.activity.begin()).collect();
            let beyond: Vec<Place> = (0..=RESERVE_PER_CLIENT).map(|_| admit(&places, peers[0])).collect();
            assert!(beyond.iter().all(|place| !place.is_served) && is_evicted(&beyond[0]).await);
        }
        let through_proxy: Vec<Place> = (0..90).map(|_| admit(&places, "::ffff:10.0.0.1")).collect();
        assert!(through_proxy.iter().all(|place| place.is_served));
    }

    #[tokio::test]
    async fn what_nobody_reads_is_given_up_the_most_and_longest_first() {
        let places = places(9, 0);
        let (large, old, new) = (admit(&places, "192.0.2.1"), admit(&places, "192.0.2.2"), admit(&places, "192.0.2.3"));
        places.hold(&old.activity, 100);
        old.activity.age(9);
        places.hold(&large.activity, 500);
        old.activity.age(1);
        large.activity.age(1);
        places.hold(&new.activity, 401);
        assert!(is_evicted(&old).await && !is_evicted(&large).await && !is_evicted(&new).await);
        assert_eq!(places.held.load(Ordering::Relaxed), 901);
        // What was given up counts once only.
        places.release(&old.activity, 100);
        places.release(&large.activity, 500);
        assert_eq!(places.held.load(Ordering::Relaxed), 401);
    }
}
