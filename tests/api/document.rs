//! The document: committed as it is made, complete, and kept by the server.

use std::{collections::BTreeSet, path::Path};

use serde_json::{Value, json};
use tokenward::{
    api::operations::{Noun, Operation, Shape, TABLE, Within},
    domain::role::Role,
};

use crate::app::{DOCUMENT, DOCUMENT_3_0, valid};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/spec/openapi.json");
const COMMITTED_3_0: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/spec/openapi-3.0.json");
const SNAPSHOTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");

/// Every operation with its JSON pointer.
fn operations() -> Vec<(String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let escaped = path.replace('/', "~1");
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (format!("/paths/{escaped}/{method}"), operation))
    });
    operations.collect()
}

#[test]
fn the_committed_document_is_what_the_code_makes() {
    let committed: Value =
        std::fs::read_to_string(COMMITTED).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    assert!(
        committed == *DOCUMENT,
        "spec/openapi.json differs from the code; if that is meant: cargo run -- openapi > spec/openapi.json"
    );
}

#[test]
fn the_committed_3_0_document_is_what_the_code_makes() {
    let committed = std::fs::read_to_string(COMMITTED_3_0).unwrap_or_default();
    let again = "cargo run -- openapi --openapi-version 3.0 > spec/openapi-3.0.json";
    assert!(committed == *DOCUMENT_3_0, "spec/openapi-3.0.json differs from the code; if that is meant: {again}");
}

/// The table of operations has a row for each operation that there is, and each says what the route and the document
/// say.
#[test]
fn the_table_of_operations_says_what_the_routes_do() {
    let mut ids = vec![];
    for (pointer, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        let row = Operation::named(id).unwrap_or_else(|| panic!("{id} isn't in the table of operations"));
        ids.push(id);
        let (path, method) = pointer.trim_start_matches("/paths/").rsplit_once('/').unwrap();
        let path = path.replace("~1", "/");
        let on_one = path.ends_with('}');
        let shape = match method {
            "get" if path.starts_with("/accounts") => [Shape::List, Shape::Retrieve][usize::from(on_one)],
            "get" if on_one => Shape::Explain,
            "get" if operation["tags"][0] == "Operations" => Shape::Check,
            "get" => Shape::Ask,
            "post" if path.starts_with("/accounts") && operation["responses"].get("201").is_some() => Shape::Create,
            "put" => Shape::Modify,
            "delete" if path.starts_with("/accounts") => Shape::Delete,
            _ if id == "introspect_token" => Shape::Ask,
            _ => Shape::Act,
        };
        assert_eq!(row.shape, shape, "{id}");
        let noun = match operation["tags"][0].as_str().unwrap() {
            "Tokens" | "Verification" => Noun::Token,
            "Users" => Noun::User,
            "RoleBindings" => Noun::RoleBinding,
            "Accounts" => Noun::Account,
            "Events" => Noun::Event,
            "Problems" => Noun::Explanation,
            other => {
                assert_eq!(other, "Operations", "{id}");
                Noun::Process
            }
        };
        assert_eq!(row.noun, noun, "{id}");
        let containers = match noun {
            Noun::User => path.split("/users").next().unwrap(),
            _ => path.trim_end_matches(|c| c != '/').trim_end_matches('/'),
        };
        let within = match containers {
            _ if noun == Noun::Account || noun == Noun::Explanation => Within::Nothing,
            containers if containers.contains("{user_id}") => Within::User,
            containers if containers.contains("{account_id}") => Within::Account,
            _ => Within::Nothing,
        };
        assert_eq!(row.within, within, "{id}");
    }
    let mut rows: Vec<&str> = TABLE.iter().map(|row| row.id).collect();
    rows.sort_unstable();
    ids.sort_unstable();
    assert_eq!(ids, rows, "the table has rows for operations that there are, each once");
}

