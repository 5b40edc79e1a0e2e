//! The state of the store's database: whether writes work, whether it is still the database that was opened, and which
//! of its connections may be dead.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    Access,
    error::{is_read_only, is_unavailability, leaves_connection_sound},
};

/// Whether the database is still where it was opened, as of the last check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where it was opened.
    Here,
    /// The open file was deleted or renamed: anything written now is lost at the next start.
    Removed,
    /// Another database is in its place.
    Replaced,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here => "is where it was opened",
            Self::Removed => "was removed while it was served",
            Self::Replaced => "was replaced by another while it was served",
        })
    }
}

/// Whether writes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    Work,
    /// A write has failed, and none was tried since.
    Doubted,
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    place: Place,
    writes: Writes,
    closed: bool,
}

/// Why the store isn't fully operational.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Writes fail.
    NoWrites,
    /// The database was removed or replaced.
    Misplaced(Place),
}

/// Which connections of a pool may be dead: those opened before the instant `dead` are closed, those last used by the
/// instant `doubted` are pinged. Both are in microseconds since the store was opened.
#[derive(Debug, Default)]
struct Before {
    dead: AtomicU64,
    doubted: AtomicU64,
}

/// What to do with an idle connection before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    Use,
    Ask,
    Close,
}

/// The state of a store's database.
#[derive(Debug)]
pub(super) struct Health {
    opened: Instant,
    state: watch::Sender<State>,
    /// The key that identifies this database; it also seals `continue` tokens.
    key: OnceLock<Vec<u8>>,
    pools: [Before; 3],
}

/// A connection that was used within this time is assumed to be alive.
const FRESH: Duration = Duration::from_secs(1);
/// A connection is closed at this age: the server may keep much in memory for an old one.
const LIFETIME: Duration = Duration::from_mins(30);

impl Health {
    pub fn new() -> Self {
        let state = State { place: Place::Here, writes: Writes::Work, closed: false };
        Self {
            opened: Instant::now(),
            state: watch::Sender::new(state),
            key: OnceLock::new(),
            pools: Default::default(),
        }
    }

    pub fn place(&self) -> Place {
        self.state.borrow().place
    }

    /// Whether this is the key of the database that was opened. The first key seen is.
    pub fn knows(&self, key: &[u8]) -> bool {
        self.key.get_or_init(|| key.to_vec()) == key
    }

    /// Whether any key was seen yet.
    pub fn knows_one(&self) -> bool {
        self.key().is_some()
    }

