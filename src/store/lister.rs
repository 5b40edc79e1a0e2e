//! Connections that read pages of collections: how they are shared between users, and how a read is stopped when its
//! request is cancelled.

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

/// How long reading a page may take in total.
const DEADLINE: Duration = Duration::from_secs(3);
/// PostgreSQL's own statement timeout, for reads that can't be stopped from here. It is longer than the deadline, which
/// belongs to a known request.
pub(super) const STATEMENT_TIMEOUT: &str = "4s";
/// How often PostgreSQL checks whether the client of a running query is still connected, in milliseconds.
pub(super) const CLIENT_CHECK: u64 = 100;
/// How long a request waits for earlier pages of the same user before it is refused as unavailable.
const OWN_TURN: Duration = Duration::from_secs(1);
/// How long it then waits for pages of other users.
const SHARED_TURN: Duration = Duration::from_secs(2);
/// How many instructions SQLite executes between two checks whether the read was cancelled: a fraction of a
/// millisecond.
const INSTRUCTIONS: i32 = 1_000;
/// How many users' semaphores are kept before the unused ones are removed.
const MANY_USERS: usize = 1_024;

/// Limits how many pages are read at a time: to the number of connections for them, and for one user to half of that.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    all: Arc<Semaphore>,
    each: usize,
    users: Mutex<HashMap<UserId, Arc<Semaphore>>>,
}

/// A permit to read a page; released when dropped.
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

    /// Takes one of the user's own permits, then one of the shared ones: a user who requests many pages at once waits
    /// for its own pages, and doesn't delay other users.
    async fn take(&self, user: UserId) -> Result<Place, StoreError> {
        let own = wait(OWN_TURN, self.turns_of(user)).await?;
        let shared = wait(SHARED_TURN, Arc::clone(&self.0.all)).await?;
        Ok(Place { _own: own, _shared: shared })
    }

    fn turns_of(&self, user: UserId) -> Arc<Semaphore> {
        let mut users = self.0.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= MANY_USERS {
            // A semaphore in use has further references, held by its permits and by those that wait for one.
            users.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        Arc::clone(users.entry(user).or_insert_with(|| Arc::new(Semaphore::new(self.0.each))))
    }
}

async fn wait(patience: Duration, semaphore: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
    let permit = tokio::time::timeout(patience, semaphore.acquire_owned()).await;
    permit.ok().and_then(Result::ok).ok_or(StoreError::Unavailable(sqlx::Error::PoolTimedOut))
}

/// A connection for reading pages of collections. If it is dropped during a read, the read is stopped.
#[derive(Debug)]
pub struct Lister {
    conn: Conn,
    place: Option<Place>,
    /// Tells SQLite to stop. `None` on PostgreSQL, and for a database in memory, which exists only in its one
    /// connection.
    stop: Option<Arc<AtomicBool>>,
    reading: bool,
}

impl Store {
    /// A connection for reading a page of a collection, for that user. Lists have a pool of their own, so that
    /// authentication never waits for them, and one user can take only half of its connections, rounded up.
    ///
    /// # Errors
    /// When no connection is available in time.
    pub async fn list(&self, user: UserId) -> Result<Lister, StoreError> {
        let place = self.places.take(user).await?;
        let conn = self.acquire(Access::List).await?;
        // A database in memory exists only in its one connection, which is never interrupted.
        let stop = matches!(self.pools, Pools::Sqlite { .. }).then(Arc::default).filter(|_| self.limits.closes);
        Ok(Lister { conn, place: Some(place), stop, reading: false })
    }
}

impl Lister {
    /// Runs a read, until the deadline. With `long`, SQLite is made to stop it when this is dropped.
    ///
    /// # Errors
    /// [`StoreError::Late`] when it takes too long; or the error of the read.
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
        self.conn.forbid_repetition();
        let read = tokio::time::timeout(DEADLINE, reading(&mut self.conn)).await;
        let read = read.map_err(|_| StoreError::Late)?;
        self.reading = false;
        read
    }
}

/// A connection that is still reading is closed, not returned to the pool.
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
            // PostgreSQL continues until it notices that its client has gone; the permit is kept until then.
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
