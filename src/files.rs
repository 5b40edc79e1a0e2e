//! Who else may read or replace the files that hold what must be kept from others.

use std::path::{Path, PathBuf};

use crate::config::DatabaseUrl;

/// What SQLite and this server put beside a database, by the end of its name.
const BESIDE: [&str; 5] = ["", "-wal", "-shm", "-journal", ".lock"];

/// Whether the files of a database are its owner's alone. Those that aren't there are none's.
///
/// # Errors
/// One sentence that says which of them is open to others, and how to mend it.
pub fn check_database(url: &DatabaseUrl) -> Result<(), String> {
    let DatabaseUrl::Sqlite(path) = url else { return Ok(()) };
    // By its real name, which is where it lies.
    let path = path.canonicalize().unwrap_or_else(|_| path.clone());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    check_folder(&folder)?;
    for end in BESIDE {
        let mut name = path.clone().into_os_string();
        name.push(end);
        check(Path::new(&name), "database", 0o077)?;
    }
    Ok(())
}

/// Whether a file that holds a secret is its owner's alone. One of root's may be open to a group, as PostgreSQL has it: else nobody but root
/// could use it.
///
/// # Errors
/// One sentence that says what is wrong with it, and how to mend it.
pub fn check_secret(path: &Path, what: &str) -> Result<(), String> {
    let is_of_root = facts(path).is_some_and(|facts| facts.owner == 0);
    check(path, what, if is_of_root { 0o037 } else { 0o077 })
}

struct Facts {
    mode: u32,
    owner: u32,
}

#[cfg(unix)]
fn facts(path: &Path) -> Option<Facts> {
    use std::os::unix::fs::MetadataExt as _;
    // Whoever may not look at it will find out when it is opened.
    path.metadata().ok().map(|metadata| Facts { mode: metadata.mode() & 0o7777, owner: metadata.uid() })
}

#[cfg(unix)]
fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Access is governed otherwise there.
#[cfg(not(unix))]
fn facts(_: &Path) -> Option<Facts> {
    None
}

#[cfg(not(unix))]
fn me() -> u32 {
    0
}

fn check(path: &Path, what: &str, of_others: u32) -> Result<(), String> {
    // What is no file will be refused when it is opened.
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

/// Whoever may write to a folder may put another file in the place of one that is in it, unless it is sticky.
fn check_folder(path: &Path) -> Result<(), String> {
    match facts(path) {
        Some(Facts { mode, .. }) if mode & 0o1002 == 0o002 => Err(format!(
            "everyone may write to the database's folder {} (its mode is {mode:04o}), and so replace the database: chmod o-w it",
            path.display()
        )),
        _ => Ok(()),
    }
}
