//! Conditional requests (RFC 9110 §13, spec/contract/CONTRACT.md §4).

use std::time::UNIX_EPOCH;

use poem::http::{HeaderMap, HeaderName, header};

use crate::{
    api::wire::{
        resource::{Represented, Resource as _},
        validators::Validators,
    },
    service::{Error, FieldError, Result, precondition::Precondition},
};

/// The conditions that a request sets.
#[derive(Debug, Default)]
pub(in crate::api) struct Conditions {
    if_match: Option<EntityTags>,
    if_none_match: Option<EntityTags>,
    /// Seconds since the Unix epoch.
    if_modified_since: Option<i64>,
    if_unmodified_since: Option<i64>,
}

#[derive(Debug)]
enum EntityTags {
    Any,
    List(Vec<EntityTag>),
}

#[derive(Debug, PartialEq, Eq)]
struct EntityTag {
    weak: bool,
    /// The opaque tag, with its quotes.
    opaque: String,
}

/// What a conditional `GET` returns.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) enum Freshness {
    /// The representation.
    Send,
    /// 304: the client already has it.
    NotModified,
}

impl Conditions {
    /// Parses the conditional headers, and reports malformed ones as faults. Invalid dates are ignored, as RFC 9110
    /// requires.
    pub fn read(headers: &HeaderMap, faults: &mut Vec<FieldError>) -> Self {
        Self {
            if_match: tags(headers, &header::IF_MATCH, "If-Match", faults),
            if_none_match: tags(headers, &header::IF_NONE_MATCH, "If-None-Match", faults),
            if_modified_since: date(headers, &header::IF_MODIFIED_SINCE),
            if_unmodified_since: date(headers, &header::IF_UNMODIFIED_SINCE),
        }
    }

    /// Whether a `GET` gets the representation.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`]
    pub fn freshness(&self, current: &Validators) -> Result<Freshness> {
        self.unchanged(current)?;
        let known = match &self.if_none_match {
            Some(tags) => tags.hold(current, false),
            None => self.if_modified_since.is_some_and(|since| current.modified_at.seconds() <= since),
        };
        Ok(if known { Freshness::NotModified } else { Freshness::Send })
    }

    /// The conditions without `If-Modified-Since`, which applies to `GET` and `PUT` only. On `PUT` it is defined by the
    /// published API.
    pub fn of_delete(self) -> Self {
        Self { if_modified_since: None, ..self }
    }

    /// Checks whether the conditions permit a change.
    fn admit(&self, present: &Validators) -> Result<()> {
        self.unchanged(present)?;
        let is_known = match &self.if_none_match {
            Some(tags) => tags.hold(present, false),
            None => self.if_modified_since.is_some_and(|since| present.modified_at.seconds() <= since),
        };
        if is_known { Err(Error::PreconditionFailed) } else { Ok(()) }
    }

    /// Checks `If-Match`, or else `If-Unmodified-Since`.
    fn unchanged(&self, current: &Validators) -> Result<()> {
        let holds = match &self.if_match {
            Some(tags) => tags.hold(current, true),
            None => self.if_unmodified_since.is_none_or(|since| current.modified_at.seconds() <= since),
        };
        if holds { Ok(()) } else { Err(Error::PreconditionFailed) }
    }
}

/// Compares with the resource as a `GET` would return it now.
impl<T: Represented> Precondition<T> for Conditions {
    fn check(&self, present: &T) -> Result<()> {
        self.admit(&T::Resource::from(present.clone()).representation()?.validators)
    }
}

impl EntityTags {
    fn hold(&self, current: &Validators, strongly: bool) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| tag.opaque == current.etag && !(strongly && tag.weak)),
        }
    }
}

