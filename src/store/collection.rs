//! Reads pages of a collection by keyset pagination: the cost of a page depends on its size, not on its position.
//!
//! An ordered collection is read in *index ranges*. Each is a range of one index that is read from its start: first the
//! items without a value, then those with the same value as the last item returned, then all that follow. Rows are read
//! in *batches*, each of which resumes where the previous one ended, and are passed on one by one, so that few rows are
//! read needlessly if a page is full before its limit.

use std::collections::BTreeSet;

use sqlx::{FromRow, postgres::PgRow, sqlite::SqliteRow};

use super::{Conn, StoreError, lister::Lister, query::Query};
use crate::domain::collection::{Condition, Kind, Operator, Order, Page, Position, Selection, Take, Value};

/// The largest number of rows in the first batch, and in each further one.
const BATCHES: [u64; 2] = [128, 512];
/// A filter with at most `FEW_CONDITIONS` conditions, or with a cost of at most `LITTLE_COST`, is allowed for any
/// number of items: only the deadline limits it.
const FEW_CONDITIONS: usize = 2;
const LITTLE_COST: u64 = 8;
/// The highest cost of any other filter over all items: less than a second. Comparing a column with a value costs 1.
const MOST_COST: u64 = 2_800_000;
/// The cost of formatting an instant as text, and of parsing the labels of an item.
const COST_OF_INSTANT: u64 = 7;
const COST_OF_LABELS: u64 = 15;

/// The rows that make up a collection.
pub(super) struct Scope {
    /// The columns to select; they include every column that can be ordered by.
    pub columns: &'static str,
    pub table: &'static str,
    /// SQL conditions for the rows of the collection, with `$1` and so on for the keys. If there are several, a row
    /// meets at most one of them.
    pub within: &'static [&'static str],
    pub keys: Vec<String>,
}

/// Reads a page.
pub(super) async fn list<T>(
    lister: &mut Lister,
    scope: &Scope,
    selection: &Selection,
    take: Take<'_, T>,
) -> Result<Page, StoreError>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    // Otherwise the page is a short range of an index.
    let long = selection.count || selection.skip > 0 || !selection.conditions.is_empty();
    lister.read(long, async |conn| read(conn, scope, selection, take).await).await
}

async fn read<T>(conn: &mut Conn, scope: &Scope, selection: &Selection, take: Take<'_, T>) -> Result<Page, StoreError>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let &Selection { ref conditions, order, limit, count, .. } = selection;
    let base = Query::new(scope, conn.dialect());
    let cost = cost(conditions);
    if conditions.len() > FEW_CONDITIONS && cost > LITTLE_COST {
        let most = MOST_COST / cost;
        if base.exceeds(conn, most).await? {
            return Err(StoreError::TooDear { conditions: conditions.len(), items: most });
        }
    }
    let base = base.filtered(conditions);
    let mut after = selection.after.clone();
    let mut skip = if after.is_some() { 0 } else { selection.skip };
    let mut ranges = index_ranges(order, after.as_ref());
    let mut page = Page::default();
    // The items to skip may extend beyond those without a value.
    if count || (skip > 0 && ranges.len() > 1) {
        let [all, present] = base.count(conn, order).await?;
        let absent = all.saturating_sub(present);
        page.count = count.then_some(all);
        if after.is_none() && skip >= all {
            return Ok(page);
        }
        if skip > 0 && ranges.len() > 1 && skip >= absent {
            skip -= absent;
            ranges.remove(0);
        }
    }
    let (mut left, mut batches) = (limit, BATCHES.into_iter());
    let mut most = 0;
    loop {
        most = batches.next().unwrap_or(most);
        let mut whole = true;
        for range in ranges {
            // One more than requested, to tell whether more follow.
            let batch = left.saturating_add(1).min(most);
            let mut seen = 0;
            let mut full = false;
            base.clone()
                .range(&range)
                .fetch(conn, &range.order, (skip, batch), order, |item, position| {
                    seen += 1;
                    full = left == 0 || !take(item);
                    if !full {
                        left -= 1;
                        after = Some(position);
                    }
                    !full
                })
                .await?;
            if full {
                page.resume = after;
                return Ok(page);
            }
            skip = 0;
            if seen == batch {
                whole = false;
                break;
            }
        }
        if whole {
            return Ok(page);
        }
        ranges = index_ranges(order, after.as_ref());
    }
}

/// The cost of evaluating the conditions on one item.
fn cost(conditions: &[Condition]) -> u64 {
    let (mut cost, mut dear) = (conditions.len() as u64, BTreeSet::new());
    for condition in conditions {
        match condition.field.kind {
            Kind::Label(_) if dear.insert("labels") => cost += COST_OF_LABELS,
            Kind::Instant(column) | Kind::OptionalInstant(column)
                if condition.operator == Operator::In && dear.insert(column) =>
            {
                cost += COST_OF_INSTANT;
            }
            _ => {}
        }
    }
    cost
}

/// A range of an index: conditions with values for their `?`, and the order in which it is read.
pub(super) struct IndexRange {
    pub conditions: String,
    pub values: Vec<Value>,
    pub order: String,
}