#[test]
fn every_operation_is_described() {
    for (pointer, operation) in operations() {
        for member in ["operationId", "summary", "description"] {
            assert!(operation[member].as_str().is_some_and(|text| !text.is_empty()), "{pointer} has no {member}");
        }
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{pointer}");
        let path = pointer.split('/').nth(2).unwrap().replace("~1", "/");
        let named: Vec<&str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|p| p["in"] == "path")
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        let wanted: Vec<&str> =
            path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(named, wanted, "{pointer}: path parameters bind by position");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(
                parameter["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{pointer}: {}",
                parameter["name"]
            );
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{pointer}: {status}");
        }
        let open = ["Operations", "Problems"].contains(&operation["tags"][0].as_str().unwrap())
            || ["/oauth2/revoke", "/leaks"].contains(&path.as_str());
        let secured = operation["security"].as_array().map(|ways| !ways.is_empty());
        assert_eq!(secured, Some(!open), "{pointer}");
    }
}

#[test]
fn every_body_has_an_example_that_fits_its_schema() {
    let mut examples = 0;
    for (pointer, operation) in operations() {
        let request = operation.get("requestBody").map(|body| (format!("{pointer}/requestBody"), body));
        let responses = operation["responses"].as_object().unwrap().iter();
        let responses = responses.map(|(status, response)| (format!("{pointer}/responses/{status}"), response));
        for (pointer, body) in responses.chain(request) {
            for (media_type, content) in body["content"].as_object().into_iter().flatten() {
                let schema = format!("{pointer}/content/{}/schema", media_type.replace('/', "~1"));
                let one = content.get("example").into_iter();
                let several = content["examples"]
                    .as_object()
                    .into_iter()
                    .flat_map(|examples| examples.values())
                    .map(|example| &example["value"]);
                let all: Vec<&Value> = one.chain(several).collect();
                assert!(!all.is_empty(), "{schema} has no example");
                for example in all {
                    valid(&schema, example).unwrap_or_else(|error| panic!("{schema}: {error}"));
                    examples += 1;
                }
            }
        }
    }
    assert!(examples > 50, "{examples}");
}

/// What a parameter's example says, the server takes: it fits the schema.
#[test]
fn every_parameter_has_an_example_that_fits_its_schema() {
    for (pointer, operation) in operations() {
        for (index, parameter) in operation["parameters"].as_array().into_iter().flatten().enumerate() {
            let in_schema = parameter["schema"]["examples"].get(0);
            assert!(in_schema.is_none() || parameter["required"] != true, "{pointer}: {}", parameter["name"]);
            match parameter.get("example").or(in_schema) {
                Some(example) => valid(&format!("{pointer}/parameters/{index}/schema"), example).unwrap(),
                None => assert_eq!(parameter["name"], "continue", "{pointer}"),
            }
        }
    }
}

/// Those who browse see what each field means, and what it may look like.
#[test]
fn every_field_is_described_and_has_an_example() {
    let schemas = &DOCUMENT["components"]["schemas"];
    let mut fields = 0;
    for (name, schema) in schemas.as_object().unwrap() {
        assert!(schema["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} has no description");
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            let target = schema["$ref"].as_str().map(|reference| &schemas[reference.rsplit('/').next().unwrap()]);
            let described =
                [Some(schema), target].into_iter().flatten().any(|schema| schema["description"].is_string());
            assert!(described, "{name}.{field} has no description");
            let has_example = |schema: &Value| schema["examples"].is_array() || schema["properties"].is_object();
            let shown = target.map_or_else(|| has_example(schema), has_example);
            // The items of a list have examples of their own.
            assert!(shown || field == "items", "{name}.{field} has no example");
            if let Some(example) = schema["examples"].get(0) {
                valid(&format!("/components/schemas/{name}/properties/{field}"), example).unwrap();
            }
            fields += 1;
        }
    }
    assert!(fields > 100, "{fields}");
}

#[test]
fn only_problems_and_forms_may_have_members_that_the_document_does_not_know() {
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        let open = ["Problem", "TokenForm"].contains(&name.as_str());
        if schema["type"] == "object" && !open {
            assert_eq!(schema["additionalProperties"], false, "{name}");
        }
    }
}

