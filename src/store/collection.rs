//! Pages of a collection, by keyset: a page costs what it holds, however deep it lies.
//!
//! An ordered collection is walked in *stretches*, each a range of one index that is read from its start: the absent values first,
//! then the items that tie with the last one returned, then all that follow.

use sqlx::{AssertSqlSafe, FromRow, postgres::PgRow, sqlite::SqliteRow};

use super::{Conn, Dialect, StoreError, on};
use crate::domain::collection::{Condition, Kind, Operator, Order, Page, Position, Selection, Value};

/// Which rows make up the collection.
pub(super) struct Scope {
    /// Every column that orders is among them.
    pub columns: &'static str,
    pub table: &'static str,
    /// What says that a row belongs to the collection, with `$1` and so on for the keys. A row fits at most one of several.
    pub within: &'static [&'static str],
    pub keys: Vec<String>,
}

/// Reads a page.
pub(super) async fn list<T>(conn: &mut Conn, scope: &Scope, selection: &Selection) -> Result<Page<T>, StoreError>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let base = Query::new(scope, conn.dialect()).filtered(&selection.conditions);
    let count = if selection.count { Some(base.count(conn).await?) } else { None };
    // One more than asked for tells whether more follow.
    let wanted = selection.limit.saturating_add(1);
    let mut skip = if selection.after.is_some() { 0 } else { selection.skip };
    let mut items = Vec::new();
    for stretch in stretches(selection.order, selection.after.as_ref()) {
        let missing = wanted.saturating_sub(items.len() as u64);
        if missing == 0 {
            break;
        }
        let query = base.clone().stretch(&stretch);
        let found = query.fetch(conn, &stretch.order, skip, missing).await?;
        // Nothing came: either the stretch is shorter than what is to be skipped, or it just ended there.
        if found.is_empty() && skip > 0 {
            skip = skip.saturating_sub(query.count(conn).await?);
        } else {
            skip = 0;
        }
        items.extend(found);
    }
    let more = items.len() as u64 > selection.limit;
    items.truncate(usize::try_from(selection.limit).unwrap_or(usize::MAX));
    Ok(Page { items, more, count })
}

/// A range of an index: conditions with values for their `?`, and the order in which it is read.
struct Stretch {
    conditions: String,
    values: Vec<Value>,
    order: String,
}

fn stretches(order: Option<Order>, after: Option<&Position>) -> Vec<Stretch> {
    const BY_CREATION: &str = "created_at, id";
    let past = |position: &Position| vec![Value::Integer(position.created_at.as_micros()), Value::Text(position.id.clone())];
    let plain = |conditions: &str, mut values: Vec<Value>| {
        let mut conditions = conditions.to_owned();
        if let Some(position) = after {
            conditions += " AND (created_at, id) > (?, ?)";
            values.extend(past(position));
        }
        Stretch { conditions, values, order: BY_CREATION.to_owned() }
    };

    let (column, optional) = match order.map(|order| order.field.kind) {
        None | Some(Kind::Constant(_) | Kind::Label(_) | Kind::Object) => return vec![plain("", vec![])],
        Some(Kind::Text(column) | Kind::Number(column) | Kind::Instant(column) | Kind::Flag(column)) => (column, false),
        Some(Kind::OptionalText(column) | Kind::OptionalInstant(column)) => (column, true),
    };
    let (direction, beyond) = if order.is_some_and(|order| order.descending) { ("DESC", "<") } else { ("ASC", ">") };
    // What is said already is not said twice: that would keep SQLite from using its index.
    let ties = match column {
        "id" => String::new(),
        "created_at" => ", id".to_owned(),
        _ => format!(", {BY_CREATION}"),
    };
    let sorted = format!("{column} {direction}{ties}");
    let absent = || plain(&format!(" AND {column} IS NULL"), vec![]);
    let present = || {
        let conditions = if optional { format!(" AND {column} IS NOT NULL") } else { String::new() };
        Stretch { conditions, values: vec![], order: sorted.clone() }
    };
    match after {
        None if optional => vec![absent(), present()],
        None => vec![present()],
        Some(Position { value: None, .. }) => vec![absent(), present()],
        Some(Position { value: Some(value), .. }) => vec![
            plain(&format!(" AND {column} = ?"), vec![value.clone()]),
            Stretch { conditions: format!(" AND {column} {beyond} ?"), values: vec![value.clone()], order: sorted.clone() },
        ],
    }
}

