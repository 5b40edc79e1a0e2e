//! Names for enumeration values that aren't identifiers, such as `1.0` and `application/astra-token`: without them,
//! client generators use names such as `VALUE_0`.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::{RefOr, Schema, schema::Object};

/// The extension in which client generators look for the names.
const KEYWORD: &str = "x-enum-varnames";

/// Adds names to the enumerations among the schemas, and to those of their properties.
pub(in crate::api) fn add(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    for schema in schemas.values_mut() {
        if let RefOr::T(Schema::Object(object)) = schema {
            add_to(object);
            for property in object.properties.values_mut() {
                if let RefOr::T(Schema::Object(property)) = property {
                    add_to(property);
                }
            }
        }
    }
}

fn add_to(object: &mut Object) {
    let values: Option<Vec<&str>> = object.enum_values.iter().flatten().map(Value::as_str).collect();
    let values = values.unwrap_or_default();
    if values.iter().any(|value| !value.bytes().all(|b| b.is_ascii_alphabetic())) {
        let names: Vec<String> = values.into_iter().map(name).collect();
        object.extensions.get_or_insert_default().insert(KEYWORD.to_owned(), names.into());
    }
}

/// `application/astra-roleBinding` becomes `ROLE_BINDING`, and `1.0` becomes `V1_0`.
fn name(value: &str) -> String {
    let word = value.strip_prefix("application/astra-").unwrap_or(value);
    let mut name = if word.starts_with(|c: char| c.is_ascii_digit()) { "V".to_owned() } else { String::new() };
    for c in word.chars() {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words() {
        for (value, wanted) in [
            ("application/astra-token", "TOKEN"),
            ("application/astra-roleBindings", "ROLE_BINDINGS"),
            ("1.0", "V1_0"),
            ("cloud-central", "CLOUD_CENTRAL"),
            ("deletePending", "DELETE_PENDING"),
        ] {
            assert_eq!(name(value), wanted);
        }
    }
}
