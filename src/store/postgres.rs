//! Opens a PostgreSQL database.

use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{ACQUIRE_TIMEOUT, MIGRATIONS, OpenError, Pools, Store};

const CONNECTIONS: u32 = 16;

/// Text that collates by code point, as the contract compares it and as SQLite does by itself. Two servers may start at once.
const DOMAIN: &str = r#"
DO $$ BEGIN
    CREATE DOMAIN bytewise_text AS text COLLATE "C";
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$"#;

pub(super) async fn open(options: &PgConnectOptions) -> Result<Store, OpenError> {
    let options = options.clone().application_name("tokenward").disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await
        .map_err(|error| OpenError(format!("can't be reached: {error}")))?;
    sqlx::query(DOMAIN).execute(&pool).await.map_err(|error| OpenError(format!("can't be prepared: {error}")))?;
    MIGRATIONS.run(&pool).await?;
    Ok(Store(Pools::Postgres(pool)))
}
