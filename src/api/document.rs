//! The OpenAPI document: made by poem-openapi from the annotated types and handlers, finished here in utoipa's typed model with what
//! annotations can't say: examples, problems, headers, query parameters and closed objects.

use std::collections::BTreeMap;

use poem_openapi::{ApiResponse as _, OpenApiService, registry::Registry, types::Type as _};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::{
    ContactBuilder, Content, Header, Info, License, OpenApi, RefOr, Required, Response, Schema, Server,
    example::{Example, ExampleBuilder},
    path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
    schema::{AdditionalProperties, ObjectBuilder, Type},
};

use super::{
    APIS,
    body::Schemas,
    collection::{FieldValue, PARAMETERS},
    enum_names, example,
    fields::Collection,
    links::link,
    oauth2::OAuthError,
    problem::Problem,
    verification_document,
};
use crate::{config::PublicUrl, domain::sample};

const TITLE: &str = "tokenward";
const DESCRIPTION: &str = "A self-hosted API-token service. It speaks the identity part of the published Astra Control `core/v1` API, so \
    that clients written or generated for that one work unchanged.\n\nRequests below `/accounts` carry a bearer token. Every error is a problem \
    (RFC 9457); its `correlationID` finds the request in the server's log. Two exceptions: errors below `/oauth2` are as OAuth 2.0 has them, \
    and `/verify` answers proxies, by status and headers alone.";

/// Why there is no document: a defect.
#[derive(Debug, thiserror::Error)]
#[error("the OpenAPI document can't be made: {0}")]
pub struct DocumentError(String);

pub(super) fn defect(error: impl ToString) -> DocumentError {
    DocumentError(error.to_string())
}

/// The finished document. Without a public URL it speaks of the server that it comes from.
///
/// # Errors
/// When the annotations make no document.
pub fn document(public_url: Option<&PublicUrl>) -> Result<OpenApi, DocumentError> {
    // poem-openapi says 3.0.0, and none of what it writes of our types differs in 3.1; utoipa's model takes that only.
    let made = OpenApiService::new(APIS, TITLE, env!("CARGO_PKG_VERSION")).spec();
    let mut made: Value = serde_json::from_str(&made).map_err(defect)?;
    if let Some(version) = made.get_mut("openapi") {
        *version = json!("3.1.0");
    }
    // No annotation refers to these, so poem-openapi leaves them out.
    let mut registry = Registry::new();
    Problem::register(&mut registry);
    OAuthError::register(&mut registry);
    if let Some(schemas) = made.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        for (name, schema) in &registry.schemas {
            schemas.insert(name.clone(), serde_json::to_value(schema).map_err(defect)?);
        }
    }
    merge_references(&mut made);
    join_lines(&mut made);
    let mut document: OpenApi = serde_json::from_value(made).map_err(defect)?;

    let mut info = Info::new(TITLE, env!("CARGO_PKG_VERSION"));
    info.description = Some(DESCRIPTION.to_owned());
    let mut license = License::new(env!("CARGO_PKG_LICENSE"));
    license.identifier = Some(env!("CARGO_PKG_LICENSE").to_owned());
    info.license = Some(license);
    info.contact = Some(ContactBuilder::new().name(Some("Whoever runs this server")).build());
    document.info = info;
    document.servers = Some(vec![Server::new(public_url.map_or("/", PublicUrl::as_str))]);
    if let Some(components) = &mut document.components {
        components.schemas.insert(FieldValue::NAME.to_owned(), FieldValue::schema().into());
        enum_names::add(&mut components.schemas);
        for (name, schema) in &mut components.schemas {
            if let RefOr::T(Schema::Object(object)) = schema
                && !object.properties.is_empty()
                // Problems may grow members, and clients must not mind (RFC 9457 §3.2).
                && name != "Problem"
            {
                object.additional_properties = Some(Box::new(match name.as_str() {
                    // Parameters that aren't known here are ignored (RFC 6749 §3.2); a form holds nothing but text.
                    "TokenForm" => AdditionalProperties::RefOr(ObjectBuilder::new().schema_type(Type::String).into()),
                    _ => AdditionalProperties::FreeForm(false),
                }));
            }
            example::add(name, schema);
        }
    }
    // The order in which people look for them.
    if let Some(tags) = &mut document.tags {
        let order = ["Tokens", "Users", "RoleBindings", "Accounts", "Events", "Verification", "Problems", "Operations"];
        tags.sort_by_key(|tag| order.iter().position(|name| *name == tag.name));
    }
    for (path, item) in &mut document.paths.paths {
        for (kind, operation) in operations(path, item) {
            finish(path, kind, operation);
            verification_document::finish(operation);
        }
    }
    link(&mut document.paths);
    Ok(document)
}

