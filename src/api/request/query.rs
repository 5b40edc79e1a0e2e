//! The query of a request, and whether it has unknown parameters.

use std::collections::HashSet;

use percent_encoding::percent_decode;
use poem::{FromRequest, Request, RequestBody};

use crate::{
    api::wire::{
        problem::Problem,
        problem_body::{MOST_FAULTS, quoted},
    },
    service::FieldError,
};

/// The decoded query of a request: names, and values where those are UTF-8.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct Query(Vec<(String, Option<String>)>);

impl Query {
    /// Parses a query or a form: both have the same format.
    pub fn parse(raw: &str) -> Self {
        let decode = |text: &str| {
            let spaces = text.replace('+', " ");
            percent_decode(spaces.as_bytes()).decode_utf8().ok().map(std::borrow::Cow::into_owned)
        };
        let pairs = raw.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name).unwrap_or_else(|| name.to_owned()), decode(value))
        });
        Self(decoded.collect())
    }

    /// The values of a parameter; `None` for one that isn't UTF-8.
    pub fn values(&self, name: &str) -> impl Iterator<Item = Option<&str>> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_deref())
    }

    /// Whether any parameter is given more than once.
    pub fn repeats(&self) -> bool {
        let mut seen = HashSet::new();
        !self.0.iter().all(|(name, _)| seen.insert(name))
    }

    /// The unknown parameters, each once, up to one more than a problem lists.
    pub fn unknown(&self, known: &[impl AsRef<str>]) -> Vec<FieldError> {
        let mut seen = HashSet::new();
        let is_known = |name: &str| known.iter().any(|known| known.as_ref() == name);
        let unknown = self.0.iter().filter(|(name, _)| !is_known(name) && seen.insert(quoted(name)));
        unknown
            .take(MOST_FAULTS + 1)
            .map(|(name, _)| FieldError::new(name, "is not a parameter of this operation"))
            .collect()
    }
}

/// Refuses every query parameter, for operations outside `/accounts` that have none. Below `/accounts` the gate does
/// this; here it must come after the credentials, which the handler checks.
pub(in crate::api) struct NoQuery;

impl<'a> FromRequest<'a> for NoQuery {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let unknown = Query::parse(request.uri().query().unwrap_or_default()).unknown(&[""; 0]);
        if unknown.is_empty() { Ok(Self) } else { Err(Problem::UnsupportedQuery(unknown).into()) }
    }
}
