//! Every problem that the document declares, of every operation; and the order in which they are found.

use serde_json::{Value, json};
use tokenward::domain::role::Role;

use crate::{
    app::{Call, DOCUMENT, on_every_database},
    operation::{self, Target},
};

fn good() -> Value {
    json!({ "type": "application/astra-token", "version": "1.0", "name": "x" })
}

async fn answered(operation: &str, call: Call<'_>, number: u16) {
    let reply = call.problem(number).await;
    reply.snapshot(&format!("{operation}__{}_problem_{number}", reply.status.as_u16()));
}

#[tokio::test]
async fn credentials() {
    on_every_database(async |app| {
        let target = app.target("target@example.com", Some(Role::Viewer)).await;
        for operation in operation::all() {
            let call = operation.call(app, &target);
            answered(operation.id, call.clone().anonymous(), 3).await;
            let unknown = "tokward0000000000000000000000000000000000000000000";
            answered(operation.id, call.secret(unknown), 4).await;
        }
        let path = app.mine();
        for value in ["", "Bearer", "Bearer ", "Bearer    ", "Basic YTpi", "Bear", "Bearertokward", "Bearer\ttokward"] {
            app.get(&path).anonymous().header("authorization", value).problem(3).await;
        }
        let good = &app.secret;
        let flipped = format!("{}{}{}", &good[..20], if &good[20..21] == "a" { "b" } else { "a" }, &good[21..]);
        for secret in [
            &flipped,
            &good[1..],
            &good[..55],
            &format!("{good}0"),
            &good.to_lowercase(),
            "nonsense",
            "' or 1=1 --",
            &"A".repeat(9_000),
            "a b",
        ] {
            app.get(&path).secret(secret).problem(4).await;
        }
        app.get(&path).anonymous().header("authorization", b"Bearer \xff\xfe").problem(4).await;
        app.get(&path).header("authorization", format!("Bearer {good}")).problem(4).await;
        app.get(&path).anonymous().header("authorization", format!("bEARER   {good}")).expect(200).await;
    })
    .await;
}

#[tokio::test]
async fn permission_and_existence() {
    on_every_database(async |app| {
        let target = app.target("target@example.com", Some(Role::Viewer)).await;
        let roleless = app.user("roleless@example.com", None).await;
        let (_, secret) = app.token_of(roleless, "own").await;
        for operation in operation::all().iter().filter(|operation| operation.id != "list_accounts") {
            answered(operation.id, operation.call(app, &target).secret(&secret), 11).await;
        }
        let nobody = operation::NOBODY;
        for operation in operation::all().iter().filter(|operation| operation.can_miss()) {
            let number = if ["PUT", "DELETE"].contains(&operation.method.as_str()) { 1 } else { 2 };
            answered(operation.id, operation.call(app, &Target::nobody(app)), number).await;
        }
        for bad in [
            "%ff",
            "%",
            "%2F",
            "a%2fb",
            "a;b",
            "not-a-uuid",
            &app.token.to_uppercase(),
            "00000000-0000-0000-0000-000000000000",
            "%00",
            "%2e%2e",
            "é".repeat(3).as_str(),
        ] {
            let bad = bad.replace('é', "%C3%A9");
            app.get(app.item(app.owner, &bad)).problem(2).await;
            app.call("DELETE", app.item(app.owner, &bad)).problem(1).await;
            app.get(app.item(&bad, &app.token)).problem(2).await;
        }
        app.get(app.item(app.owner, nobody)).problem(2).await;
    })
    .await;
}

#[tokio::test]
async fn queries() {
    on_every_database(async |app| {
        let target = app.target("target@example.com", Some(Role::Viewer)).await;
        for operation in operation::all() {
            let url = operation.url(&target);
            let call = app
                .call(&operation.method, format!("{url}?sort=name&foo=1&foo=2&limit=x"))
                .header("x-case", "unknown names");
            answered(operation.id, call, 6).await;
            if operation.is_list() {
                let query = "limit=x&skip=0&count=yes&include=token&orderBy=metadata&filter=name&continue=nonsense";
                answered(operation.id, app.get(format!("{url}?{query}")), 5).await;
            }
        }
        // What the client wrote is quoted in part at most, and a secret not at all.
        let long = app.get(format!("{}?{}=1", app.mine(), "x".repeat(500))).problem(6).await;
        assert_eq!(long.json()["invalidParams"][0]["name"].as_str().unwrap().len(), 64);
        // Names that look alike when they are cut are one offender: the list holds no item twice.
        let alike = app.get(format!("{0}?{1}a=1&{1}b=2", app.mine(), "x".repeat(64))).problem(6).await;
        assert_eq!(alike.json()["invalidParams"].as_array().unwrap().len(), 1);
        let secret = app.get(format!("{}?{}=1", app.mine(), app.secret)).problem(6).await;
        assert!(!secret.text().contains(&app.secret[7..]));
    })
    .await;
}

