//! What Traefik and Envoy ask, who can't be installed for a test, as their documentation and our examples have it.
//! nginx, HAProxy and Caddy ask for real in `tests/gateways.py`.

use tokenward::domain::role::Role;

use crate::app::{App, Call, DOCUMENT, on_every_database};

/// The address that an example has its proxy ask.
fn example(file: &str, key: &str) -> String {
    let text = std::fs::read_to_string(format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": ").map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {key} in {file}"))
}

/// What Envoy puts before the path of a client.
fn path_prefix() -> String {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/envoy.yaml")).unwrap();
    let configuration: serde_json::Value = yaml_serde::from_str(&text).unwrap();
    let filters = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
    let filters = configuration.pointer(filters).unwrap().as_array().unwrap();
    let asking = filters.iter().find(|filter| filter["name"] == "envoy.filters.http.ext_authz").unwrap();
    asking["typed_config"]["http_service"]["path_prefix"].as_str().unwrap().to_owned()
}

/// Each of them hands the whole identity on, and lets no part of it in from outside.
#[test]
fn examples_know_every_header_of_an_identity() {
    let headers = DOCUMENT["paths"]["/verify"]["get"]["responses"]["200"]["headers"].as_object().unwrap();
    let identity: Vec<&str> = headers.keys().map(String::as_str).filter(|name| name.starts_with("X-Auth-")).collect();
    assert_eq!(identity.len(), 6);
    for (file, times) in
        [("nginx.conf", 1), ("haproxy.lua", 1), ("Caddyfile", 1), ("traefik.yaml", 2), ("envoy.yaml", 1)]
    {
        let text =
            std::fs::read_to_string(format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap().to_lowercase();
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').collect();
        for name in &identity {
            let count = words.iter().filter(|word| **word == name.to_lowercase()).count();
            assert!(count >= times, "{file} has {name} {count} times");
        }
    }
}

async fn secrets(app: &App) -> (String, String) {
    let member = app.user("member@example.com", Some(Role::Member)).await;
    let nobody = app.user("nobody@example.com", None).await;
    (app.token_of(member, "x").await.1, app.token_of(nobody, "x").await.1)
}

/// <https://doc.traefik.io/traefik/middlewares/http/forwardauth/>: GET, the client's headers, and where the client
/// wanted to go.
#[tokio::test]
async fn traefik() {
    let address = example("traefik.yaml", "address");
    let path = address.strip_prefix("http://127.0.0.1:8080").unwrap().to_owned();
    assert_eq!(path, "/verify?role=viewer");
    on_every_database(async |app| {
        let (member, nobody) = secrets(app).await;
        let ask = || -> Call<'_> {
            app.get(&path)
                .header("x-forwarded-method", "POST")
                .header("x-forwarded-proto", "https")
                .header("x-forwarded-host", "app.example")
                .header("x-forwarded-uri", "/orders/7?role=owner&account=x")
                .header("x-forwarded-for", "192.0.2.1")
                .header("x-auth-role", "owner")
                .header("content-type", "application/json")
                .header("accept-encoding", "gzip")
        };
        ask().secret(&member).expect(200).await.snapshot("verify_token__200_traefik");
        ask().secret(&nobody).expect(403).await;
        ask().secret("nonsense").expect(401).await.snapshot("verify_token__401_traefik");
        ask().anonymous().expect(401).await;
    })
    .await;
}

/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter>: the client's method,
/// the prefix with the client's path and query behind it, `Authorization`, and no body.
#[tokio::test]
async fn envoy() {
    let prefix = path_prefix();
    assert_eq!(prefix, "/verify/for");
    on_every_database(async |app| {
        let (member, nobody) = secrets(app).await;
        let (other, ..) = app.another_account().await;
        let guest = app.user("guest@example.com", Some(Role::Viewer)).await;
        app.bind_in(other, guest, Role::Admin).await;
        let (_, guest) = app.token_of(guest, "x").await;
        let ask = |method: &str, path: &str| -> Call<'_> {
            app.call(method, format!("{prefix}{path}"))
                .header("content-length", "0")
                .header("x-forwarded-for", "192.0.2.1")
                .header("x-envoy-internal", "true")
                .header("x-envoy-expected-rq-timeout-ms", "2000")
        };
        ask("POST", "/orders/7?role=owner&account=x&x=%2F")
            .secret(&member)
            .expect(200)
            .await
            .snapshot("verify_token__200_envoy");
        // What a client writes behind the bare slash is no demand: it can't choose the account, and with that the role.
        for query in [
            format!("account={other}"),
            "role=owner".to_owned(),
            "role=nonsense".to_owned(),
            format!("account={other}&role=admin"),
        ] {
            for path in ["/", "//", "/../", "/..", ""] {
                let passed = ask("GET", &format!("{path}?{query}")).secret(&guest).expect(200).await;
                assert_eq!(passed.header("x-auth-account"), app.account.to_string(), "{path}?{query}");
                assert_eq!(passed.header("x-auth-role"), "viewer", "{path}?{query}");
            }
        }
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            for path in
                ["/", "/x", "/whoami", "/accounts", "/verify", "/a//b/../%2e%2e/%ff", "/?q=1", "/x?role=nonsense&role"]
            {
                ask(method, path).secret(&member).expect(200).await;
                ask(method, path).secret(&nobody).expect(403).await;
                ask(method, path).secret("nonsense").expect(401).await;
                ask(method, path).anonymous().expect(401).await;
            }
        }
    })
    .await;
}
