//! The store's errors, and the classification of errors of the databases and the driver.

use sqlx::{Error as E, error::ErrorKind};

use super::health::Place;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached or can't take more work now; a retry may succeed. A commit that returns this may
    /// or may not have been made.
    #[error("the database can't be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database didn't answer in time. A commit that returns this may or may not have been made.
    #[error("the database didn't answer in time")]
    Late,
    /// The database was removed or replaced since it was opened.
    #[error("the database {0}")]
    Misplaced(Place),
    /// A value that has to be unique is taken.
    #[error("a unique value is taken")]
    Duplicate,
    /// A filter is too expensive: it has that many conditions, and the collection more than that many items.
    #[error("a filter would take too long")]
    TooDear {
        /// The number of conditions.
        conditions: usize,
        /// The largest number of items that the filter is allowed for.
        items: u64,
    },
    /// Anything else: a defect, here or in the database.
    #[error("the database failed: {0}")]
    Failed(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            E::Database(database) if database.is_unique_violation() => Self::Duplicate,
            _ if is_unavailability(&error) => Self::Unavailable(error),
            _ => Self::Failed(error),
        }
    }
}

/// Whether a retry may succeed later.
pub(super) fn is_unavailability(error: &sqlx::Error) -> bool {
    match error {
        E::Database(database) => database.code().is_some_and(|code| is_temporary(&code)),
        // The result can't be decoded, or the query itself is wrong.
        E::RowNotFound
        | E::ColumnDecode { .. }
        | E::Decode(_)
        | E::Encode(_)
        | E::TypeNotFound { .. }
        | E::ColumnIndexOutOfBounds { .. }
        | E::ColumnNotFound(_) => false,
        // The network, TLS, the protocol, the pool, the driver's thread.
        _ => true,
    }
}

/// An error code. SQLite's are numbers, whose low byte is the primary one; PostgreSQL's have five characters, whose
/// first two are the class.
enum Code<'c> {
    Sqlite(u32),
    Postgres(&'c str),
}

impl<'c> From<&'c str> for Code<'c> {
    fn from(code: &'c str) -> Self {
        match code.parse::<u32>() {
            Ok(number) if code.len() < 5 => Self::Sqlite(number & 0xff),
            _ => Self::Postgres(code),
        }
    }
}

/// Whether a retry may succeed after an error with this code. SQLite: PERM, ABORT, BUSY, LOCKED, NOMEM, READONLY,
/// INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, SCHEMA, NOLFS, NOTADB. PostgreSQL's classes: 08 connection; 0A
/// a cached plan or feature that is no longer valid; 25 read-only and other states of transactions; 26 a prepared
/// statement that no longer exists; 28 and 42501 access withdrawn; 3D the database no longer exists; 40 conflicts; 53
/// resources; 55 locks and states of objects; 57 shutdown, cancel and timeouts; 58 system errors; XX internal errors,
/// and errors of connection poolers.
fn is_temporary(code: &str) -> bool {
    const CLASSES: [&str; 13] = ["08", "0A", "25", "26", "28", "3D", "40", "42501", "53", "55", "57", "58", "XX"];
    match code.into() {
        Code::Sqlite(primary) => matches!(primary, 3..=11 | 13..=15 | 17 | 22 | 26),
        Code::Postgres(code) => CLASSES.iter().any(|class| code.starts_with(class)),
    }
}

/// Whether a connection is usable after this error once its transaction is rolled back. True only for errors that are
/// known to be harmless: on SQLite violated constraints and locks that weren't obtained; on PostgreSQL these, invalid
/// data, conflicts, and statements that took too long.
pub(super) fn leaves_connection_sound(error: &sqlx::Error) -> bool {
    match error {
        E::RowNotFound | E::ColumnDecode { .. } | E::Decode(_) | E::Encode(_) => true,
        E::Database(database) if !matches!(database.kind(), ErrorKind::Other) => true,
        E::Database(database) => database.code().is_some_and(|code| match (&*code).into() {
            Code::Sqlite(primary) => matches!(primary, 5 | 6 | 19),
            Code::Postgres(code) => ["22", "23", "40", "55P03", "57014"].iter().any(|class| code.starts_with(class)),
        }),
        _ => false,
    }
}

/// Whether the connection was closed by the other side, so that the outcome of its statement is unknown.
pub(super) fn is_cut(error: &sqlx::Error) -> bool {
    match error {
        E::Io(_) => true,
        E::Database(database) => database.code().is_some_and(|code| match (&*code).into() {
            Code::Sqlite(_) => false,
            Code::Postgres(code) => code.starts_with("08") || matches!(code, "57P01" | "57P02"),
        }),
        _ => false,
    }
}

/// Whether PostgreSQL reports this session as read-only; another session may not be.
pub(super) fn is_read_only(error: &sqlx::Error) -> bool {
    matches!(error, E::Database(database) if database.code().as_deref() == Some("25006"))
}

/// Whether the database, or a table or row that every tokenward database has, no longer exists.
pub(super) fn is_another_database(error: &sqlx::Error) -> bool {
    match error {
        E::RowNotFound => true,
        E::Database(database) => database.code().is_some_and(|code| match (&*code).into() {
            // Something else was copied over the file: a table is missing, or the file isn't a database.
            Code::Sqlite(primary) => matches!(primary, 1 | 11 | 26),
            Code::Postgres(code) => matches!(code, "3D000" | "3F000" | "42P01"),
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_tried_again_later() {
        let sqlite = ["5", "517", "13", "778", "1034", "3594", "11", "26", "7", "9", "15", "22"];
        let postgres = [
            "08006", "25006", "25P03", "28P01", "3D000", "40001", "53100", "55P03", "57014", "57P01", "58030", "XX000",
        ];
        for code in sqlite.iter().chain(&postgres) {
            assert!(is_temporary(code), "{code}");
        }
        for code in ["1", "19", "2067", "21", "42P01", "42703", "22001", "23505"] {
            assert!(!is_temporary(code), "{code}");
        }
    }

    #[test]
    fn every_layer_may_say_that_it_is_unavailable() {
        let said = |error: sqlx::Error| matches!(StoreError::from(error), StoreError::Unavailable(_));
        assert!(said(E::Protocol("unexpected response from SSLRequest: 0x00".to_owned())));
        assert!(said(E::Io(std::io::ErrorKind::UnexpectedEof.into())));
        assert!(said(E::Tls("bad record".into())));
        assert!(said(E::PoolTimedOut) && said(E::PoolClosed) && said(E::WorkerCrashed) && said(E::BeginFailed));
        assert!(!said(E::RowNotFound));
    }
}
