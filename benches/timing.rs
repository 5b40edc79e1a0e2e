//! Does the time that an answer takes tell what is wrong with a token? `/verify` is asked 10,000 times on each
//! database, in turns, with secrets that never were, that were revoked, and that have a good checksum around what no
//! generator makes.
//!
//! `cargo bench --bench timing` prints, for each two of these, by how much their medians differ, and beside it the
//! noise: by how much the medians of a class differ when its requests are dealt out into two halves at random, the most
//! of 200 deals. It fails if any difference is not below the noise. A token of a suspended user, which is found and
//! then refused, is measured beside them.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::{sync::Arc, time::Instant};

use poem::{
    Addr, Endpoint, Request, RequestParts,
    endpoint::BoxEndpoint,
    http::{header, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use tokenward::{
    api::{self, Settings},
    domain::{
        clock::SystemClock,
        entropy::{Entropy, OsEntropy},
        event::RequestContext,
        id::TokenId,
        name::{Email, FreeText, ResourceName},
        secret::{PREFIX, Secret},
        token::{NewToken, Token},
    },
    service::{Service, bootstrap::Bootstrap},
    store::Store,
};

const REQUESTS: usize = 10_000;
const WARM_UP: usize = 500;
const DEALS: usize = 200;
const CLASSES: [&str; 4] = ["unknown", "revoked", "malformed", "suspended"];

/// A secret with a good checksum that no generator makes: so high a number has more than 256 bits.
fn beyond(n: usize) -> Secret {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let body = format!("{PREFIX}{}{n:03}", "z".repeat(40));
    let mut rest = usize::try_from(crc32fast::hash(body.as_bytes())).unwrap();
    let mut checksum = [b'0'; 6];
    for digit in checksum.iter_mut().rev() {
        *digit = DIGITS[rest % 62];
        rest /= 62;
    }
    Secret::parse(&format!("{body}{}", std::str::from_utf8(&checksum).unwrap())).unwrap()
}

async fn ask(endpoint: &BoxEndpoint<'static, poem::Response>, secret: &str) -> f64 {
    let mut request = hyper::Request::new(());
    *request.uri_mut() = "/verify".parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {secret}").parse().unwrap());
    let remote = RemoteAddr(Addr::SocketAddr(([192, 0, 2, 1], 4_711).into()));
    let parts =
        RequestParts::from((request.into_parts().0, LocalAddr(Addr::custom("bench", "")), remote, Scheme::HTTP));
    let request = Request::from_parts(parts, poem::Body::empty());
    let begun = Instant::now();
    let response = endpoint.get_response(request).await;
    let micros = begun.elapsed().as_secs_f64() * 1e6;
    assert!(response.status().is_client_error(), "{}", response.status());
    micros
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// By how much the medians of two halves of the same class differ, at most, however it is dealt out.
fn noise(times: &[f64]) -> f64 {
    let mut bits = vec![0; times.len().div_ceil(8)];
    let deal = |bits: &mut Vec<u8>| {
        OsEntropy.fill(bits).unwrap();
        let (one, other): (Vec<_>, Vec<_>) =
            times.iter().enumerate().partition(|(n, _)| bits[n / 8] >> (n % 8) & 1 == 0);
        let [one, other] = [one, other]
            .map(|half: Vec<(usize, &f64)>| median(&half.into_iter().map(|(_, time)| *time).collect::<Vec<_>>()));
        (one - other).abs()
    };
    (0..DEALS).map(|_| deal(&mut bits)).fold(0.0, f64::max)
}

async fn measure(database: &str, url: &str) -> bool {
    let store = Store::open(&url.parse().unwrap()).await.unwrap();
    let service = Service::new(store.clone(), Arc::new(SystemClock), Arc::new(OsEntropy)).await.unwrap();
    let text = |text: &str| FreeText::parse(text).unwrap();
    let name = || ResourceName::parse("x").unwrap();
    let bootstrap = Bootstrap {
        account_name: name(),
        email: Email::parse("owner@example.com").unwrap(),
        first_name: text("Ada"),
        last_name: text("Byron"),
        token_name: name(),
        secret: None,
    };
    let bootstrapped = service.bootstrap(bootstrap).await.unwrap().unwrap();
    let mut secrets: [Vec<Secret>; 4] = Default::default();
    let context = Arc::new(RequestContext::without_request(String::new()));
    let email = Email::parse("owner@example.com").unwrap();
    for n in 0..100 {
        secrets[0].push(Secret::generate(&OsEntropy).unwrap());
        let (_, _, revoked) = service.operator_issue_token(&email, None, name()).await.unwrap();
        service.revoke_secret(revoked.expose(), &context).await.unwrap();
        secrets[1].push(revoked);
        secrets[2].push(beyond(n));
        let (_, _, kept) = service.operator_issue_token(&email, None, name()).await.unwrap();
        secrets[3].push(kept);
    }
    let mut writer = store.write().await.unwrap();
    let mut owner = writer.find_user(bootstrapped.user_id).await.unwrap().unwrap();
    owner.is_enabled = false;
    writer.update_user(&owner).await.unwrap();
    // Among others, so that the index has something to do.
    for _ in 0..20_000 {
        let (id, user) = (TokenId::random(&OsEntropy).unwrap(), bootstrapped.user_id);
        let token = Token::new(id, user, NewToken::named(name()), service.now(), user);
        writer
            .insert_token(&token, Secret::generate(&OsEntropy).unwrap().digest(), &std::collections::BTreeSet::new())
            .await
            .unwrap();
    }
    writer.commit().await.unwrap();
    let endpoint = poem::EndpointExt::boxed(api::endpoint(service.clone(), Settings::default()).unwrap());

    let mut times: [Vec<f64>; 4] = Default::default();
    for n in 0..REQUESTS + WARM_UP {
        // In an order of chance: what comes before a request has a part in how long it takes.
        let mut order: Vec<usize> = (0..CLASSES.len()).collect();
        let mut chance = [0; CLASSES.len()];
        OsEntropy.fill(&mut chance).unwrap();
        order.sort_by_key(|class| chance[*class]);
        for class in order {
            let secrets = &secrets[class];
            let micros = ask(&endpoint, secrets[n % secrets.len()].expose()).await;
            if n >= WARM_UP {
                times[class].push(micros);
            }
        }
    }
    let medians = times.each_ref().map(|times| median(times));
    let noises = times.each_ref().map(|times| noise(times));
    for (class, (median, noise)) in CLASSES.iter().zip(medians.iter().zip(noises)) {
        println!("{database}, {class}: median {median:.2} us; measured twice it differs by up to {noise:.2} us");
    }
    let mut good = true;
    for (one, other) in [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)] {
        let (difference, noise) = ((medians[one] - medians[other]).abs(), noises[one].max(noises[other]));
        let judged = if other == 3 { "for comparison" } else { "must be below the noise" };
        println!(
            "{database}, {} against {}: differ by {difference:.2} us, noise {noise:.2} us ({judged})",
            CLASSES[one], CLASSES[other]
        );
        good &= other == 3 || difference < noise;
    }
    good
}

#[tokio::main]
async fn main() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut good = measure("SQLite", &format!("sqlite:{}", folder.path().join("timing.db").display())).await;
    if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
        good &= measure("PostgreSQL", &url).await;
    }
    assert!(good, "the time that an answer takes tells what is wrong with a token");
}
