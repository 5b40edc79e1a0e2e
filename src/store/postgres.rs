//! Opens a PostgreSQL database, and takes connections from its pools.
//!
//! The driver has no socket options, so this side can set neither keepalives nor socket timeouts. Instead, statements
//! have deadlines, and idle connections are pinged before use. The server's keepalives and timeouts are set for each
//! session.

use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, FromRow, PgConnection, PgPool, Postgres, Row as _,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Access, Limits, MIGRATIONS, OpenError, Pools, Store, StoreError,
    error::is_another_database,
    health::{Health, Place, Trust},
    lister::{CLIENT_CHECK, STATEMENT_TIMEOUT},
    sizes,
};

/// PostgreSQL's error code `too_many_connections`: the role, the database or the server has reached its limit.
const TOO_MANY_CONNECTIONS: &str = "53300";
/// How long the start of the process waits for the server.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request waits for a connection before it is refused as unavailable. This and the following times are
/// without network latency, which [`Distance`] adds.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one attempt to get a connection may take: during a network outage, an attempt to connect occupies its slot
/// in the pool for this long.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long no further connection is opened after opening one has failed. Meanwhile, requests share the existing ones.
const OPEN_AGAIN: Duration = Duration::from_secs(1);
/// How long a connection may take to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_millis(400);

/// Each is a little longer than the server's own timeout, which leaves the connection usable.
const LIMITS: Limits = Limits {
    read: Duration::from_millis(1300),
    list: Duration::from_millis(4500),
    write: Duration::from_millis(1500),
    bulk: Duration::from_secs(25),
    commit: Duration::from_secs(5),
    returns_in_time: true,
    closes: true,
};

/// The server's settings on every connection. A session that was left within a transaction holds locks that others wait
/// for, so the server ends it soon.
const ALWAYS: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "1500ms"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10s"),
];
/// Settings for reading. Every page is a range of an index, read from its start until the page is full. A bitmap scan
/// would read the whole range first, and until a table's first ANALYZE the planner prefers it: 36 ms instead of 0.3 ms
/// with 100,000 users.
const READING: [(&str, &str); 2] = [("enable_bitmapscan", "off"), ("statement_timeout", "1s")];
/// Settings for pages of collections. Each plan is made for one page and used once: compiling it (JIT) would take
/// longer than most of them run.
const LISTING: [(&str, &str); 3] =
    [("enable_bitmapscan", "off"), ("jit", "off"), ("statement_timeout", STATEMENT_TIMEOUT)];
/// Makes PostgreSQL end queries whose client has disconnected. The setting doesn't exist before version 14 and on
/// systems that can't detect this: there, queries end by their timeout.
const WATCHING: (&str, u64) = ("client_connection_check_interval", CLIENT_CHECK);
/// Settings for writing. The lock timeout is how long a write waits for an account's lock before it is refused as
/// unavailable: shorter than the time that an abandoned session may hold the lock, so that all waiting writes end
/// together, not one after the other. No statement timeout, whatever is set for the role or the database: a commit that
/// is cancelled while it waits for a standby reports success.
const WRITING: [(&str, &str); 2] = [("lock_timeout", "1300ms"), ("statement_timeout", "0")];

/// A text type that collates by code point, as the contract requires and as SQLite does by default. Two servers may
/// start at the same time, so an existing type is no error.
const DOMAIN: &str = r#"
DO $$ BEGIN
    CREATE DOMAIN bytewise_text AS text COLLATE "C";
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$"#;

const KEY: &str = "SELECT continue_key FROM instance WHERE id = 1";
/// As `KEY`, for a connection that writes: a commit is on the server's disk before it is acknowledged, whatever is set
/// for the role or the database, except that the stricter `remote_apply` is kept. Both take one round trip.
const DURABLE_AND_KEY: &str = "DO $$ BEGIN PERFORM set_config('synchronous_commit', \
    CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false); END $$; \
    SELECT continue_key FROM instance WHERE id = 1";

/// The network latency to the server: how long a round trip takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Distance(Duration);

impl Distance {
    /// Measures a round trip, and keeps the shortest one measured: a busy server isn't a distant one.
    async fn of<T>(&mut self, round_trip: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let outcome = round_trip.await;
        self.0 = self.0.min(begun.elapsed());
        outcome
    }

    /// The time limit of a ping, including one round trip.
    fn ping(self) -> Duration {
        PING_TIMEOUT + self.0
    }

