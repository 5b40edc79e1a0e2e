//! The two databases behind one set of SQL texts.
//!
//! A [`Conn`] reads; a [`Writer`] is a transaction that also writes. Every query stands in the file of its noun as a
//! method of one of the two, written once: [`on!`] runs it on whichever database is behind. What stores a noun or reads
//! one whole follows from the list of its columns, which is a [`table!`](table) there. What differs between the
//! databases is in [`sqlite`], [`postgres`] and [`Dialect`], nowhere else.

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
/// has a deadline, and how it ended decides what becomes of the connection. What only reads is repeated once on another
/// connection if its own was cut.
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

/// An open database, brought up to date. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(Arc<Parts>);

/// What the store is made of. Only this floor sees into it.
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
    /// SQLite has one writer; giving it one connection queues writers here, in order, instead of in its busy handler.
    /// The log is written back on a connection of its own.
    Sqlite {
        read: SqlitePool,
        list: SqlitePool,
        write: SqlitePool,
        log: SqlitePool,
        file: Option<Arc<file::DatabaseFile>>,
    },
    /// Writers that queue for one account must not keep readers from their connections.
    /// `turns` are as many for each of them as there can be connections now.
    Postgres {
        read: PgPool,
        list: PgPool,
        write: PgPool,
        turns: [Arc<Semaphore>; 3],
        options: Box<PgConnectOptions>,
        distance: postgres::Distance,
    },
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    List,
    Write,
}

/// How long things may take. Past that the peer is taken for silent, and the connection is closed.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// A statement that looks something up.
    read: Duration,
    /// A statement that reads a page of a collection.
    list: Duration,
    /// A statement within a transaction.
    write: Duration,
    /// A statement that touches many rows.
    bulk: Duration,
    /// A commit, which may wait for disks and standbys.
    commit: Duration,
    /// Whether giving a connection back has the deadline of its statements, too. Not on SQLite: what keeps a connection
    /// of that busy is its thread, and that one can't be left behind.
    returns_in_time: bool,
    /// Whether a connection that failed is closed. Not in memory, where the database ends with its only connection.
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
    /// Opens the database, makes it if it is an SQLite file that isn't there, and brings its tables up to date.
    ///
    /// # Errors
    /// One sentence: it can't be opened, isn't one of ours, is in use or was written by a newer version.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, OpenError> {
        Self::open_with(url, sizes::CONNECTIONS).await
    }

    /// Opens the database as above, with at most so many connections; on PostgreSQL with fewer, if it allows no more.
    ///
    /// # Errors
    /// As above.
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

    /// A connection to read on. What it reads is committed.
    ///
    /// # Errors
    /// When none can be had in time.
    pub async fn read(&self) -> Result<Conn, StoreError> {
        self.acquire(Access::Read).await
    }

    /// A connection for an operator to read everything on, however long that takes: PostgreSQL sets no bound to
    /// statements of those that write.
    ///
    /// # Errors
    /// When none can be had in time.
    pub async fn survey(&self) -> Result<Conn, StoreError> {
        self.acquire(Access::Write).await
    }

    /// A transaction. Dropped without [`Writer::commit`], it never happened.
    ///
    /// # Errors
    /// When none can be begun in time.
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

    /// How long to wait for what takes at most that time, if the network takes none.
    #[must_use]
    pub fn patience(&self, timeout: Duration) -> Duration {
        match &self.pools {
            Pools::Sqlite { .. } => timeout,
            Pools::Postgres { distance, .. } => distance.connecting(timeout),
        }
    }

    /// Whether the database takes writes and still is the one that was opened: what the last writes have shown. Where
    /// one has failed, the answer waits for another attempt.
    ///
    /// # Errors
    /// What it can't do.
    pub async fn fitness(&self) -> Result<(), Unfit> {
        self.health.fitness().await
    }

    /// Where the database is, as far as it was looked.
    #[must_use]
    pub fn place(&self) -> Place {
        self.health.place()
    }

    /// Closes all connections. Everything acknowledged is on disk already; this tidies up.
    pub async fn close(&self) {
        self.health.close();
        match &self.pools {
            Pools::Sqlite { read, list, write, log, file } => {
                if let Some(file) = file
                    && !file.tidy_up(&self.health, log).await
                {
                    // Closing would write into what is another's now. They end with the process, and must not be
                    // dropped before.
                    return std::mem::forget([read, list, write, log].map(Clone::clone));
                }
                // What only reads leaves the log and its index lying: the others go last.
                tokio::join!(read.close(), list.close());
                // One after the other: two that end at once each find the other still there, and neither removes the
                // log.
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
        // What a file without a name holds still is the database; what another database holds isn't.
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
            // Whatever layer says it: there is no connection now.
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
