//! The server under signals, dawdlers and broken requests; and what it writes to its log.

use std::{
    io::Read as _,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::program::{Client, Database, Server, call, init};

const BODY: &str = r#"{"type":"application/astra-token","version":"1.0","name":"x"}"#;

#[test]
fn requests_under_way_finish_when_the_server_is_asked_to_end() {
    for signal in ["TERM", "INT"] {
        let database = Database::sqlite();
        let first = init(&database.url());
        let mut server = Server::start(&database.url(), &[]);
        let mut client = Client::connect(&server.address).unwrap();
        // The head and half of the body: the handler is waiting for the rest.
        let (half, rest) = BODY.split_at(20);
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{half}",
            first.tokens(),
            first.secret,
            BODY.len()
        );
        client.send(head.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(300));
        server.signal(signal);
        thread::sleep(Duration::from_millis(300));
        assert!(TcpStream::connect(&server.address).is_err(), "it accepts new connections");
        client.send(rest.as_bytes()).unwrap();
        assert_eq!(client.receive().unwrap().0, 201);
        assert!(server.child.wait().unwrap().success());
    }
}

#[test]
fn a_request_that_never_ends_does_not_hold_the_server_up() {
    let database = Database::sqlite();
    let first = init(&database.url());
    let mut server = Server::start(&database.url(), &[]);
    let mut client = Client::connect(&server.address).unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 50\r\n\r\n{{",
        first.tokens(),
        first.secret
    );
    client.send(head.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(200));
    let asked = Instant::now();
    server.signal("TERM");
    server.child.wait().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

/// Whoever connects and asks for nothing is let go, however little it says.
#[test]
fn silent_connections_are_closed() {
    let database = Database::sqlite();
    init(&database.url());
    let server = Server::start(&database.url(), &[]);
    let streams =
        ["", "P", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n"].map(|said| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            std::io::Write::write_all(&mut stream, said.as_bytes()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
            (said, stream)
        });
    for (said, mut stream) in streams {
        // Closed or reset: it ends. A read that times out would be an error of another kind.
        match stream.read_to_end(&mut vec![]) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{said:?}"),
        }
    }
}

/// HTTP/2, as far as it takes to ask for `/healthz` once.
fn ask_by_http2(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    said.extend(frame(0x4, 0, 0, &[]));
    // GET, http, the path and the authority, as literals that nobody has to remember.
    said.extend(frame(0x1, 0x5, 1, b"\x82\x86\x04\x08/healthz\x01\x01x"));
    std::io::Write::write_all(&mut stream, &said).unwrap();
    stream
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream];
    frame.extend(payload);
    frame
}

/// However faithfully a client answers the pings: a connection without requests makes room for another.
#[test]
fn idle_http2_connections_are_closed() {
    let database = Database::sqlite();
    init(&database.url());
    let server = Server::start(&database.url(), &["--max-connections", "1"]);
    let mut stream = ask_by_http2(&server.address);
    stream.set_read_timeout(Some(Duration::from_secs(50))).unwrap();
    let (mut frames, begun) = (vec![], Instant::now());
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let mut payload = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
        stream.read_exact(&mut payload).unwrap();
        frames.push(head[3]);
        if (head[3], head[4]) == (0x6, 0) {
            std::io::Write::write_all(&mut stream, &frame(0x6, 0x1, 0, &payload)).unwrap();
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{frames:?}");
    }
    // It was answered, and told that there will be no more.
    assert!(frames.contains(&0x1) && frames.contains(&0x0) && frames.contains(&0x7), "{frames:?}");
    assert_eq!(call(&server.address, "GET", "/healthz", "", "").0, 200);
}

