//! Nonsense, for as many seconds as `FUZZ_SECONDS` says (1 unless told): whatever comes in a header, a query, a path or
//! a body, the answer is one that the document declares, and never 500.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::app::{App, Call, on_every_database};

/// What the grammars are made of, and what breaks them.
const FRAGMENTS: [&str; 96] = [
    " ",
    ",",
    ";",
    "=",
    "&",
    "+",
    "%",
    "%2",
    "%20",
    "%00",
    "%ff",
    "%C3%A9",
    "'",
    "''",
    "\"",
    "\\",
    "(",
    ")",
    "*",
    ".",
    "..",
    "/",
    "//",
    ":",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    "@",
    "#",
    "?",
    "-",
    "--",
    "_",
    "0",
    "1",
    "-1",
    "9223372036854775808",
    "1e9",
    "NaN",
    "null",
    "true",
    "W/",
    "\"a\"",
    "*/*",
    "application/json",
    "application/*;q=0.5",
    "application/astra-token+json",
    ";q=",
    "q=1.0001",
    "text/html",
    "Bearer",
    "Basic",
    "tokward",
    "name",
    "id",
    "type",
    "metadata",
    "metadata.labels[*].name",
    "metadata.creationTimestamp",
    "labels",
    "items",
    "eq",
    " eq 'x'",
    "lt",
    "in",
    "gte",
    " desc",
    "asc",
    "filter",
    "orderBy",
    "limit",
    "skip",
    "count",
    "continue",
    "include",
    "token",
    "token_type_hint",
    "access_token",
    "secrets",
    "role",
    "account",
    "owner",
    "member",
    "2026-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "Thu, 15 Jan 2026 09:30:00 GMT",
    "Thu, 99 Foo 2026",
    "127.0.0.1",
    "[::1]:80",
    "::ffff:1.2.3.4",
    "é",
    "\u{202e}",
    "🦀",
];
const HEADERS: [&str; 14] = [
    "accept",
    "accept",
    "authorization",
    "content-type",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "x-api-key",
    "x-correlation-id",
    "x-forwarded-for",
    "x-forwarded-for",
    "x-auth-role",
];
/// The method that the path has, whichever that is.
const FITTING: &str = "";
const METHODS: [&str; 12] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", FITTING, FITTING, FITTING, FITTING, FITTING, FITTING];

/// Bytes: fragments in any order, with a few bytes that are none.
fn nonsense() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        8 => prop::sample::select(&FRAGMENTS[..]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
        1 => "\\PC{1,12}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(fragment, 0..9).prop_map(|parts| parts.concat())
}

/// Almost a filter.
fn filter() -> impl Strategy<Value = Vec<u8>> {
    let field = prop::sample::select(
        &["name", "id", "userID", "metadata.labels[*].value", "metadata.creationTimestamp", "metadata", "x"][..],
    );
    let operator = prop::sample::select(&["eq", "lt", "gt", "lte", "gte", "in", "like", "EQ"][..]);
    let condition = (field, operator, nonsense()).prop_map(|(field, operator, value)| {
        let value: Vec<u8> = value.into_iter().filter(|byte| *byte != b'\'').collect();
        [field.as_bytes(), b" ", operator.as_bytes(), b" '", &value, b"'"].concat()
    });
    prop::collection::vec(condition, 1..3).prop_map(|conditions| conditions.join(&b','))
}

/// As a header can carry it.
fn in_header(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().filter(|byte| *byte >= b' ' && *byte != 0x7f).collect()
}

/// As a request line can carry it; what is encoded already stays so.
fn in_target(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b if b.is_ascii_graphic() && !b"\"#<>?\\^`{|}".contains(b) => text.push(char::from(*b)),
            b => text += &format!("%{b:02X}"),
        }
    }
    text
}

#[derive(Debug, Clone)]
struct Input {
    method: &'static str,
    target: usize,
    path: Vec<u8>,
    parameters: Vec<(Vec<u8>, Vec<u8>)>,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
    /// Where a `continue` token is damaged, and how.
    damage: (usize, u8, bool),
}

fn input() -> impl Strategy<Value = Input> {
    let names = prop::sample::select(
        &["filter", "orderBy", "include", "limit", "skip", "count", "role", "account", "token", "x"][..],
    );
    let name = prop_oneof![6 => names.prop_map(|name| name.as_bytes().to_vec()), 1 => nonsense()];
    let headers = prop::collection::vec((prop::sample::select(&HEADERS[..]), nonsense().prop_map(in_header)), 0..4);
    let parameter = prop_oneof![
        (name, nonsense()),
        filter().prop_map(|filter| (b"filter".to_vec(), filter)),
        prop::sample::select(
            &[
                "orderBy=name desc",
                "orderBy=userID",
                "include=name,id",
                "limit=3",
                "skip=1",
                "count=true",
                "role=member"
            ][..]
        )
        .prop_map(|known| known.split_once('=').map(|(name, value)| (name.into(), value.into())).unwrap()),
    ];
    let parameters = prop::collection::vec(parameter, 0..3);
    let body = prop_oneof![nonsense(), nonsense().prop_map(|bytes| [b"token=", &bytes[..]].concat()), json()];
    let damage = (any::<usize>(), any::<u8>(), any::<bool>());
    (prop::sample::select(&METHODS[..]), 0..8_usize, nonsense(), parameters, headers, body, damage).prop_map(
        |(method, target, path, parameters, headers, body, damage)| Input {
            method,
            target,
            path,
            parameters,
            headers,
            body,
            damage,
        },
    )
}