/// Binds values to a query, whichever its kind and its database.
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

/// A query under construction: text with numbered placeholders, and the values for them.
#[derive(Clone)]
struct Query {
    columns: &'static str,
    table: &'static str,
    within: &'static [&'static str],
    dialect: Dialect,
    conditions: String,
    values: Vec<Value>,
}

impl Query {
    fn new(scope: &Scope, dialect: Dialect) -> Self {
        let Scope { columns, table, within, ref keys } = *scope;
        let values = keys.iter().cloned().map(Value::Text).collect();
        Self { columns, table, within, dialect, conditions: String::new(), values }
    }

    /// Adds a value, and returns the placeholder that stands for it.
    fn bind(&mut self, value: Value) -> String {
        self.values.push(match value {
            // PostgreSQL's text can't hold a NUL. No text of ours holds a control character, so its neighbour compares alike.
            Value::Text(text) => Value::Text(text.replace('\0', "\u{1}")),
            other => other,
        });
        format!("${}", self.values.len())
    }

    fn filtered(mut self, conditions: &[Condition]) -> Self {
        for condition in conditions {
            let sql = self.condition(condition);
            self.conditions += " AND ";
            self.conditions += &sql;
        }
        self
    }

    fn condition(&mut self, condition: &Condition) -> String {
        let Some(value) = condition.value.clone() else { return "1 = 0".to_owned() };
        let contains = condition.operator == Operator::In;
        let expression = match condition.field.kind {
            Kind::Instant(column) | Kind::OptionalInstant(column) if contains => self.dialect.instant_text(column),
            Kind::Number(column) if contains => format!("CAST({column} AS text)"),
            Kind::Flag(column) => format!("CAST(CASE WHEN {column} THEN 'true' ELSE 'false' END AS bytewise_text)"),
            Kind::Text(column)
            | Kind::OptionalText(column)
            | Kind::Number(column)
            | Kind::Instant(column)
            | Kind::OptionalInstant(column) => column.to_owned(),
            Kind::Constant(text) => format!("CAST('{text}' AS bytewise_text)"),
            Kind::Label(member) => format!("CAST(l.value ->> '{member}' AS bytewise_text)"),
            Kind::Object => return "1 = 0".to_owned(),
        };
        let placeholder = self.bind(value);
        let comparison = match condition.operator {
            Operator::Eq => format!("{expression} = {placeholder}"),
            Operator::Lt => format!("{expression} < {placeholder}"),
            Operator::Gt => format!("{expression} > {placeholder}"),
            Operator::Lte => format!("{expression} <= {placeholder}"),
            Operator::Gte => format!("{expression} >= {placeholder}"),
            // The one spelling of "contains" that both databases share and that has no wildcards.
            Operator::In => format!("replace({expression}, {placeholder}, '') <> {expression}"),
        };
        match condition.field.kind {
            Kind::Label(_) => format!("EXISTS (SELECT 1 FROM {} WHERE {comparison})", self.dialect.labels()),
            _ => comparison,
        }
    }

