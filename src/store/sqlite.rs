//! Opens an SQLite database, in a file or in memory.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::{
    Limits, MIGRATIONS, OpenError, Pools, Store,
    file::{CUT_PATIENCE, DatabaseFile},
    health::Health,
    sizes::Sizes,
};

/// Marks an SQLite file as a tokenward database: "tkwd" in ASCII.
const APPLICATION_ID: i32 = 0x746b_7764;
/// Versions before this one can corrupt a log that is written while it is checkpointed
/// (<https://sqlite.org/wal.html#walresetbug>).
const LEAST_VERSION: [u32; 3] = [3, 51, 3];
/// How long a request waits for a connection before it is refused as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

const LIMITS: Limits = Limits {
    read: Duration::from_secs(5),
    list: Duration::from_secs(25),
    write: Duration::from_secs(25),
    bulk: Duration::from_secs(25),
    commit: Duration::from_secs(25),
    returns_in_time: false,
    closes: true,
};

pub(super) async fn open(path: &Path, sizes: Sizes) -> Result<Store, OpenError> {
    let handle = owner_only(path).map_err(|error| OpenError(format!("can't be opened for writing: {error}")))?;
    // Locked by its canonical path, so that two spellings of one path share the lock.
    let path = path.canonicalize().map_err(|error| OpenError(format!("can't be found: {error}")))?;
    let lock = lock(&path)?;

    let file = DatabaseFile::new(path.clone(), handle, lock)
        .map_err(|error| OpenError(format!("can't be looked at: {error}")))?;
    let file = Arc::new(file);
    // None of these settings makes SQLite read the file.
    let options = options().filename(&path).create_if_missing(false);
    // Writing the log back is left to the keeper: doing it in a commit would delay all requests that wait for the
    // writer.
    let writing = options.clone().pragma("wal_autocheckpoint", "0");
    let write = pool_on(&file, 1, writing.clone());
    claim(&write).await?;
    MIGRATIONS.run(&write).await?;
    // Opened at the start, and kept open: so the log can be written back whatever the file's name is later.
    let log = pool_on(&file, 1, writing.busy_timeout(CUT_PATIENCE));
    let health = Arc::new(Health::new());
    file.look(&health, &log).await;
    // A read-only connection can't write the log into the file, or remove it, when it is closed.
    let options = options.read_only(true);
    let (read, list) = (pool_on(&file, sizes.read, options.clone()), pool_on(&file, sizes.list, options));
    Ok(Store::new(Pools::Sqlite { read, list, write, log, file: Some(file) }, LIMITS, health))
}

/// A database in memory, which ends with the process: readers and the writer share its one connection.
pub(super) async fn in_memory() -> Result<Store, OpenError> {
    let pool = pool(1).connect_lazy_with(options().in_memory(true));
    MIGRATIONS.run(&pool).await?;
    let pools = Pools::Sqlite { read: pool.clone(), list: pool.clone(), log: pool.clone(), write: pool, file: None };
    Ok(Store::new(pools, Limits { closes: false, ..LIMITS }, Arc::new(Health::new())))
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new().foreign_keys(true).busy_timeout(Duration::from_secs(2)).disable_statement_logging()
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// A pool of connections to this file; never to another file that has taken its name.
fn pool_on(file: &Arc<DatabaseFile>, connections: u32, options: SqliteConnectOptions) -> SqlitePool {
    // The file's lock ends with the store, not with the last connection.
    let file = Arc::downgrade(file);
    let insist = move || file.upgrade().map_or(Err(sqlx::Error::PoolClosed), |file| file.insist());
    let pool = pool(connections).after_connect(move |_, _| {
        let insisted = insist();
        Box::pin(async move { insisted })
    });
    pool.connect_lazy_with(options)
}

/// Opens a file, and creates it if needed, readable by its owner only; SQLite gives its side files the same mode.
pub(super) fn owner_only(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Locks the database by a separate file: closing a second handle on the database itself would drop SQLite's own locks
/// on it.
fn lock(database: &Path) -> Result<File, OpenError> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let file = owner_only(&PathBuf::from(name)).map_err(|error| OpenError(format!("can't be locked: {error}")))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(OpenError("is in use by another tokenward process; stop that one first".to_owned()))
        }
        Err(TryLockError::Error(error)) => Err(OpenError(format!("can't be locked: {error}"))),
    }
}

/// Refuses a file of another application; marks an empty one as a tokenward database.
async fn claim(pool: &SqlitePool) -> Result<(), OpenError> {
    let cannot = |error: sqlx::Error| match &error {
        sqlx::Error::Database(database) if database.code().as_deref() == Some("26") => {
            OpenError("is not a SQLite database".to_owned())
        }
        _ => OpenError(format!("can't be opened: {error}")),
    };
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await.map_err(cannot)?;
    if !is_new_enough(&version) {
        return Err(OpenError(format!("needs SQLite 3.51.3 or newer, and this program was built with {version}")));
    }
    let application: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(pool).await.map_err(cannot)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(pool).await.map_err(cannot)?;
    if application != APPLICATION_ID {
        if tables > 0 || application != 0 {
            return Err(OpenError("is a SQLite database of another application".to_owned()));
        }
        sqlx::query("PRAGMA application_id = 1953199972").execute(pool).await.map_err(cannot)?;
    }
    // The journal mode is stored in the file.
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode = WAL").fetch_one(pool).await.map_err(cannot)?;
    if journal != "wal" {
        return Err(OpenError(format!("can't have a write-ahead log where it lies (its journal is {journal:?})")));
    }
    // The default of each connection is compiled into SQLite. NORMAL, which is 1, loses acknowledged commits in a power
    // cut; an undone revocation would be a security breach.
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await.map_err(cannot)?;
    if synchronous < 2 {
        return Err(OpenError(
            "would lose commits in a power cut: this program was built with a SQLite that isn't fully synchronous"
                .to_owned(),
        ));
    }
    Ok(())
}

fn is_new_enough(version: &str) -> bool {
    let parts: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    parts.is_some_and(|parts| parts.as_slice() >= LEAST_VERSION.as_slice())
}

#[cfg(test)]
mod tests {
    use crate::store::Store;

    /// A database that was closed is one file: whoever copies it then has all of it.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_closed_database_is_one_file() {
        for _ in 0..50 {
            let folder = tempfile::TempDir::new().unwrap();
            let store = Store::open(&format!("sqlite:{}", folder.path().join("test.db").display()).parse().unwrap())
                .await
                .unwrap();
            store.read().await.unwrap().find_continue_key().await.unwrap();
            let mut writer = store.write().await.unwrap();
            writer.offer_continue_key(b"kept").await.unwrap();
            writer.commit().await.unwrap();
            store.close().await;
            for beside in ["test.db-wal", "test.db-shm"] {
                assert!(!folder.path().join(beside).exists(), "{beside}");
            }
        }
    }

    #[test]
    fn old_versions_are_refused() {
        for (version, is_new_enough) in
            [("3.51.3", true), ("3.52.0", true), ("4.0.0", true), ("3.51.2", false), ("3.9.9", false), ("x", false)]
        {
            assert_eq!(super::is_new_enough(version), is_new_enough, "{version}");
        }
    }

    #[test]
    fn the_pragma_sets_the_id_that_is_asked_for() {
        assert_eq!(super::APPLICATION_ID, 1_953_199_972);
    }
}
