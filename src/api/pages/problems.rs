//! The explanation of each problem: what it means and what to do about it, as an HTML page or as JSON.

use poem::{
    Request,
    http::{HeaderMap, StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::Path,
    registry::{MetaMediaType, MetaResponses, Registry},
    types::Type,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    api::{
        request::{negotiation::choose, query::NoQuery},
        wire::{
            answer::{Answer, VARY, response},
            catalogue::{self, Kind},
            json::{JSON, to_json},
            problem::Problem,
            problem_body::ProblemBody,
            tag::Tag,
        },
    },
    domain::sample,
};

const HTML: &str = "text/html";

/// The explanation of a problem.
#[derive(Debug, Serialize, Object)]
pub struct Explanation {
    /// The number at the end of the problem's `type`.
    number: u16,
    /// What the problem means.
    meaning: String,
    /// What to do about it.
    remedy: String,
    /// An example of the problem's body.
    example: ProblemBody,
}

/// 200 with an explanation.
pub(in crate::api) struct Explained;

impl ApiResponse for Answer<Explained> {
    fn meta() -> MetaResponses {
        let json = MetaMediaType { content_type: JSON, schema: Explanation::schema_ref() };
        let html = MetaMediaType { content_type: HTML, schema: String::schema_ref() };
        MetaResponses { responses: vec![response(200, "The problem, explained.", vec![json, html], &[VARY])] }
    }

    fn register(registry: &mut Registry) {
        Explanation::register(registry);
    }
}

/// The operation that explains problems.
pub(in crate::api) struct Help;

#[OpenApi(tag = "Tag::Problems")]
impl Help {
    /// Explain a problem
    ///
    /// Explains what a problem means and what to do about it, with an example: as an HTML page for people, or as JSON
    /// for programs. Every problem that has a number links to its explanation (`Link`, `rel="help"`).
    #[oai(path = "/problems/:number", method = "get", operation_id = "explain_problem")]
    async fn explain_problem(
        &self,
        request: &Request,
        _no_query: NoQuery,
        /// The number at the end of the problem's `type`.
        number: Path<u16>,
    ) -> Result<Answer<Explained>, Problem> {
        let explanation = explain(number.0)
            .filter(|found| is_spelled(request.uri().path(), found.number))
            .ok_or(Problem::NotFound)?;
        let html = wants_html(request.headers());
        let body = if html { page(&explanation).into_bytes() } else { to_json(&explanation)? };
        let answer =
            Answer::new(StatusCode::OK).with(header::VARY, "Accept").body(if html { HTML } else { JSON }, body);
        // The page loads nothing, and no other page may embed it.
        Ok(answer.with(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ))
    }
}

/// Whether a path ends in the number in its canonical spelling: `+3` and `003` aren't names of problem 3.
fn is_spelled(path: &str, number: u16) -> bool {
    path.rsplit('/').next() == Some(number.to_string().as_str())
}

/// A client that accepts neither gets JSON: a refusal would not help it.
fn wants_html(headers: &HeaderMap) -> bool {
    choose(headers, &[HTML.to_owned(), JSON.to_owned()]) == Some(HTML)
}

fn explain(number: u16) -> Option<Explanation> {
    let kind = Kind::ALL.iter().find(|kind| kind.entry().number == number)?;
    let catalogue::Explanation { meaning, remedy } = kind.entry().explanation?;
    let example = Problem::sample_body(*kind, sample::CORRELATION);
    Some(Explanation { number, meaning: meaning.to_owned(), remedy: remedy.to_owned(), example })
}

/// A small HTML page with the explanation, which loads nothing.
fn page(explanation: &Explanation) -> String {
    let Explanation { number, meaning, remedy, example } = explanation;
    let shown = serde_json::to_string_pretty(example).unwrap_or_default();
    let [title, shown] = [example.title(), &shown].map(escaped);
    let [meaning, remedy] = [meaning, remedy].map(|text| code(&escaped(text)));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
            content=\"width=device-width\">\n\
         <title>Problem {number}: {title}</title>\n<style>\n\
         body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; \
         color-scheme: light dark }}\n\
         pre {{ font-size: .9rem; overflow-x: auto; padding: 1rem; border: 1px solid gray; border-radius: .4rem }}\n\
         </style>\n</head>\n<body>\n<h1>Problem {number}: {title}</h1>\n<p>{meaning}</p>\n<h2>What to \
         do</h2>\n<p>{remedy}</p>\n\
         <h2>Example</h2>\n<pre>{shown}</pre>\n</body>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Marks up text between backticks as `<code>`.
fn code(text: &str) -> String {
    let part =
        |(index, part): (usize, &str)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() };
    text.split('`').enumerate().map(part).collect()
}

/// A sample explanation for the document: as JSON, and as the HTML page.
pub(in crate::api) fn sample() -> Option<[Value; 2]> {
    let explanation = explain(3)?;
    Some([serde_json::to_value(&explanation).ok()?, Value::String(page(&explanation))])
}
