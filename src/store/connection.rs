//! Connections that are taken from a pool, and whether they are returned or closed after use.
//!
//! A connection is returned to its pool only if it is known to be usable. It is closed if a statement ended in an error
//! that may have left it unusable, or exceeded its time limit. If a request was cancelled within a transaction, the
//! transaction is rolled back in the background, on PostgreSQL with a time limit. The driver's own record of open
//! transactions isn't trusted: SQLite ends a transaction by itself when its disk fails.

use std::{
    mem,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use sqlx::{Database, Executor, PgConnection, Postgres, Sqlite, SqliteConnection, pool::PoolConnection};
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit, time::error::Elapsed};

use super::{
    Access, Dialect, Parts, Pools, StoreError,
    error::{is_cut, leaves_connection_sound},
    meter::Timer,
    on,
};

/// A connection for reading.
#[derive(Debug)]
pub struct Conn {
    held: Held,
    access: Access,
    fitness: Fitness,
    /// Whether a transaction may be open.
    in_transaction: bool,
    /// Whether a statement of the transaction failed: then it can't be committed.
    has_failed: bool,
    /// The time limit of the next statement; `None` for that of the connection's purpose.
    limit: Option<Duration>,
    /// Whether a statement whose connection was cut is repeated on another.
    may_repeat: bool,
    store: Arc<Parts>,
    _timer: Timer,
}

#[derive(Debug)]
pub(super) enum Held {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>, OwnedSemaphorePermit),
    /// The connection was returned or closed.
    Nothing,
}

pub(crate) enum Raw<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fitness {
    Sound,
    /// A statement is running. If this is found when the connection is dropped, the statement was cancelled.
    Busy,
    Broken,
}

impl Conn {
    pub(super) fn new(held: Held, access: Access, store: Arc<Parts>, timer: Timer) -> Self {
        let fitness = Fitness::Sound;
        let may_repeat = access != Access::Write && matches!(held, Held::Postgres(..));
        Self {
            held,
            access,
            fitness,
            in_transaction: false,
            has_failed: false,
            limit: None,
            may_repeat,
            store,
            _timer: timer,
        }
    }

    pub(super) fn raw(&mut self) -> Raw<'_> {
        match &mut self.held {
            Held::Sqlite(conn) => Raw::Sqlite(conn),
            Held::Postgres(conn, _) => Raw::Postgres(conn),
            Held::Nothing => Raw::Nothing,
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self.store.pools {
            Pools::Sqlite { .. } => Dialect::Sqlite,
            Pools::Postgres { .. } => Dialect::Postgres,
        }
    }

    /// Marks the connection to be closed instead of returned, because nobody needs the result of its statement any
    /// more.
    pub(super) fn spoil(&mut self) {
        self.fitness = Fitness::Broken;
    }

    /// Removes the time limit of the next statement, which belongs to an operator's command.
    pub(super) fn next_is_awaited(&mut self) {
        self.limit = Some(Duration::MAX);
    }

    /// Gives the next statement the time limit for statements that touch many rows.
    pub(super) fn next_is_bulk(&mut self) {
        self.limit = Some(self.store.limits.bulk);
    }

    /// Disables the repetition of statements: from here on, rows are passed on before their statement has ended.
    pub(super) fn forbid_repetition(&mut self) {
        self.may_repeat = false;
    }

    /// If a statement that only reads ended because its connection was cut, takes another connection, once, and returns
    /// true. PostgreSQL ends its sessions when it fails over or stops; reads can be repeated on a new one.
    pub(super) async fn is_renewed_after<T>(&mut self, outcome: &Result<Result<T, sqlx::Error>, Elapsed>) -> bool {
        match outcome {
            Ok(Err(error)) if self.may_repeat && is_cut(error) => {
                self.may_repeat = false;
                self.store.health.note(self.access, error);
                self.fitness = Fitness::Broken;
                self.end();
                // Boxed, because this future is large and rarely needed.
                let lent = Box::pin(self.store.lend(self.access)).await;
                lent.map(|held| self.held = held).is_ok()
            }
            _ => false,
        }
    }

    /// Marks the start of a statement. Returns its time limit.
    pub(super) fn enter(&mut self) -> Duration {
        self.fitness = Fitness::Busy;
        self.limit.take().unwrap_or_else(|| self.store.limits.of(self.access))
    }

