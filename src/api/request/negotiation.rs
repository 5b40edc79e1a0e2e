//! Content negotiation: which representation a client gets (RFC 9110 §12, spec/contract/CONTRACT.md §4).

use crate::api::wire::json::JSON;
use poem::http::{HeaderMap, header};

/// One element of `Accept`: a media range and its weight in thousandths.
struct Range {
    kind: String,
    subtype: String,
    weight: u32,
}

/// Chooses among the offers; `None` when the client accepts none of them. Ties go to the resource's own media type if
/// the client names it, else to `application/json`.
pub(in crate::api) fn choose<'o>(headers: &HeaderMap, offers: &'o [String]) -> Option<&'o str> {
    let values: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().map(|value| value.to_str().unwrap_or("invalid")).collect();
    let elements = values.iter().flat_map(|value| elements(value)).filter(|element| !element.is_empty());
    let mut elements = elements.peekable();
    let nothing_said = elements.peek().is_none();
    let ranges: Vec<Range> = elements.filter_map(range).collect();

    let ranked = offers.iter().filter_map(|offer| {
        let (weight, precision) = if nothing_said { (1_000, 0) } else { weigh(offer, &ranges)? };
        let named = precision == 2 && offer != JSON;
        (weight > 0).then_some(((weight, named, offer == JSON), offer))
    });
    ranked.max_by_key(|(rank, _)| *rank).map(|(_, offer)| offer.as_str())
}

/// The weight that the most precise matching range gives an offer, and how precise that range is.
fn weigh(offer: &str, ranges: &[Range]) -> Option<(u32, u8)> {
    let (kind, subtype) = offer.split_once('/')?;
    let precision = |range: &Range| match (range.kind.as_str(), range.subtype.as_str()) {
        ("*", "*") => Some(0),
        (k, "*") if k == kind => Some(1),
        // The published clients name a resource's type with and without `+json`.
        (k, s)
            if k == kind
                && (s.eq_ignore_ascii_case(subtype)
                    || subtype.strip_suffix("+json").is_some_and(|bare| s.eq_ignore_ascii_case(bare))) =>
        {
            Some(2)
        }
        _ => None,
    };
    let matching = ranges.iter().filter_map(|range| precision(range).map(|precision| (range.weight, precision)));
    matching.max_by_key(|(weight, precision)| (*precision, *weight))
}

/// Splits at commas outside quoted strings.
fn elements(value: &str) -> Vec<&str> {
    split(value, ',')
}

/// Splits at a separator outside quoted strings, and trims the parts.
pub(in crate::api) fn split(value: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(|c| {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ => return c == separator && !quoted,
            }
            false
        })
        .map(|part| part.trim_matches([' ', '\t']))
        .collect()
}

/// Parses a media range; a malformed one matches nothing. Parameters other than `q` are ignored: our representations
/// don't differ in them.
fn range(element: &str) -> Option<Range> {
    let mut parts = split(element, ';').into_iter();
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let mut weight = 1_000;
    for parameter in parts {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("q")
        {
            weight = quality(value.trim())?;
        }
    }
    let token = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    (token(kind) && token(subtype)).then(|| Range {
        kind: kind.to_ascii_lowercase(),
        subtype: subtype.to_ascii_lowercase(),
        weight,
    })
}

/// Reads a weight, 0 to 1 with up to three decimals, in thousandths.
fn quality(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u32 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        choose(&headers, &[JSON.to_owned(), "application/astra-roleBinding+json".to_owned()]).map(str::to_owned)
    }

    #[test]
    fn accept_as_rfc_9110_and_the_contract_have_it() {
        let own = "application/astra-roleBinding+json";
        for (accept, wanted) in [
            (&[][..], Some(JSON)),
            (&[""], Some(JSON)),
            (&["*/*"], Some(JSON)),
            (&["application/*"], Some(JSON)),
            (&["application/json"], Some(JSON)),
            (&["APPLICATION/JSON"], Some(JSON)),
            (&["application/astra-rolebinding"], Some(own)),
            (&["application/astra-roleBinding+json"], Some(own)),
            (&["application/json, application/astra-roleBinding+json"], Some(own)),
            (&["application/json", "application/astra-roleBinding+json"], Some(own)),
            (&["application/json, application/astra-roleBinding+json;q=0.999"], Some(JSON)),
            (&["text/html, application/astra-roleBinding+json;q=0.9, */*;q=0.1"], Some(own)),
            (&["*/*, application/json;q=0"], Some(own)),
            (&["*/*;q=0.5, application/json;q=0.4"], Some(own)),
            (&["application/json;charset=\"a,b;c\""], Some(JSON)),
            (&["application/json;q=0"], None),
            (&["application/json;q=2"], None),
            (&["application/json;q=0.0001"], None),
            (&["text/html"], None),
            (&["*"], None),
            (&["json"], None),
        ] {
            assert_eq!(chosen(accept).as_deref(), wanted, "{accept:?}");
        }
    }
}