    /// The key of the database that was opened, once it was seen.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.get().map(Vec::as_slice)
    }

    fn set(&self, change: impl FnOnce(&mut State)) -> bool {
        self.state.send_if_modified(|state| {
            let before = *state;
            change(state);
            *state != before
        })
    }

    /// Records where the database is.
    pub fn found(&self, place: Place) {
        if self.set(|state| state.place = place) {
            if place == Place::Here {
                // Connections that were opened meanwhile may lead to the other database.
                self.bury(&[Access::Read, Access::List, Access::Write]);
                tracing::warn!("the database is back");
            } else {
                tracing::error!("the database {place}");
            }
        }
    }

    /// Records what an error means for writes and for other connections.
    pub fn note(&self, access: Access, error: &sqlx::Error) {
        if is_read_only(error) {
            // The other writing connections have been read-only for as long.
            self.bury(&[Access::Write]);
        } else if !leaves_connection_sound(error) {
            self.doubt_connections();
        }
        if is_unavailability(error) {
            self.doubt_writes(access);
        }
    }

    /// Records that a statement exceeded its time limit. If one connection doesn't respond, the others may not either.
    /// The time limit of reads is longer than the server's own timeout: if such a connection doesn't respond, all are
    /// taken to be dead, because pinging each would take that time once more.
    pub fn note_silence(&self, access: Access) {
        if access == Access::Read {
            self.bury(&[Access::Read, Access::List, Access::Write]);
        }
        self.doubt_connections();
        self.doubt_writes(access);
    }

    fn doubt_writes(&self, access: Access) {
        if access == Access::Write {
            self.set(|state| state.writes = if state.writes == Writes::Fail { Writes::Fail } else { Writes::Doubted });
        }
    }

    /// Records whether writes work.
    pub fn writes_work(&self, they_do: bool) {
        if self.state.borrow().writes == Writes::Work && they_do {
            return;
        }
        let changed = self.set(|state| state.writes = if they_do { Writes::Work } else { Writes::Fail });
        match (changed, they_do) {
            (true, true) => tracing::warn!("the database takes writes again"),
            (true, false) => tracing::error!("the database takes no writes"),
            _ => {}
        }
    }

    pub fn close(&self) {
        self.set(|state| state.closed = true);
    }

    pub fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }

    pub fn doubts_writes(&self) -> bool {
        self.state.borrow().writes != Writes::Work
    }

    /// Resolves when a write has failed and none was tried since, or when the store is closed.
    pub async fn doubted(&self) {
        let _ = self.state.subscribe().wait_for(|state| state.closed || state.writes != Writes::Work).await;
    }

    /// Why the store isn't fully operational, if so. Waits until it is known whether writes work.
    pub async fn fitness(&self) -> Result<(), Unfit> {
        let mut state = self.state.subscribe();
        let known = state.wait_for(|state| state.place != Place::Here || state.writes != Writes::Doubted).await;
        match known.map(|state| *state) {
            Ok(State { place: Place::Here, writes: Writes::Work, .. }) => Ok(()),
            Ok(State { place: Place::Here, .. }) | Err(_) => Err(Unfit::NoWrites),
            Ok(State { place, .. }) => Err(Unfit::Misplaced(place)),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn before(&self, access: Access) -> &Before {
        let [read, list, write] = &self.pools;
        access.of([read, list, write])
    }

    /// Marks all connections of these kinds to be closed instead of being used again.
    pub fn bury(&self, kinds: &[Access]) {
        for access in kinds {
            self.before(*access).dead.fetch_max(self.now(), Ordering::Relaxed);
        }
    }

    /// Marks all connections to be pinged before they are used again.
    pub fn doubt_connections(&self) {
        for before in &self.pools {
            before.doubted.fetch_max(self.now(), Ordering::Relaxed);
        }
    }

    /// What to do with a connection of that age and idle time.
    pub fn trust(&self, access: Access, age: Duration, idle: Duration) -> Trust {
        let made = self.now().saturating_sub(u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
        let before = self.before(access);
        let used = self.now().saturating_sub(u64::try_from(idle.as_micros()).unwrap_or(u64::MAX));
        if age > LIFETIME || made < before.dead.load(Ordering::Relaxed) {
            Trust::Close
        } else if idle > FRESH || used <= before.doubted.load(Ordering::Relaxed) {
            Trust::Ask
        } else {
            Trust::Use
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_asked_after_a_silence_and_closed_after_a_funeral() {
        let health = Health::new();
        let (young, long) = (Duration::ZERO, Duration::from_mins(1));
        assert_eq!(health.trust(Access::Read, young, young), Trust::Use);
        assert_eq!(health.trust(Access::Read, long, long), Trust::Ask, "it was idle for long");
        assert_eq!(health.trust(Access::Read, LIFETIME * 2, young), Trust::Close, "it is old");
        health.doubt_connections();
        assert_eq!(health.trust(Access::Read, long, Duration::from_millis(1)), Trust::Ask);
        std::thread::sleep(Duration::from_millis(2));
        health.bury(&[Access::Write]);
        assert_eq!(health.trust(Access::Write, Duration::from_millis(1), Duration::ZERO), Trust::Close);
        assert_eq!(health.trust(Access::Read, Duration::from_millis(1), Duration::ZERO), Trust::Use, "another pool's");
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(health.trust(Access::Write, Duration::ZERO, Duration::ZERO), Trust::Use, "made since");
    }

    #[tokio::test]
    async fn fitness_waits_for_the_next_attempt() {
        let health = Health::new();
        assert_eq!(health.fitness().await, Ok(()));
        health.note(Access::Read, &sqlx::Error::PoolTimedOut);
        assert_eq!(health.fitness().await, Ok(()), "reads tell nothing of writes");
        health.note(Access::Write, &sqlx::Error::PoolTimedOut);
        let (fitness, ()) = tokio::join!(health.fitness(), async { health.writes_work(false) });
        assert_eq!(fitness, Err(Unfit::NoWrites));
        health.note(Access::Write, &sqlx::Error::PoolTimedOut);
        assert_eq!(health.fitness().await, Err(Unfit::NoWrites), "what fails isn't doubted");
        health.writes_work(true);
        assert_eq!(health.fitness().await, Ok(()));
        health.found(Place::Removed);
        assert_eq!(health.fitness().await, Err(Unfit::Misplaced(Place::Removed)));
    }
}
