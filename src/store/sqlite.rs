//! Opens the embedded database.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    Limits, MIGRATIONS, OpenError, Pools, Store,
    error::is_another_database,
    health::{Health, Place},
    sizes::Sizes,
};

/// Marks a SQLite file as ours: "tkwd" in ASCII.
const APPLICATION_ID: i32 = 0x746b_7764;
/// Versions before this one can corrupt a log that is written while it is checkpointed (<https://sqlite.org/wal.html#walresetbug>).
const LEAST_VERSION: [u32; 3] = [3, 51, 3];
/// How long a request waits for a connection before it is told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A log beyond this many bytes is written back into the database and cut.
const LONG_LOG: u64 = 4 << 20;
/// Pages of the log that are few enough to be written back while a writer waits.
const FEW_PAGES: i64 = 500;
/// How long cutting the log holds up a writer at most.
const CUT_PATIENCE: Duration = Duration::from_millis(20);

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
    // Locked by its real name, so that two spellings of one file meet.
    let path = path.canonicalize().map_err(|error| OpenError(format!("can't be found: {error}")))?;
    let lock = lock(&path)?;

    let options = options()
        .filename(&path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL loses acknowledged commits in a power cut; a revocation that comes undone is a breach.
        .synchronous(SqliteSynchronous::Full);
    let file = DatabaseFile::new(path, options.clone(), handle, lock);
    // Writing the log back is the keeper's business: a commit that had to do it would keep everybody waiting.
    let write = pool(1, options.clone().pragma("wal_autocheckpoint", "0"));
    claim(&write).await?;
    MIGRATIONS.run(&write).await?;
    let options = options.pragma("query_only", "ON");
    let (read, list) = (pool(sizes.read, options.clone()), pool(sizes.list, options));
    Ok(Store::new(Pools::Sqlite { read, list, write, file: Some(Arc::new(file)) }, LIMITS, Arc::new(Health::new())))
}

/// A database that ends with the process: readers and the writer take turns on its one connection.
pub(super) async fn in_memory() -> Result<Store, OpenError> {
    let pool = pool(1, options().in_memory(true));
    MIGRATIONS.run(&pool).await?;
    let pools = Pools::Sqlite { read: pool.clone(), list: pool.clone(), write: pool, file: None };
    Ok(Store::new(pools, Limits { closes: false, ..LIMITS }, Arc::new(Health::new())))
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

/// The file behind the connections, and the two beside it.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    options: SqliteConnectOptions,
    /// Which file was opened.
    identity: Option<Identity>,
    /// Which files were beside it when the writing connection last settled; `None` while a new one is expected.
    beside: Mutex<Option<[Option<Identity>; 2]>>,
    /// Whether the last look found another database in the file.
    was_strange: AtomicBool,
    /// Whether something was copied over the file. That can't be mended: what is in the log belongs to what was there before.
    is_overwritten: AtomicBool,
    /// Keeps the file's identity from being given to another. Closed with the process only: closing it drops SQLite's own locks.
    _handle: File,
    /// Keeps a second process out.
    _lock: File,
}

/// Device and number of a file.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Option<Identity>> {
    use std::os::unix::fs::MetadataExt as _;
    path.metadata().map(|file| Some((file.dev(), file.ino())))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<Option<Identity>> {
    path.metadata().map(|_| None)
}

impl DatabaseFile {
    fn new(path: PathBuf, options: SqliteConnectOptions, handle: File, lock: File) -> Self {
        let identity = identity(&path).ok().flatten();
        let (was_strange, is_overwritten) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { path, options, identity, beside: Mutex::new(None), was_strange, is_overwritten, _handle: handle, _lock: lock }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(ending);
        name.into()
    }

    fn identities_beside(&self) -> Option<[Option<Identity>; 2]> {
        Some([identity(&self.beside("-wal")).ok()?, identity(&self.beside("-shm")).ok()?])
    }

    /// Looks whether the files still have their names. Where they don't, what is written is lost at the next start.
    pub fn check(&self, health: &Health) {
        // A database has a header from its beginning.
        if self.path.metadata().is_ok_and(|file| file.len() == 0) {
            self.is_overwritten.store(true, Ordering::Relaxed);
        }
        if self.is_overwritten.load(Ordering::Relaxed) {
            return health.found(Place::Replaced);
        }
        let beside = *self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        health.found(match identity(&self.path) {
            Ok(identity) if identity != self.identity => Place::Replaced,
            Ok(_) if beside.is_some() && beside != self.identities_beside() => Place::Removed,
            Ok(_) => Place::Here,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Place::Removed,
            // Nobody knows.
            Err(_) => health.place(),
        });
    }

