//! What was acknowledged survives a server that is killed.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;

use crate::program::{Client, Database, Server, call, init};

const CLIENTS: usize = 16;
const REQUESTS: usize = 2_000;
/// The server is killed when this many have been acknowledged.
const KILLED_AFTER: usize = 1_000;

#[derive(Default)]
struct Acknowledged {
    created: Vec<(String, String)>,
    deleted: Vec<String>,
}

/// 16 clients create 2,000 tokens and delete every other one; in the middle of it the server is killed. After a restart
/// every token whose creation was acknowledged works, unless its deletion was asked for; every one whose deletion was
/// acknowledged is refused.
#[test]
fn acknowledged_writes_survive_a_kill() {
    for database in Database::all() {
        let first = init(&database.url());
        let mut server = Server::start(&database.url(), &["--log", "warn"]);
        let (address, acknowledged, started) =
            (server.address.clone(), Mutex::new(Acknowledged::default()), AtomicUsize::new(0));
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let Ok(mut client) = Client::connect(&address) else { return };
                    loop {
                        let n = started.fetch_add(1, Ordering::SeqCst);
                        if n >= REQUESTS {
                            return;
                        }
                        let body = format!(r#"{{"type":"application/astra-token","version":"1.0","name":"{n}"}}"#);
                        // A broken connection is the kill; what it left open is neither acknowledged nor refused.
                        let Ok((201, made)) = client.call("POST", &first.tokens(), &first.secret, &body) else {
                            return;
                        };
                        let made: Value = serde_json::from_str(&made).unwrap();
                        let (id, secret) =
                            (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned());
                        done.fetch_add(1, Ordering::SeqCst);
                        if n % 2 == 0 {
                            acknowledged.lock().unwrap().created.push((id, secret));
                            continue;
                        }
                        let Ok((204, _)) =
                            client.call("DELETE", &format!("{}/{id}", first.tokens()), &first.secret, "")
                        else {
                            return;
                        };
                        acknowledged.lock().unwrap().deleted.push(secret);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            while done.load(Ordering::SeqCst) < KILLED_AFTER {
                assert!(server.child.try_wait().unwrap().is_none(), "the server ended by itself");
                thread::yield_now();
            }
            server.child.kill().unwrap();
        });
        server.child.wait().unwrap();

        let Acknowledged { created, deleted } = acknowledged.into_inner().unwrap();
        assert!(
            created.len() + 2 * deleted.len() >= KILLED_AFTER - CLIENTS,
            "{} created, {} deleted",
            created.len(),
            deleted.len()
        );
        assert!(started.load(Ordering::SeqCst) < REQUESTS, "the kill came after the work");
        let server = Server::start(&database.url(), &["--log", "warn"]);
        let mut client = Client::connect(&server.address).unwrap();
        for (id, secret) in &created {
            let (status, body) = client.call("GET", &format!("{}/{id}", first.tokens()), secret, "").unwrap();
            assert_eq!(status, 200, "an acknowledged token is gone: {body}");
        }
        for secret in &deleted {
            let (status, _) = client.call("GET", &first.mine(), secret, "").unwrap();
            assert_eq!(status, 401, "an acknowledged revocation came undone");
        }
        assert_eq!(call(&server.address, "GET", &first.mine(), &first.secret, "").0, 200);
        server.stop();
    }
}
