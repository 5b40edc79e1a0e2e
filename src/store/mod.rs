//! The two databases behind one set of SQL texts.
//!
//! A [`Conn`] reads; a [`Writer`] is a transaction that also writes. Every query stands in the file of its noun as a method of one
//! of the two, written once: [`on!`] runs it on whichever database is behind. What differs between the databases is in
//! [`sqlite`], [`postgres`] and [`Dialect`], nowhere else.

pub mod account;
pub mod caller;
pub mod collection;
mod columns;
pub mod event;
pub mod instance;
pub mod meter;
mod postgres;
pub mod role_binding;
pub mod sizes;
mod sqlite;
pub mod token;
pub mod user;

use std::{
    fs::File,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use sqlx::{
    PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction, migrate::MigrateError, pool::PoolConnection,
};

use self::meter::Timer;
use crate::config::DatabaseUrl;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/store/migrations");

/// How long a request waits for a connection before it is told to come back.
const ACQUIRE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3);

/// Runs the same query on either database: `on!(conn, c => sqlx::query(SQL).bind(x).execute(c).await)`.
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn.raw() {
            crate::store::Raw::Sqlite($c) => $body,
            crate::store::Raw::Postgres($c) => $body,
        }
    };
}
use on;

/// Why the store didn't do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached or can't take more work now; later it may.
    #[error("the database can't be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A value that has to be unique is taken.
    #[error("a unique value is taken")]
    Duplicate,
    /// Anything else: a defect, here or in the database.
    #[error("the database failed: {0}")]
    Failed(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::BeginFailed => Self::Unavailable(error),
            E::Database(database) if database.is_unique_violation() => Self::Duplicate,
            E::Database(database) if database.code().is_some_and(|code| is_temporary(&code)) => Self::Unavailable(error),
            _ => Self::Failed(error),
        }
    }
}

/// PostgreSQL's classes 08 (connection), 53 (resources), 57P (shutdown) and 40 (conflict), a server that stands by read-only, and
/// a lock that took too long;
/// SQLite's BUSY, LOCKED, READONLY, IOERR, FULL and CANTOPEN with their extended codes, whose low byte is the primary one.
fn is_temporary(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6 | 8 | 10 | 13 | 14),
        _ => ["08", "53", "57P", "40", "25006", "55P03"].iter().any(|class| code.starts_with(class)),
    }
}

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

/// What the two databases spell differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// A row for each label, its JSON in `l.value`.
    fn labels(self) -> &'static str {
        match self {
            Self::Sqlite => "json_each(labels) AS l",
            Self::Postgres => "jsonb_array_elements(CAST(labels AS jsonb)) AS l(value)",
        }
    }

    /// An instant as clients see it.
    fn instant_text(self, column: &str) -> String {
        match self {
            Self::Sqlite => {
                format!("(strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch') || printf('.%06dZ', {column} % 1000000))")
            }
            Self::Postgres => format!(
                "(to_char(to_timestamp({column} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') \
                 || '.' || lpad(CAST({column} % 1000000 AS text), 6, '0') || 'Z')"
            ),
        }
    }
}

/// An open database, brought up to date. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pools: Pools,
    latency: meter::Latency,
}

#[derive(Debug, Clone)]
enum Pools {
    /// SQLite has one writer; giving it one connection queues writers here, in order, instead of in its busy handler.
    /// The lock keeps a second process out for as long as any clone lives.
    Sqlite { read: SqlitePool, list: SqlitePool, write: SqlitePool, _lock: Option<Arc<File>> },
    /// Writers that queue for one account must not keep readers from their connections.
    Postgres { read: PgPool, list: PgPool, write: PgPool },
}

impl From<Pools> for Store {
    fn from(pools: Pools) -> Self {
        Self { pools, latency: meter::latency() }
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

    /// A connection to read on. What it reads is committed.
    ///
    /// # Errors
    /// When none can be had in time.
    pub async fn read(&self) -> Result<Conn, StoreError> {
        let timer = Timer::start(&self.latency, meter::READ);
        let held = match &self.pools {
            Pools::Sqlite { read, .. } => Held::Sqlite(read.acquire().await?),
            Pools::Postgres { read, .. } => Held::Postgres(read.acquire().await?),
        };
        Ok(Conn { held, _timer: timer })
    }

    /// A connection to read a page of a collection on. Lists have connections of their own, so that authentication never waits for them.
    ///
    /// # Errors
    /// When none can be had in time.
    pub async fn list(&self) -> Result<Conn, StoreError> {
        let timer = Timer::start(&self.latency, meter::LIST);
        let held = match &self.pools {
            Pools::Sqlite { list, .. } => Held::Sqlite(list.acquire().await?),
            Pools::Postgres { list, .. } => Held::Postgres(list.acquire().await?),
        };
        Ok(Conn { held, _timer: timer })
    }

    /// A transaction. Dropped without [`Writer::commit`], it never happened.
    ///
    /// # Errors
    /// When none can be begun in time.
    pub async fn write(&self) -> Result<Writer, StoreError> {
        let timer = Timer::start(&self.latency, meter::WRITE);
        let held = match &self.pools {
            // IMMEDIATE: the write lock is taken before anything is read, so what was read still holds at the commit.
            Pools::Sqlite { write, .. } => Held::SqliteTransaction(write.begin_with("BEGIN IMMEDIATE").await?),
            Pools::Postgres { write, .. } => Held::PostgresTransaction(write.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?),
        };
        Ok(Writer(Conn { held, _timer: timer }))
    }

    /// Closes all connections. Everything acknowledged is on disk already; this tidies up.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { read, list, write, .. } => {
                read.close().await;
                list.close().await;
                write.close().await;
            }
            Pools::Postgres { read, list, write } => {
                read.close().await;
                list.close().await;
                write.close().await;
            }
        }
    }
}

/// Reads.
#[derive(Debug)]
pub struct Conn {
    held: Held,
    _timer: Timer,
}

#[derive(Debug)]
enum Held {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTransaction(Transaction<'static, Sqlite>),
    Postgres(PoolConnection<Postgres>),
    PostgresTransaction(Transaction<'static, Postgres>),
}

pub(crate) enum Raw<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl Conn {
    fn raw(&mut self) -> Raw<'_> {
        match &mut self.held {
            Held::Sqlite(conn) => Raw::Sqlite(conn),
            Held::SqliteTransaction(tx) => Raw::Sqlite(tx),
            Held::Postgres(conn) => Raw::Postgres(conn),
            Held::PostgresTransaction(tx) => Raw::Postgres(tx),
        }
    }

    fn dialect(&self) -> Dialect {
        match self.held {
            Held::Sqlite(_) | Held::SqliteTransaction(_) => Dialect::Sqlite,
            Held::Postgres(_) | Held::PostgresTransaction(_) => Dialect::Postgres,
        }
    }
}

/// Reads and writes, all or nothing.
#[derive(Debug)]
pub struct Writer(Conn);

impl Writer {
    /// Makes the changes last: they survive a power cut from here on.
    ///
    /// # Errors
    /// When the database can't promise that. Then the changes may or may not have happened, as after a power cut.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.0.held {
            Held::SqliteTransaction(tx) => tx.commit().await?,
            Held::PostgresTransaction(tx) => tx.commit().await?,
            Held::Sqlite(_) | Held::Postgres(_) => {}
        }
        Ok(())
    }
}

impl Deref for Writer {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.0
    }
}

impl DerefMut for Writer {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.0
    }
}
