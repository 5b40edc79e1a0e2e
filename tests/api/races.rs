//! Requests that meet.

use serde_json::json;
use tokenward::domain::role::Role;

use crate::app::{App, on_every_database};

async fn all<F: Future>(calls: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut calls: Vec<_> = calls.into_iter().map(|call| (Box::pin(call), None)).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (call, output) in &mut calls {
            if output.is_none() {
                match call.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    calls.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test]
async fn of_writers_with_one_etag_exactly_one_wins() {
    on_every_database(async |app| {
        let etag = app.get(app.mine()).expect(200).await.header("etag").to_owned();
        let write = |n: usize| {
            let body = json!({ "type": "application/astra-token", "version": "1.0", "name": format!("writer {n}") });
            app.call("PUT", app.mine()).json(&body).header("if-match", &etag).send()
        };
        let mut statuses: Vec<u16> = all((0..24).map(write)).await.iter().map(|reply| reply.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![204], vec![412; 23]].concat());
    })
    .await;
}

#[tokio::test]
async fn of_two_revocations_one_finds_the_token() {
    on_every_database(async |app| {
        let made = app.issue(app.owner, "x").await;
        let path = app.item(app.owner, made["id"].as_str().unwrap());
        let mut statuses: Vec<u16> = all((0..8).map(|_| app.call("DELETE", &path).send()))
            .await
            .iter()
            .map(|reply| reply.status.as_u16())
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![204], vec![404; 7]].concat());
    })
    .await;
}

/// Whoever steals a token must not save itself a second one while the first is being revoked: what the revoked token
/// created is either answered before the revocation, or refused.
#[tokio::test]
async fn a_revoked_token_creates_nothing_any_more() {
    on_every_database(async |app| {
        for _ in 0..10 {
            let made = app.issue(app.owner, "stolen").await;
            let (path, secret) =
                (app.item(app.owner, made["id"].as_str().unwrap()), made["token"].as_str().unwrap().to_owned());
            let before = count(app).await;
            let create = |_| {
                let body = json!({ "type": "application/astra-token", "version": "1.0", "name": "spare" });
                app.call("POST", app.tokens(app.owner)).secret(&secret).json(&body).send()
            };
            let (created, revoked) = tokio::join!(all((0..6).map(create)), app.call("DELETE", &path).send());
            assert_eq!(revoked.status.as_u16(), 204);
            let created: Vec<u16> = created.iter().map(|reply| reply.status.as_u16()).collect();
            assert!(created.iter().all(|status| [201, 401].contains(status)), "{created:?}");
            let made = created.iter().filter(|status| **status == 201).count();
            assert_eq!(count(app).await, before - 1 + made, "{created:?}");
        }
    })
    .await;
}

/// Two owners who unseat each other at once: one stays, whichever way they do it.
#[tokio::test]
async fn an_account_keeps_an_owner_whatever_meets() {
    on_every_database(async |app| {
        for round in 0..6 {
            let owners = [app.owner, app.user(&format!("second{round}@example.com"), Some(Role::Owner)).await];
            let mut calls = vec![];
            for (index, owner) in owners.iter().enumerate() {
                let other = app.target_of(owners[1 - index]).await;
                let (_, secret) = app.token_of(*owner, "speaks").await;
                let base = format!("/accounts/{}/core/v1", app.account);
                let demote = json!({ "type": "application/astra-roleBinding", "version": "1.1", "role": "viewer" });
                let suspend = json!({ "type": "application/astra-user", "version": "1.2", "state": "suspended" });
                let binding = format!("{base}/roleBindings/{}", other.binding);
                calls.push(match (round + index) % 3 {
                    0 => app.call("PUT", binding).json(&demote).secret(&secret).send(),
                    1 => app.call("PUT", format!("{base}/users/{}", other.user)).json(&suspend).secret(&secret).send(),
                    _ => app.call("DELETE", binding).secret(&secret).send(),
                });
            }
            let statuses: Vec<u16> = all(calls).await.iter().map(|reply| reply.status.as_u16()).collect();
            let done = statuses.iter().filter(|status| **status == 204).count();
            assert_eq!(done, 1, "{statuses:?}");
            // Ada is back for the next round.
            app.sabotage(&format!("DELETE FROM role_bindings WHERE user_id = '{}'", app.owner)).await;
            app.sabotage(&format!("UPDATE users SET state = 'active' WHERE id = '{}'", app.owner)).await;
            app.sabotage(&format!("DELETE FROM users WHERE id = '{}'", owners[1])).await;
            if app.get(app.mine()).send().await.status.as_u16() == 401 {
                return; // Ada was the one who went, with her tokens.
            }
            app.bind(app.owner, Role::Owner).await;
        }
    })
    .await;
}

/// What is done to a user through several accounts at once is done one after the other, and nobody waits for ever.
#[tokio::test]
async fn changes_through_two_accounts_do_not_meet() {
    on_every_database(async |app| {
        let body = json!({ "type": "application/astra-account", "version": "1.0", "name": "second" });
        let second =
            app.call("POST", "/accounts").json(&body).expect(201).await.json()["id"].as_str().unwrap().to_owned();
        let name =
            |n: usize| json!({ "type": "application/astra-user", "version": "1.2", "lastName": format!("L{n}") });
        let first = app.account.to_string();
        let path = |n: usize| {
            format!("/accounts/{}/core/v1/users/{}", if n.is_multiple_of(2) { &first } else { &second }, app.owner)
        };
        let calls = (0..12).map(|n| app.call("PUT", path(n)).json(&name(n)).send());
        let statuses: Vec<u16> = all(calls).await.iter().map(|reply| reply.status.as_u16()).collect();
        assert_eq!(statuses, [204; 12]);
        let etag = app.get(path(0)).expect(200).await.header("etag").to_owned();
        let calls = (0..12).map(|n| app.call("PUT", path(n)).json(&name(n)).header("if-match", &etag).send());
        let mut statuses: Vec<u16> = all(calls).await.iter().map(|reply| reply.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![204], vec![412; 11]].concat());
    })
    .await;
}

/// Two users who take one email at once: one gets it.
#[tokio::test]
async fn an_email_is_one_users() {
    on_every_database(async |app| {
        let body = |n: usize| {
            let email = if n.is_multiple_of(2) { "grace@example.com" } else { "Grace@Example.com" };
            json!({ "type": "application/astra-user", "version": "1.2", "email": email })
        };
        let path = format!("/accounts/{}/core/v1/users", app.account);
        let calls = (0..8).map(|n| app.call("POST", &path).json(&body(n)).send());
        let mut statuses: Vec<u16> = all(calls).await.iter().map(|reply| reply.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![201], vec![409; 7]].concat());
    })
    .await;
}

async fn count(app: &App) -> usize {
    let page = app.get(format!("{}?count=true&limit=1", app.tokens(app.owner))).expect(200).await.json();
    usize::try_from(page["metadata"]["count"].as_u64().unwrap()).unwrap()
}