fn index_ranges(order: Option<Order>, after: Option<&Position>) -> Vec<IndexRange> {
    const BY_CREATION: &str = "created_at, id";
    let past =
        |position: &Position| vec![Value::Integer(position.created_at.as_micros()), Value::Text(position.id.clone())];
    let plain = |conditions: &str, mut values: Vec<Value>| {
        let mut conditions = conditions.to_owned();
        if let Some(position) = after {
            conditions += " AND (created_at, id) > (?, ?)";
            values.extend(past(position));
        }
        IndexRange { conditions, values, order: BY_CREATION.to_owned() }
    };

    let Some(column) = order.and_then(|order| order.field.column()) else { return vec![plain("", vec![])] };
    let optional =
        order.is_some_and(|order| matches!(order.field.kind, Kind::OptionalText(_) | Kind::OptionalInstant(_)));
    let (direction, beyond) = if order.is_some_and(|order| order.descending) { ("DESC", "<") } else { ("ASC", ">") };
    // No column is repeated in ORDER BY: that would keep SQLite from using its index.
    let ties = match column {
        "id" => String::new(),
        "created_at" => ", id".to_owned(),
        _ => format!(", {BY_CREATION}"),
    };
    let sorted = format!("{column} {direction}{ties}");
    let absent = || plain(&format!(" AND {column} IS NULL"), vec![]);
    let present = || {
        let conditions = if optional { format!(" AND {column} IS NOT NULL") } else { String::new() };
        IndexRange { conditions, values: vec![], order: sorted.clone() }
    };
    match after {
        None if optional => vec![absent(), present()],
        None => vec![present()],
        Some(Position { value: None, .. }) => vec![absent(), present()],
        Some(Position { value: Some(value), .. }) => vec![
            plain(&format!(" AND {column} = ?"), vec![value.clone()]),
            IndexRange {
                conditions: format!(" AND {column} {beyond} ?"),
                values: vec![value.clone()],
                order: sorted.clone(),
            },
        ],
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row as _};

    use super::*;
    use crate::{
        domain::{
            clock::Timestamp,
            collection::Field,
            id::{AccountId, UserId},
        },
        store::{Dialect, Raw, Store, event, role_binding, token, user},
    };

    #[test]
    fn what_is_dear_is_paid_for_once() {
        let condition = |path: &str, operator, value| {
            let field = user::FIELDS.iter().find(|field| field.path == path).unwrap();
            Condition::new(field, operator, value).unwrap()
        };
        let name = condition("metadata.labels[*].name", Operator::Eq, "x");
        let created = condition("metadata.creationTimestamp", Operator::In, "2");
        let later = condition("metadata.creationTimestamp", Operator::Gt, "2026-01-01T00:00:00Z");
        assert_eq!(cost(&[later.clone(), later]), 2);
        assert_eq!(cost(&[name.clone(), name.clone()]), 2 + COST_OF_LABELS);
        assert_eq!(cost(&[created.clone(), created, name]), 3 + COST_OF_INSTANT + COST_OF_LABELS);
    }

    /// Every range of every order reads a range of an index from its start: no table is scanned, and nothing is sorted
    /// but the items that tie.
    #[tokio::test]
    async fn every_page_is_a_range_of_an_index() {
        let folder = tempfile::TempDir::new().unwrap();
        let url = format!("sqlite:{}", folder.path().join("plan.db").display());
        let store = Store::open(&url.parse().unwrap()).await.unwrap();
        let mut conn = store.read().await.unwrap();
        let position =
            |value: Option<Value>| Position { value, created_at: Timestamp::from_micros(0), id: "x".to_owned() };
        let (account, nobody) = (AccountId::nil(), UserId::nil());
        let few = |names: &[&str], fields: &'static [Field]| {
            fields.iter().filter(|field| names.contains(&field.path)).collect::<Vec<_>>()
        };
        let but =
            |name: &str, fields: &'static [Field]| fields.iter().filter(|field| field.path != name).collect::<Vec<_>>();
        let mut plans = 0;
        for (scope, fields) in [
            (token::scope(nobody), but("", token::FIELDS)),
            // These change too often to be kept in order.
            (user::scope(account), but("lastActTimestamp", user::FIELDS)),
            (role_binding::scope(account, None), but("", role_binding::FIELDS)),
            // Written with every change: one index for each order would cost more than it gives.
            (
                event::scope(account, None),
                few(&["sequenceCount", "eventTime", "resourceID", "accountID"], event::FIELDS),
            ),
            (event::scope(account, Some(nobody)), few(&["eventTime", "userID", "accountID"], event::FIELDS)),
        ] {
            let orders =
                fields.into_iter().flat_map(|field| [Order::new(field, false), Order::new(field, true)]).flatten();
            for order in std::iter::once(None).chain(orders.map(Some)) {
                let value = order.map(|_| Value::Text("x".to_owned()));
                for after in [None, Some(position(value))] {
                    for range in index_ranges(order, after.as_ref()) {
                        let mut query = Query::new(&scope, Dialect::Sqlite).range(&range);
                        query.within = query.within.get(..1).unwrap();
                        let sql = format!("EXPLAIN QUERY PLAN {}", query.select(&range.order, 0, 10));
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
