//! The document in OpenAPI 3.0, for generators that support nothing newer.
//!
//! It is a translation of the 3.1 document: 3.0 has its own dialect of JSON Schema, and allows nothing next to `$ref`.
//! Only what this project's document can contain is translated; a validator in CI detects anything else.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::assembly::{DocumentError, defect};

/// The same document in OpenAPI 3.0.
///
/// # Errors
/// When it can't be written as JSON: a defect.
pub fn translated(document: &OpenApi) -> Result<Value, DocumentError> {
    let mut document = serde_json::to_value(document).map_err(defect)?;
    translate(&mut document);
    move_request_examples(&mut document);
    choose_examples(&mut document);
    if let Some(version) = document.get_mut("openapi") {
        *version = json!("3.0.3");
    }
    // 3.0 doesn't have it; the name of the licence is the same.
    if let Some(license) = document.pointer_mut("/info/license").and_then(Value::as_object_mut) {
        license.shift_remove("identifier");
    }
    Ok(document)
}

/// Moves the example of each request body into its schema: openapi-generator ignores examples next to it, with a
/// warning.
fn move_request_examples(document: &mut Value) {
    let mut examples = vec![];
    for item in document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let contents = operation.pointer_mut("/requestBody/content").and_then(Value::as_object_mut);
            for content in contents.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
                let reference = content.get("schema").and_then(|schema| schema.get("$ref")).and_then(Value::as_str);
                if let Some(pointer) = reference.and_then(|reference| reference.strip_prefix('#')).map(str::to_owned)
                    && let Some(example) = content.shift_remove("example")
                {
                    examples.push((pointer, example));
                }
            }
        }
    }
    for (pointer, example) in examples {
        if let Some(schema) = document.pointer_mut(&pointer).and_then(Value::as_object_mut) {
            schema.insert("example".to_owned(), example);
        }
    }
}

/// Keeps only the first of several examples of a JSON response: openapi-generator warns that it finds no schema for
/// them.
fn choose_examples(value: &mut Value) {
    if let Some(content) = value.pointer_mut("/content/application~1json").and_then(Value::as_object_mut)
        && let Some(Value::Object(examples)) = content.shift_remove("examples")
        && let Some(example) = examples.values().next().and_then(|example| example.get("value"))
    {
        content.insert("example".to_owned(), example.clone());
    }
    match value {
        Value::Object(object) => object.values_mut().for_each(choose_examples),
        Value::Array(items) => items.iter_mut().for_each(choose_examples),
        _ => {}
    }
}

fn translate(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, member) in object.iter_mut() {
                match name.as_str() {
                    // Here the keys are names of fields, not keywords.
                    "properties" => {
                        member.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(translate);
                    }
                    // In a link's body, openapi-generator accepts only expressions; for anything else it refuses the
                    // document.
                    "links" => member.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(|link| {
                        link.as_object_mut().and_then(|link| link.shift_remove("requestBody"));
                    }),
                    // Values that clients send and receive, not schemas.
                    "example" | "examples" | "default" | "enum" | "const" => {}
                    _ => translate(member),
                }
            }
            translate_keywords(object);
        }
        Value::Array(items) => items.iter_mut().for_each(translate),
        _ => {}
    }
}

