//! Why the store didn't do as asked, whichever database and whichever layer below says it.

use sqlx::{Error as E, error::ErrorKind};

use super::health::Place;

/// Why the store didn't do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached or can't take more work now; later it may. A commit that ends so may have happened
    /// or not.
    #[error("the database can't be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database didn't answer in time. A commit that ends so may have happened or not.
    #[error("the database didn't answer in time")]
    Late,
    /// The database isn't where it was opened.
    #[error("the database {0}")]
    Misplaced(Place),
    /// A value that has to be unique is taken.
    #[error("a unique value is taken")]
    Duplicate,
    /// A filter sets that many conditions over more than that many items.
    #[error("a filter would take too long")]
    TooDear {
        /// The conditions.
        conditions: usize,
        /// How many items they could be set over.
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

/// Whether the same may work later.
pub(super) fn is_unavailability(error: &sqlx::Error) -> bool {
    match error {
        E::Database(database) => database.code().is_some_and(|code| is_temporary(&code)),
        // What came can't be read as a row, or the query was wrong from the start.
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

/// SQLite's codes are numbers, whose low byte is the primary one; PostgreSQL's have five characters, whose first two
/// are the class.
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

/// SQLite: PERM, ABORT, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, SCHEMA,
/// NOLFS, NOTADB. PostgreSQL's classes: 08 connection; 0A a plan or feature that is gone since; 25 read-only and other
/// states of transactions; 26 a prepared statement that is gone; 28 and 42501 access withdrawn; 3D the database is
/// gone; 40 conflicts; 53 resources; 55 locks and states of objects; 57 shutdown, cancel and timeouts; 58 its system;
/// XX its inside, and what poolers in front of it have to say.
fn is_temporary(code: &str) -> bool {
    const CLASSES: [&str; 13] = ["08", "0A", "25", "26", "28", "3D", "40", "42501", "53", "55", "57", "58", "XX"];
    match code.into() {
        Code::Sqlite(primary) => matches!(primary, 3..=11 | 13..=15 | 17 | 22 | 26),
        Code::Postgres(code) => CLASSES.iter().any(|class| code.starts_with(class)),
    }
}

/// Whether a connection is as good as before once its transaction is rolled back. Only what is known to leave it so: on
/// SQLite a constraint that doesn't hold, a lock that wasn't had; on PostgreSQL these, bad data, conflicts, and
/// statements that took too long.
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

/// Whether the connection was closed from the other side: of what was asked on it nothing is known.
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

/// Whether PostgreSQL takes this session for read-only: another one may not be.
pub(super) fn is_read_only(error: &sqlx::Error) -> bool {
    matches!(error, E::Database(database) if database.code().as_deref() == Some("25006"))
}

/// Whether the database, or what every one of ours holds, isn't there any more.
pub(super) fn is_another_database(error: &sqlx::Error) -> bool {
    match error {
        E::RowNotFound => true,
        E::Database(database) => database.code().is_some_and(|code| match (&*code).into() {
            // Something else was copied over the file: a table is missing, or it is none.
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