#[test]
fn the_connection_that_has_idled_the_longest_makes_room() {
    let database = Database::sqlite();
    let first = init(&database.url());
    let server = Server::start(&database.url(), &["--max-connections", "2"]);
    let mut held = [Client::connect(&server.address).unwrap(), Client::connect(&server.address).unwrap()];
    for client in &mut held {
        assert_eq!(client.call("GET", &first.mine(), &first.secret, "").unwrap().0, 200);
    }
    assert_eq!(call(&server.address, "GET", &first.mine(), &first.secret, "").0, 200);
    let [oldest, newer] = &mut held;
    assert!(oldest.call("GET", &first.mine(), &first.secret, "").is_err());
    assert_eq!(newer.call("GET", &first.mine(), &first.secret, "").unwrap().0, 200);
}

/// Connections on which something is under way stay; beside them the server tells how it is, and else that it is busy.
#[test]
fn while_all_places_are_taken_only_health_is_answered() {
    let database = Database::sqlite();
    let first = init(&database.url());
    for arguments in [["--max-connections", "2"], ["--max-connections-per-client", "2"]] {
        let server = Server::start(&database.url(), &arguments);
        let (half, rest) = BODY.split_at(20);
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{half}",
            first.tokens(),
            first.secret,
            BODY.len()
        );
        let mut waiting = [Client::connect(&server.address).unwrap(), Client::connect(&server.address).unwrap()];
        for client in &mut waiting {
            client.send(request.as_bytes()).unwrap();
        }
        let begun = Instant::now();
        thread::sleep(Duration::from_millis(200));
        let answers =
            ["/healthz", "/readyz", &first.mine()].map(|path| call(&server.address, "GET", path, &first.secret, ""));
        if begun.elapsed() > Duration::from_secs(2) {
            // By now the bodies have kept the server waiting for long enough to lose their places.
            continue;
        }
        let [healthy, ready, (status, problem)] = answers;
        assert_eq!((healthy.0, ready.0, status), (200, 200, 503), "{problem}");
        assert!(problem.contains("problems/41"), "{problem}");
        for client in &mut waiting {
            client.send(rest.as_bytes()).unwrap();
            assert_eq!(client.receive().unwrap().0, 201);
        }
        assert_eq!(call(&server.address, "GET", &first.mine(), &first.secret, "").0, 200);
    }
}

/// What the HTTP library answers by itself is put into the words of ours.
#[test]
fn whatever_is_refused_is_a_problem() {
    let database = Database::sqlite();
    init(&database.url());
    let server = Server::start(&database.url(), &[]);
    let many = "X: y\r\n".repeat(150);
    for (request, wanted) in [
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000)), "414"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"), "431"),
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n".to_owned(), "400"),
        ("POST /leaks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(), "400"),
    ] {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, problem) = answer.split_once("\r\n\r\n").unwrap();
        let problem: Value = serde_json::from_str(problem).unwrap();
        let correlated = format!("x-correlation-id: {}", problem["correlationID"].as_str().unwrap());
        assert!(head.contains(&correlated) && head.contains("application/problem+json"), "{head}");
        assert_eq!((head.split(' ').nth(1), problem["status"].as_str()), (Some(wanted), Some(wanted)));
    }
}

#[test]
fn a_body_that_dribbles_is_told_so() {
    let database = Database::sqlite();
    let first = init(&database.url());
    let server = Server::start(&database.url(), &["--body-timeout", "1"]);
    let mut client = Client::connect(&server.address).unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 50\r\n\r\n{{",
        first.tokens(),
        first.secret
    );
    client.send(head.as_bytes()).unwrap();
    let (status, problem) = client.receive().unwrap();
    assert_eq!(status, 408, "{problem}");
}

/// Whoever sends more than we want to read gets the answer all the same.
#[test]
fn a_refused_body_does_not_tear_the_answer_away() {
    let database = Database::sqlite();
    let first = init(&database.url());
    let server = Server::start(&database.url(), &[]);
    let large = "x".repeat(3_000_000);
    for (secret, wanted) in [(first.secret.as_str(), 413), ("nonsense", 401)] {
        let (status, body) = call(&server.address, "POST", &first.tokens(), secret, &large);
        assert_eq!(status, wanted, "{body}");
    }
    // A client that asks first is answered before it sends.
    let mut client = Client::connect(&server.address).unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3000000\r\n\r\n",
        first.tokens()
    );
    client.send(head.as_bytes()).unwrap();
    assert_eq!(client.receive().unwrap().0, 401);
}