/// poem-openapi describes a reference by way of `allOf`; since 3.1 the description may stand beside it.
fn merge_references(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let reference = match object.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
                Some([reference, _description]) => reference.get("$ref").cloned(),
                _ => None,
            };
            if let Some(reference) = reference {
                object.remove("allOf");
                object.insert("$ref".to_owned(), reference);
            }
            object.values_mut().for_each(merge_references);
        }
        Value::Array(items) => items.iter_mut().for_each(merge_references),
        _ => {}
    }
}

/// A doc comment's lines end where the source is full, which is no place for whoever reads the document or code generated from it.
fn join_lines(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(description)) = object.get_mut("description") {
                let paragraphs: Vec<String> = description.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
                *description = paragraphs.join("\n\n");
            }
            object.values_mut().for_each(join_lines);
        }
        Value::Array(items) => items.iter_mut().for_each(join_lines),
        _ => {}
    }
}

/// A document as JSON, as it is committed and served.
///
/// # Errors
/// When it can't be written.
pub fn json(document: &impl Serialize) -> Result<String, DocumentError> {
    serde_json::to_string_pretty(document).map(|text| text + "\n").map_err(defect)
}

/// A document as YAML.
///
/// # Errors
/// When it can't be written.
pub fn yaml(document: &impl Serialize) -> Result<String, DocumentError> {
    yaml_serde::to_string(document).map_err(defect)
}

/// What request bodies are held against: each object schema of the document, compiled.
pub(super) fn schemas(document: &OpenApi) -> Result<Schemas, DocumentError> {
    let document = serde_json::to_value(document).map_err(defect)?;
    let components = document.get("components").cloned().unwrap_or_default();
    let names = components.get("schemas").and_then(Value::as_object).map(|schemas| schemas.keys().cloned().collect::<Vec<_>>());
    names
        .unwrap_or_default()
        .into_iter()
        .map(|name| {
            let schema = json!({ "$ref": format!("#/components/schemas/{name}"), "components": components });
            Ok((name, jsonschema::draft202012::new(&schema).map_err(defect)?))
        })
        .collect()
}

/// What an operation does, and with that: what can go wrong with it, and which headers it heeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Retrieve,
    Create,
    Modify,
    Delete,
    /// Outside `/accounts`: looks something up.
    Explain,
    /// Outside `/accounts`, and always there.
    Open,
}

impl Kind {
    /// The numbers of the problems that such an operation can answer with.
    const fn problems(self) -> &'static [u16] {
        match self {
            Self::List => &[5, 6, 3, 4, 11, 2, 32, 34, 41],
            Self::Retrieve => &[6, 12, 3, 4, 11, 2, 32, 38, 34, 41],
            Self::Create => &[6, 7, 8, 9, 12, 3, 4, 11, 2, 32, 10, 85, 34, 41],
            Self::Modify => &[6, 7, 8, 9, 12, 3, 4, 11, 1, 10, 38, 85, 34, 41],
            Self::Delete => &[6, 12, 3, 4, 11, 1, 38, 34, 41],
            Self::Explain => &[6, 2],
            Self::Open => &[],
        }
    }

    /// The conditional headers that such an operation heeds.
    const fn conditions(self) -> &'static [&'static str] {
        match self {
            Self::Retrieve => &["If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"],
            Self::Modify => &["If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since"],
            Self::Delete => &["If-Match", "If-None-Match", "If-Unmodified-Since"],
            Self::List | Self::Create | Self::Explain | Self::Open => &[],
        }
    }
}

