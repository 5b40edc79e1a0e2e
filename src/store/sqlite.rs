//! Opens the embedded database.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{ACQUIRE_TIMEOUT, MIGRATIONS, OpenError, Pools, Store, sizes::Sizes};

/// Marks a SQLite file as ours: "tkwd" in ASCII.
const APPLICATION_ID: i32 = 0x746b_7764;

pub(super) async fn open(path: &Path, sizes: Sizes) -> Result<Store, OpenError> {
    owner_only(path).map_err(|error| OpenError(format!("can't be opened for writing: {error}")))?;
    // Locked by its real name, so that two spellings of one file meet.
    let file = path.canonicalize().map_err(|error| OpenError(format!("can't be found: {error}")))?;
    let lock = lock(&file)?;

    let options = options()
        .filename(&file)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL loses acknowledged commits in a power cut; a revocation that comes undone is a breach.
        .synchronous(SqliteSynchronous::Full);
    let write = pool(1, options.clone());
    claim(&write).await?;
    MIGRATIONS.run(&write).await?;
    let options = options.pragma("query_only", "ON");
    let (read, list) = (pool(sizes.read, options.clone()), pool(sizes.list, options));
    Ok(Pools::Sqlite { read, list, write, _lock: Some(Arc::new(lock)) }.into())
}

/// A database that ends with the process: readers and the writer take turns on its one connection.
pub(super) async fn in_memory() -> Result<Store, OpenError> {
    let pool = pool(1, options().in_memory(true));
    MIGRATIONS.run(&pool).await?;
    Ok(Pools::Sqlite { read: pool.clone(), list: pool.clone(), write: pool, _lock: None }.into())
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new().foreign_keys(true).busy_timeout(Duration::from_secs(2)).disable_statement_logging()
}

fn pool(connections: u32, options: SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options)
}

/// Makes the file if need be, readable by its owner only; SQLite gives its side files the same mode.
fn owner_only(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A file of its own: closing a second handle on the database itself would drop SQLite's own locks on it.
fn lock(database: &Path) -> Result<File, OpenError> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let file = owner_only(&PathBuf::from(name)).map_err(|error| OpenError(format!("can't be locked: {error}")))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError("is in use by another tokenward process; stop that one first".to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError(format!("can't be locked: {error}"))),
    }
}

/// Refuses a file that is something else's; marks an empty one as ours.
async fn claim(pool: &SqlitePool) -> Result<(), OpenError> {
    let cannot = |error: sqlx::Error| match &error {
        sqlx::Error::Database(database) if database.code().as_deref() == Some("26") => OpenError("is not a SQLite database".to_owned()),
        _ => OpenError(format!("can't be opened: {error}")),
    };
    let application: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(pool).await.map_err(cannot)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(pool).await.map_err(cannot)?;
    if application == APPLICATION_ID {
        return Ok(());
    }
    if tables > 0 || application != 0 {
        return Err(OpenError("is a SQLite database of another application".to_owned()));
    }
    sqlx::query("PRAGMA application_id = 1953199972").execute(pool).await.map_err(cannot)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_pragma_sets_the_id_that_is_asked_for() {
        assert_eq!(super::APPLICATION_ID, 1_953_199_972);
    }
}
