//! Builds queries over collections from the filters and orders that clients request.
//!
//! They aren't kept as prepared statements, because their texts differ from request to request.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, FromRow, Row as _, postgres::PgRow, sqlite::SqliteRow};

use super::{
    Conn, Dialect, StoreError,
    collection::{IndexRange, Scope},
    on,
};
use crate::domain::{
    clock::Timestamp,
    collection::{Condition, Kind, Operator, Order, Position, Value},
    label::Labels,
};

/// Binds values to a query of any kind, for either database.
macro_rules! bound {
    ($query:expr, $values:expr) => {
        $values.iter().fold($query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Integer(integer) => query.bind(integer),
            Value::Number(number) => query.bind(number),
            Value::Flag(flag) => query.bind(flag),
        })
    };
}

/// The position of a row in its order, for either database.
macro_rules! position {
    ($row:expr, $order:expr) => {
        Position {
            value: match $order.map(|order: Order| order.field.kind) {
                Some(Kind::Text(column) | Kind::OptionalText(column)) => {
                    $row.try_get::<Option<_>, _>(column)?.map(Value::Text)
                }
                Some(Kind::Number(column) | Kind::Instant(column) | Kind::OptionalInstant(column)) => {
                    $row.try_get::<Option<_>, _>(column)?.map(Value::Integer)
                }
                Some(Kind::Flag(column)) => Some(Value::Flag($row.try_get(column)?)),
                None | Some(Kind::Constant(_) | Kind::Label(_) | Kind::Object) => None,
            },
            created_at: Timestamp::from_micros($row.try_get("created_at")?),
            id: $row.try_get("id")?,
        }
    };
}

/// A query under construction: text with numbered placeholders, and the values for them.
#[derive(Clone)]
pub(super) struct Query {
    columns: &'static str,
    table: &'static str,
    pub within: &'static [&'static str],
    dialect: Dialect,
    conditions: String,
    values: Vec<Value>,
}

impl Query {
    /// A query for the whole collection.
    pub fn new(scope: &Scope, dialect: Dialect) -> Self {
        let Scope { columns, table, within, ref keys } = *scope;
        let values = keys.iter().cloned().map(Value::Text).collect();
        Self { columns, table, within, dialect, conditions: String::new(), values }
    }

    /// Adds a value, and returns the placeholder that stands for it.
    fn bind(&mut self, value: Value) -> String {
        self.values.push(match value {
            // PostgreSQL's text can't hold a NUL. No stored text contains a control character, so U+0001 compares the
            // same way.
            Value::Text(text) => Value::Text(text.replace('\0', "\u{1}")),
            other => other,
        });
        format!("${}", self.values.len())
    }

    /// Restricts the query to items that meet all conditions.
    pub fn filtered(mut self, conditions: &[Condition]) -> Self {
        let (labels, others): (Vec<_>, Vec<_>) =
            conditions.iter().partition(|c| matches!(c.field.kind, Kind::Label(_)));
        let (mut texts, mut wanted) = (BTreeMap::<_, Vec<_>>::new(), vec![]);
        for condition in others {
            match condition.field.kind {
                Kind::Instant(column) | Kind::OptionalInstant(column) if condition.operator == Operator::In => {
                    texts.entry(column).or_default().push(condition);
                }
                _ => wanted.push(self.condition(condition)),
            }
        }
        // Expensive conversions are done once for each row, however many conditions use them. LIMIT keeps a database
        // from repeating them for each condition.
        for (column, conditions) in texts {
            let text = self.dialect.instant_text(column);
            let held = conditions
                .into_iter()
                .map(|condition| self.comparison("t", condition))
                .collect::<Vec<_>>()
                .join(" AND ");
            wanted.push(format!("EXISTS (SELECT 1 FROM (SELECT {text} AS t LIMIT 1) AS instant WHERE {held})"));
        }
        if !labels.is_empty() {
            let dialect = self.dialect;
            let held: Vec<String> = labels
                .into_iter()
                .map(|condition| {
                    let member = if condition.field.kind == Kind::Label("name") { "name" } else { "value" };
                    dialect.any(&self.comparison(member, condition))
                })
                .collect();
            let member = |name| format!("CAST(l.value ->> '{name}' AS bytewise_text) AS {name}");
            wanted.push(format!(
                "labels <> '[]' AND (SELECT {} FROM (SELECT {}, {} FROM {} LIMIT {}) AS label)",
                held.join(" AND "),
                member("name"),
                member("value"),
                dialect.labels(),
                Labels::MOST
            ));
        }
        for condition in wanted {
            self.conditions += " AND ";
            self.conditions += &condition;
        }
        self
    }

    fn condition(&mut self, condition: &Condition) -> String {
        let expression = match condition.field.kind {
            Kind::Number(column) if condition.operator == Operator::In => format!("CAST({column} AS text)"),
            Kind::Flag(column) => format!("CAST(CASE WHEN {column} THEN 'true' ELSE 'false' END AS bytewise_text)"),
            Kind::Constant(text) => {
                let holds =
                    matches!(&condition.value, Some(Value::Text(value)) if condition.operator.holds(text, value));
                return if holds { "1 = 1" } else { "1 = 0" }.to_owned();
            }
            Kind::Text(column)
            | Kind::OptionalText(column)
            | Kind::Number(column)
            | Kind::Instant(column)
            | Kind::OptionalInstant(column) => column.to_owned(),
            Kind::Label(_) | Kind::Object => return "1 = 0".to_owned(),
        };
        self.comparison(&expression, condition)
    }

