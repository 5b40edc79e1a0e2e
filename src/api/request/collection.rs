//! Queries over collections, and the pages that answer them (spec/contract/CONTRACT.md §8).

use poem::{FromRequest, Request, RequestBody};

use super::{context::Shared, cursor::Cursor, query::Query, routed::RoutedRequest};
use crate::{
    api::wire::{
        answer::Answer,
        page::{Items, ListMetadata, Listed},
        problem::Problem,
        problem_body::quoted,
        resource::Resource,
        scalar::Continuation,
    },
    domain::{
        Refused,
        clock::Timestamp,
        collection::{Condition, Field, Operator, Order, Page, Position, Selection},
    },
    service::{FieldError, Result as ServiceResult},
};

/// The names of a collection's query parameters.
pub(in crate::api) const PARAMETERS: [&str; 7] = ["include", "filter", "orderBy", "limit", "skip", "count", "continue"];
/// The maximum length of the filters in bytes: a `continue` token contains them, and must fit into a URL.
const LONGEST_FILTER: usize = 8 * 1024;
/// The maximum number of conditions in one request.
const MOST_CONDITIONS: usize = 16;

/// The query of a request to a collection, not yet parsed.
pub(in crate::api) struct CollectionQuery {
    query: Query,
    /// The path of the collection. A `continue` token is valid for one collection.
    collection: String,
    shared: Shared,
}

impl<'a> FromRequest<'a> for CollectionQuery {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let RoutedRequest { path, query, .. } = RoutedRequest::of(request)?;
        Ok(Self { query, collection: path, shared: Shared::of(request)? })
    }
}

/// The parsed query of a request to a collection.
pub(in crate::api) struct Asked {
    pub selection: Selection,
    /// Filter and order as they were given, for the `continue` token of the next page.
    filters: Vec<String>,
    order: Option<String>,
    collection: String,
    shared: Shared,
}

impl CollectionQuery {
    /// Parses the query, and begins the page.
    ///
    /// # Errors
    /// [`Problem::InvalidQuery`] with every invalid parameter.
    pub fn read<T: Resource>(self) -> Result<(Asked, Items<T>), Problem> {
        let fields = T::fields();
        let mut reader = Reader { query: &self.query, faults: vec![] };
        let include = reader.once("include", |text| included(text, fields));
        let limit = reader.once("limit", whole_number);
        let skip = reader.once("skip", whole_number);
        let count = reader.once("count", |text| {
            if text == "true" { Ok(true) } else { Err(Refused::because("must be true, or left out")) }
        });
        let mut order = reader.once("orderBy", |text| ordered(text, fields).map(|order| (spaced(text), order)));
        let mut filter = reader.all("filter", |texts| {
            let texts: Vec<String> = texts.into_iter().map(spaced).collect();
            filtered(&texts, fields).map(|conditions| (texts, conditions))
        });
        let after = reader.once("continue", |text| {
            let cursor = Cursor::unseal(text, &self.collection, &self.shared)?;
            let made_with = cursor
                .order
                .as_deref()
                .map(|text| ordered(text, fields).map(|order| (text.to_owned(), order)))
                .transpose()?;
            let conditions = filtered(&cursor.filters, fields)?;
            if order.as_ref().is_some_and(|(_, given)| Some(given) != made_with.as_ref().map(|(_, order)| order))
                || filter.as_ref().is_some_and(|(_, given)| *given != conditions)
            {
                return Err(Refused::because("was made with another filter or order"));
            }
            order = made_with;
            filter = Some((cursor.filters, conditions));
            let created_at = Timestamp::from_micros(cursor.created);
            Ok(Position { value: cursor.value, created_at, id: cursor.id })
        });
        if !reader.faults.is_empty() {
            return Err(Problem::InvalidQuery(reader.faults));
        }
        let (filters, conditions) = filter.unwrap_or_default();
        let selection = Selection {
            conditions,
            order: order.as_ref().map(|(_, order)| *order),
            after,
            skip: skip.unwrap_or(0),
            limit: limit.unwrap_or(u64::MAX).min(self.shared.page_cap),
            count: count.unwrap_or(false),
        };
        let order = order.map(|(text, _)| text);
        Ok((Asked { selection, filters, order, collection: self.collection, shared: self.shared }, Items::new(include)))
    }
}

impl Asked {
    /// 200 with the page.
    ///
    /// # Errors
    /// When it can't be serialized.
    pub fn answer<T: Resource>(self, items: Items<T>, page: Page) -> ServiceResult<Answer<Listed<T>>> {
        let resume = page.resume.map(|position| self.seal(position).map(Continuation)).transpose()?;
        // Signed: few client generators support `uint64`; the others use a smaller integer type.
        let count = page.count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        items.finish(&ListMetadata { resume, count })
    }

