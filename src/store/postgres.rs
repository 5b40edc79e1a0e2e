//! Opens a PostgreSQL database.
//!
//! The driver has no socket options, so nothing on this side keeps connections alive or ends them: statements have deadlines instead, and
//! connections that were idle are asked whether they are alive. The server is told to do its part.

use std::{cell::Cell, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres,
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

/// What PostgreSQL calls it when the role, the database or the server has no more connections to give.
const TOO_MANY_CONNECTIONS: &str = "53300";
/// How long a start waits for the server.
const START_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a request waits for a connection before it is told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one attempt at that may take: a connection that is being made while the network is away keeps its place in the pool as long.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long it isn't tried to open one more connection than there are when that has failed. Those who wait take turns on these meanwhile.
const OPEN_AGAIN: Duration = Duration::from_secs(1);
/// How long a connection may take to say that it is alive.
const PING_TIMEOUT: Duration = Duration::from_millis(400);

/// Each is a little longer than what the server is told: that one's word leaves the connection intact.
const LIMITS: Limits = Limits {
    read: Duration::from_millis(1500),
    list: Duration::from_millis(4500),
    write: Duration::from_millis(1900),
    bulk: Duration::from_secs(25),
    commit: Duration::from_secs(5),
    returns_in_time: true,
    closes: true,
};

/// What the server is told on every connection. A session that was left within a transaction holds locks that others wait for: it ends
/// before long.
const ALWAYS: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "1900ms"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10s"),
];
/// Every page is a range of an index, read from its start until it is full. A bitmap would read the whole range first, and until a
/// table's first ANALYZE the planner takes it: 36 ms instead of 0.3 among 100,000 users.
const READING: [(&str, &str); 2] = [("enable_bitmapscan", "off"), ("statement_timeout", "1s")];
/// A page is read once, from plans that are made for it: to compile them would take longer than most of them run.
const LISTING: [(&str, &str); 3] = [("enable_bitmapscan", "off"), ("jit", "off"), ("statement_timeout", STATEMENT_TIMEOUT)];
/// How long a write waits for its turn in an account before the client is told to come back: less than a session that was left may hold
/// the turn, so that those who wait end together, not one after the other. No statement timeout, whatever is set for role or database: a
/// commit that is cancelled while it waits for a standby reports success.
const WRITING: [(&str, &str); 2] = [("lock_timeout", "1600ms"), ("statement_timeout", "0")];

/// Text that collates by code point, as the contract compares it and as SQLite does by itself. Two servers may start at once.
const DOMAIN: &str = r#"
DO $$ BEGIN
    CREATE DOMAIN bytewise_text AS text COLLATE "C";
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$"#;

const KEY: &str = "SELECT continue_key FROM instance WHERE id = 1";
/// A commit is on the server's disk before it is acknowledged, whatever is set for role or database; who asks for more gets it.
const DURABLE: &str = "SELECT set_config('synchronous_commit', \
    CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)";

pub(super) async fn open(options: &PgConnectOptions, connections: u32) -> Result<Store, OpenError> {
    let options = options.clone().application_name("tokenward").disable_statement_logging().options(ALWAYS);
    let unreachable = |error| match error {
        sqlx::Error::Database(error) if error.code().as_deref() == Some(TOO_MANY_CONNECTIONS) => sizes::too_few(0),
        error => OpenError(format!("can't be reached: {error}")),
    };
    // Migrations take as long as they take, so none of the timeouts for requests.
    let start = PgPoolOptions::new().max_connections(1).acquire_timeout(START_TIMEOUT).connect_with(options.clone());
    let start = match start.await {
        // The pool keeps to itself what it was told.
        Err(sqlx::Error::PoolTimedOut) => return Err(unreachable(refusal(&options).await)),
        start => start.map_err(unreachable)?,
    };
    let fsync: Option<String> = sqlx::query_scalar("SELECT current_setting('fsync', true)").fetch_one(&start).await.map_err(unreachable)?;
    if fsync.as_deref() == Some("off") {
        return Err(OpenError("runs with fsync = off: a power cut would undo revocations. Turn it on, and restart PostgreSQL".to_owned()));
    }
    // Servers that start together wait here for the one that migrates; no lock timeout yet.
    sqlx::query(DOMAIN).execute(&start).await.map_err(|error| OpenError(format!("can't be prepared: {error}")))?;
    MIGRATIONS.run(&start).await?;
    let sizes = sizes::allowed(&mut *start.acquire().await.map_err(unreachable)?, connections).await?;
    start.close().await;

    let health = Arc::new(Health::new());
    let read = pool(Access::Read, sizes.read, options.clone().options(READING), &health);
    let list = pool(Access::List, sizes.list, options.clone().options(LISTING), &health);
    let write = pool(Access::Write, sizes.write, options.clone().options(WRITING), &health);
    let turns = [sizes.read, sizes.list, sizes.write].map(|size| Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(usize::MAX))));
    Ok(Store::new(Pools::Postgres { read, list, write, turns, options: Box::new(options) }, LIMITS, health))
}