/// Whether an operation's path leaves room for a problem of its kind.
fn can_happen(path: &str, kind: Kind, number: u16) -> bool {
    match number {
        // An account that isn't there is forbidden; only what lies in one can be missing.
        1 | 2 => path.matches('{').count() > 1 || kind == Kind::Explain,
        // The list of accounts is everybody's own.
        11 => path != "/accounts" || kind != Kind::List,
        // Tokens and accounts are never alike.
        10 => kind != Kind::Create || path.ends_with("/users") || path.ends_with("/roleBindings"),
        _ => true,
    }
}

fn operations<'i>(path: &str, item: &'i mut PathItem) -> impl Iterator<Item = (Kind, &'i mut Operation)> {
    let open = match path {
        _ if path.starts_with("/accounts") => None,
        _ if path.ends_with('}') => Some(Kind::Explain),
        _ => Some(Kind::Open),
    };
    let get = if path.ends_with('}') { Kind::Retrieve } else { Kind::List };
    let kinds = [(get, &mut item.get), (Kind::Create, &mut item.post), (Kind::Modify, &mut item.put), (Kind::Delete, &mut item.delete)];
    kinds.into_iter().filter_map(move |(kind, operation)| Some((open.unwrap_or(kind), operation.as_mut()?)))
}

fn finish(path: &str, kind: Kind, operation: &mut Operation) {
    // Said aloud: it isn't that the credentials were forgotten.
    operation.security.get_or_insert_default();
    let operation_id = operation.operation_id.as_deref().unwrap_or_default();
    let parameters = operation.parameters.get_or_insert_default();
    for parameter in parameters.iter_mut() {
        if let RefOr::T(parameter) = parameter {
            *parameter = ParameterBuilder::from(parameter.clone()).example(example::path(&parameter.name, operation_id)).build();
        }
    }
    if kind == Kind::List
        && let Some(collection) = Collection::of(path)
    {
        parameters.extend(PARAMETERS.iter().map(|name| RefOr::T(query_parameter(name, &collection))));
    }
    parameters.extend(kind.conditions().iter().map(|name| RefOr::T(condition(name, path))));

    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.values_mut().for_each(|content| exemplify(content, ""));
    }
    for number in kind.problems().iter().filter(|number| can_happen(path, kind, **number)) {
        add_problem(operation, *number, kind);
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            response.headers.insert("X-Correlation-ID".to_owned(), header("Names this request; the server's log has it, too."));
            for (media_type, content) in &mut response.content {
                if media_type != "application/problem+json" {
                    exemplify(content, status);
                }
                if let ("text/html", RefOr::T(content)) = (media_type.as_str(), content) {
                    content.example = example::page();
                }
            }
        }
    }
}

/// Puts the example of its schema beside a body.
fn exemplify(content: &mut RefOr<Content>, status: &str) {
    if let RefOr::T(content) = content
        && let Some(RefOr::Ref(schema)) = &content.schema
    {
        content.example = schema.ref_location.rsplit('/').next().and_then(|schema| example::body(schema, status));
    }
}

pub(super) fn parameter(name: &str, place: ParameterIn, description: &str, pattern: Option<&str>, example: &str) -> Parameter {
    // The example of an optional parameter stands in its schema: beside it, Swagger UI would take it for what the user wants to send.
    let examples = (!example.is_empty()).then(|| json!(example));
    let schema = ObjectBuilder::new().schema_type(Type::String).pattern(pattern).examples(examples).build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(Schema::Object(schema)))
        .build()
}