    fn comparison(&mut self, expression: &str, condition: &Condition) -> String {
        let Some(value) = condition.value.clone() else { return "1 = 0".to_owned() };
        let placeholder = self.bind(value);
        match condition.operator {
            Operator::Eq => format!("{expression} = {placeholder}"),
            Operator::Lt => format!("{expression} < {placeholder}"),
            Operator::Gt => format!("{expression} > {placeholder}"),
            Operator::Lte => format!("{expression} <= {placeholder}"),
            Operator::Gte => format!("{expression} >= {placeholder}"),
            Operator::In => self.dialect.contains(expression, &placeholder),
        }
    }

    /// Restricts the query to an index range.
    pub fn range(mut self, range: &IndexRange) -> Self {
        let mut values = range.values.iter().cloned();
        for part in range.conditions.split_inclusive('?') {
            match (part.strip_suffix('?'), values.next()) {
                (Some(text), Some(value)) => {
                    let placeholder = self.bind(value);
                    self.conditions += text;
                    self.conditions += &placeholder;
                }
                _ => self.conditions += part,
            }
        }
        self
    }

    /// The number of rows, and the number of those that have a value in the order's column.
    pub async fn count(&self, conn: &mut Conn, order: Option<Order>) -> Result<[u64; 2], StoreError> {
        let column = order.and_then(|order| order.field.column()).unwrap_or("id");
        let part = |within| format!("SELECT {column} AS k FROM {} WHERE {within}{}", self.table, self.conditions);
        let sql = format!(
            "SELECT count(*), count(k) FROM ({}) AS matches",
            self.within.iter().map(part).collect::<Vec<_>>().join(" UNION ALL ")
        );
        let (all, present): (i64, i64) = on!(conn, c => {
            bound!(sqlx::query_as(AssertSqlSafe(sql.clone())).persistent(false), &self.values).fetch_one(c).await
        })?;
        Ok([all, present].map(|count| u64::try_from(count).unwrap_or_default()))
    }

    /// Whether there are more than `most` rows.
    pub async fn exceeds(&self, conn: &mut Conn, most: u64) -> Result<bool, StoreError> {
        let enough = most.saturating_add(1);
        let part = |within| {
            format!(
                "SELECT * FROM (SELECT id FROM {} WHERE {within}{} LIMIT {enough}) AS part",
                self.table, self.conditions
            )
        };
        let sql = format!(
            "SELECT count(*) FROM ({}) AS parts",
            self.within.iter().map(part).collect::<Vec<_>>().join(" UNION ALL ")
        );
        let count: i64 = on!(conn, c => {
            bound!(sqlx::query_scalar(AssertSqlSafe(sql.clone())).persistent(false), &self.values).fetch_one(c).await
        })?;
        Ok(u64::try_from(count).unwrap_or_default() > most)
    }

    /// The SQL that reads a page. If several conditions make up the collection, each contributes its candidates, and
    /// the page is chosen among these: so each reads a range of its own index.
    pub fn select(&self, order: &str, skip: u64, limit: u64) -> String {
        let Self { columns, table, conditions, .. } = self;
        // Both databases take 2^63 - 1 at most, which the contract allows.
        let reach = skip.saturating_add(limit).min(i64::MAX.unsigned_abs());
        let (inner_limit, inner_skip) = if self.within.len() == 1 { (limit, skip) } else { (reach, 0) };
        let offset = |skip| if skip > 0 { format!(" OFFSET {skip}") } else { String::new() };
        let part = |within: &&str| {
            let range = format!("LIMIT {inner_limit}{}", offset(inner_skip));
            format!("SELECT {columns} FROM {table} WHERE {within}{conditions} ORDER BY {order} {range}")
        };
        match self.within {
            [within] => part(within),
            several => {
                let parts: Vec<String> =
                    several.iter().map(|within| format!("SELECT * FROM ({}) AS part", part(within))).collect();
                let parts = parts.join(" UNION ALL ");
                format!("SELECT {columns} FROM ({parts}) AS parts ORDER BY {order} LIMIT {limit}{}", offset(skip))
            }
        }
    }

    /// Passes the rows of a batch to `each`, with their positions, until it returns false.
    pub async fn fetch<T>(
        &self,
        conn: &mut Conn,
        sorted: &str,
        (skip, limit): (u64, u64),
        order: Option<Order>,
        mut each: impl FnMut(T, Position) -> bool,
    ) -> Result<(), StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow>,
    {
        let sql = self.select(sorted, skip, limit);
        Ok(on!(conn, c => {
            async {
                let mut rows = bound!(sqlx::query(AssertSqlSafe(sql.clone())).persistent(false), &self.values).fetch(c);
                while let Some(row) = rows.try_next().await? {
                    if !each(T::from_row(&row)?, position!(row, order)) {
                        break;
                    }
                }
                Ok::<_, sqlx::Error>(())
            }.await
        })?)
    }
}
