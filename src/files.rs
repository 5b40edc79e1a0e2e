//! Checks that other users can't read or replace files with confidential content, and reads secrets from files.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use zeroize::Zeroizing;

use crate::config::DatabaseUrl;

/// How long reading a secret may take: a pipe's other end may be slow, a file system may hang.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest size of a file that holds the first token's secret, in bytes.
const MOST: u64 = 4 << 10;

/// The name endings of a database's files: its own, and those of the files that SQLite and this server create beside
/// it.
const BESIDE: [&str; 5] = ["", "-wal", "-shm", "-journal", ".lock"];

/// Checks that only their owner can access the files of a database. Files that don't exist are skipped.
///
/// # Errors
/// One sentence that says which of them is accessible to others, and how to fix that.
pub fn check_database(url: &DatabaseUrl) -> Result<(), String> {
    let DatabaseUrl::Sqlite(path) = url else { return Ok(()) };
    // By its canonical path, which gives the folder that contains the file.
    let path = path.canonicalize().unwrap_or_else(|_| path.clone());
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    check_folder(&folder)?;
    for end in BESIDE {
        let mut name = path.clone().into_os_string();
        name.push(end);
        check(Path::new(&name), "database", 0o077)?;
    }
    Ok(())
}

/// Checks that only its owner can access a file that holds a secret. A file of root may be readable by its group, a
/// rule that PostgreSQL has as well: otherwise only root could use it.
///
/// # Errors
/// One sentence that says what is wrong with it, and how to fix that.
pub fn check_secret(path: &Path, what: &str) -> Result<(), String> {
    let is_of_root = facts(path).is_some_and(|facts| facts.owner == 0);
    check(path, what, if is_of_root { 0o037 } else { 0o077 })
}

/// Returns the result of a check of files; if failures are `allowed`, only logs a warning.
///
/// # Errors
/// The sentence, and how to allow the file's permissions.
pub fn insist(checked: Result<(), String>, allowed: bool) -> Result<(), String> {
    match checked {
        Err(sentence) if allowed => {
            tracing::warn!("{sentence}");
            Ok(())
        }
        Err(sentence) => Err(or_allow(&sentence)),
        Ok(()) => Ok(()),
    }
}

/// The sentence, and how to allow the file's permissions.
#[must_use]
pub fn or_allow(sentence: &str) -> String {
    format!("{sentence}, or allow it with --allow-readable-files")
}

/// Reads a file that holds a secret: a regular file, or a pipe such as `/dev/stdin` or a shell's `<(…)`, which has to
/// be written to within seconds. A separate thread reads it, because an open or a read that hangs can't be cancelled.
///
/// # Errors
/// One sentence that says why it can't be read. It doesn't quote the content.
pub fn read_secret(path: &Path, what: &str) -> Result<Zeroizing<String>, String> {
    let (done, read) = mpsc::sync_channel(1);
    let file = path.to_path_buf();
    let cannot = |reason: String| format!("the {what}'s file {} {reason}", path.display());
    let reader =
        std::thread::Builder::new().name("secret".to_owned()).spawn(move || done.send(read_bounded(&file)).is_ok());
    reader.map_err(|error| cannot(format!("can't be read: {error}")))?;
    match read.recv_timeout(PATIENCE) {
        Ok(read) => read.map_err(cannot),
        Err(_) => Err(cannot(format!(
            "can't be read within {} s: nobody writes to it, or its file system hangs",
            PATIENCE.as_secs()
        ))),
    }
}

fn read_bounded(path: &Path) -> Result<Zeroizing<String>, String> {
    let cannot = |error: io::Error| format!("can't be read: {error}");
    let kind = path.metadata().map_err(cannot)?.file_type();
    if !kind.is_file() && !is_pipe(kind) {
        return Err("is neither a regular file nor a pipe".to_owned());
    }
    // With this capacity it is never reallocated, which would leave copies of the secret in memory.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(2 * MOST).unwrap_or_default()));
    File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut text)).map_err(cannot)?;
    if text.len() as u64 > MOST {
        return Err(format!("is longer than {MOST} bytes"));
    }
    match std::str::from_utf8(&text) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err("isn't text".to_owned()),
    }
}

#[cfg(unix)]
fn is_pipe(kind: std::fs::FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&kind)
}

#[cfg(not(unix))]
fn is_pipe(_: std::fs::FileType) -> bool {
    false
}

struct Facts {
    mode: u32,
    owner: u32,
}

#[cfg(unix)]
fn facts(path: &Path) -> Option<Facts> {
    use std::os::unix::fs::MetadataExt as _;
    // If its metadata can't be read, opening it will report the error.
    path.metadata().ok().map(|metadata| Facts { mode: metadata.mode() & 0o7777, owner: metadata.uid() })
}

#[cfg(unix)]
fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Other systems control access in other ways.
#[cfg(not(unix))]
fn facts(_: &Path) -> Option<Facts> {
    None
}

#[cfg(not(unix))]
fn me() -> u32 {
    0
}

fn check(path: &Path, what: &str, of_others: u32) -> Result<(), String> {
    // A directory is refused when it is opened.
    let Some(Facts { mode, owner }) = facts(path).filter(|_| !path.is_dir()) else { return Ok(()) };
    let path = path.display();
    if owner != 0 && owner != me() {
        return Err(format!("the {what}'s file {path} belongs to another user (its uid is {owner}): chown it"));
    }
    if mode & of_others != 0 {
        return Err(format!("the {what}'s file {path} is open to others (its mode is {mode:04o}): chmod 600 it"));
    }
    Ok(())
}

/// Fails if everyone may write to a folder that isn't sticky: they could replace the files in it.
fn check_folder(path: &Path) -> Result<(), String> {
    match facts(path) {
        Some(Facts { mode, .. }) if mode & 0o1002 == 0o002 => Err(format!(
            "everyone may write to the database's folder {} (its mode is {mode:04o}), and so replace the database: \
                chmod o-w it",
            path.display()
        )),
        _ => Ok(()),
    }
}