    /// The time limits of statements, including two round trips: a statement that is new to a connection is prepared
    /// first.
    fn limits(self) -> Limits {
        let [read, list, write, commit] =
            [LIMITS.read, LIMITS.list, LIMITS.write, LIMITS.commit].map(|limit| limit + 2 * self.0);
        Limits { read, list, write, commit, ..LIMITS }
    }

    /// `timeout` plus the round trips that a new connection takes at most: TCP, the request for TLS, the TLS handshake,
    /// the authentication by password, and our own query.
    pub fn connecting(self, timeout: Duration) -> Duration {
        timeout + 8 * self.0
    }
}

pub(super) async fn open(options: &PgConnectOptions, connections: u32) -> Result<Store, OpenError> {
    let options = options.clone().application_name("tokenward").disable_statement_logging().options(ALWAYS);
    let unreachable = |error| match error {
        sqlx::Error::Database(error) if error.code().as_deref() == Some(TOO_MANY_CONNECTIONS) => sizes::too_few(0),
        error => OpenError(format!("can't be reached: {error}")),
    };
    // Migrations may take long, so the timeouts for requests don't apply.
    let start = PgPoolOptions::new().max_connections(1).acquire_timeout(START_TIMEOUT).connect_with(options.clone());
    let mut conn = match start.await {
        // The pool hides the server's error, so connect again without it.
        Err(sqlx::Error::PoolTimedOut) => return Err(unreachable(refusal(&options).await)),
        start => start.map_err(unreachable)?.acquire().await.map_err(unreachable)?.detach(),
    };
    // Not prepared, here and below: preparing a statement would take another round trip.
    let mut distance = Distance(START_TIMEOUT);
    let fsync = distance.of(sqlx::raw_sql("SELECT current_setting('fsync', true)").fetch_one(&mut conn)).await;
    if fsync.and_then(|row| row.try_get::<Option<String>, _>(0)).map_err(unreachable)?.as_deref() == Some("off") {
        return Err(OpenError(
            "runs with fsync = off: a power cut would undo revocations. Turn it on, and restart PostgreSQL".to_owned(),
        ));
    }
    if !distance.of(is_up_to_date(&mut conn)).await {
        // Servers that start together wait here for the one that migrates; no lock timeout yet.
        sqlx::raw_sql(DOMAIN)
            .execute(&mut conn)
            .await
            .map_err(|error| OpenError(format!("can't be prepared: {error}")))?;
        MIGRATIONS.run(&mut conn).await?;
    }
    let sizes = distance.of(sizes::allowed(&mut conn, connections)).await?;
    let mut listing = options.clone().options(LISTING);
    match sqlx::raw_sql(AssertSqlSafe(format!("SET {} = {}", WATCHING.0, WATCHING.1))).execute(&mut conn).await {
        Ok(_) => listing = listing.options([WATCHING]),
        Err(error) => tracing::debug!(%error, "PostgreSQL doesn't look for clients that are gone"),
    }
    let _ = conn.close().await;

    let health = Arc::new(Health::new());
    let pool = |access, size, options| pool(access, size, options, distance, &health);
    let read = pool(Access::Read, sizes.read, options.clone().options(READING));
    let list = pool(Access::List, sizes.list, listing);
    let write = pool(Access::Write, sizes.write, options.clone().options(WRITING));
    let turns = [sizes.read, sizes.list, sizes.write]
        .map(|size| Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(usize::MAX))));
    let pools = Pools::Postgres { read, list, write, turns, options: Box::new(options), distance };
    Ok(Store::new(pools, distance.limits(), health))
}

/// Why no connection can be opened.
async fn refusal(options: &PgConnectOptions) -> sqlx::Error {
    let attempt = tokio::time::timeout(START_TIMEOUT, PgConnection::connect_with(options)).await;
    attempt.ok().and_then(Result::err).unwrap_or(sqlx::Error::PoolTimedOut)
}

