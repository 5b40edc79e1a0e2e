//! Access to the two databases, SQLite and PostgreSQL, through one set of SQL statements.
//!
//! A [`Conn`] reads; a [`Writer`] is a transaction that reads and writes. Every query is a method of one of the two, in
//! the file of its kind of resource, and is written once: [`on!`] runs it on the database in use. The statements that
//! insert, update and read a whole resource are generated from the list of its columns, a [`table!`](table) in the same
//! file. What differs between the databases is in [`sqlite`], [`postgres`] and [`Dialect`].

pub mod account;
pub mod collection;
mod columns;
mod connection;
pub mod credential;
pub mod deletion;
mod dialect;
mod error;
pub mod event;
mod file;
mod health;
pub mod instance;
mod keeper;
pub mod lister;
pub mod meter;
mod postgres;
mod query;
mod raw;
pub mod role_binding;
pub mod sizes;
mod sqlite;
mod table;
pub mod token;
pub mod user;

use std::{ops::Deref, sync::Arc, time::Duration};

use sqlx::{PgPool, SqlitePool, migrate::MigrateError, postgres::PgConnectOptions};
use tokio::sync::Semaphore;

pub use self::{
    connection::{Conn, Writer},
    error::StoreError,
    health::{Place, Unfit},
};
use self::{
    connection::{Held, Raw},
    dialect::Dialect,
    health::Health,
    meter::Timer,
};
use crate::config::DatabaseUrl;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/store/migrations");

/// Runs the same query on either database: `on!(conn, c => sqlx::query(SQL).bind(x).execute(c).await)`. Every statement
/// has a deadline, and its outcome decides whether the connection is kept or closed. A statement that only reads is
/// repeated once on another connection if its own was cut.
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {
        loop {
            let limit = $conn.enter();
            let outcome = tokio::time::timeout(limit, async {
                match $conn.raw() {
                    crate::store::Raw::Sqlite($c) => $body,
                    crate::store::Raw::Postgres($c) => $body,
                    crate::store::Raw::Nothing => Err(sqlx::Error::PoolClosed),
                }
            });
            let outcome = outcome.await;
            if !$conn.is_renewed_after(&outcome).await {
                break $conn.leave(outcome);
            }
        }
    };
}
use on;

/// Why a database can't be used: one sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub(crate) String);

impl From<MigrateError> for OpenError {
    fn from(error: MigrateError) -> Self {
        Self(match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => {
                "was written by another, probably newer, version of tokenward".to_owned()
            }
            other => format!("can't be brought up to date: {other}"),
        })
    }
}

/// An open database with all migrations applied. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(Arc<Parts>);

/// The parts of a [`Store`]. Its fields are visible only in this module and its submodules.
#[derive(Debug)]
pub struct Parts {
    pools: Pools,
    limits: Limits,
    health: Arc<Health>,
    places: lister::Places,
    latency: meter::Latency,
}

impl Deref for Store {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

#[derive(Debug)]
enum Pools {
    /// SQLite has one writer at a time. A pool of one connection makes writers queue in the pool, in order, instead of
    /// in SQLite's busy handler. The write-ahead log is written back on a connection of its own.
    Sqlite {
        read: SqlitePool,
        list: SqlitePool,
        write: SqlitePool,
        log: SqlitePool,
        file: Option<Arc<file::DatabaseFile>>,
    },
    /// Separate pools, so that writers that wait for one account's lock don't occupy the connections of readers.
    /// `turns` holds for each pool as many permits as connections can be open at the moment.
    Postgres {
        read: PgPool,
        list: PgPool,
        write: PgPool,
        turns: [Arc<Semaphore>; 3],
        options: Box<PgConnectOptions>,
        distance: postgres::Distance,
    },
}

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    List,
    Write,
}

/// The time limits of database operations. When one is exceeded, the database counts as unresponsive, and the
/// connection is closed.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// A lookup statement.
    read: Duration,
    /// A statement that reads a page of a collection.
    list: Duration,
    /// A statement within a transaction.
    write: Duration,
    /// A statement that touches many rows.
    bulk: Duration,
    /// A commit, which may wait for disks and standbys.
    commit: Duration,
    /// Whether returning a connection to its pool has the same time limit as its statements. Not on SQLite: a busy
    /// SQLite connection is executing in its own thread, which can't be abandoned.
    returns_in_time: bool,
    /// Whether a connection that failed is closed. False for a database in memory, which ends with its only connection.
    closes: bool,
}

impl Limits {
    fn of(&self, access: Access) -> Duration {
        match access {
            Access::Read => self.read,
            Access::List => self.list,
            Access::Write => self.write,
        }
    }
}

