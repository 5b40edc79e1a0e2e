//! What Prometheus reads.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::program::{Client, Database, Server, call, init};

const UNKNOWN: &str = "tokward00000000000000000000000000000000000000000001xVqUp";

#[test]
fn what_happens_is_counted_on_a_port_of_its_own() {
    for database in Database::all() {
        let first = init(&database.url());
        let server = Server::start(&database.url(), &["--metrics-listen", "127.0.0.1:0", "--log", "debug"]);
        let get = |path: &str, secret: &str| call(&server.address, "GET", path, secret, "").0;
        assert_eq!(get("/metrics", &first.secret), 404, "it is on the public port");
        assert_eq!(get("/verify", &first.secret), 200);
        assert_eq!(get("/verify/some/path", &first.secret), 200);
        assert_eq!(get("/verify?role=nonsense", &first.secret), 403);
        assert_eq!(get("/verify", UNKNOWN), 401);
        assert_eq!(get(&first.mine(), &first.secret), 200);
        assert_eq!(get(&format!("/{}", first.secret), &first.secret), 404);
        assert_eq!(call(&server.address, "BREW", "/healthz", "x", "").0, 405);
        let body = format!("token={UNKNOWN}");
        let head = format!(
            "POST /oauth2/introspect HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: \
                application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            first.secret,
            body.len()
        );
        let mut client = Client::connect(&server.address).unwrap();
        client.send(head.as_bytes()).unwrap();
        assert_eq!(client.receive().unwrap().0, 200);

        // What is done in the background after a start and after requests takes a moment.
        let settled = "tokenward_store_connections{access=\"write\",state=\"busy\"} 0";
        let deadline = Instant::now() + Duration::from_secs(5);
        let text = loop {
            let (status, text) = call(server.metrics(), "GET", "/metrics", "", "");
            assert_eq!(status, 200);
            if text.lines().any(|told| told == settled) || Instant::now() > deadline {
                break text;
            }
            thread::sleep(Duration::from_millis(20));
        };
        let item = "/accounts/{account_id}/core/v1/users/{user_id}/tokens/{token_id}";
        for line in [
            format!("tokenward_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
            "tokenward_http_requests_total{method=\"GET\",route=\"/verify\",status=\"200\"} 2".to_owned(),
            "tokenward_http_requests_total{method=\"GET\",route=\"/verify\",status=\"401\"} 1".to_owned(),
            "tokenward_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 2".to_owned(),
            "tokenward_http_requests_total{method=\"other\",route=\"/healthz\",status=\"405\"} 1".to_owned(),
            format!(
                "tokenward_http_request_duration_seconds_count{{method=\"GET\",route=\"{item}\",status=\"200\"}} 1"
            ),
            "tokenward_verifications_total{route=\"/verify\",outcome=\"accepted\"} 2".to_owned(),
            "tokenward_verifications_total{route=\"/verify\",outcome=\"refused\"} 1".to_owned(),
            "tokenward_verifications_total{route=\"/verify\",outcome=\"malformed\"} 1".to_owned(),
            "tokenward_verifications_total{route=\"/oauth2/introspect\",outcome=\"inactive\"} 1".to_owned(),
            settled.to_owned(),
        ] {
            assert!(text.lines().any(|told| told == line), "no {line} in {text}");
        }
        for name in [
            "tokenward_store_access_duration_seconds_bucket{le=\"",
            "tokenward_store_connections{access=\"read\",state=\"idle\"}",
        ] {
            assert!(text.lines().any(|told| told.starts_with(name)), "no {name} in {text}");
        }
        assert!(text.ends_with("# EOF\n"));
        assert!(!text.contains("tokward") && !text.contains("BREW") && !text.contains(&first.user), "{text}");
        assert_eq!(call(server.metrics(), "GET", "/verify", &first.secret, "").0, 404);
        let log = server.stop().1;
        assert!(log.contains("/oauth2/introspect") && !log.contains("tokward"), "{log}");
    }
}