    /// The `continue` token of the position at which this page ended.
    fn seal(&self, Position { value, created_at, id }: Position) -> ServiceResult<String> {
        let (filters, order) = (self.filters.clone(), self.order.clone());
        Cursor { filters, order, value, created: created_at.as_micros(), id }.seal(&self.collection, &self.shared)
    }
}

/// Parses parameters, and collects their faults.
struct Reader<'q> {
    query: &'q Query,
    faults: Vec<FieldError>,
}

impl Reader<'_> {
    /// A parameter that may be given once.
    fn once<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, Refused>) -> Option<T> {
        self.all(name, |texts| match texts.as_slice() {
            [text] => parse(text),
            _ => Err(Refused::because("must be given once")),
        })
    }

    /// A parameter that may be given several times.
    fn all<T>(&mut self, name: &str, parse: impl FnOnce(Vec<&str>) -> Result<T, Refused>) -> Option<T> {
        let texts: Option<Vec<&str>> = self.query.values(name).collect();
        let parsed = match texts {
            Some(texts) if texts.is_empty() => return None,
            Some(texts) => parse(texts),
            None => Err(Refused::because("must be UTF-8")),
        };
        parsed.map_err(|refused| self.faults.push(FieldError::new(name, refused.0))).ok()
    }
}

/// Replaces `%20` that is left after decoding with a space, as the published API does.
fn spaced(text: &str) -> String {
    text.replace("%20", " ")
}

fn field(path: &str, fields: &'static [Field]) -> Result<&'static Field, Refused> {
    let found = fields.iter().find(|field| field.path == path);
    found.ok_or_else(|| Refused::because(format!("must name fields of the resource, which `{}` is not", quoted(path))))
}

fn included(text: &str, fields: &'static [Field]) -> Result<Vec<&'static Field>, Refused> {
    let mut named: Vec<&'static Field> = vec![];
    for name in text.split(',') {
        let field = field(name, fields)?;
        if !field.is_top_level() {
            return Err(Refused::because("must name top-level fields"));
        }
        // Each once: otherwise a small request that names the largest field many times would get a huge response.
        if named.iter().any(|other| other.path == field.path) {
            return Err(Refused::because(format!("must not name `{}` twice", field.path)));
        }
        named.push(field);
    }
    Ok(named)
}

/// `[1-9][0-9]*`, up to 2^63 - 1.
fn whole_number(text: &str) -> Result<u64, Refused> {
    let digits = text.starts_with(|c| matches!(c, '1'..='9')) && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok());
    number.filter(|_| digits).ok_or_else(|| Refused::because(format!("must be a whole number from 1 to {}", i64::MAX)))
}

fn ordered(text: &str, fields: &'static [Field]) -> Result<Order, Refused> {
    let text = spaced(text);
    let (path, descending) = text.strip_suffix(" desc").map_or((text.as_str(), false), |path| (path, true));
    Order::new(field(path, fields)?, descending)
}

/// Parses conditions: in each text `field op 'value'`, or several of them separated by commas.
fn filtered(texts: &[String], fields: &'static [Field]) -> Result<Vec<Condition>, Refused> {
    if texts.iter().map(String::len).sum::<usize>() > LONGEST_FILTER {
        return Err(Refused::because(format!("must not be longer than {LONGEST_FILTER} bytes")));
    }
    let mut conditions = vec![];
    for text in texts {
        let mut rest = text.as_str();
        loop {
            let (condition, after) = condition(rest, fields)?;
            conditions.push(condition);
            if conditions.len() > MOST_CONDITIONS {
                return Err(Refused::because(format!("must not set more than {MOST_CONDITIONS} conditions")));
            }
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None if after.is_empty() => break,
                None => return Err(malformed()),
            }
        }
    }
    Ok(conditions)
}

fn malformed() -> Refused {
    Refused::because("must have the form: field op 'value', with eq, lt, gt, lte, gte or in as op")
}

fn condition<'t>(text: &'t str, fields: &'static [Field]) -> Result<(Condition, &'t str), Refused> {
    let (path, rest) = text.split_once(' ').ok_or_else(malformed)?;
    let (operator, rest) = rest.split_once(' ').ok_or_else(malformed)?;
    let (value, rest) = rest.strip_prefix('\'').and_then(|rest| rest.split_once('\'')).ok_or_else(malformed)?;
    if value.is_empty() {
        return Err(malformed());
    }
    let operator = Operator::named(operator).ok_or_else(malformed)?;
    Ok((Condition::new(field(path, fields)?, operator, value)?, rest))
}
