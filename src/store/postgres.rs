//! Opens a PostgreSQL database.

use sqlx::{
    ConnectOptions as _, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{
    ACQUIRE_TIMEOUT, MIGRATIONS, OpenError, Pools, Store,
    lister::{CLIENT_CHECK, STATEMENT_TIMEOUT},
};

/// Of the pools of readers and of writers.
const CONNECTIONS: u32 = 8;
/// Of those that read pages of collections.
const LISTERS: u32 = 4;
/// How long a write waits for its turn in an account before the client is told to come back.
const LOCK_TIMEOUT: &str = "5s";

/// Text that collates by code point, as the contract compares it and as SQLite does by itself. Two servers may start at once.
const DOMAIN: &str = r#"
DO $$ BEGIN
    CREATE DOMAIN bytewise_text AS text COLLATE "C";
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$"#;

pub(super) async fn open(options: &PgConnectOptions) -> Result<Store, OpenError> {
    let options = options.clone().application_name("tokenward").disable_statement_logging();
    let pool = |connections| PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
    let unreachable = |error| OpenError(format!("can't be reached: {error}"));
    // Every page is a range of an index, read from its start until it is full. A bitmap would read the whole range first, and until a
    // table's first ANALYZE the planner takes it: 36 ms instead of 0.3 among 100,000 users.
    let reading = options.clone().options([("enable_bitmapscan", "off")]);
    let read = pool(CONNECTIONS).connect_with(reading.clone()).await.map_err(unreachable)?;
    // A page is read once, from plans that are made for it: to compile them would take longer than most of them run.
    let list = pool(LISTERS)
        .after_connect(|conn, _| Box::pin(look_for_clients(conn)))
        .connect_lazy_with(reading.options([("statement_timeout", STATEMENT_TIMEOUT), ("jit", "off")]));
    // Servers that start together wait here for the one that migrates; no lock timeout yet.
    sqlx::query(DOMAIN).execute(&read).await.map_err(|error| OpenError(format!("can't be prepared: {error}")))?;
    MIGRATIONS.run(&read).await?;
    let write = pool(CONNECTIONS).connect_with(options.options([("lock_timeout", LOCK_TIMEOUT)])).await.map_err(unreachable)?;
    Ok(Pools::Postgres { read, list, write }.into())
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