#[test]
fn broken_requests_are_answered() {
    let database = Database::sqlite();
    let first = init(&database.url());
    let server = Server::start(&database.url(), &[]);
    let mine = first.mine();
    let bearer = format!("Authorization: Bearer {}\r\n", first.secret);
    for (request, wanted) in [
        (format!("GET {mine} HTTP/1.0\r\n{bearer}\r\n"), "200"),
        (format!("GET http://elsewhere{mine} HTTP/1.1\r\nHost: x\r\n{bearer}Connection: close\r\n\r\n"), "200"),
        (format!("HEAD {mine} HTTP/1.1\r\nHost: x\r\n{bearer}Connection: close\r\n\r\n"), "200"),
        (
            format!("GET {mine} HTTP/1.1\r\nHost: x\r\n{bearer}If-None-Match: \"\u{e9}\"\r\nConnection: close\r\n\r\n"),
            "400",
        ),
        (
            format!(
                "POST {} HTTP/1.1\r\nHost: x\r\n{bearer}Transfer-Encoding: chunked\r\nConnection: \
                    close\r\n\r\n3d\r\n{BODY}\r\n0\r\n\r\n",
                first.tokens()
            ),
            "201",
        ),
        (
            format!(
                "POST {} HTTP/1.1\r\nHost: x\r\n{bearer}Content-Length: 0\r\nConnection: close\r\n\r\n",
                first.tokens()
            ),
            "400",
        ),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "x".repeat(70_000)), "414"),
    ] {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut answer = vec![];
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(answer.split(' ').nth(1), Some(wanted), "{}: {answer}", &request[..40.min(request.len())]);
    }
}

#[test]
fn the_log_tells_of_every_request_and_of_no_secret() {
    for format in ["text", "json"] {
        let database = Database::sqlite();
        let first = init(&database.url());
        let server = Server::start(&database.url(), &["--log-format", format, "--log", "trace"]);
        let (status, made) = call(&server.address, "POST", &first.tokens(), &first.secret, BODY);
        assert_eq!(status, 201);
        let made: Value = serde_json::from_str(&made).unwrap();
        let issued = made["token"].as_str().unwrap();
        call(&server.address, "GET", &first.mine(), issued, "");
        let wrong = format!("{}x", &first.secret[..55]);
        call(&server.address, "GET", &format!("{}?{}=1&{wrong}", first.mine(), first.secret), &first.secret, "");
        call(&server.address, "GET", &first.mine(), &wrong, "");
        call(&server.address, "GET", &format!("/accounts/{}/{wrong}", first.account), &first.secret, "");
        call(&server.address, "POST", &first.tokens(), &first.secret, &format!(r#"{{"{issued}":"{wrong}"}}"#));
        let (out, err) = server.stop();
        let said = format!("{out}{err}");
        for secret in [first.secret.as_str(), issued, &wrong] {
            assert!(!said.contains(&secret[7..]), "{format}: a secret is in the log");
        }
        let requests: Vec<&str> = err.lines().filter(|line| line.contains("micros")).collect();
        assert_eq!(requests.len(), 6, "{err}");
        assert!(requests[0].contains("/accounts/{account_id}/core/v1/users/{user_id}/tokens"), "{}", requests[0]);
        for id in [&first.account, &first.user, &first.token] {
            assert!(requests[0].contains(id.as_str()), "{}", requests[0]);
        }
        if format == "json" {
            let line: Value = serde_json::from_str(requests[0]).unwrap();
            assert_eq!(
                (&line["status"], &line["method"], &line["token"]),
                (&201.into(), &"POST".into(), &first.token.as_str().into())
            );
            assert!(line["correlation_id"].is_string() && line["micros"].is_u64());
        }
    }
}
