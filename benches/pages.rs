//! What a page of 100 out of 100,000 users costs, resumed with `continue` at the start and at the end, and what
//! retrieving a token costs among so many.
//!
//! `cargo bench` runs it on SQLite, and on PostgreSQL if `TEST_DATABASE_URL` names an empty database. What is compared
//! runs interleaved, and goes the whole way through the API. It fails if a ratio of medians exceeds the bar.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark fails by panicking"
)]

use std::{sync::Arc, time::Instant};

use poem::{Endpoint, Request, endpoint::BoxEndpoint, http::Uri};
use serde_json::Value;
use tokenward::{
    api::{self, Settings},
    domain::{
        clock::{Clock as _, SystemClock},
        entropy::OsEntropy,
        id::UserId,
        label::Labels,
        metadata::Metadata,
        name::{Email, FreeText, ResourceName},
        user::{AuthProvider, Profile, User, UserState},
    },
    service::{Service, bootstrap::Bootstrap},
    store::Store,
};

const USERS: usize = 100_000;
const ROUNDS: usize = 301;
/// Of what takes a tenth of a page's time, and is mostly waiting for threads to wake: more, for its median to stand
/// still.
const SHORT_ROUNDS: usize = 10_001;
/// Rounds before those that count: the caches shall be as they are in operation.
const WARM_UP: usize = 50;
const BAR: f64 = 1.2;

struct Bench {
    endpoint: BoxEndpoint<'static, poem::Response>,
    secret: String,
    users: String,
    token: String,
}

impl Bench {
    /// A database with that many users.
    async fn with(url: &str, users: usize) -> Self {
        let store = Store::open(&url.parse().unwrap()).await.unwrap();
        let service = Service::new(store.clone(), Arc::new(SystemClock), Arc::new(OsEntropy)).await.unwrap();
        let text = |text: &str| FreeText::parse(text).unwrap();
        let bootstrap = Bootstrap {
            account_name: ResourceName::parse("main").unwrap(),
            email: Email::parse("owner@example.com").unwrap(),
            first_name: text("Ada"),
            last_name: text("Byron"),
            token_name: ResourceName::parse("x").unwrap(),
            secret: None,
        };
        let bootstrapped = service.bootstrap(bootstrap).await.unwrap().expect("an empty database");
        let mut writer = store.write().await.unwrap();
        for n in 1..users {
            let email = Email::parse(&format!("user{n:06}@example.com")).unwrap();
            let user = User {
                id: UserId::random(&OsEntropy).unwrap(),
                account_id: bootstrapped.account_id,
                auth_id: text(email.as_str()),
                email,
                profile: Profile {
                    first_name: text(&format!("First{}", n % 97)),
                    last_name: text(&format!("Last{n}")),
                    company_name: None,
                    phone: None,
                    postal_address: None,
                },
                auth_provider: AuthProvider::Local,
                state: UserState::Active,
                is_enabled: true,
                enabled_at: None,
                last_act_at: None,
                metadata: Metadata::new(Labels::default(), SystemClock.now(), bootstrapped.user_id),
            };
            writer.insert_user(&user).await.unwrap();
        }
        writer.commit().await.unwrap();
        let endpoint = poem::EndpointExt::boxed(api::endpoint(service, Settings::default()).unwrap());
        let users = format!("/accounts/{}/core/v1/users", bootstrapped.account_id);
        let token = format!("{users}/{}/tokens/{}", bootstrapped.user_id, bootstrapped.token_id);
        Self { endpoint, secret: bootstrapped.secret.expose().to_owned(), users, token }
    }

    async fn get(&self, path: &str) -> (f64, Value) {
        let request = Request::builder()
            .uri(path.parse::<Uri>().unwrap())
            .header("authorization", format!("Bearer {}", self.secret))
            .finish();
        let begun = Instant::now();
        let response = self.endpoint.get_response(request).await;
        assert!(response.status().is_success(), "{path}: {}", response.status());
        let body = response.into_body().into_vec().await.unwrap();
        let micros = begun.elapsed().as_secs_f64() * 1e6;
        (micros, serde_json::from_slice(&body).unwrap())
    }

    /// The path that asks for the page of 100 after the one that was asked for, if there is one.
    async fn next(&self, path: &str) -> Option<String> {
        let (_, page) = self.get(path).await;
        let next = page["metadata"]["continue"].as_str()?.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        Some(format!("{}?limit=100&continue={next}", self.users))
    }

    /// The second page of 100, and one within the last 1,000 users.
    async fn ends(&self, order: &str) -> (String, String) {
        let first = format!("{}?limit=100{order}", self.users);
        let second = self.next(&first).await.unwrap();
        let mut last = first;
        while let Some(next) = self.next(&last.replace("limit=100", "limit=1000")).await {
            last = next;
        }
        (second, last)
    }
}

/// Medians and spreads (the middle half) of two things that are done in turns.
async fn compare(name: &str, rounds: usize, one: (&Bench, &str), other: (&Bench, &str)) -> bool {
    let mut times = [vec![], vec![]];
    for (bench, path) in [one, other] {
        for _ in 0..WARM_UP {
            // At once, for all the readers to be there: they take turns then, each with a thread of its own, and where
            // the system puts one thread would else be the whole difference.
            let get = || bench.get(path);
            tokio::join!(get(), get(), get(), get(), get(), get(), get(), get());
        }
    }
    for _ in 0..rounds {
        for (times, (bench, path)) in times.iter_mut().zip([one, other]) {
            times.push(bench.get(path).await.0);
        }
    }
    let [one, other] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        [times[rounds / 4], times[rounds / 2], times[rounds * 3 / 4]]
    });
    let ratio = other[1] / one[1];
    let shown = |times: [f64; 3]| format!("{:.0} us ({:.0} to {:.0})", times[1], times[0], times[2]);
    println!("{name}: {} against {}, ratio {ratio:.2}", shown(one), shown(other));
    ratio < BAR
}

#[tokio::main]
async fn main() {
    let folder = tempfile::TempDir::new().unwrap();
    let sqlite = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let few = Bench::with(&sqlite("few.db"), 100).await;
    let mut urls = vec![("SQLite", sqlite("many.db"))];
    urls.extend(std::env::var("TEST_DATABASE_URL").ok().map(|url| ("PostgreSQL", url)));
    let mut good = true;
    for (database, url) in urls {
        let many = Bench::with(&url, USERS).await;
        if database == "SQLite" {
            let name = format!("{database}, a token among 100 users against {USERS}");
            good &= compare(&name, SHORT_ROUNDS, (&few, &few.token), (&many, &many.token)).await;
        }
        for (order, label) in
            [("", "creation"), ("&orderBy=lastName%20desc", "lastName desc"), ("&orderBy=firstName", "firstName")]
        {
            let (second, last) = many.ends(order).await;
            let name = format!("{database}, {USERS} users by {label}, second page against last");
            good &= compare(&name, ROUNDS, (&many, &second), (&many, &last)).await;
        }
    }
    assert!(good, "a ratio exceeds {BAR}");
}