/// Translates the keywords of one schema. No other object of the document has any of them.
fn translate_keywords(schema: &mut Map<String, Value>) {
    if let Some(constant) = schema.shift_remove("const") {
        schema.insert("enum".to_owned(), json!([constant]));
    }
    // Outside schemas, `examples` is an object, in both versions.
    if let Some(example) =
        schema.get("examples").and_then(Value::as_array).and_then(|examples| examples.first()).cloned()
    {
        schema.shift_remove("examples");
        schema.insert("example".to_owned(), example);
    }
    // If further members of one type are allowed, openapi-generator warns that it has no name for them. Its clients
    // send none.
    if schema.get("additionalProperties").is_some_and(Value::is_object) {
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
    if let Some(types) = schema.get("type").and_then(Value::as_array) {
        let nullable = types.iter().any(|name| name == "null");
        let mut others = types.iter().filter(|name| *name != "null").cloned();
        let first = others.next();
        match (first, others.next()) {
            (Some(only), None) => drop(schema.insert("type".to_owned(), only)),
            // One schema can't allow several types in 3.0; without a type it remains true.
            _ => drop(schema.shift_remove("type")),
        }
        if nullable {
            schema.insert("nullable".to_owned(), json!(true));
        }
    }
    if schema.get("type").is_some_and(|name| name == "array") && !schema.contains_key("items") {
        schema.insert("items".to_owned(), json!({}));
    }
    if schema.len() > 1
        && let Some(reference) = schema.shift_remove("$ref")
    {
        schema.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translation(mut value: Value) -> Value {
        translate(&mut value);
        value
    }

    #[test]
    fn schemas_are_said_in_older_words() {
        let reference = json!({ "$ref": "#/components/schemas/Identifier" });
        assert_eq!(translation(reference.clone()), reference);
        assert_eq!(
            translation(json!({ "$ref": "#/components/schemas/Identifier", "description": "Whose." })),
            json!({ "description": "Whose.", "allOf": [reference] })
        );
        assert_eq!(
            translation(json!({ "type": "string", "examples": ["a", "b"] })),
            json!({ "type": "string", "example": "a" })
        );
        assert_eq!(translation(json!({ "type": ["string", "null"] })), json!({ "type": "string", "nullable": true }));
        assert_eq!(translation(json!({ "type": ["string", "integer"] })), json!({}));
        assert_eq!(translation(json!({ "type": "array" })), json!({ "type": "array", "items": {} }));
        assert_eq!(translation(json!({ "const": "1.0" })), json!({ "enum": ["1.0"] }));
        let open = json!({ "type": "object", "additionalProperties": { "type": "string" } });
        assert_eq!(translation(open), json!({ "type": "object", "additionalProperties": false }));
        let link = json!({ "operationId": "create_token" });
        let with_body = json!({ "operationId": "create_token", "requestBody": { "name": "x" } });
        assert_eq!(translation(json!({ "links": { "a": with_body } })), json!({ "links": { "a": link } }));
    }

    #[test]
    fn the_example_of_a_request_moves_into_its_schema() {
        let content = |example: Value| json!({ "application/json": example });
        let reference = json!({ "$ref": "#/components/schemas/NewToken" });
        let mut document = json!({
            "paths": { "/tokens": { "post": { "requestBody": { "content": content(json!({ "schema": reference,
                "example": 1 })) } } } },
            "components": { "schemas": { "NewToken": { "type": "integer" } } },
        });
        move_request_examples(&mut document);
        assert_eq!(document.pointer("/components/schemas/NewToken"), Some(&json!({ "type": "integer", "example": 1 })));
        let left = document.pointer("/paths/~1tokens/post/requestBody/content");
        assert_eq!(left, Some(&content(json!({ "schema": reference }))));
    }

    #[test]
    fn of_several_examples_the_first_stays() {
        let mut answer =
            json!({ "content": { "application/json": { "examples": { "a": { "value": 1 }, "b": { "value": 2 } } } } });
        choose_examples(&mut answer);
        assert_eq!(answer, json!({ "content": { "application/json": { "example": 1 } } }));
    }

    #[test]
    fn what_is_sent_and_what_is_named_stays() {
        for kept in [
            json!({ "example": { "$ref": "x", "type": ["a"] } }),
            json!({ "examples": { "one": { "value": { "const": 1 } } } }),
            json!({ "properties": { "example": { "type": "string" }, "const": { "type": "string" } } }),
        ] {
            assert_eq!(translation(kept.clone()), kept);
        }
        assert_eq!(
            translation(json!({ "properties": { "default": { "type": ["string", "null"] } } })),
            json!({ "properties": { "default": { "type": "string", "nullable": true } } })
        );
    }
}