fn tags(headers: &HeaderMap, name: &HeaderName, spelled: &str, faults: &mut Vec<FieldError>) -> Option<EntityTags> {
    if !headers.contains_key(name) {
        return None;
    }
    let lines: Option<Vec<&str>> = headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
    let parsed = lines.and_then(|lines| parse_tags(&lines.join(",")));
    if parsed.is_none() {
        faults.push(FieldError::new(spelled, "must be * or a list of entity tags, each in double quotes"));
    }
    parsed
}

fn parse_tags(value: &str) -> Option<EntityTags> {
    if value.trim() == "*" {
        return Some(EntityTags::Any);
    }
    // A list may have empty elements (RFC 9110 §5.6.1.2), but needs at least one other. Entity tags have no escape
    // sequences: `\` is an ordinary character.
    let mut tags = vec![];
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |strong| (true, strong));
        let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
        if !opaque.bytes().all(|b| b == 0x21 || (0x23..=0x7e).contains(&b)) {
            return None;
        }
        tags.push(EntityTag { weak, opaque: format!("\"{opaque}\"") });
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
    (!tags.is_empty()).then_some(EntityTags::List(tags))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let at = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::wire::validators::http_date, domain::clock::Timestamp};

    const NOW: i64 = 1_767_225_600;

    fn conditions(pairs: &[(&str, &str)]) -> (Conditions, Vec<String>) {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let mut faults = vec![];
        let conditions = Conditions::read(&headers, &mut faults);
        (conditions, faults.into_iter().map(|fault| fault.name).collect())
    }

    fn current() -> Validators {
        Validators { etag: "\"abc\"".to_owned(), modified_at: Timestamp::from_micros(NOW * 1_000_000 + 999_999) }
    }

    fn put(pairs: &[(&str, &str)]) -> bool {
        conditions(pairs).0.admit(&current()).is_ok()
    }

    fn date_at(offset: i64) -> String {
        http_date(Timestamp::from_micros((NOW + offset) * 1_000_000))
    }

    #[test]
    fn entity_tags() {
        for good in ["*", "\"abc\"", "\"x\", \"abc\"", ", \"abc\" ,", "\"a,b\",\"abc\"", "\"\\\",\"abc\""] {
            assert!(put(&[("If-Match", good)]), "{good}");
        }
        for other in ["\"x\"", "W/\"abc\"", "\"ABC\""] {
            assert!(!put(&[("If-Match", other)]), "{other}");
        }
        for bad in ["", "abc", "\"abc", "\"abc\" \"x\"", "w/\"abc\"", "*, \"abc\"", ",", "\"a b\""] {
            assert_eq!(conditions(&[("If-Match", bad)]).1, ["If-Match"], "{bad}");
        }
        assert!(put(&[("If-Match", "\"x\""), ("If-Match", "\"abc\"")]));
        assert!(!put(&[("If-None-Match", "W/\"abc\"")]));
        assert!(!put(&[("If-None-Match", "*")]));
    }

    #[test]
    fn dates_compare_whole_seconds() {
        assert!(put(&[("If-Unmodified-Since", &date_at(0))]));
        assert!(!put(&[("If-Unmodified-Since", &date_at(-1))]));
        assert!(!put(&[("If-Modified-Since", &date_at(0))]));
        assert!(put(&[("If-Modified-Since", &date_at(-1))]));
        assert!(put(&[("If-Unmodified-Since", "no date at all")]));
    }

    #[test]
    fn entity_tags_silence_dates() {
        assert!(put(&[("If-Match", "\"abc\""), ("If-Unmodified-Since", &date_at(-9))]));
        assert!(put(&[("If-None-Match", "\"x\""), ("If-Modified-Since", &date_at(9))]));
        let (both, _) = conditions(&[("If-None-Match", "\"x\""), ("If-Modified-Since", &date_at(9))]);
        assert_eq!(both.freshness(&current()).unwrap(), Freshness::Send);
    }

    #[test]
    fn deletes_know_no_if_modified_since() {
        assert!(conditions(&[("If-Modified-Since", &date_at(9))]).0.of_delete().admit(&current()).is_ok());
    }
}
