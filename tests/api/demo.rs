//! The demonstration: the document's examples work in it, as they stand.

use serde_json::Value;

use crate::app::{App, Call, DOCUMENT};

/// A request with the example of each required parameter, of the body, and of the entity tag.
fn call<'a>(app: &'a App, path: &str, method: &str, operation: &Value) -> Call<'a> {
    let mut url = path.to_owned();
    let mut call = None;
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        match parameter["in"].as_str().unwrap() {
            "path" => {
                let example = &parameter["example"];
                url = url.replace(
                    &format!("{{{name}}}"),
                    example.as_str().map_or_else(|| example.to_string(), ToOwned::to_owned).as_str(),
                );
            }
            "header" if name == "If-Match" => call = parameter["schema"]["examples"][0].as_str(),
            _ => {}
        }
    }
    let mut made = app.call(&method.to_uppercase(), url);
    // A user's entity tag changes when it acts.
    if let Some(etag) = call.filter(|_| !path.ends_with("{user_id}")) {
        made = made.header("if-match", etag);
    }
    let content = &operation["requestBody"]["content"];
    match (&content["application/json"]["example"], &content["application/x-www-form-urlencoded"]["example"]) {
        (Value::Null, Value::Null) => made,
        (Value::Null, form) => made
            .body(format!("token={}", form["token"].as_str().unwrap()))
            .header("content-type", "application/x-www-form-urlencoded"),
        (body, _) => made.json(body),
    }
}

#[tokio::test]
async fn every_example_works_in_the_demonstration() {
    let app = App::demo().await;
    let operations = |method: &'static str| {
        let paths = DOCUMENT["paths"].as_object().unwrap();
        paths.iter().filter_map(move |(path, item)| Some((path.as_str(), item.get(method)?)))
    };
    for (path, operation) in operations("get") {
        let got = call(&app, path, "get", operation).header("accept", "application/json").expect(200).await;
        let wanted = &operation["responses"]["200"]["content"]["application/json"]["example"];
        if wanted.is_null() {
            continue;
        }
        let got = got.json();
        let Some(items) = wanted["items"].as_array() else {
            for (name, value) in wanted.as_object().unwrap() {
                // One looks around with a token that no example names.
                let is_about_the_token = path == "/whoami" && name.starts_with("token");
                assert!(is_about_the_token || got[name] == *value, "{path}: {name}");
            }
            continue;
        };
        for item in items {
            let found =
                got["items"].as_array().unwrap().iter().find(|found| found["id"] == item["id"]).expect("it is there");
            for (name, value) in item.as_object().unwrap() {
                assert_eq!(found[name], *value, "{path}: {name}");
            }
        }
    }
    for (method, statuses) in [("put", &[204][..]), ("post", &[200, 201, 204]), ("delete", &[204, 403])] {
        for (path, operation) in operations(method) {
            // What the example leads to can be made or deleted once, and the account's end ends all.
            let app = App::demo().await;
            let status = call(&app, path, method, operation).send().await.status.as_u16();
            assert!(statuses.contains(&status), "{method} {path}: {status}");
        }
    }
}