/// Whether exactly our migrations have been applied. This takes one query; running the migrator takes many.
async fn is_up_to_date(conn: &mut PgConnection) -> bool {
    let done = sqlx::raw_sql("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
        .fetch_all(conn)
        .await;
    let done: Result<Vec<(i64, Vec<u8>)>, _> = done.and_then(|rows| rows.iter().map(FromRow::from_row).collect());
    done.is_ok_and(|done| {
        done.iter().map(|(version, sum)| (*version, &**sum)).eq(MIGRATIONS.iter().map(|m| (m.version, &*m.checksum)))
    })
}

fn pool(
    access: Access,
    connections: u32,
    options: PgConnectOptions,
    distance: Distance,
    health: &Arc<Health>,
) -> PgPool {
    let (new, idle) = (Arc::clone(health), Arc::clone(health));
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(distance.connecting(ATTEMPT_TIMEOUT))
        .after_connect(move |conn, _| {
            let health = Arc::clone(&new);
            Box::pin(async move {
                let ask = if access == Access::Write { DURABLE_AND_KEY } else { KEY };
                let row = sqlx::raw_sql(ask).fetch_optional(conn).await;
                recognise(&health, row.and_then(|row| row.map(|row| row.try_get(0)).transpose()))
            })
        })
        // A ping before each use would add a round trip to every request; and the pool closes connections in a way that
        // waits for the peer.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .before_acquire(move |_, about| {
            let _ = TRUST.try_with(|trust| trust.set(idle.trust(access, about.age, about.idle_for)));
            Box::pin(std::future::ready(Ok(true)))
        })
        .connect_lazy_with(options)
}

tokio::task_local! {
    /// What to do with the connection that the pool hands out: only the pool knows its age, and only the caller can
    /// drop it.
    static TRUST: Cell<Trust>;
}

/// A connection that is alive as far as is known, and the permit (turn) that goes with it.
///
/// With a turn, the caller takes a free connection or opens a new one. If no more can be opened, the pool would keep
/// trying while other connections are being returned. So that turn is withheld for a while, and there are no more turns
/// than connections.
pub(super) async fn acquire(
    pool: &PgPool,
    turns: &Arc<Semaphore>,
    health: &Health,
    distance: Distance,
) -> Result<(PoolConnection<Postgres>, OwnedSemaphorePermit), sqlx::Error> {
    let alive = TRUST.scope(Cell::new(Trust::Use), async {
        loop {
            TRUST.with(|trust| trust.set(Trust::Use));
            let turn = Arc::clone(turns).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            let mut conn = match pool.acquire().await {
                // Without any open connection, keep trying.
                Err(sqlx::Error::PoolTimedOut) if pool.size() == 0 => continue,
                Err(sqlx::Error::PoolTimedOut) => {
                    tokio::spawn(async move {
                        tokio::time::sleep(OPEN_AGAIN).await;
                        drop(turn);
                    });
                    continue;
                }
                acquired => acquired?,
            };
            match TRUST.with(Cell::get) {
                Trust::Use => return Ok((conn, turn)),
                Trust::Close => {}
                Trust::Ask => match tokio::time::timeout(distance.ping(), conn.ping()).await {
                    Ok(Ok(())) => return Ok((conn, turn)),
                    Ok(Err(_)) => {}
                    // No answer: the other idle connections won't answer either, and pinging each would take as long
                    // again.
                    Err(_) => health.bury(&[Access::Read, Access::List, Access::Write]),
                },
            }
            drop(conn.detach());
        }
    });
    tokio::time::timeout(distance.connecting(ACQUIRE_TIMEOUT), alive).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Records whether a key is that of the database that was opened. An empty database has no key yet.
fn recognise(health: &Health, key: Result<Option<Vec<u8>>, sqlx::Error>) -> Result<(), sqlx::Error> {
    let is_ours = match key {
        Ok(None) => !health.knows_one(),
        Ok(Some(key)) => health.knows(&key),
        Err(error) if is_another_database(&error) => false,
        Err(error) => return Err(error),
    };
    health.found(if is_ours { Place::Here } else { Place::Replaced });
    if is_ours { Ok(()) } else { Err(sqlx::Error::Configuration("the database was replaced".into())) }
}

/// Checks whether the database is still the one that was opened.
pub(super) async fn look(store: &Store, options: &PgConnectOptions, distance: Distance) {
    let key = if store.health.place() == Place::Here {
        // Through an existing connection, because tables may be replaced while it is open. Not through one of those
        // that authenticate: it would be assumed to be alive for a while afterwards.
        let asked = async { store.acquire(Access::List).await?.find_continue_key().await };
        match asked.await {
            Ok(key) => Ok(key),
            Err(StoreError::Unavailable(error) | StoreError::Failed(error)) => Err(error),
            Err(_) => return,
        }
    } else {
        let asked = async {
            let mut conn = PgConnection::connect_with(options).await?;
            sqlx::query_scalar(KEY).fetch_optional(&mut conn).await
        };
        let Ok(key) = tokio::time::timeout(distance.connecting(ATTEMPT_TIMEOUT), asked).await else { return };
        key
    };
    let _ = recognise(&store.health, key);
}
