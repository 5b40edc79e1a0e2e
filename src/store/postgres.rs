//! Opens a PostgreSQL database.

use sqlx::{
    ConnectOptions as _, Connection as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{ACQUIRE_TIMEOUT, MIGRATIONS, OpenError, Pools, Store, sizes};

/// What PostgreSQL calls it when the role, the database or the server has no more connections to give.
const TOO_MANY_CONNECTIONS: &str = "53300";
/// How long a write waits for its turn in an account before the client is told to come back.
const LOCK_TIMEOUT: &str = "5s";

/// Text that collates by code point, as the contract compares it and as SQLite does by itself. Two servers may start at once.
const DOMAIN: &str = r#"
DO $$ BEGIN
    CREATE DOMAIN bytewise_text AS text COLLATE "C";
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$"#;

pub(super) async fn open(options: &PgConnectOptions, connections: u32) -> Result<Store, OpenError> {
    let options = options.clone().application_name("tokenward").disable_statement_logging();
    let pool = |connections| PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
    let unreachable = |error| match error {
        sqlx::Error::Database(error) if error.code().as_deref() == Some(TOO_MANY_CONNECTIONS) => sizes::too_few(0),
        error => OpenError(format!("can't be reached: {error}")),
    };
    let asking = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await;
    let mut asking = asking.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(unreachable)?;
    let sizes = sizes::allowed(&mut asking, connections).await?;
    asking.close().await.map_err(unreachable)?;
    // Every page is a range of an index, read from its start until it is full. A bitmap would read the whole range first, and until a
    // table's first ANALYZE the planner takes it: 36 ms instead of 0.3 among 100,000 users.
    let reading = options.clone().options([("enable_bitmapscan", "off")]);
    let read = pool(sizes.read).connect_with(reading.clone()).await.map_err(unreachable)?;
    let list = pool(sizes.list).connect_lazy_with(reading);
    // Servers that start together wait here for the one that migrates; no lock timeout yet.
    sqlx::query(DOMAIN).execute(&read).await.map_err(|error| OpenError(format!("can't be prepared: {error}")))?;
    MIGRATIONS.run(&read).await?;
    let write = pool(sizes.write).connect_with(options.options([("lock_timeout", LOCK_TIMEOUT)])).await.map_err(unreachable)?;
    Ok(Pools::Postgres { read, list, write }.into())
}
