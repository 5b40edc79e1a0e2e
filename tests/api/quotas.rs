//! How much a user and an account may hold.

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use serde_json::json;
use tokenward::{
    domain::{
        name::{Email, ResourceName},
        role::Role,
    },
    service::quota::Quotas,
};

use crate::app::{App, on_every_database};

/// The statuses of that many requests at once, sorted.
async fn at_once(app: &App, count: usize, path: &str, body: impl Fn(usize) -> serde_json::Value) -> Vec<u16> {
    let calls = (0..count).map(|n| app.call("POST", path).json(&body(n)).send()).collect::<FuturesUnordered<_>>();
    let mut statuses: Vec<u16> = calls.map(|reply| reply.status.as_u16()).collect().await;
    statuses.sort_unstable();
    statuses
}

#[tokio::test]
async fn tokens_of_a_user() {
    on_every_database(async |app| {
        app.service.set_quotas(Quotas { tokens_per_user: 3, ..Quotas::default() });
        let (user, other) = (
            app.user("quota@example.com", Some(Role::Viewer)).await,
            app.user("other@example.com", Some(Role::Viewer)).await,
        );
        let body = |n: usize| json!({ "type": "application/astra-token", "version": "1.0", "name": format!("t{n}") });
        for name in ["a", "b", "c"] {
            app.issue(other, name).await;
        }
        app.call("POST", app.tokens(other))
            .json(&body(0))
            .problem(11)
            .await
            .snapshot("create_token__403_problem_11_quota");
        assert_eq!(at_once(app, 6, &app.tokens(user), body).await, [201, 201, 201, 403, 403, 403]);
        // One that goes leaves its place, and operators are not bound.
        let page = app.get(app.tokens(user)).expect(200).await.json();
        app.call("DELETE", app.item(user, page["items"][0]["id"].as_str().unwrap())).expect(204).await;
        app.issue(user, "x").await;
        let email = Email::parse("quota@example.com").unwrap();
        app.service.operator_issue_token(&email, None, ResourceName::parse("x").unwrap()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn users_of_an_account() {
    on_every_database(async |app| {
        app.service.set_quotas(Quotas { users_per_account: 3, ..Quotas::default() });
        let users = format!("/accounts/{}/core/v1/users", app.account);
        let body = |n: usize| {
            json!({ "type": "application/astra-user", "version": "1.2",
            "email": format!("u{n}@example.com") })
        };
        app.user("second@example.com", None).await;
        assert_eq!(at_once(app, 3, &users, body).await, [201, 403, 403]);
        let reply = app.call("POST", &users).json(&body(9)).problem(11).await.json();
        assert_eq!(reply["reason"], "The account has 3 users, the most that this server allows: delete some first.");
    })
    .await;
}

#[tokio::test]
async fn none_where_the_operator_wants_none() {
    on_every_database(async |app| {
        app.service.set_quotas(Quotas { tokens_per_user: 0, users_per_account: 0 });
        app.issue(app.owner, "x").await;
        let body = json!({ "type": "application/astra-user", "version": "1.2", "email": "u@example.com" });
        app.call("POST", format!("/accounts/{}/core/v1/users", app.account)).json(&body).expect(201).await;
    })
    .await;
}
