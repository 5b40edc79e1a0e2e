//! Queries on collections: filter, order, position and page size (spec/contract/CONTRACT.md §8).

use serde::{Deserialize, Serialize};

use super::{Refused, clock::Timestamp};

/// How the values of a field are compared, and the database column that holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, compared by code point; contains the column's name.
    Text(&'static str),
    /// Text that may be absent; contains the column's name.
    OptionalText(&'static str),
    /// A number; contains the column's name.
    Number(&'static str),
    /// A timestamp; contains the column's name.
    Instant(&'static str),
    /// A timestamp that may be absent; contains the column's name.
    OptionalInstant(&'static str),
    /// A boolean, compared as the text `true` or `false`; contains the column's name.
    Flag(&'static str),
    /// Text that is the same for every item; contains that text.
    Constant(&'static str),
    /// A label's `name` or `value`: a condition is met if any label meets it; contains which of the two.
    Label(&'static str),
    /// An object or a list, which can't be compared but can be included.
    Object,
}

/// A field of a resource that `filter`, `orderBy` and `include` may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The field's path as clients write it: `name`, `metadata.creationTimestamp`, `metadata.labels[*].name`.
    pub path: &'static str,
    /// The kind of its values.
    pub kind: Kind,
}

impl Field {
    /// A field with this path and kind.
    #[must_use]
    pub const fn new(path: &'static str, kind: Kind) -> Self {
        Self { path, kind }
    }

    /// True for a member of the resource itself, false for a member of a nested object.
    #[must_use]
    pub fn is_top_level(&self) -> bool {
        !self.path.contains(['.', '['])
    }

    /// The column that holds the field's value; `None` for constants, labels, objects and lists.
    #[must_use]
    pub const fn column(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Text(column)
            | Kind::OptionalText(column)
            | Kind::Number(column)
            | Kind::Instant(column)
            | Kind::OptionalInstant(column)
            | Kind::Flag(column) => Some(column),
            Kind::Constant(_) | Kind::Label(_) | Kind::Object => None,
        }
    }
}

/// A filter's operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Less.
    Lt,
    /// Greater.
    Gt,
    /// Less or equal.
    Lte,
    /// Greater or equal.
    Gte,
    /// Contains the text.
    In,
}

impl Operator {
    /// The operator with this name in a `filter`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "eq" => Self::Eq,
            "lt" => Self::Lt,
            "gt" => Self::Gt,
            "lte" => Self::Lte,
            "gte" => Self::Gte,
            "in" => Self::In,
            _ => return None,
        })
    }

    /// Whether the comparison of two texts by code point is true.
    #[must_use]
    pub fn holds(self, text: &str, value: &str) -> bool {
        match self {
            Self::Eq => text == value,
            Self::Lt => text < value,
            Self::Gt => text > value,
            Self::Lte => text <= value,
            Self::Gte => text >= value,
            Self::In => text.contains(value),
        }
    }
}

/// A value to compare a field with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any number.
    Number(f64),
    /// A boolean.
    Flag(bool),
}

/// One condition of a filter, with its value parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The field to compare.
    pub field: &'static Field,
    /// The operator. It may differ from the requested one if the timestamp had to be rounded to microseconds.
    pub operator: Operator,
    /// The value to compare with; `None` if no stored value can equal it.
    pub value: Option<Value>,
}

impl Condition {
    /// Parses the value according to the field's kind.
    ///
    /// # Errors
    /// When the value isn't of that kind, or the field can't be compared.
    pub fn new(field: &'static Field, operator: Operator, value: &str) -> Result<Self, Refused> {
        let (operator, value) = match (field.kind, operator) {
            (Kind::Object, _) => {
                return Err(Refused::because(format!("can't compare `{}`, which is no single value", field.path)));
            }
            (Kind::Instant(_) | Kind::OptionalInstant(_), compare) if compare != Operator::In => {
                instant(compare, value)?
            }
            (Kind::Number(_), compare) if compare != Operator::In => {
                let number = value.parse().ok().filter(|n: &f64| n.is_finite());
                let number =
                    number.ok_or_else(|| Refused::because(format!("must compare `{}` with a number", field.path)))?;
                (operator, Some(Value::Number(number)))
            }
            _ => (operator, Some(Value::Text(value.to_owned()))),
        };
        Ok(Self { field, operator, value })
    }
}

/// Parses a timestamp to compare with. Stored timestamps have microseconds: compared with a finer timestamp, "before"
/// means "up to the microsecond below", and "after" means "later than that microsecond".
fn instant(operator: Operator, value: &str) -> Result<(Operator, Option<Value>), Refused> {
    let (at, exact) = Timestamp::parse(value)
        .ok_or_else(|| Refused::because("must compare timestamps with an RFC 3339 timestamp"))?;
    let at = Value::Integer(at.as_micros());
    Ok(match operator {
        Operator::Eq if !exact => (operator, None),
        Operator::Lt | Operator::Lte if !exact => (Operator::Lte, Some(at)),
        Operator::Gt | Operator::Gte if !exact => (Operator::Gt, Some(at)),
        _ => (operator, Some(at)),
    })
}

/// The sort order. In both directions, absent values come first, and ties are sorted by creation and then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// A top-level field that holds text or a number.
    pub field: &'static Field,
    /// Whether the largest values come first.
    pub descending: bool,
}

impl Order {
    /// An order by this field.
    ///
    /// # Errors
    /// When a collection can't be sorted by the field.
    pub fn new(field: &'static Field, descending: bool) -> Result<Self, Refused> {
        if field.is_top_level() && !matches!(field.kind, Kind::Object | Kind::Label(_)) {
            Ok(Self { field, descending })
        } else {
            Err(Refused::because("must name a top-level field that holds text or a number"))
        }
    }
}

/// Where a page ended: the sort keys of its last item.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The item's value of the field in `orderBy`; `None` without `orderBy`, or if the item lacks the field.
    pub value: Option<Value>,
    /// When the item was created.
    pub created_at: Timestamp,
    /// The item's id.
    pub id: String,
}

/// Which items of a collection to return.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// The filter's conditions, all of which must be met.
    pub conditions: Vec<Condition>,
    /// The sort order; `None` sorts by creation.
    pub order: Option<Order>,
    /// The position after which the page starts.
    pub after: Option<Position>,
    /// The number of items to skip.
    pub skip: u64,
    /// The maximum number of items to return.
    pub limit: u64,
    /// Whether to count all matches.
    pub count: bool,
}

/// A callback that receives the items of a page one by one. It returns `false` for an item that doesn't fit; the page
/// ends before that item.
pub type Take<'a, T> = &'a mut (dyn FnMut(T) -> bool + Send);

/// The properties of a page in addition to its items.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The last item's position, if more items follow.
    pub resume: Option<Position>,
    /// The number of all matches, if it was requested.
    pub count: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    static CREATED: Field = Field::new("metadata.creationTimestamp", Kind::Instant("created_at"));

    #[test]
    fn finer_instants_than_we_keep_round_to_the_same_answer() {
        let asked = |operator| {
            let condition = Condition::new(&CREATED, operator, "1970-01-01T00:00:00.0000017Z").unwrap();
            (condition.operator, condition.value)
        };
        assert_eq!(asked(Operator::Eq), (Operator::Eq, None));
        assert_eq!(asked(Operator::Lt), (Operator::Lte, Some(Value::Integer(1))));
        assert_eq!(asked(Operator::Gte), (Operator::Gt, Some(Value::Integer(1))));
    }
}
