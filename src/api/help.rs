//! What each problem means and what to do then: for people as a page, for programs as JSON.

use poem::{
    Request,
    http::{HeaderMap, Method, StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::Path,
    registry::{MetaMediaType, MetaResponses, Registry},
    types::Type,
};
use serde::Serialize;
use serde_json::Value;

use super::{
    Tag,
    gate::NoQuery,
    negotiation::{JSON, choose},
    problem::{Problem, ProblemBody},
    resource::{Answer, VARY, response, to_json},
};
use crate::domain::sample;

const HTML: &str = "text/html";

/// A problem, explained.
#[derive(Debug, Serialize, Object)]
pub struct Explanation {
    /// The number at the end of the problem's `type`.
    number: u16,
    /// What has happened.
    meaning: String,
    /// What to do now.
    remedy: String,
    /// The problem as a client gets it.
    example: ProblemBody,
}

/// 200 with an explanation.
pub(super) struct Explained;

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

/// The operation that explains.
pub(super) struct Help;

#[OpenApi(tag = "Tag::Problems")]
impl Help {
    /// Explain a problem
    ///
    /// Says what a problem means and what to do about it, with an example: as a page for people, as JSON for programs. Every problem
    /// links to its explanation (`Link`, `rel="help"`).
    #[oai(path = "/problems/:number", method = "get", operation_id = "explain_problem")]
    async fn explain_problem(
        &self,
        request: &Request,
        _no_query: NoQuery,
        /// The number at the end of the problem's `type`.
        number: Path<u16>,
    ) -> Result<Answer<Explained>, Problem> {
        let explanation = explain(number.0).filter(|found| is_spelled(request.uri().path(), found.number)).ok_or(Problem::NotFound)?;
        let html = wants_html(request.headers());
        let body = if html { page(&explanation).into_bytes() } else { to_json(&explanation)? };
        let answer = Answer::new(StatusCode::OK).with(header::VARY, "Accept").body(if html { HTML } else { JSON }, body);
        // The page is all there is to it: it loads nothing, and nothing shows it as its own.
        Ok(answer.with(header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"))
    }
}

/// Whether a path ends in the number as we write it: `+3` and `003` are no other names for problem 3.
fn is_spelled(path: &str, number: u16) -> bool {
    path.rsplit('/').next() == Some(number.to_string().as_str())
}

/// Who accepts neither gets JSON: an explanation that is refused explains nothing.
fn wants_html(headers: &HeaderMap) -> bool {
    choose(headers, &[HTML.to_owned(), JSON.to_owned()]) == Some(HTML)
}

fn explain(number: u16) -> Option<Explanation> {
    let (meaning, remedy) = words(number)?;
    // Of the two kinds of 404, one is for methods that change things.
    let method = if number == 1 { Method::PUT } else { Method::GET };
    let example = Problem::example(number)?.body(&method, sample::CORRELATION);
    Some(Explanation { number, meaning: meaning.to_owned(), remedy: remedy.to_owned(), example })
}

fn words(number: u16) -> Option<(&'static str, &'static str)> {
    Some(match number {
        1 => (
            "What you wanted to change or delete isn't there: it never was, somebody has deleted it, or its id is misspelled.",
            "List the collection to see what there is. If you were deleting it, there is nothing left to do.",
        ),
        2 => (
            "Nothing is at this address: the resource or its collection doesn't exist, or the path is misspelled.",
            "Compare the path with the document, and the ids in it with those in the collection that contains them.",
        ),
        3 => (
            "The request doesn't say who you are.",
            "Send the header `Authorization: Bearer` with a token's secret behind it, as it was shown when the token was issued.",
        ),
        4 => (
            "The secret that you sent opens nothing now: it is mistyped, nobody's or revoked, or its user is suspended or disabled.",
            "Check that the whole secret was copied, all 56 characters. If it was, ask somebody who administers your account for a new token.",
        ),
        5 => (
            "The query has parameters whose values can't be used. `invalidParams` names all of them, each with a reason.",
            "Mend those parameters. A `continue` token holds for the collection, filter and order that it was made with; without it, a \
             listing begins anew.",
        ),
        6 => (
            "The query has parameters that this operation doesn't know. `invalidParams` names them, at most 16 of them.",
            "Leave them out, and look for misspelled names: they count in upper and lower case.",
        ),
        7 => (
            "The body isn't JSON: it is empty, breaks off, has a key twice, isn't UTF-8, or is nested too deep.",
            "Send exactly one JSON value, and let a JSON library write it.",
        ),
        8 => (
            "The body is JSON, but not of the form that the operation takes. `schemaValidationFailure` says where and why.",
            "Compare the body with the schema in the document: required fields, types, lengths, and no fields beside those.",
        ),
        9 => (
            "The body has the right form, but some values break a rule that the form can't say. `invalidFields` names all of them.",
            "Mend those fields as their reasons say.",
        ),
        10 => (
            "The body contradicts something that is so and stays so: an id, an email that is taken, an account's last owner. \
             `invalidFields` names the fields.",
            "Leave out what can't change, or give another value. Before an account's last owner can go, make another one.",
        ),
        11 => (
            "You are known, but may not do this here. Also the answer for accounts in which you have no role, whether they exist or not, and \
             when there is as much of something as the server allows: then `reason` says of what.",
            "Check the account's id. If it is right, ask one of the account's admins or owners for the role that this takes.",
        ),
        12 => (
            "Headers of the request can't be used. `invalidParams` names them.",
            "Send JSON as `application/json`, and entity tags in conditional headers just as they were received, with their quotes.",
        ),
        32 => ("Nothing that the server could answer is among what `Accept` takes.", "Accept `application/json`, or leave the header out."),
        34 => (
            "The server has failed. It isn't your request's fault, and no detail of it is told.",
            "Try again later. If it stays so, give the `correlationID` to whoever runs the server: the log has the cause under it.",
        ),
        38 => (
            "The resource isn't in the state that your conditional headers ask for: most often, somebody changed it since you read it. \
             Nothing was changed.",
            "Read it again, see whether your change still makes sense, and send it with the new entity tag.",
        ),
        41 => (
            "The server can't serve this now: its database can't be reached, or it has too much to do.",
            "Wait as long as `Retry-After` says, then try again. A write may have happened or not: read before you repeat it.",
        ),
        69 => ("This address doesn't know the request's method.", "Use one of those in the `Allow` header."),
        85 => ("The body is larger than the 64 KiB that are read.", "Send less: fewer or shorter labels, for instance."),
        _ => return None,
    })
}

/// Small and readable, with nothing to load.
fn page(explanation: &Explanation) -> String {
    let Explanation { number, meaning, remedy, example } = explanation;
    let shown = serde_json::to_string_pretty(example).unwrap_or_default();
    let [title, shown] = [example.title(), &shown].map(escaped);
    let [meaning, remedy] = [meaning, remedy].map(|text| code(&escaped(text)));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Problem {number}: {title}</title>\n<style>\n\
         body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; color-scheme: light dark }}\n\
         pre {{ font-size: .9rem; overflow-x: auto; padding: 1rem; border: 1px solid gray; border-radius: .4rem }}\n\
         </style>\n</head>\n<body>\n<h1>Problem {number}: {title}</h1>\n<p>{meaning}</p>\n<h2>What to do</h2>\n<p>{remedy}</p>\n\
         <h2>Example</h2>\n<pre>{shown}</pre>\n</body>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Marks up what stands between backticks.
fn code(text: &str) -> String {
    let part = |(index, part): (usize, &str)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() };
    text.split('`').enumerate().map(part).collect()
}

/// An explanation, for the document: as JSON, and as the page.
pub(super) fn sample() -> Option<[Value; 2]> {
    let explanation = explain(3)?;
    Some([serde_json::to_value(&explanation).ok()?, Value::String(page(&explanation))])
}