/// Of many faults 16 are listed, and the last one says so.
#[tokio::test]
async fn many_faults() {
    on_every_database(async |app| {
        let names = |count| (0..count).map(|n| format!("a{n}")).collect::<Vec<_>>();
        for (given, listed) in [(1, 1), (16, 16), (17, 16), (3_600, 16)] {
            for path in ["/problems/3".to_owned(), "/whoami".to_owned(), app.mine()] {
                let reply = app.get(format!("{path}?{}", names(given).join("&"))).problem(6).await;
                let (problem, wanted) = (reply.json(), names(given));
                let params = problem["invalidParams"].as_array().unwrap();
                assert_eq!(
                    params.iter().map(|param| param["name"].as_str().unwrap()).collect::<Vec<_>>(),
                    wanted[..listed],
                    "{path}"
                );
                assert_eq!(
                    params[listed - 1]["reason"].as_str().unwrap().contains("more"),
                    given > listed,
                    "{path}: {problem}"
                );
            }
        }
    })
    .await;
}

/// Nobody without credentials gets much for what it sends.
#[tokio::test]
async fn small_answers_without_credentials() {
    on_every_database(async |app| {
        let long = "x%01%c3%a9".repeat(3_000);
        let many = (0..300).map(|n| format!("{n}{}=%01", "%01".repeat(60))).collect::<Vec<_>>().join("&");
        let account = app.account;
        for (method, path) in [
            ("GET", format!("/problems/3?{many}")),
            ("GET", format!("/problems/{long}")),
            ("GET", format!("/whoami?{many}")),
            ("GET", format!("/verify?{many}")),
            ("GET", format!("/verify?role={long}")),
            ("GET", format!("/healthz?{many}")),
            ("GET", format!("/accounts/{account}/core/v1/users?{many}")),
            ("GET", format!("/{long}")),
            ("DELETE", format!("/swagger-ui/{long}")),
            ("POST", format!("/oauth2/revoke?{many}")),
            ("POST", format!("/oauth2/introspect?{many}")),
            ("POST", format!("/leaks?{many}")),
        ] {
            let reply = app.call(method, &path).anonymous().body(format!("token={long}")).send().await;
            let headers: usize = reply.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
            assert!(
                reply.body.len() + headers < 8 * 1024,
                "{method} {}: {} and {headers} bytes",
                &path[..20],
                reply.body.len()
            );
        }
    })
    .await;
}

#[tokio::test]
async fn negotiation() {
    on_every_database(async |app| {
        let target = app.target("target@example.com", None).await;
        for operation in
            operation::all().iter().filter(|operation| ["GET", "POST"].contains(&operation.method.as_str()))
        {
            let call = operation.call(app, &target).header("accept", "text/html, application/json;q=0");
            answered(operation.id, call, 32).await;
        }
        assert_eq!(
            app.get(app.tokens(app.owner)).expect(200).await.json()["items"].as_array().unwrap().len(),
            1,
            "a 406 created a token"
        );
        app.get(app.tokens(app.owner)).header("accept", "application/astra-tokens+json").problem(32).await;
        app.call("PUT", app.mine()).json(&good()).header("accept", "text/html").expect(204).await;
        app.call("DELETE", app.mine()).header("accept", "text/html").expect(204).await;
    })
    .await;
}