fn query_parameter(name: &str, collection: &Collection) -> Parameter {
    const NUMBER: &str = "^[1-9][0-9]*$";
    let (include, columns) = collection.include();
    let (order_by, order) = collection.order();
    let filter = collection.filter();
    let (pattern, example, description) = match name {
        "include" => (
            Some(include.as_str()),
            columns.as_str(),
            "Return just these fields of each item, as arrays, in this order; an absent field is `null`.",
        ),
        "filter" => (
            None,
            filter.as_str(),
            "Return only items for which this holds: `field op 'value'`, where `op` is `eq`, `lt`, `gt`, `lte`, `gte`, or `in` for \
             \"contains the text\". Several conditions, separated by commas, must all hold. Dots lead into objects: \
             `metadata.creationTimestamp gt '2026-01-01T00:00:00Z'`, `metadata.labels[*].name eq 'team'`.",
        ),
        "orderBy" => (
            Some(order_by.as_str()),
            order.as_str(),
            "Sort by this field, or by this field `desc`. Items without it come first; ties follow creation.",
        ),
        "limit" => (Some(NUMBER), "100", "Return at most this many items; never more than the server's page cap."),
        "skip" => (Some(NUMBER), "10", "Pass over this many items first. Has no effect beside `continue`."),
        "count" => (Some("^true$"), "true", "Also count all items that match, on all pages together."),
        _ => (
            Some("^[A-Za-z0-9+/]+={0,2}$"),
            "",
            "Return the page after the one whose `metadata.continue` this is. Filter and order need not be repeated.",
        ),
    };
    parameter(name, ParameterIn::Query, description, pattern, example)
}

fn condition(name: &str, path: &str) -> Parameter {
    const TAGS: Option<&str> = Some(r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#);
    let (etag, date) = (example::etag(path), "Thu, 15 Jan 2026 09:30:00 GMT");
    let (pattern, example, description) = match name {
        "If-Match" => (TAGS, etag.as_str(), "Only if the resource still has one of these entity tags."),
        "If-None-Match" => (TAGS, etag.as_str(), "Only if the resource has none of these entity tags."),
        "If-Unmodified-Since" => (None, date, "Only if the resource hasn't changed since. `If-Match` overrides it."),
        _ => (None, date, "Only if the resource has changed since. `If-None-Match` overrides it."),
    };
    parameter(name, ParameterIn::Header, description, pattern, example)
}

pub(super) fn header(description: &str) -> RefOr<Header> {
    let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String));
    header.description = Some(description.to_owned());
    RefOr::T(header)
}

/// Adds a problem to the response of its status.
fn add_problem(operation: &mut Operation, number: u16, kind: Kind) {
    let Some(problem) = Problem::example(number) else { return };
    let method = if matches!(kind, Kind::Modify | Kind::Delete) { poem::http::Method::PUT } else { poem::http::Method::GET };
    let status = problem.status(&method);
    let body = serde_json::to_value(problem.body(&method, sample::CORRELATION)).unwrap_or_default();
    let title = body.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
    let detail = body.get("detail").and_then(Value::as_str).unwrap_or_default().to_owned();

    let response = operation.responses.responses.entry(status.as_u16().to_string()).or_insert_with(|| {
        let mut response = Response::new("");
        let schema = utoipa::openapi::Ref::from_schema_name("Problem");
        response.headers.insert("Link".to_owned(), header("Where the problem is explained (`rel=\"help\"`)."));
        response.content.insert("application/problem+json".to_owned(), RefOr::T(Content::new(Some(schema))));
        let facts: BTreeMap<u16, (&str, &str)> = BTreeMap::from([
            (401, ("WWW-Authenticate", "How to authenticate (RFC 6750 §3).")),
            (503, ("Retry-After", "When to try again, in seconds.")),
        ]);
        if let Some((name, description)) = facts.get(&status.as_u16()) {
            response.headers.insert((*name).to_owned(), header(description));
        }
        RefOr::T(response)
    });
    let RefOr::T(response) = response else { return };
    if !response.description.is_empty() {
        response.description += "\n\n";
    }
    response.description += &format!("Problem {number}, {title}: {detail}");
    if let Some(RefOr::T(content)) = response.content.get_mut("application/problem+json") {
        let example: Example = ExampleBuilder::new().summary(title).value(Some(body)).build();
        content.examples.insert(format!("problem_{number}"), RefOr::T(example));
    }
}
