//! The OpenAPI document: made by poem-openapi from the annotated types and handlers, finished here in utoipa's typed
//! model with what annotations can't say: examples, problems, headers, query parameters and closed objects.

use poem_openapi::{ApiResponse as _, OpenApiService, registry::Registry, types::Type as _};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::{
    ContactBuilder, Content, Info, License, OpenApi, RefOr, Schema, Server, path,
    schema::{AdditionalProperties, ObjectBuilder, Type},
};

use super::{
    enum_names, examples, links,
    parameters::{self, header},
    problems,
};
use crate::{
    api::{
        apis::APIS,
        operations::Operation,
        request::schemas::Schemas,
        wire::{oauth_error::OAuthError, page::FieldValue, problem::Problem},
    },
    config::PublicUrl,
};

const TITLE: &str = "tokenward";
const DESCRIPTION: &str = "A self-hosted API-token service. It speaks the identity part of the published Astra Control \
    `core/v1` API, so \
    that clients written or generated for that one work unchanged.\n\nRequests below `/accounts` carry a bearer token. \
    Every error is a problem \
    (RFC 9457); its `correlationID` finds the request in the server's log. Two exceptions: errors below `/oauth2` are \
    as OAuth 2.0 has them, \
    and `/verify` answers proxies, by status and headers alone.";

/// Why there is no document: a defect.
#[derive(Debug, thiserror::Error)]
#[error("the OpenAPI document can't be made: {0}")]
pub struct DocumentError(String);

pub(in crate::api) fn defect(error: impl ToString) -> DocumentError {
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
            examples::add(name, schema);
        }
    }
    // The order in which people look for them.
    if let Some(tags) = &mut document.tags {
        let order = ["Tokens", "Users", "RoleBindings", "Accounts", "Events", "Verification", "Problems", "Operations"];
        tags.sort_by_key(|tag| order.iter().position(|name| *name == tag.name));
    }
    for (path, item) in &mut document.paths.paths {
        for operation in [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten() {
            let row = operation.operation_id.as_deref().and_then(Operation::named);
            finish(row.ok_or_else(|| defect(format!("an operation of {path} isn't in the table")))?, operation);
        }
    }
    links::add(&mut document.paths);
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

/// A doc comment's lines end where the source is full, which is no place for whoever reads the document or code
/// generated from it.
fn join_lines(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(description)) = object.get_mut("description") {
                let paragraphs: Vec<String> =
                    description.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
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
pub(in crate::api) fn schemas(document: &OpenApi) -> Result<Schemas, DocumentError> {
    let document = serde_json::to_value(document).map_err(defect)?;
    let components = document.get("components").cloned().unwrap_or_default();
    let names =
        components.get("schemas").and_then(Value::as_object).map(|schemas| schemas.keys().cloned().collect::<Vec<_>>());
    names
        .unwrap_or_default()
        .into_iter()
        .map(|name| {
            let schema = json!({ "$ref": format!("#/components/schemas/{name}"), "components": components });
            Ok((name, jsonschema::draft202012::new(&schema).map_err(defect)?))
        })
        .collect()
}

fn finish(row: &Operation, operation: &mut path::Operation) {
    // Said aloud: it isn't that the credentials were forgotten.
    operation.security.get_or_insert_default();
    parameters::add(row, operation.parameters.get_or_insert_default());
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.values_mut().for_each(|content| exemplify(content, ""));
    }
    problems::add(row, operation);
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            response
                .headers
                .insert("X-Correlation-ID".to_owned(), header("Names this request; the server's log has it, too."));
            for (media_type, content) in &mut response.content {
                exemplify(content, status);
                if let ("text/html", RefOr::T(content)) = (media_type.as_str(), content) {
                    content.example = examples::page();
                }
            }
        }
    }
}

/// Puts the example of its schema beside a body.
fn exemplify(content: &mut RefOr<Content>, status: &str) {
    if let RefOr::T(content) = content
        && let Some(RefOr::Ref(schema)) = &content.schema
        && content.examples.is_empty()
    {
        content.example = schema.ref_location.rsplit('/').next().and_then(|schema| examples::body(schema, status));
    }
}