/// Why no connection can be had.
async fn refusal(options: &PgConnectOptions) -> sqlx::Error {
    let attempt = tokio::time::timeout(START_TIMEOUT, PgConnection::connect_with(options)).await;
    attempt.ok().and_then(Result::err).unwrap_or(sqlx::Error::PoolTimedOut)
}

fn pool(access: Access, connections: u32, options: PgConnectOptions, health: &Arc<Health>) -> PgPool {
    let (new, idle) = (Arc::clone(health), Arc::clone(health));
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ATTEMPT_TIMEOUT)
        .after_connect(move |conn, _| {
            let health = Arc::clone(&new);
            Box::pin(async move {
                if access == Access::Write {
                    sqlx::query(DURABLE).execute(&mut *conn).await?;
                }
                if access == Access::List {
                    look_for_clients(&mut *conn).await?;
                }
                recognise(&health, sqlx::query_scalar(KEY).fetch_optional(conn).await)
            })
        })
        // Asking before each use would be a round trip for every request; and the pool closes in a way that waits for the peer.
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
    /// What is to be done with the connection that the pool hands out: only the pool knows how old it is, only its user can drop it.
    static TRUST: Cell<Trust>;
}

/// A connection that is alive, as far as can be told, and the turn of whoever has it.
///
/// Whoever gets a turn takes a connection that is free, or opens one. Where no more can be opened the pool would go on trying, while others
/// are given back: so that turn rests, and there are no more turns than connections.
pub(super) async fn acquire(
    pool: &PgPool,
    turns: &Arc<Semaphore>,
    health: &Health,
) -> Result<(PoolConnection<Postgres>, OwnedSemaphorePermit), sqlx::Error> {
    let alive = TRUST.scope(Cell::new(Trust::Use), async {
        loop {
            TRUST.with(|trust| trust.set(Trust::Use));
            let turn = Arc::clone(turns).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            let mut conn = match pool.acquire().await {
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
                Trust::Ask => match tokio::time::timeout(PING_TIMEOUT, conn.ping()).await {
                    Ok(Ok(())) => return Ok((conn, turn)),
                    Ok(Err(_)) => {}
                    // Silent: the others that have been idle will be as well, and asking each would take as long again.
                    Err(_) => health.bury(&[Access::Read, Access::List, Access::Write]),
                },
            }
            drop(conn.detach());
        }
    });
    tokio::time::timeout(ACQUIRE_TIMEOUT, alive).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Notes whether a key is that of the database that was opened. An empty database has none yet.
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

/// Looks whether the database still is the one that was opened.
pub(super) async fn look(store: &Store, options: &PgConnectOptions) {
    let key = if store.health.place() == Place::Here {
        // Through a connection that is there: tables may be replaced below it.
        let asked = async { store.read().await?.find_continue_key().await };
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
        let Ok(key) = tokio::time::timeout(ATTEMPT_TIMEOUT, asked).await else { return };
        key
    };
    let _ = recognise(&store.health, key);
}

/// Makes PostgreSQL end queries whose client has gone. Before version 14, and on systems that can't tell, it has no such setting: there
/// they end by their timeout.
async fn look_for_clients(conn: &mut PgConnection) -> sqlx::Result<()> {
    const SET: &str = "SELECT set_config('client_connection_check_interval', $1, false)";
    if let Err(error) = sqlx::query(SET).bind(CLIENT_CHECK.to_string()).execute(conn).await {
        tracing::debug!(%error, "PostgreSQL doesn't look for clients that are gone");
    }
    Ok(())
}
