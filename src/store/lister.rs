//! Connections that read pages of collections: who may have one, and how a reading ends that nobody waits for any more.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Access, Conn, Pools, Store, StoreError, connection::Raw};
use crate::domain::id::UserId;

/// How long the reading of a page may take altogether.
const DEADLINE: Duration = Duration::from_secs(3);
/// PostgreSQL's own bound, for a reading that we can't end: past the deadline, for that one knows which request it was.
pub(super) const STATEMENT_TIMEOUT: &str = "4s";
/// How often PostgreSQL looks whether the client of a running query is still there, in milliseconds.
pub(super) const CLIENT_CHECK: u64 = 100;
/// How long a user waits for an earlier page of its own before it is told to come back.
const OWN_TURN: Duration = Duration::from_secs(1);
/// How long it then waits for those of others.
const SHARED_TURN: Duration = Duration::from_secs(2);
/// How many instructions SQLite executes before it looks whether anybody still waits: a fraction of a millisecond.
const INSTRUCTIONS: i32 = 1_000;
/// How many users' turns are remembered before those that nobody waits for are forgotten.
const MANY_USERS: usize = 1_024;

/// How many pages are read at a time: as many as there are connections for them, and half as many for one user.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    all: Arc<Semaphore>,
    each: usize,
    users: Mutex<HashMap<UserId, Arc<Semaphore>>>,
}

/// The right to read a page; given back when dropped.
#[derive(Debug)]
struct Place {
    _own: OwnedSemaphorePermit,
    _shared: OwnedSemaphorePermit,
}

impl Places {
    pub fn new(pools: &Pools) -> Self {
        let connections = match pools {
            Pools::Sqlite { list, .. } => list.options().get_max_connections(),
            Pools::Postgres { list, .. } => list.options().get_max_connections(),
        };
        let all = usize::try_from(connections).unwrap_or(1).max(1);
        Self(Arc::new(Parts { all: Arc::new(Semaphore::new(all)), each: all.div_ceil(2), users: Mutex::default() }))
    }

    /// First the user's own turn, then one of all: who asks for many pages at once waits for itself, and not before
    /// others.
    async fn take(&self, user: UserId) -> Result<Place, StoreError> {
        let own = wait(OWN_TURN, self.turns_of(user)).await?;
        let shared = wait(SHARED_TURN, Arc::clone(&self.0.all)).await?;
        Ok(Place { _own: own, _shared: shared })
    }

    fn turns_of(&self, user: UserId) -> Arc<Semaphore> {
        let mut users = self.0.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= MANY_USERS {
            // Those who have a place, or wait for one, hold on to theirs.
            users.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        Arc::clone(users.entry(user).or_insert_with(|| Arc::new(Semaphore::new(self.0.each))))
    }
}

async fn wait(patience: Duration, semaphore: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
    let permit = tokio::time::timeout(patience, semaphore.acquire_owned()).await;
    permit.ok().and_then(Result::ok).ok_or(StoreError::Unavailable(sqlx::Error::PoolTimedOut))
}

/// Reads pages of collections. Dropped while it reads, it ends that.
#[derive(Debug)]
pub struct Lister {
    conn: Conn,
    place: Option<Place>,
    /// Tells SQLite to stop. None for a database in memory, which lives in its only connection.
    stop: Option<Arc<AtomicBool>>,
    reading: bool,
}

impl Store {
    /// A connection to read a page of a collection on, for that user. Lists have connections of their own, so that
    /// authentication never waits for them, and nobody can hold all of these.
    ///
    /// # Errors
    /// When none can be had in time.
    pub async fn list(&self, user: UserId) -> Result<Lister, StoreError> {
        let place = self.places.take(user).await?;
        let conn = self.acquire(Access::List).await?;
        // A database in memory lives in its only connection: nothing is done to that.
        let stop = matches!(self.pools, Pools::Sqlite { .. }).then(Arc::default).filter(|_| self.limits.closes);
        Ok(Lister { conn, place: Some(place), stop, reading: false })
    }
}

impl Lister {
    /// Reads, until the deadline. What could take long is made to stop when this is dropped.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it takes too long; or what the reading says.
    pub(super) async fn read<T>(
        &mut self,
        long: bool,
        reading: impl AsyncFnOnce(&mut Conn) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let (true, Some(stop), Raw::Sqlite(conn)) = (long, &self.stop, self.conn.raw()) {
            let stop = Arc::clone(stop);
            conn.lock_handle().await?.set_progress_handler(INSTRUCTIONS, move || !stop.load(Ordering::Relaxed));
        }
        self.reading = true;
        self.conn.hands_on();
        let read = tokio::time::timeout(DEADLINE, reading(&mut self.conn)).await;
        let read = read.map_err(|_| StoreError::Late)?;
        self.reading = false;
        read
    }
}

/// A connection that is still at work is closed, not kept.
impl Drop for Lister {
    fn drop(&mut self) {
        if !self.reading {
            return;
        }
        if let Some(stop) = &self.stop {
            stop.store(true, Ordering::Relaxed);
        }
        self.conn.spoil();
        if self.stop.is_none()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // PostgreSQL works on until it sees that its client is gone: so long its place is taken.
            let place = self.place.take();
            runtime.spawn(async move {
                tokio::time::sleep(Duration::from_millis(2 * CLIENT_CHECK)).await;
                drop(place);
            });
        }
    }
}

impl Deref for Lister {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for Lister {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}