    fn stretch(mut self, stretch: &Stretch) -> Self {
        let mut values = stretch.values.iter().cloned();
        for part in stretch.conditions.split_inclusive('?') {
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

    async fn count(&self, conn: &mut Conn) -> Result<u64, StoreError> {
        let counts = self.within.iter().map(|within| format!("(SELECT count(*) FROM {} WHERE {within}{})", self.table, self.conditions));
        let sql = format!("SELECT {}", counts.collect::<Vec<_>>().join(" + "));
        let count: i64 = on!(conn, c => {
            bound!(sqlx::query_scalar(AssertSqlSafe(sql)), &self.values).fetch_one(c).await
        })?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Where several conditions make up the collection, each gives what it has of the page, and the page is chosen among that: so every
    /// one of them reads a range of its own index.
    fn select(&self, order: &str, skip: u64, limit: u64) -> String {
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
                let parts: Vec<String> = several.iter().map(|within| format!("SELECT * FROM ({}) AS part", part(within))).collect();
                let parts = parts.join(" UNION ALL ");
                format!("SELECT {columns} FROM ({parts}) AS parts ORDER BY {order} LIMIT {limit}{}", offset(skip))
            }
        }
    }

    async fn fetch<T>(&self, conn: &mut Conn, order: &str, skip: u64, limit: u64) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let sql = self.select(order, skip, limit);
        Ok(on!(conn, c => {
            bound!(sqlx::query_as(AssertSqlSafe(sql)), &self.values).fetch_all(c).await
        })?)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::*;
    use crate::{
        domain::{
            clock::Timestamp,
            collection::Field,
            id::{AccountId, UserId},
        },
        store::{Raw, Store, event, role_binding, token, user},
    };

    /// Every stretch of every order reads a range of an index from its start: no table is scanned, and nothing is sorted but the items
    /// that tie.
    #[tokio::test]
    async fn every_page_is_a_range_of_an_index() {
        let folder = tempfile::TempDir::new().unwrap();
        let url = format!("sqlite:{}", folder.path().join("plan.db").display());
        let store = Store::open(&url.parse().unwrap()).await.unwrap();
        let mut conn = store.read().await.unwrap();
        let position = |value: Option<Value>| Position { value, created_at: Timestamp::from_micros(0), id: "x".to_owned() };
        let (account, nobody) = (AccountId::nil(), UserId::nil());
        let few = |names: &[&str], fields: &'static [Field]| fields.iter().filter(|field| names.contains(&field.path)).collect::<Vec<_>>();
        let but = |name: &str, fields: &'static [Field]| fields.iter().filter(|field| field.path != name).collect::<Vec<_>>();
        let mut plans = 0;
        for (scope, fields) in [
            (token::scope(nobody), but("", token::FIELDS)),
            // These change too often to be kept in order.
            (user::scope(account), but("lastActTimestamp", user::FIELDS)),
            (role_binding::scope(account, None), but("", role_binding::FIELDS)),
            // Written with every change: one index for each order would cost more than it gives.
            (event::scope(account, None), few(&["sequenceCount", "eventTime", "resourceID", "accountID"], event::FIELDS)),
            (event::scope(account, Some(nobody)), few(&["eventTime", "userID", "accountID"], event::FIELDS)),
        ] {
            let orders = fields.into_iter().flat_map(|field| [Order::new(field, false), Order::new(field, true)]).flatten();
            for order in std::iter::once(None).chain(orders.map(Some)) {
                let value = order.map(|_| Value::Text("x".to_owned()));
                for after in [None, Some(position(value))] {
                    for stretch in stretches(order, after.as_ref()) {
                        let query = Query::new(&scope, Dialect::Sqlite).stretch(&stretch);
                        let query = Query { within: query.within.get(..1).unwrap(), ..query };
                        let sql = format!("EXPLAIN QUERY PLAN {}", query.select(&stretch.order, 0, 10));
                        let Raw::Sqlite(c) = conn.raw() else { panic!("not SQLite") };
                        let rows = sqlx::query(AssertSqlSafe(sql.clone())).fetch_all(c).await.unwrap();
                        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
                        let plan = plan.join("; ");
                        assert!(plan.starts_with(&format!("SEARCH {} USING INDEX", scope.table)), "{sql}: {plan}");
                        assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
                        plans += 1;
                    }
                }
            }
        }
        assert!(plans > 100, "{plans}");
    }
}
