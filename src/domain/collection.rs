//! What can be asked of a collection: filter, order, position, size (spec/contract/CONTRACT.md §8).

use serde::{Deserialize, Serialize};

use super::{Refused, clock::Timestamp};

/// How the values of a field compare, and which column holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By code point; holds the column.
    Text(&'static str),
    /// As text that may be absent; holds the column.
    OptionalText(&'static str),
    /// As numbers; holds the column.
    Number(&'static str),
    /// As instants; holds the column.
    Instant(&'static str),
    /// As instants that may be absent; holds the column.
    OptionalInstant(&'static str),
    /// As the text `true` or `false`; holds the column.
    Flag(&'static str),
    /// As text that is the same for every item; holds the text.
    Constant(&'static str),
    /// As text, true where any label fits; holds the label's member.
    Label(&'static str),
    /// Not at all: an object or a list, which can only be included.
    Object,
}

/// A field of a resource that filters, orders and includes may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// As clients write it: `name`, `metadata.creationTimestamp`, `metadata.labels[*].name`.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
}

impl Field {
    /// A field of that path and kind.
    #[must_use]
    pub const fn new(path: &'static str, kind: Kind) -> Self {
        Self { path, kind }
    }

    /// True for a member of the resource itself rather than of an object in it.
    #[must_use]
    pub fn is_top_level(&self) -> bool {
        !self.path.contains(['.', '['])
    }

    /// The column that holds what the field compares by, if it is a single value that differs from item to item.
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
    /// The operator of that wire name.
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

    /// Whether it holds between two texts, by code point.
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

/// A value in the form in which a field compares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
}

/// One condition of a filter, ready to be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The field to look at.
    pub field: &'static Field,
    /// How to compare. Differs from what was asked where a finer instant than we keep had to be rounded.
    pub operator: Operator,
    /// What to compare with; `None` where nothing can be equal.
    pub value: Option<Value>,
}

impl Condition {
    /// Reads the value as the field's kind.
    ///
    /// # Errors
    /// When the value isn't of that kind, or the field doesn't compare.
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

/// We keep microseconds. Against a finer instant, "before" means "up to the microsecond below" and "after" means "past
/// it".
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

/// Which field to sort by. Absent values come first, ties follow creation and then id, whichever the direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// A top-level field that holds text or a number.
    pub field: &'static Field,
    /// Largest first.
    pub descending: bool,
}

impl Order {
    /// Sorts by that field.
    ///
    /// # Errors
    /// When the field has no order.
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
    /// The value of the field that orders the collection, if one does and the item has it.
    pub value: Option<Value>,
    /// When the item was created.
    pub created_at: Timestamp,
    /// The item's id.
    pub id: String,
}

/// Which items of a collection to return.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// By creation if none.
    pub order: Option<Order>,
    /// Resume after this item.
    pub after: Option<Position>,
    /// How many items to pass over first.
    pub skip: u64,
    /// How many items to return at most.
    pub limit: u64,
    /// Whether to count all matches.
    pub count: bool,
}

/// Takes the items of a page one by one as they are read. `false` for one that finds no room: the page ends before it.
pub type Take<'a, T> = &'a mut (dyn FnMut(T) -> bool + Send);

/// What there is to say of a page beside its items.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The last item's position, where more items follow.
    pub resume: Option<Position>,
    /// The number of all matches, if it was asked for.
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