/// What the server takes of these, and what it refuses, stands in `verification.rs`.
#[test]
fn forms_and_demands_are_documented_as_they_are_read() {
    let form = |json: Value| valid("/components/schemas/TokenForm", &json);
    form(json!({ "token": "x", "token_type_hint": "refresh_token", "resource": "https://example.com" })).unwrap();
    for bad in [json!({}), json!({ "token": "" }), json!({ "token": "x", "resource": ["twice", "given"] })] {
        form(bad.clone()).expect_err(&bad.to_string());
    }
    let parameters = DOCUMENT["paths"]["/verify"]["get"]["parameters"].as_array().unwrap();
    let demand = |name: &str, value: &str| {
        let index = parameters.iter().position(|parameter| parameter["name"] == name).unwrap();
        valid(&format!("/paths/~1verify/get/parameters/{index}/schema"), &json!(value))
    };
    for role in Role::ALL {
        demand("role", role.as_str()).unwrap();
    }
    for (name, bad) in [("role", ""), ("role", "Owner"), ("role", "nonsense"), ("account", ""), ("account", "x")] {
        demand(name, bad).expect_err(bad);
    }
}

/// Of a value that is no word, generators make a name that nobody understands.
#[test]
fn values_that_are_no_words_have_names() {
    fn check(pointer: &str, value: &Value) {
        if let Some(values) = value["enum"].as_array() {
            let words = values
                .iter()
                .all(|value| value.as_str().is_some_and(|text| text.bytes().all(|b| b.is_ascii_alphabetic())));
            let names: BTreeSet<&str> =
                value["x-enum-varnames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            assert!(words || names.len() == values.len(), "{pointer} has values without a name of their own");
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            check(&format!("{pointer}/{name}"), member);
        }
    }
    check("", &DOCUMENT["components"]);
}

/// What the document declares is snapshotted, and what is snapshotted is declared.
#[test]
fn every_answer_has_a_snapshot() {
    let mut declared = BTreeSet::new();
    for (_, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        for (status, response) in operation["responses"].as_object().unwrap() {
            match response["content"]["application/problem+json"]["examples"].as_object() {
                Some(problems) => declared.extend(problems.keys().map(|problem| format!("{id}__{status}_{problem}"))),
                None => drop(declared.insert(format!("{id}__{status}"))),
            }
        }
    }
    let files = Path::new(SNAPSHOTS).read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<String> = files.filter_map(|file| Some(file.strip_suffix(".snap")?.to_owned())).collect();
    let missing: Vec<&String> = declared.iter().filter(|answer| !names.contains(*answer)).collect();
    assert!(missing.is_empty(), "without a snapshot: {missing:?}");
    let ids: Vec<&str> =
        operations().into_iter().map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
    for name in &names {
        let Some((id, _)) = name.split_once("__").filter(|(id, _)| ids.contains(id)) else { continue };
        assert!(declared.iter().any(|answer| name.starts_with(answer.as_str())), "{id} declares no {name}");
    }
}

/// Whoever creates something is led to all that can be done with it; and each link fills in the whole path of where it
/// leads.
#[test]
fn links_lead_to_operations_and_fill_their_paths() {
    let mut links = 0;
    for (pointer, operation) in operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let given = response["links"].as_object();
            assert!(
                status != "201" || given.is_some_and(|given| given.len() >= 3),
                "{pointer}: {status} leads nowhere"
            );
            for (name, link) in given.into_iter().flatten() {
                let (target, _) =
                    operations().into_iter().find(|(_, target)| target["operationId"] == link["operationId"]).unwrap();
                let path = target.replace("~1", "/");
                let taken: BTreeSet<&str> =
                    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).collect();
                let filled: BTreeSet<&str> = link["parameters"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(String::as_str)
                    .filter(|name| *name != "If-Match")
                    .collect();
                assert_eq!(filled, taken, "{pointer}: {name}");
                links += 1;
            }
        }
    }
    assert!(links > 30, "{links}");
}