impl Store {
    /// Opens the database and applies all migrations; creates an SQLite file that doesn't exist.
    ///
    /// # Errors
    /// One sentence: the database can't be opened, isn't a tokenward database, is in use or was written by a newer
    /// version.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, OpenError> {
        Self::open_with(url, sizes::CONNECTIONS).await
    }

    /// As [`Store::open`], with at most this many connections; on PostgreSQL with fewer, if the server allows no more.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(url: &DatabaseUrl, connections: u32) -> Result<Self, OpenError> {
        match url {
            DatabaseUrl::Sqlite(path) => sqlite::open(path, sizes::Sizes::of(connections)).await,
            DatabaseUrl::Memory => sqlite::in_memory().await,
            DatabaseUrl::Postgres(options) => postgres::open(options, connections).await,
        }
    }

    fn new(pools: Pools, limits: Limits, health: Arc<Health>) -> Self {
        let places = lister::Places::new(&pools);
        let store = Self(Arc::new(Parts { pools, limits, health, places, latency: meter::latency() }));
        if limits.closes {
            tokio::spawn(keeper::keep(Arc::downgrade(&store.0)));
        }
        store
    }

    /// A connection for reading. It reads committed data only.
    ///
    /// # Errors
    /// When no connection is available in time.
    pub async fn read(&self) -> Result<Conn, StoreError> {
        self.acquire(Access::Read).await
    }

    /// A connection for an operator's command that reads whole tables, which may take long. It comes from the pool for
    /// writing, which has no statement timeout on PostgreSQL.
    ///
    /// # Errors
    /// When no connection is available in time.
    pub async fn survey(&self) -> Result<Conn, StoreError> {
        self.acquire(Access::Write).await
    }

    /// A transaction. It is rolled back if it is dropped without [`Writer::commit`].
    ///
    /// # Errors
    /// When the database isn't where it was opened, or no transaction can be begun in time.
    pub async fn write(&self) -> Result<Writer, StoreError> {
        if let Pools::Sqlite { file: Some(file), .. } = &self.pools {
            file.check(&self.health);
        }
        let place = self.health.place();
        if place != Place::Here {
            return Err(StoreError::Misplaced(place));
        }
        Writer::begin(self.acquire(Access::Write).await?).await
    }

    async fn acquire(&self, access: Access) -> Result<Conn, StoreError> {
        let timer = Timer::start(&self.latency, access.label());
        Ok(Conn::new(self.lend(access).await?, access, Arc::clone(&self.0), timer))
    }

    /// How long to wait for an operation that takes at most `timeout` without network latency.
    #[must_use]
    pub fn patience(&self, timeout: Duration) -> Duration {
        match &self.pools {
            Pools::Sqlite { .. } => timeout,
            Pools::Postgres { distance, .. } => distance.connecting(timeout),
        }
    }

    /// Whether the database accepts writes and is still the one that was opened, as the last writes have shown. After a
    /// failed write this waits for the outcome of another attempt.
    ///
    /// # Errors
    /// Why the database isn't fit.
    pub async fn fitness(&self) -> Result<(), Unfit> {
        self.health.fitness().await
    }

    /// Whether the database is still where it was opened, as of the last check.
    #[must_use]
    pub fn place(&self) -> Place {
        self.health.place()
    }

    /// Closes all connections. Acknowledged commits are on disk already; this is only cleanup.
    pub async fn close(&self) {
        self.health.close();
        match &self.pools {
            Pools::Sqlite { read, list, write, log, file } => {
                if let Some(file) = file
                    && !file.tidy_up(&self.health, log).await
                {
                    // Closing would write into a file that now holds something else. The connections end with the
                    // process, and the pools must not be dropped before.
                    return std::mem::forget([read, list, write, log].map(Clone::clone));
                }
                // A read-only connection can't remove the log and its index when it is closed, so the others are closed
                // last.
                tokio::join!(read.close(), list.close());
                // One after the other: of two that are closed at the same time, each sees that the other is still open,
                // and neither removes the log.
                write.close().await;
                log.close().await;
            }
            Pools::Postgres { read, list, write, .. } => {
                tokio::join!(read.close(), list.close(), write.close());
            }
        }
    }
}

impl Parts {
    async fn lend(&self, access: Access) -> Result<Held, StoreError> {
        // A file that lost its name still is this database and may be read; one that was replaced may not.
        if self.health.place() == Place::Replaced {
            return Err(StoreError::Misplaced(Place::Replaced));
        }
        let held = match &self.pools {
            Pools::Sqlite { read, list, write, .. } => access.of([read, list, write]).acquire().await.map(Held::Sqlite),
            Pools::Postgres { read, list, write, turns, distance, .. } => {
                let [for_read, for_list, for_write] = turns;
                let turns = access.of([for_read, for_list, for_write]);
                let lent = postgres::acquire(access.of([read, list, write]), turns, &self.health, *distance).await;
                lent.map(|(conn, turn)| Held::Postgres(conn, turn))
            }
        };
        held.map_err(|error| {
            self.health.note(access, &error);
            // Whichever layer the error comes from, no connection is available now.
            StoreError::Unavailable(error)
        })
    }
}

impl Access {
    fn of<T>(self, [read, list, write]: [T; 3]) -> T {
        match self {
            Self::Read => read,
            Self::List => list,
            Self::Write => write,
        }
    }

    const fn label(self) -> meter::Access {
        match self {
            Self::Read => meter::READ,
            Self::List => meter::LIST,
            Self::Write => meter::WRITE,
        }
    }
}