/// What has no body when it succeeds isn't refused for want of an acceptable one.
#[tokio::test]
async fn negotiation_about_nothing() {
    on_every_database(async |app| {
        let without_body = [
            ("POST", "/leaks", 204),
            ("POST", "/oauth2/revoke", 200),
            ("DELETE", "/whoami", 204),
            ("GET", "/verify", 200),
        ];
        for (method, path, status) in without_body {
            let success = &DOCUMENT["paths"][path][method.to_lowercase()]["responses"][status.to_string()];
            assert!(success.is_object() && success.get("content").is_none(), "{method} {path}");
            for accept in ["text/html", "application/json;q=0, */*;q=0", "nonsense"] {
                let secret = app.token_of(app.owner, "x").await.1;
                let call = app.call(method, path).header("accept", accept);
                match path {
                    "/leaks" => call.anonymous().json(&json!({ "secrets": [secret] })).expect(status).await,
                    "/oauth2/revoke" => call.anonymous().form(&[("token", &secret)]).expect(status).await,
                    _ => call.secret(&secret).expect(status).await,
                };
                let is_good = app.get("/verify").secret(&secret).send().await.status == 200;
                assert_eq!(is_good, path == "/verify", "{method} {path} {accept}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn headers() {
    on_every_database(async |app| {
        let target = app.target("target@example.com", Some(Role::Viewer)).await;
        for operation in operation::all() {
            let call = app.call(&operation.method, operation.url(&target));
            let call = match operation.method.as_str() {
                "GET" if operation.is_list() => continue,
                "POST" => call.body("{}").header("content-type", "text/xml"),
                "PUT" => call
                    .body("{}")
                    .header("content-type", "text/plain")
                    .header("if-match", "unquoted")
                    .header("if-none-match", "\"open"),
                _ => call.header("if-match", "unquoted"),
            };
            answered(operation.id, call, 12).await;
        }
        for accepted in [
            "application/json",
            "APPLICATION/JSON",
            "application/json; charset=utf-8",
            "application/astra-token",
            "application/Astra-Token+json",
            "application/x-www-form-urlencoded",
            "application/vnd.x+json",
        ] {
            app.call("POST", app.tokens(app.owner))
                .body(good().to_string())
                .header("content-type", accepted)
                .expect(201)
                .await;
        }
        app.call("POST", app.tokens(app.owner)).body(good().to_string()).expect(201).await;
        for refused in
            ["", "json", "text/json", "application/", "/json", "+json", "application/+json", "multipart/form-data"]
        {
            app.call("POST", app.tokens(app.owner))
                .body(good().to_string())
                .header("content-type", refused)
                .problem(12)
                .await;
        }
        app.call("POST", app.tokens(app.owner)).json(&good()).header("content-type", "text/xml").problem(12).await;
        // Bodies of requests that have none are ignored, and their type too.
        app.get(app.mine()).body("{").header("content-type", "text/xml").expect(200).await;
        app.call("DELETE", app.mine()).body("{").header("content-type", "text/xml").expect(204).await;
    })
    .await;
}

#[tokio::test]
async fn bodies() {
    on_every_database(async |app| {
        let target = app.target("target@example.com", Some(Role::Viewer)).await;
        for operation in operation::all().iter().filter(|operation| operation.has_body()) {
            let call = || app.call(&operation.method, operation.url(&target));
            let large = format!("{{\"name\":\"{}\"}}", "x".repeat(70_000));
            answered(operation.id, call().body(large).header("content-type", "application/json"), 85).await;
            answered(operation.id, call().body("{\"type\":").header("content-type", "application/json"), 7).await;
            let mut unknown = operation.body(&target);
            unknown["expires"] = json!("never");
            answered(operation.id, call().json(&unknown), 8).await;
            let mut invalid = operation.body(&target);
            invalid["metadata"] = json!({ "labels": [{ "name": "", "value": "x" }] });
            for (name, value) in [("name", " <b>"), ("email", "nobody"), ("lastName", "<b>")] {
                if !invalid[name].is_null() {
                    invalid[name] = json!(value);
                }
            }
            answered(operation.id, call().json(&invalid), 9).await;
            let mut conflict = operation.body(&target);
            match operation.id {
                "create_token" | "create_account" => continue,
                "create_user" => conflict["email"] = json!("ADA@example.com"),
                "create_role_binding" | "create_user_role_binding" => conflict["accountID"] = json!(operation::NOBODY),
                "modify_token" => {
                    conflict["id"] = json!(operation::NOBODY);
                    conflict["userID"] = json!(operation::NOBODY);
                }
                _ => conflict["id"] = json!(operation::NOBODY),
            }
            answered(operation.id, call().json(&conflict), 10).await;
        }
        // What has the form of an instant and is none is ignored as any other.
        for day in ["2026-02-31T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59,999999999Z"] {
            let mut odd = good();
            odd["metadata"] = json!({ "creationTimestamp": day });
            app.call("PUT", app.mine()).json(&odd).expect(204).await;
        }
    })
    .await;
}

/// What breaks the schema, each with the sentence that says so.
#[tokio::test]
async fn sentences_about_the_schema() {
    on_every_database(async |app| {
        let with = |field: &str, value: Value| {
            let mut body = good();
            body[field] = value;
            body
        };
        let without = |field: &str| {
            let mut body = good();
            body.as_object_mut().unwrap().remove(field);
            body
        };
        let label = json!({ "name": "a", "value": "b" });
        let same = json!({ "value": "b", "name": "a" });
        let long = "x".repeat(64);
        let cases = [
            Value::Null,
            json!([]),
            json!("x"),
            json!(1),
            json!({}),
            without("name"),
            without("version"),
            with("name", json!(5)),
            with("name", Value::Null),
            with("name", json!("")),
            with("name", json!(long)),
            with("type", json!("application/astra-user")),
            with("version", json!("9.9")),
            with("token", json!("QQ==")),
            with(&"x".repeat(200), json!(1)),
            with(&app.secret, json!(1)),
            with("metadata", json!([])),
            with("metadata", json!({ "color": "red" })),
            with("metadata", json!({ "labels": [{ "name": "a" }] })),
            with("metadata", json!({ "labels": [label, same] })),
            with("metadata", json!({ "labels": [{ "name": "a", "value": 1 }] })),
            with("metadata", json!({ "creationTimestamp": "yesterday" })),
            with("metadata", json!({ "createdBy": "ABC" })),
        ];
        let mut sentences = String::new();
        for body in cases {
            let reply = app.call("POST", app.tokens(app.owner)).body(body.to_string()).problem(8).await.json();
            let shown: String = body.to_string().replace(&app.secret, "…").chars().take(110).collect();
            sentences += &format!("{shown}\n    {}\n", reply["schemaValidationFailure"].as_str().unwrap());
            assert!(!sentences.contains(&app.secret[7..]));
        }
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_snapshot!("sentences_about_the_schema", sentences) });
    })
    .await;
}

#[tokio::test]
async fn preconditions() {
    on_every_database(async |app| {
        let target = app.target("target@example.com", Some(Role::Viewer)).await;
        for operation in operation::all().iter().filter(|operation| operation.path.ends_with('}')) {
            answered(operation.id, operation.call(app, &target).header("if-match", "\"another\""), 38).await;
        }
        let got = app.get(app.mine()).expect(200).await;
        let (etag, date) = (got.header("etag").to_owned(), got.header("last-modified").to_owned());
        app.call("PUT", app.mine()).json(&good()).header("if-match", format!("W/{etag}")).problem(38).await;
        app.call("PUT", app.mine()).json(&good()).header("if-none-match", "*").problem(38).await;
        app.call("PUT", app.mine()).json(&good()).header("if-modified-since", &date).problem(38).await;
        app.call("DELETE", app.mine()).header("if-unmodified-since", "Thu, 01 Jan 2026 00:00:00 GMT").problem(38).await;
        app.get(app.mine()).header("if-modified-since", &date).expect(304).await;
        app.get(app.mine()).header("if-match", &etag).expect(200).await;
        assert_eq!(app.get(app.mine()).expect(200).await.header("etag"), etag, "a refused write changed something");
        app.call("PUT", app.mine())
            .json(&good())
            .header("if-match", &etag)
            .header("if-unmodified-since", "Thu, 01 Jan 2026 00:00:00 GMT")
            .expect(204)
            .await;
        app.call("DELETE", app.mine()).header("if-match", &etag).problem(38).await;
        app.call("DELETE", app.mine()).header("if-match", "*").expect(204).await;
    })
    .await;
}

/// Each request has everything wrong with it that comes later in the contract's order; one mended after the other.
#[tokio::test]
async fn the_order_of_checks() {
    on_every_database(async |app| {
        let viewer = app.user("viewer@example.com", Some(Role::Viewer)).await;
        let (_, viewers) = app.token_of(viewer, "own").await;
        let (_, _, strangers) = app.another_account().await;
        let nobody = "11111111-1111-4111-8111-111111111111";
        let large = "x".repeat(70_000);
        let wrong = |method: &str, path: String| {
            app.call(method, path)
                .body(large.clone())
                .header("content-type", "text/xml")
                .header("accept", "text/html")
                .header("if-match", "unquoted")
        };
        let query = |path: String| format!("{path}?sort=1");
        let route = query(format!("/accounts/{}/core/v1/nothing", app.account));
        wrong("PATCH", route.clone()).anonymous().problem(3).await;
        wrong("PATCH", route.clone()).secret("nonsense").problem(4).await;
        wrong("PATCH", route.clone()).secret(&strangers).problem(11).await;
        wrong("PATCH", route).problem(2).await;
        wrong("PATCH", query(app.tokens("nonsense"))).problem(69).await.snapshot("gate__405_problem_69");
        wrong("POST", query(app.tokens("nonsense"))).problem(32).await;
        let acceptable = |method: &str, path: String| {
            app.call(method, path).body(large.clone()).header("content-type", "text/xml").header("if-match", "unquoted")
        };
        acceptable("POST", query(app.tokens("nonsense"))).problem(6).await;
        acceptable("GET", format!("{}?limit=x", app.tokens("nonsense"))).problem(5).await;
        acceptable("POST", app.tokens(nobody)).problem(2).await;
        acceptable("PUT", app.item(app.owner, nobody)).problem(1).await;
        acceptable("POST", app.tokens(app.owner)).secret(&viewers).problem(11).await;
        acceptable("POST", app.tokens(app.owner)).problem(12).await;
        acceptable("PUT", app.mine()).problem(12).await;
        let typed = |body: &str| {
            app.call("PUT", app.mine())
                .body(body.to_owned())
                .header("content-type", "application/json")
                .header("if-match", "\"another\"")
        };
        typed(&large).problem(85).await;
        typed("{").problem(7).await;
        typed("{}").problem(8).await;
        let conflict = json!({ "type": "application/astra-token", "version": "1.0", "name": "<", "id": nobody });
        typed(&conflict.to_string()).problem(9).await;
        let conflict = json!({ "type": "application/astra-token", "version": "1.0", "id": nobody });
        typed(&conflict.to_string()).problem(38).await;
        app.call("PUT", app.mine()).json(&conflict).problem(10).await;
    })
    .await;
}

#[tokio::test]
async fn methods_and_routes() {
    on_every_database(async |app| {
        for method in ["PATCH", "POST", "OPTIONS", "TRACE", "PROPFIND"] {
            let reply = app.call(method, app.mine()).problem(69).await;
            assert_eq!(reply.header("allow"), "DELETE, GET, PUT, HEAD", "{method}");
        }
        for path in ["/core/v1/nothing", "/core/v9/users", "/", "//", "/core/v1/users/x/tokens/y/z"] {
            app.get(format!("/accounts/{}{path}", app.account)).problem(2).await;
        }
        app.get(format!("{}/", app.mine())).problem(2).await;
        app.get("/accounts/").problem(11).await;
        app.get("/nothing").anonymous().problem(2).await;
        app.call("POST", "/healthz").anonymous().problem(69).await;
        app.call("DELETE", "/openapi.json").anonymous().problem(69).await;
    })
    .await;
}

#[tokio::test]
async fn correlation_ids() {
    on_every_database(async |app| {
        let mine = "b3a4c3f0-5d0c-4d6e-9b1a-7f0b9d1c2e3f";
        let reply = app.get(app.mine()).anonymous().header("x-correlation-id", mine).problem(3).await;
        assert_eq!((reply.header("x-correlation-id"), &reply.json()["correlationID"]), (mine, &json!(mine)));
        for bad in ["evil value", "", "00000000-0000-0000-0000-000000000000", &mine.to_uppercase()] {
            let reply = app.get(app.mine()).header("x-correlation-id", bad).expect(200).await;
            assert!(
                tokenward::domain::id::parse_identifier(reply.header("x-correlation-id"))
                    .is_some_and(|id| !id.is_nil()),
                "{bad}"
            );
        }
        let twice =
            app.get(app.mine()).header("x-correlation-id", mine).header("x-correlation-id", mine).expect(200).await;
        assert_ne!(twice.header("x-correlation-id"), mine);
    })
    .await;
}