/// JSON, and almost.
fn json() -> impl Strategy<Value = Vec<u8>> {
    let text = nonsense().prop_map(|bytes| format!("{:?}", String::from_utf8_lossy(&bytes))).boxed();
    let leaf = prop_oneof![
        text.clone(),
        Just("null".to_owned()),
        Just("-0.0e9".to_owned()),
        Just("{}".to_owned()),
        Just("\"\\ud800\"".to_owned())
    ];
    let key = prop_oneof![
        prop::sample::select(
            &["\"type\"", "\"version\"", "\"name\"", "\"metadata\"", "\"labels\"", "\"secrets\"", "\"id\""][..]
        )
        .prop_map(str::to_owned),
        text,
    ]
    .boxed();
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let members = prop::collection::vec((key.clone(), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            members.prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
    .prop_map(String::into_bytes)
}

fn request<'a>(app: &'a App, token: &str, input: &Input, position: &str) -> Call<'a> {
    let account = format!("/accounts/{}", app.account);
    let path = match input.target {
        0 => app.tokens(app.owner),
        1 => app.item(app.owner, token),
        2 => "/oauth2/introspect".to_owned(),
        3 => "/oauth2/revoke".to_owned(),
        4 => "/leaks".to_owned(),
        5 => format!("/verify/{}", in_target(&input.path)),
        6 => format!("{account}/core/v1/users"),
        _ => format!("/{}", in_target(&input.path)),
    };
    let mut query: Vec<String> =
        input.parameters.iter().map(|(name, value)| format!("{}={}", in_target(name), in_target(value))).collect();
    if input.target == 0 && input.damage.2 {
        let (at, with, _) = input.damage;
        let mut bytes = position.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = with;
        query.push(format!("continue={}", in_target(&bytes).replace('+', "%2B")));
    }
    let method = match (input.method, input.target) {
        (FITTING, 2..=4) => "POST",
        (FITTING, 1) if input.damage.2 => "PUT",
        (FITTING, 0 | 6) if input.damage.1 < 64 => "POST",
        // Deleted, it would soon be gone.
        (FITTING, _) | ("DELETE", 1) => "GET",
        (method, _) => method,
    };
    let mut call = app.call(method, format!("{path}?{}", query.join("&"))).body(input.body.clone()).from("10.0.0.1");
    if [2, 3].contains(&input.target) && input.damage.2 {
        call = call.header("content-type", "application/x-www-form-urlencoded");
    }
    for (name, value) in &input.headers {
        call = if *name == "authorization" && input.damage.2 { call.anonymous() } else { call };
        call = call.header(name, value);
    }
    call
}

#[tokio::test]
async fn nonsense_is_answered_as_declared() {
    let seconds = std::env::var("FUZZ_SECONDS").map_or(1, |text| text.parse().expect("FUZZ_SECONDS is a number"));
    let seed = std::env::var("FUZZ_SEED").unwrap_or_else(|_| uuid::Uuid::from_bytes(rand()).simple().to_string());
    println!("FUZZ_SEED={seed}");
    on_every_database(async |app| {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(seed.bytes()).for_each(|(byte, of_seed)| *byte = of_seed);
        let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        for n in 0..4 {
            app.issue(app.owner, &format!("token {n}")).await;
        }
        let token = app.issue(app.owner, "victim").await["id"].as_str().unwrap().to_owned();
        let page = app.get(format!("{}?limit=2&orderBy=name", app.tokens(app.owner))).expect(200).await.json();
        let position = page["metadata"]["continue"].as_str().unwrap().to_owned();
        let (begun, strategy) = (Instant::now(), input());
        let mut answers = BTreeMap::<u16, u32>::new();
        while begun.elapsed() < Duration::from_secs(seconds) {
            let input = strategy.new_tree(&mut runner).unwrap().current();
            let reply = request(app, &token, &input, &position).send().await;
            assert!(![500, 503].contains(&reply.status.as_u16()), "{input:?}: {} {}", reply.status, reply.text());
            *answers.entry(reply.status.as_u16()).or_default() += 1;
        }
        println!("answers by status: {answers:?}");
    })
    .await;
}

fn rand() -> [u8; 16] {
    use tokenward::domain::entropy::{Entropy as _, OsEntropy};
    let mut bytes = [0; 16];
    OsEntropy.fill(&mut bytes).unwrap();
    bytes
}