    /// The writing connection goes.
    pub fn expect_new_writer(&self) {
        *self.beside.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Called by a writing connection within a transaction. The first time after it was opened, writes the log again and waits until it is
    /// on the disk: the connection may have read commits from it that only the system's memory holds, because their fsync failed. Nobody
    /// may go by these before they last.
    pub async fn settle(self: Arc<Self>) -> Result<(), sqlx::Error> {
        if self.beside.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let settled = tokio::task::spawn_blocking(move || {
            write_again(&self.beside("-wal"))?;
            *self.beside.lock().unwrap_or_else(PoisonError::into_inner) = self.identities_beside();
            Ok(())
        });
        settled.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map_err(sqlx::Error::Io)
    }

    /// Looks at the file through a connection of its own, which has nothing in its memory; and cuts a long log.
    pub async fn look(&self, health: &Health, writers: &SqlitePool) {
        self.check(health);
        if health.place() != Place::Here {
            return self.save_log(writers).await;
        }
        let options = self.options.clone().busy_timeout(CUT_PATIENCE).pragma("wal_autocheckpoint", "0");
        let looked = async {
            let mut conn = SqliteConnection::connect_with(&options).await?;
            let key: Vec<u8> = sqlx::query_scalar("SELECT continue_key FROM instance WHERE id = 1").fetch_one(&mut conn).await?;
            let is_ours = health.knows(&key);
            // Where writes fail, the disk may be full of it.
            let most = if health.doubts_writes() { 0 } else { LONG_LOG };
            if is_ours && self.beside("-wal").metadata().is_ok_and(|log| log.len() > most) {
                cut_log(&mut conn).await?;
            }
            conn.close().await?;
            Ok(is_ours)
        };
        let is_strange = match looked.await {
            Ok(is_ours) => !is_ours,
            Err(error) => is_another_database(&error),
        };
        // Twice, since what is found so is final.
        if self.was_strange.swap(is_strange, Ordering::Relaxed) && is_strange {
            self.is_overwritten.store(true, Ordering::Relaxed);
        }
    }

    /// Writes the log back through a connection that is open, whatever the file is called now, and cuts it: it would be taken for that of
    /// another file of the same name. Not where something was copied over the file that is open.
    async fn save_log(&self, writers: &SqlitePool) {
        if !self.is_overwritten.load(Ordering::Relaxed)
            && let Some(mut writer) = writers.try_acquire()
        {
            let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *writer).await;
        }
    }

    /// Writes the log back a last time, also while somebody else reads. Says whether connections may be closed.
    pub async fn tidy_up(&self, health: &Health, writers: &SqlitePool) -> bool {
        self.check(health);
        let _ = tokio::time::timeout(Duration::from_millis(500), self.save_log(writers)).await;
        !self.is_overwritten.load(Ordering::Relaxed)
    }
}

/// Writes the log back into the database while others read and write, and then, if hardly anything is left to do, cuts it.
async fn cut_log(conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for _ in 0..3 {
        let (_, pages, done): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut *conn).await?;
        // Else somebody still reads what was there before, or much was written meanwhile.
        if pages - done <= FEW_PAGES {
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *conn).await?;
            break;
        }
    }
    Ok(())
}

/// Writes a file over with what it holds, and waits until that is on the disk.
fn write_again(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let at = file.stream_position()?;
        let length = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..length).filter(|read| !read.is_empty()) else { return file.sync_all() };
        file.seek(SeekFrom::Start(at))?;
        file.write_all(read)?;
    }
}

/// Refuses a file that is something else's; marks an empty one as ours.
async fn claim(pool: &SqlitePool) -> Result<(), OpenError> {
    let cannot = |error: sqlx::Error| match &error {
        sqlx::Error::Database(database) if database.code().as_deref() == Some("26") => OpenError("is not a SQLite database".to_owned()),
        _ => OpenError(format!("can't be opened: {error}")),
    };
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await.map_err(cannot)?;
    if !is_new_enough(&version) {
        return Err(OpenError(format!("needs SQLite 3.51.3 or newer, and this program was built with {version}")));
    }
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

fn is_new_enough(version: &str) -> bool {
    let parts: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    parts.is_some_and(|parts| parts.as_slice() >= LEAST_VERSION.as_slice())
}

#[cfg(test)]
mod tests {
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
