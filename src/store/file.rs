//! The file of an SQLite database: checks whether its name still leads to it and whether it still holds the database
//! that was opened, and writes back its log.
//!
//! SQLite opens a database and its log by name. A connection that is opened after another file has taken the name would
//! apply the old log to the new file. So connections stay open, and each new one is checked before its first statement,
//! which is when it opens the log.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{SqliteConnection, SqlitePool};

use super::{
    error::is_another_database,
    health::{Health, Place},
    raw::{find, holds_at},
};

/// A log larger than this many bytes is written back into the database and truncated.
const LONG_LOG: u64 = 4 << 20;
/// The largest number of pages of the log that may be written back while a writer waits.
const FEW_PAGES: i64 = 500;
/// How long truncating the log may delay a writer at most.
pub(super) const CUT_PATIENCE: Duration = Duration::from_millis(20);
/// How many times truncating the log is tried when the file isn't where it was, or the process ends.
const ATTEMPTS: usize = 10;
/// A number of bytes that is larger than what a write adds to the log.
const ROOM: usize = 512 << 10;
/// The first bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The database's file, and the two files beside it, `-wal` and `-shm`.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// The identity of the file that was opened.
    identity: Identity,
    /// The identities of the files beside it when the writing connection last called `settle`; `None` while a new
    /// writing connection is expected.
    beside: Mutex<Option<[Identity; 2]>>,
    /// The offset in the file of the key that identifies this database; `None` until it was found.
    mark: Mutex<Option<u64>>,
    /// Whether the last check found another database in the file.
    was_strange: AtomicBool,
    /// Whether something was copied over the file. This is final: the log belongs to the content that was there before.
    is_overwritten: AtomicBool,
    /// Reads the file without its log, and keeps its identity from being reused for another file. It is closed only
    /// with the process: closing it would drop SQLite's own locks.
    handle: File,
    /// Keeps a second process out.
    _lock: File,
}

/// The device and inode numbers of a file; zeros on systems without them.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(file: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    (file.dev(), file.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Identity {
    (0, 0)
}