    /// Marks the end of a statement, and converts its outcome.
    pub(super) fn leave<T>(&mut self, outcome: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, StoreError> {
        match outcome {
            Ok(Ok(value)) => {
                self.fitness = Fitness::Sound;
                Ok(value)
            }
            Ok(Err(error)) => {
                self.has_failed = true;
                self.fitness = if leaves_connection_sound(&error) { Fitness::Sound } else { Fitness::Broken };
                self.store.health.note(self.access, &error);
                Err(error.into())
            }
            Err(_) => {
                self.has_failed = true;
                self.fitness = Fitness::Broken;
                self.store.health.note_silence(self.access);
                Err(StoreError::Late)
            }
        }
    }
}

impl Conn {
    /// Returns the connection to its pool, after a rollback if needed, or closes it.
    fn end(&mut self) {
        let limits = &self.store.limits;
        let ending = match self.fitness {
            Fitness::Broken if limits.closes => Ending::Close,
            _ if self.in_transaction => Ending::RollBack,
            _ => Ending::Keep,
        };
        if let Pools::Sqlite { file: Some(file), .. } = &self.store.pools
            && self.access == Access::Write
            && ending == Ending::Close
        {
            file.expect_new_writer();
        }
        let limit = limits.returns_in_time.then(|| limits.of(self.access));
        match mem::replace(&mut self.held, Held::Nothing) {
            Held::Sqlite(conn) => give_back(conn, None, ending, limit, Arc::clone(&self.store)),
            Held::Postgres(conn, turn) => give_back(conn, Some(turn), ending, limit, Arc::clone(&self.store)),
            Held::Nothing => {}
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.end();
    }
}

/// What to do with a connection after use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Keep,
    RollBack,
    Close,
}

/// Returns or closes a connection. `turn` is released when that is done.
fn give_back<DB>(
    mut conn: PoolConnection<DB>,
    turn: Option<OwnedSemaphorePermit>,
    ending: Ending,
    limit: Option<Duration>,
    store: Arc<Parts>,
) where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    // Without a runtime the process is ending, and its connections end with it.
    let Ok(runtime) = Handle::try_current() else { return drop(conn.leak()) };
    match ending {
        Ending::Keep => {
            // The pool pings each returned connection and waits for the answer without limit, during which the
            // connection's slot in the pool stays occupied. Dropping the future releases both.
            let back = conn.return_to_pool();
            runtime.spawn(async move {
                if within(limit, back).await.is_none() {
                    store.health.doubt_connections();
                }
                drop(turn);
            });
        }
        Ending::RollBack => {
            runtime.spawn(async move {
                let rolled_back = within(limit, sqlx::raw_sql("ROLLBACK").execute(&mut *conn)).await;
                if matches!(rolled_back, Some(Ok(_))) || !store.limits.closes {
                    within(limit, conn.return_to_pool()).await;
                } else {
                    if let Pools::Sqlite { file: Some(file), .. } = &store.pools {
                        file.expect_new_writer();
                    }
                    close(conn, limit).await;
                }
                drop(turn);
            });
        }
        Ending::Close => {
            runtime.spawn(async move {
                close(conn, limit).await;
                drop(turn);
            });
        }
    }
}

/// Closes a connection. On SQLite (no limit) its slot in the pool is free when its thread has ended. On PostgreSQL it
/// is dropped without a closing message: over TLS, that would wait for a peer that may not respond.
async fn close<DB: Database>(conn: PoolConnection<DB>, limit: Option<Duration>) {
    match limit {
        Some(_) => drop(conn.detach()),
        None => {
            let _ = conn.close().await;
        }
    }
}

/// The outcome of `work`, or `None` if it exceeded the limit.
async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

/// A transaction that reads and writes.
#[derive(Debug)]
pub struct Writer(Conn);

impl Writer {
    pub(super) async fn begin(mut conn: Conn) -> Result<Self, StoreError> {
        // From here on a transaction may be open, even if BEGIN fails or is cancelled.
        conn.in_transaction = true;
        let begin = match conn.dialect() {
            // IMMEDIATE: the write lock is taken before anything is read, so what was read still holds at the commit.
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        on!(conn, c => sqlx::raw_sql(begin).execute(c).await.map(drop))?;
        if let Pools::Sqlite { file: Some(file), .. } = &conn.store.pools {
            let file = Arc::clone(file);
            conn.enter();
            let settled = file.settle().await;
            conn.leave(Ok(settled))?;
        }
        Ok(Self(conn))
    }

    /// Commits the transaction. Once this has succeeded, its changes survive a power cut.
    ///
    /// # Errors
    /// When a statement of the transaction has failed, or the database doesn't confirm the commit. In the latter case
    /// the changes may or may not have been made, as after a power cut.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        let conn = &mut self.0;
        if conn.has_failed {
            // PostgreSQL would answer such a COMMIT with a rollback, and report success.
            return Err(StoreError::Failed(sqlx::Error::InvalidArgument(
                "a statement of this transaction has failed".to_owned(),
            )));
        }
        conn.limit = Some(conn.store.limits.commit);
        on!(conn, c => sqlx::raw_sql("COMMIT").execute(c).await.map(drop))?;
        conn.in_transaction = false;
        // For all databases except those in memory, this is left to the keeper: on a nearly full disk, small writes
        // succeed and larger ones fail.
        if !conn.store.limits.closes {
            conn.store.health.writes_work(true);
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

#[cfg(test)]
mod tests;
