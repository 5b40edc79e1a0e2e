//! Pages of a collection.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokenward::domain::{id::UserId, role::Role};

use crate::app::{App, DOCUMENT, on_every_database};

fn quoted(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A user with seven tokens, t00 to t06: its id and the tokens.
async fn seven(app: &App) -> (UserId, Vec<Value>) {
    let user = app.user("seven@example.com", Some(Role::Viewer)).await;
    let mut made = vec![];
    for n in 0..7 {
        let labels = json!([{ "name": "n", "value": n.to_string() }]);
        let body = json!({ "type": "application/astra-token", "version": "1.0", "name": format!("t{n:02}"),
            "metadata": { "labels": labels } });
        made.push(app.call("POST", app.tokens(user)).json(&body).expect(201).await.json());
    }
    (user, made)
}

async fn page(app: &App, user: UserId, query: &str) -> Value {
    app.get(format!("{}?{query}", app.tokens(user))).expect(200).await.json()
}

async fn names(app: &App, user: UserId, query: &str) -> Vec<String> {
    let page = page(app, user, &format!("include=name&{query}")).await;
    page["items"].as_array().unwrap().iter().map(|item| item[0].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn list_tokens() {
    on_every_database(async |app| {
        let (user, made) = seven(app).await;
        app.get(format!("{}?limit=2&count=true", app.tokens(user))).expect(200).await.snapshot("list_tokens__200");
        app.get(format!("{}?include=name,id,metadata&skip=6", app.tokens(user)))
            .expect(200)
            .await
            .snapshot("list_tokens__200_include");
        let empty = app.user("empty@example.com", Some(Role::Viewer)).await;
        app.get(app.tokens(empty)).expect(200).await.snapshot("list_tokens__200_empty");
        let all = page(app, user, "").await;
        let ids = |items: &[Value]| items.iter().map(|item| item["id"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(all["items"].as_array().unwrap()), ids(&made));
        assert_eq!(all["metadata"], json!({}));
    })
    .await;
}

#[tokio::test]
async fn filters() {
    on_every_database(async |app| {
        let (user, made) = seven(app).await;
        let created = |n: usize| made[n]["metadata"]["creationTimestamp"].as_str().unwrap().to_owned();
        let finer = created(5).replace('Z', "5Z");
        for (filter, wanted) in [
            ("name eq 't03'".to_owned(), &["t03"][..]),
            ("name gt 't03'".to_owned(), &["t04", "t05", "t06"]),
            ("name%20lte%20't01'".to_owned(), &["t00", "t01"]),
            ("name in '05'".to_owned(), &["t05"]),
            ("name in '%'".to_owned(), &[]),
            ("name gte 't02',name lt 't04'".to_owned(), &["t02", "t03"]),
            ("name lt 'T'".to_owned(), &[]),
            (format!("id eq '{}'", made[4]["id"].as_str().unwrap()), &["t04"]),
            ("id gt ' ',name gte 't05'".to_owned(), &["t05", "t06"]),
            (format!("userID eq '{user}',name eq 't00'"), &["t00"]),
            ("type eq 'application/astra-token',version lt '2',name eq 't00'".to_owned(), &["t00"]),
            ("type gt 'application/astra-tokens'".to_owned(), &[]),
            ("metadata.labels[*].value eq '5'".to_owned(), &["t05"]),
            ("metadata.labels[*].name eq 'n',metadata.labels[*].value gt '4'".to_owned(), &["t05", "t06"]),
            ("metadata.labels[*].value in 'x'".to_owned(), &[]),
            (format!("metadata.creationTimestamp gt '{}'", created(5)), &["t06"]),
            (format!("metadata.creationTimestamp gte '{finer}'"), &["t06"]),
            (format!("metadata.creationTimestamp lt '{}'", created(1)), &["t00"]),
            (format!("metadata.creationTimestamp eq '{}'", created(2).replace('Z', "+00:00")), &["t02"]),
            (format!("metadata.creationTimestamp eq '{finer}'"), &[]),
            (format!("metadata.creationTimestamp in '{}'", &created(3)[11..]), &["t03"]),
            ("metadata.creationTimestamp lt '1999-01-01T00:00:00Z'".to_owned(), &[]),
            ("metadata.modifiedBy gt '0'".to_owned(), &[]),
            ("name eq 'a\0b'".to_owned(), &[]),
            ("name gt '\0',name lt 't01'".to_owned(), &["t00"]),
            (
                format!("metadata.creationTimestamp in '{}',metadata.creationTimestamp in 'Z'", &created(3)[11..19]),
                &["t03"],
            ),
            ("metadata.creationTimestamp in 'T',metadata.creationTimestamp in 't'".to_owned(), &[]),
            ("metadata.labels[*].name eq 'n',metadata.labels[*].name eq 'm'".to_owned(), &[]),
            ("type in 'token',version gte '1.0',name eq 't06'".to_owned(), &["t06"]),
            ("name gt 't05ü\u{1f600}'".to_owned(), &["t06"]),
        ] {
            assert_eq!(names(app, user, &format!("filter={}", quoted(&filter))).await, wanted, "{filter}");
        }
        assert_eq!(names(app, user, "filter=name%20gte%20%27t02%27&filter=name+lt+%27t04%27").await, ["t02", "t03"]);
        let many = |count| vec!["name gt 'a'"; count].join(",");
        assert_eq!(names(app, user, &format!("filter={}", quoted(&many(16)))).await.len(), 7);
        for bad in [
            "",
            "name",
            "name like 'x'",
            "nope eq 'x'",
            "name eq x",
            "name eq ''",
            "name eq 'x",
            "name  eq 'x'",
            "name eq 'x' or 1=1",
            "name eq 'x',",
            "name eq 'x' ,name eq 'x'",
            "metadata eq 'x'",
            "metadata.labels eq 'x'",
            "metadata.creationTimestamp gt 'yesterday'",
            "token eq 'x'",
            "digest gt 'x'",
            &many(17),
            &format!("name eq '{}'", "x".repeat(8_192)),
        ] {
            let reply = app.get(format!("{}?filter={}", app.tokens(user), quoted(bad))).problem(5).await.json();
            assert_eq!(reply["invalidParams"].as_array().unwrap().len(), 1, "{bad}");
            assert_eq!(reply["invalidParams"][0]["name"], "filter", "{bad}");
        }
    })
    .await;
}

#[tokio::test]
async fn orders() {
    on_every_database(async |app| {
        let (user, _) = seven(app).await;
        for name in ["T", "t", "zz", "b", "b"] {
            app.issue(user, name).await;
        }
        let sorted = ["T", "b", "b", "t", "t00", "t01", "t02", "t03", "t04", "t05", "t06", "zz"];
        assert_eq!(names(app, user, "orderBy=name").await, sorted);
        let reversed: Vec<&str> = sorted.iter().rev().copied().collect();
        assert_eq!(names(app, user, "orderBy=name%20desc").await, reversed);
        assert_eq!(names(app, user, "orderBy=name%2520desc&limit=1").await, ["zz"]);
        let by_creation = names(app, user, "").await;
        for constant in ["type", "version desc", "userID"] {
            assert_eq!(names(app, user, &format!("orderBy={}", quoted(constant))).await, by_creation, "{constant}");
        }
        for bad in [
            "",
            "nope",
            "name,id",
            "name asc",
            "name  desc",
            "name desc desc",
            "metadata",
            "metadata.creationTimestamp",
            "token",
        ] {
            app.get(format!("{}?orderBy={}", app.tokens(user), quoted(bad))).problem(5).await;
        }
        app.get(format!("{}?orderBy=name&orderBy=id", app.tokens(user))).problem(5).await;
    })
    .await;
}

#[tokio::test]
async fn sizes() {
    on_every_database(async |app| {
        let (user, _) = seven(app).await;
        let some = page(app, user, "limit=2&skip=1&count=true&include=name").await;
        assert_eq!((&some["items"], &some["metadata"]["count"]), (&json!([["t01"], ["t02"]]), &json!(7)));
        assert_eq!(page(app, user, "count=true&limit=1&filter=name%20lt%20%27t02%27").await["metadata"]["count"], 2);
        assert_eq!(names(app, user, "skip=7").await.len(), 0);
        assert_eq!(names(app, user, "skip=6").await, ["t06"]);
        assert_eq!(names(app, user, "skip=9223372036854775807&limit=9223372036854775807").await.len(), 0);
        assert_eq!(page(app, user, "limit=7").await["metadata"], json!({}));
        for bad in [
            "limit=0",
            "limit=-1",
            "limit=x",
            "limit=1.5",
            "limit=01",
            "limit=%2B1",
            "limit=",
            "limit=9223372036854775808",
            "skip=0",
            "skip=-0",
            "count=yes",
            "count=false",
            "count=",
            "limit=1&limit=1",
            "include=",
            "include=token",
            "include=name,,id",
            "include=nope",
            "include=name&include=id",
            "include=id,name,id",
            "include=metadata.createdBy",
            "limit=%ff",
        ] {
            app.get(format!("{}?{bad}", app.tokens(user))).problem(5).await;
        }
        app.get(format!("{}?%ff=1", app.tokens(user))).problem(6).await;
    })
    .await;
}

/// Walks a whole collection by `continue`.
async fn walk(app: &App, user: UserId, query: &str) -> Vec<String> {
    let (mut seen, mut next) = (vec![], String::new());
    loop {
        let page = page(app, user, &format!("{query}{next}")).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page["metadata"]["continue"].as_str() {
            Some(token) => next = format!("&continue={}", quoted(token)),
            None => return seen,
        }
    }
}

#[tokio::test]
async fn walks() {
    on_every_database(async |app| {
        let (user, _) = seven(app).await;
        for name in ["t03", "t03", "t03", "a", "z"] {
            app.issue(user, name).await;
        }
        for query in [
            "",
            "&orderBy=name",
            "&orderBy=name%20desc",
            "&orderBy=id",
            "&orderBy=type%20desc",
            "&filter=name%20gt%20%27t01%27&orderBy=name",
        ] {
            let all = walk(app, user, &format!("limit=1000{query}")).await;
            for limit in 1..6 {
                assert_eq!(walk(app, user, &format!("limit={limit}{query}")).await, all, "{limit}{query}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_walk_is_not_confused_by_changes() {
    on_every_database(async |app| {
        let (user, made) = seven(app).await;
        for order in ["", "orderBy=name&"] {
            let first = page(app, user, &format!("{order}limit=3")).await;
            let next = quoted(first["metadata"]["continue"].as_str().unwrap());
            let last = first["items"][2]["id"].as_str().unwrap().to_owned();
            app.call("DELETE", app.item(user, &last)).expect(204).await;
            let late = app.issue(user, "zz late").await;
            app.clock.turn_back(7_200);
            let later = app.issue(user, "zzz later").await;
            let rest = names(app, user, &format!("continue={next}")).await;
            let wanted: Vec<String> = (0..7)
                .map(|n| format!("t{n:02}"))
                .filter(|name| name.as_str() > first["items"][2]["name"].as_str().unwrap())
                .chain(["zz late".to_owned(), "zzz later".to_owned()])
                .collect();
            assert_eq!(rest, wanted);
            for token in [late, later] {
                app.call("DELETE", app.item(user, token["id"].as_str().unwrap())).expect(204).await;
            }
        }
        assert_eq!(made.len(), 7);
    })
    .await;
}

#[tokio::test]
async fn continue_tokens_hold_for_what_they_were_made() {
    on_every_database(async |app| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let (user, _) = seven(app).await;
        let made_with = "filter=name%20gt%20%27t00%27&orderBy=name%20desc";
        let first = page(app, user, &format!("limit=3&{made_with}")).await;
        let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
        let next = quoted(&token);
        // Left out or repeated, filter and order go on to hold; `skip` has no effect.
        for query in ["", "&skip=5", &format!("&{made_with}"), "&orderBy=name%2520desc"] {
            assert_eq!(names(app, user, &format!("continue={next}{query}")).await, ["t03", "t02", "t01"], "{query}");
        }
        let inside = STANDARD.decode(&token).unwrap();
        let altered = |at: usize| {
            let mut bytes = inside.clone();
            bytes[at] ^= 1;
            quoted(&STANDARD.encode(bytes))
        };
        let bad = [
            format!("{next}&orderBy=name"),
            format!("{next}&filter=name%20gt%20%27t01%27"),
            format!("{next}&continue={next}"),
            altered(0),
            altered(inside.len() - 1),
            quoted(&token[..8]),
            "QQ%3D%3D".to_owned(),
            String::new(),
            "nonsense!".to_owned(),
        ];
        for bad in bad {
            app.get(format!("{}?continue={bad}", app.tokens(user))).problem(5).await;
        }
        app.get(format!("{}?continue={next}", app.tokens(app.owner))).problem(5).await;
    })
    .await;
}

#[tokio::test]
async fn pages_are_capped() {
    on_every_database(async |app| {
        let (user, _) = seven(app).await;
        let settings = tokenward::api::Settings {
            page_cap: 3,
            public_url: Some("https://example.com/tokens/".parse().unwrap()),
            ..Default::default()
        };
        let capped = tokenward::api::endpoint(app.service.clone(), settings).unwrap();
        for query in ["", "?limit=5"] {
            let path = format!("{}{query}", app.tokens(user));
            let request = poem::Request::builder()
                .uri(path.parse().unwrap())
                .header("authorization", format!("Bearer {}", app.secret))
                .finish();
            let reply = poem::Endpoint::get_response(&capped, request).await;
            let page: Value = reply.into_body().into_json().await.unwrap();
            assert_eq!(page["items"].as_array().unwrap().len(), 3);
            assert!(page["metadata"]["continue"].is_string());
        }
        let body = json!({ "type": "application/astra-token", "version": "1.0", "name": "x" }).to_string();
        let request = poem::Request::builder().method(poem::http::Method::POST).uri(app.tokens(user).parse().unwrap());
        let reply = poem::Endpoint::get_response(
            &capped,
            request.header("authorization", format!("Bearer {}", app.secret)).body(body),
        )
        .await;
        assert!(
            reply.header("location").unwrap().starts_with("https://example.com/tokens/accounts/"),
            "{:?}",
            reply.header("location")
        );
    })
    .await;
}

const MEBIBYTE: usize = 1024 * 1024;

/// A page ends at 1 MiB of items, whatever its limit; what follows is found where it ended.
#[tokio::test]
async fn pages_end_at_a_mebibyte() {
    on_every_database(async |app| {
        let user = app.user("large@example.com", Some(Role::Viewer)).await;
        let labels: Vec<Value> =
            (0..58).map(|n| json!({ "name": format!("n{n}"), "value": "x".repeat(1_000) })).collect();
        let mut made = vec![];
        for n in 0..40 {
            // One more than the first batch of rows holds altogether, most of them small.
            let labels = if n % 10 == 9 { vec![] } else { labels.clone() };
            let name = format!("t{n:02}");
            let body = json!({ "type": "application/astra-token", "version": "1.0", "name": name,
                "metadata": { "labels": labels } });
            app.call("POST", app.tokens(user)).json(&body).expect(201).await;
            made.push(name);
        }
        for query in
            ["", "&limit=1000", "&orderBy=name", "&include=metadata,name", "&filter=name%20gte%20%27t%27&count=true"]
        {
            let (mut seen, mut next, mut pages) = (vec![], String::new(), 0);
            loop {
                let reply = app.get(format!("{}?{}{next}", app.tokens(user), &query)).expect(200).await;
                let page = reply.json();
                let items = page["items"].as_array().unwrap();
                let name = |item: &Value| item.get("name").unwrap_or(&item[1]).as_str().unwrap().to_owned();
                seen.extend(items.iter().map(name));
                let size = serde_json::to_string(items).unwrap().len();
                assert!(size <= MEBIBYTE + 2 && reply.body.len() < MEBIBYTE + 2_000, "{query}: {size}");
                pages += 1;
                let Some(token) = page["metadata"]["continue"].as_str() else { break };
                assert!(size > MEBIBYTE - 64 * 1024, "{query}: {size}");
                next = format!("&continue={}", quoted(token));
            }
            assert_eq!(seen, made, "{query}");
            assert_eq!(pages, 3, "{query}");
        }
        // What counts is what is written.
        assert_eq!(page(app, user, "include=name,id").await["items"].as_array().unwrap().len(), 40);
        assert_eq!(walk(app, user, "limit=7").await, made);
    })
    .await;
}

/// More items than a batch of rows has, in every order, some of them absent ones.
#[tokio::test]
async fn pages_are_read_in_batches() {
    on_every_database(async |app| {
        let user = app.user("many@example.com", Some(Role::Viewer)).await;
        let names: Vec<String> = (0..300).map(|n| format!("t{:03}", n * 7 % 150)).collect();
        for name in &names {
            app.issue(user, name).await;
        }
        let mut sorted = names.clone();
        sorted.sort();
        for (query, wanted) in [("", &names), ("orderBy=name", &sorted)] {
            assert_eq!(self::names(app, user, query).await, *wanted, "{query}");
            assert_eq!(self::names(app, user, &format!("{query}&limit=250&skip=3")).await, wanted[3..253], "{query}");
            assert_eq!(walk(app, user, &format!("limit=140&{query}")).await, *wanted, "{query}");
        }
        for n in 0..150 {
            app.user(&format!("u{n:03}@example.com"), None).await;
        }
        let users = format!("/accounts/{}/core/v1/users", app.account);
        let company = json!({ "type": "application/astra-user", "version": "1.2", "companyName": "Acme" });
        app.call("PUT", format!("{users}/{user}")).json(&company).expect(204).await;
        for (query, wanted, last) in
            [("", 152, "many"), ("&skip=151", 1, "many"), ("&skip=152", 0, ""), ("&skip=100", 52, "many")]
        {
            let page = app
                .get(format!("{users}?orderBy=companyName&include=email&count=true{query}"))
                .expect(200)
                .await
                .json();
            let items = page["items"].as_array().unwrap();
            assert_eq!((items.len(), &page["metadata"]["count"]), (wanted, &json!(152)), "{query}");
            assert!(items.last().is_none_or(|item| item[0].as_str().unwrap().starts_with(last)), "{query}: {items:?}");
        }
    })
    .await;
}

/// What the model knows of a token.
struct Known {
    name: String,
    label: String,
    id: String,
}

/// Random collections, filters, orders and page sizes, against a model that filters and sorts in memory.
#[tokio::test]
async fn pages_agree_with_a_model() {
    use proptest::{
        prelude::{Strategy, any},
        strategy::ValueTree as _,
        test_runner::TestRunner,
    };
    const TEXTS: [&str; 10] = ["a", "A", "b", "ab", "ba", "a b", "Z", "10", "9", "%"];
    const OPERATORS: [&str; 6] = ["eq", "lt", "gt", "lte", "gte", "in"];
    let text = || proptest::sample::select(&TEXTS[..]);
    let condition = (any::<bool>(), proptest::sample::select(&OPERATORS[..]), text());
    let case = (
        proptest::collection::vec((text(), text()), 0..14),
        proptest::collection::vec(condition, 0..3),
        proptest::sample::select(&["", "name", "name desc", "id", "id desc"][..]),
        1_usize..6,
        0_usize..8,
    )
        .boxed();
    on_every_database(async |app| {
        let mut runner = TestRunner::deterministic();
        for n in 0..40 {
            let (tokens, conditions, order, limit, skip) = case.new_tree(&mut runner).unwrap().current();
            let user = app.user(&format!("model{n}@example.com"), Some(Role::Viewer)).await;
            let mut known = vec![];
            for (name, label) in &tokens {
                let labels = json!([{ "name": "l", "value": label }]);
                let body = json!({ "type": "application/astra-token", "version": "1.0", "name": name,
                    "metadata": { "labels": labels } });
                let made = app.call("POST", app.tokens(user)).json(&body).expect(201).await.json();
                known.push(Known {
                    name: (*name).to_owned(),
                    label: (*label).to_owned(),
                    id: made["id"].as_str().unwrap().to_owned(),
                });
            }
            let holds = |token: &Known| {
                conditions.iter().all(|(by_name, operator, value)| {
                    let actual = if *by_name { token.name.as_str() } else { token.label.as_str() };
                    match *operator {
                        "eq" => actual == *value,
                        "lt" => actual < *value,
                        "gt" => actual > *value,
                        "lte" => actual <= *value,
                        "gte" => actual >= *value,
                        _ => actual.contains(value),
                    }
                })
            };
            let mut wanted: Vec<&Known> = known.iter().filter(|token| holds(token)).collect();
            match order {
                "name" => wanted.sort_by(|a, b| a.name.cmp(&b.name)),
                "name desc" => wanted.sort_by(|a, b| b.name.cmp(&a.name)),
                "id" => wanted.sort_by(|a, b| a.id.cmp(&b.id)),
                "id desc" => wanted.sort_by(|a, b| b.id.cmp(&a.id)),
                _ => {}
            }
            let wanted: Vec<&str> = wanted.iter().map(|token| token.id.as_str()).collect();

            let mut query = format!("limit={limit}&count=true");
            for (by_name, operator, value) in &conditions {
                let field = if *by_name { "name" } else { "metadata.labels[*].value" };
                query += &format!("&filter={}", quoted(&format!("{field} {operator} '{value}'")));
            }
            if !order.is_empty() {
                query += &format!("&orderBy={}", quoted(order));
            }
            if skip > 0 {
                query += &format!("&skip={skip}");
            }
            let (mut seen, mut next) = (vec![], String::new());
            loop {
                let page = page(app, user, &format!("{query}{next}")).await;
                assert_eq!(page["metadata"]["count"], wanted.len(), "{query}");
                seen.extend(
                    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()),
                );
                match page["metadata"]["continue"].as_str() {
                    Some(token) => next = format!("&continue={}", quoted(token)),
                    None => break,
                }
            }
            assert_eq!(seen, wanted[skip.min(wanted.len())..], "{query}");
        }
    })
    .await;
}

/// Nobody who sends what the document gives as examples is refused: the fields in them are the collection's own.
#[tokio::test]
async fn the_documents_examples_are_taken() {
    on_every_database(async |app| {
        let mut lists = 0;
        for (path, item) in
            DOCUMENT["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/accounts"))
        {
            let parameters = item["get"]["parameters"].as_array().unwrap();
            let examples: Vec<String> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "query")
                .filter_map(|parameter| {
                    Some((parameter["name"].as_str()?, parameter["schema"]["examples"][0].as_str()?))
                })
                .map(|(name, example)| format!("{name}={}", quoted(example)))
                .collect();
            if examples.is_empty() {
                continue;
            }
            let path =
                path.replace("{account_id}", &app.account.to_string()).replace("{user_id}", &app.owner.to_string());
            app.get(format!("{path}?{}", examples.join("&"))).expect(200).await;
            lists += 1;
        }
        assert_eq!(lists, 6);
    })
    .await;
}
