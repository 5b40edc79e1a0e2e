//! The sizes of the pools of connections to the database.

use sqlx::{PgConnection, Row as _};

use super::OpenError;

/// How many connections are opened unless the operator says otherwise.
pub const CONNECTIONS: u32 = 20;
/// The smallest number of connections: one to read, one for pages of collections, one to write.
pub const FEWEST: u32 = 3;

/// How many connections each pool may open. No pool can take the connections of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub read: u32,
    pub list: u32,
    pub write: u32,
}

impl Sizes {
    /// Divides connections between the pools: two fifths to read, two fifths to write, one fifth for pages of
    /// collections.
    pub fn of(connections: u32) -> Self {
        let (list, write) = ((connections / 5).max(1), (connections.saturating_mul(2) / 5).max(1));
        Self { read: connections.saturating_sub(list + write).max(1), list, write }
    }
}

/// How many more connections PostgreSQL allows, not counting the one that runs this query: the smallest number that the
/// limits of the role, of the database and of the server leave. The first two don't apply to superusers, and the server
/// reserves some connections that nobody else can use.
const ALLOWED: &str = "SELECT CAST(least( \
         CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper THEN r.rolconnlimit \
             - (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid AND a.pid <> pg_backend_pid()) END, \
         CASE WHEN d.datconnlimit >= 0 AND NOT r.rolsuper THEN d.datconnlimit \
             - (SELECT sum(numbackends) - 1 FROM pg_stat_database s WHERE s.datid = d.oid) END, \
         CAST(current_setting('max_connections') AS integer) \
             - CASE WHEN r.rolsuper THEN 0 ELSE CAST(current_setting('superuser_reserved_connections') AS integer) \
                 + coalesce(CAST(current_setting('reserved_connections', true) AS integer), 0) END \
             - (SELECT sum(numbackends) - 1 FROM pg_stat_database)) AS bigint) \
     FROM pg_roles r, pg_database d WHERE r.rolname = session_user AND d.datname = current_database()";

/// The sizes for `wanted` connections, or for as many as PostgreSQL allows if these are fewer.
///
/// # Errors
/// When PostgreSQL allows too few connections.
pub(super) async fn allowed(conn: &mut PgConnection, wanted: u32) -> Result<Sizes, OpenError> {
    // Databases that only resemble PostgreSQL may lack these system tables.
    let row = sqlx::raw_sql(ALLOWED).fetch_one(conn).await;
    let allowed: Option<i64> = row.and_then(|row| row.try_get(0)).unwrap_or_default();
    let allowed = allowed.map_or(wanted, |allowed| u32::try_from(allowed).unwrap_or(0));
    if allowed < FEWEST {
        return Err(too_few(allowed));
    }
    if allowed < wanted {
        tracing::warn!(
            wanted,
            allowed,
            "PostgreSQL allows fewer connections than are wanted: there will be no more until the next start"
        );
    }
    Ok(Sizes::of(wanted.min(allowed)))
}

/// The error for a database that allows too few connections.
pub(super) fn too_few(allowed: u32) -> OpenError {
    OpenError(format!(
        "allows {allowed} more connections, and {FEWEST} are needed: raise the CONNECTION LIMIT of the role or the \
            database, or \
         max_connections, or end other clients"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pool_gets_a_connection_and_together_they_get_no_more_than_there_are() {
        assert_eq!(Sizes::of(CONNECTIONS), Sizes { read: 8, list: 4, write: 8 });
        assert_eq!(Sizes::of(4), Sizes { read: 2, list: 1, write: 1 });
        for connections in FEWEST..1_000 {
            let Sizes { read, list, write } = Sizes::of(connections);
            assert!(read >= 1 && list >= 1 && write >= 1 && read + list + write == connections, "{connections}");
        }
    }
}