impl DatabaseFile {
    /// # Errors
    /// When the file's metadata can't be read.
    pub fn new(path: PathBuf, handle: File, lock: File) -> io::Result<Self> {
        let identity = identity(&handle.metadata()?);
        let (was_strange, is_overwritten) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self {
            path,
            identity,
            beside: Mutex::new(None),
            mark: Mutex::new(None),
            was_strange,
            is_overwritten,
            handle,
            _lock: lock,
        })
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(ending);
        name.into()
    }

    fn identities_beside(&self) -> Option<[Identity; 2]> {
        let of = |ending| self.beside(ending).metadata().ok().map(|file| identity(&file));
        Some([of("-wal")?, of("-shm")?])
    }

    /// The database's place according to the files' names; `None` if it can't be determined.
    fn place(&self) -> Option<Place> {
        let beside = *self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        match self.path.metadata() {
            Ok(file) if identity(&file) != self.identity => Some(Place::Replaced),
            Ok(_) if beside.is_some() && beside != self.identities_beside() => Some(Place::Removed),
            Ok(_) => Some(Place::Here),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Place::Removed),
            Err(_) => None,
        }
    }

    /// Checks that a new connection that has read nothing yet has opened this file, and will find its log.
    ///
    /// # Errors
    /// When it may have opened another file. Closing it does no harm as long as it has read nothing.
    pub fn insist(&self) -> Result<(), sqlx::Error> {
        match self.place() {
            Some(Place::Here) if !self.is_overwritten.load(Ordering::Relaxed) => Ok(()),
            _ => Err(sqlx::Error::Configuration("the database's file isn't where it was opened".into())),
        }
    }

    /// Checks whether the files still have their names. If they don't, anything written now is lost at the next start.
    pub fn check(&self, health: &Health) {
        // A database always has a header, so an empty file was overwritten.
        if self.handle.metadata().is_ok_and(|file| file.len() == 0) {
            self.note_overwritten();
        }
        let overwritten = self.is_overwritten.load(Ordering::Relaxed).then_some(Place::Replaced);
        health.found(overwritten.or_else(|| self.place()).unwrap_or_else(|| health.place()));
    }

    fn note_overwritten(&self) {
        if !self.is_overwritten.swap(true, Ordering::Relaxed) {
            tracing::error!(
                file = %self.path.display(),
                "something was written over the database's file. What was in its log isn't written into that: before \
                    the next start, put \
                 the right file in its place, and remove the files beside it that end in -wal and -shm if they aren't \
                 of that file"
            );
        }
    }

    /// Records that the writing connection is being closed, so that the next one has to settle.
    pub fn expect_new_writer(&self) {
        *self.beside.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Called by a writing connection within a transaction. The first time after the connection was opened, this writes
    /// the log again and waits until it is on the disk: the connection may have read commits that are only in the
    /// system's memory, because their fsync failed. They must be durable before anything relies on them.
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

    /// Checks that the disk has room for a write of any usual size: on a nearly full disk, some writes succeed and some
    /// fail.
    ///
    /// # Errors
    /// When the disk has no room, or can't be written to.
    pub async fn insist_on_room(&self) -> io::Result<()> {
        let path = self.beside(".room");
        let tried = tokio::task::spawn_blocking(move || {
            let written = super::sqlite::owner_only(&path).and_then(|mut file| file.write_all(&vec![0; ROOM]));
            let removed = std::fs::remove_file(&path);
            written.and(removed)
        });
        tried.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    }

    /// Whether the file itself, without its log, holds the key of this database; `None` as long as the key was in the
    /// log only.
    async fn holds(self: &Arc<Self>, key: &[u8]) -> io::Result<Option<bool>> {
        let (file, key) = (Arc::clone(self), key.to_vec());
        let read = tokio::task::spawn_blocking(move || {
            let mut mark = file.mark.lock().unwrap_or_else(PoisonError::into_inner);
            if !holds_at(&file.handle, MAGIC, 0)? {
                return Ok(Some(false));
            }
            if let Some(at) = *mark
                && holds_at(&file.handle, &key, at)?
            {
                return Ok(Some(true));
            }
            // SQLite may move the key within its page; a VACUUM by another program may move it to another page.
            let found = find(&file.handle, &key)?;
            let known = found.is_some() || mark.is_some();
            *mark = found.or(*mark);
            Ok(known.then_some(found.is_some()))
        });
        read.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    }

    /// Checks the content of the file, and truncates a long log.
    pub async fn look(self: &Arc<Self>, health: &Health, log: &SqlitePool) {
        self.check(health);
        if health.place() != Place::Here {
            return self.save_log(log).await;
        }
        let is_strange = match self.look_inside(health, log).await {
            Ok(is_ours) => !is_ours,
            Err(error) => is_another_database(&error),
        };
        // Only after two checks in a row, because this finding is final.
        if self.was_strange.swap(is_strange, Ordering::Relaxed) && is_strange {
            self.note_overwritten();
            self.check(health);
        }
    }

    /// Whether the file holds the database that was opened. The log is written back only in that case.
    async fn look_inside(self: &Arc<Self>, health: &Health, log: &SqlitePool) -> Result<bool, sqlx::Error> {
        // The file first: if it holds something else, a connection may read a mixture of both.
        let in_file = match health.key() {
            Some(key) => self.holds(key).await.map_err(sqlx::Error::Io)?,
            None => None,
        };
        if in_file == Some(false) {
            return Ok(false);
        }
        let mut conn = log.acquire().await?;
        let key: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT continue_key FROM instance WHERE id = 1").fetch_optional(&mut *conn).await?;
        let Some(key) = key else { return Ok(!health.knows_one()) };
        if !health.knows(&key) {
            return Ok(false);
        }
        if in_file.is_none() {
            sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut *conn).await?;
            return Ok(self.holds(&key).await.map_err(sqlx::Error::Io)? != Some(false));
        }
        // If writes fail, the log may be what fills the disk.
        let most = if health.doubts_writes() { 0 } else { LONG_LOG };
        if self.beside("-wal").metadata().is_ok_and(|log| log.len() > most) {
            cut_log(&mut conn).await?;
        }
        Ok(true)
    }

    /// Writes the log back through an open connection, whatever the file's name is now, and truncates it: otherwise it
    /// would be applied to another file of the same name. Does nothing if something was copied over the open file.
    async fn save_log(&self, log: &SqlitePool) {
        if self.is_overwritten.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut conn) = log.acquire().await else { return };
        for _ in 0..ATTEMPTS {
            let saved: Result<(i64, i64, i64), _> =
                sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *conn).await;
            match saved {
                // Another connection still reads or writes.
                Ok((1, ..)) => tokio::time::sleep(CUT_PATIENCE).await,
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Writes the log back a last time, even while others read. Returns whether the connections may be closed.
    pub async fn tidy_up(self: &Arc<Self>, health: &Health, log: &SqlitePool) -> bool {
        if let Some(key) = health.key()
            && let Ok(Some(false)) = self.holds(key).await
        {
            self.note_overwritten();
        }
        self.check(health);
        let _ = tokio::time::timeout(Duration::from_millis(500), self.save_log(log)).await;
        !self.is_overwritten.load(Ordering::Relaxed)
    }
}

/// Writes the log back into the database while others read and write, and then truncates it if few pages are left.
async fn cut_log(conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for _ in 0..3 {
        let (_, pages, done): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut *conn).await?;
        // Otherwise a connection still reads old pages, or much was written meanwhile.
        if pages - done <= FEW_PAGES {
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *conn).await?;
            break;
        }
    }
    Ok(())
}

/// Overwrites a file with its own content, and waits until that is on the disk.
fn write_again(path: &std::path::Path) -> io::Result<()> {
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
