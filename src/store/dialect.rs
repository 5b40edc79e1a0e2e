//! SQL that differs between the two databases.

/// The database that an SQL statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// A table expression: one row for each label, its JSON in `l.value`.
    pub(super) fn labels(self) -> &'static str {
        match self {
            Self::Sqlite => "json_each(labels) AS l",
            Self::Postgres => "jsonb_array_elements(CAST(labels AS jsonb)) AS l(value)",
        }
    }

    /// An aggregate: whether a condition holds in any row of a group.
    pub(super) fn any(self, condition: &str) -> String {
        match self {
            Self::Sqlite => format!("max({condition})"),
            Self::Postgres => format!("bool_or({condition})"),
        }
    }

    /// Whether a text contains another.
    pub(super) fn contains(self, text: &str, part: &str) -> String {
        match self {
            Self::Sqlite => format!("instr({text}, {part}) > 0"),
            Self::Postgres => format!("strpos({text}, {part}) > 0"),
        }
    }

    /// An instant, in microseconds, as the text that clients see (RFC 3339).
    pub(super) fn instant_text(self, column: &str) -> String {
        match self {
            Self::Sqlite => {
                format!(
                    "(strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch') || printf('.%06dZ', {column} % \
                        1000000))"
                )
            }
            Self::Postgres => format!(
                "(to_char(to_timestamp({column} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') \
                 || '.' || lpad(CAST({column} % 1000000 AS text), 6, '0') || 'Z')"
            ),
        }
    }
}
