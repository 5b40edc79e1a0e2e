//! Requests that meet.

use serde_json::json;

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
        let mut statuses: Vec<u16> =
            all((0..8).map(|_| app.call("DELETE", &path).send())).await.iter().map(|reply| reply.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![204], vec![404; 7]].concat());
    })
    .await;
}

/// Whoever steals a token must not save itself a second one while the first is being revoked: what the revoked token created is either
/// answered before the revocation, or refused.
#[tokio::test]
async fn a_revoked_token_creates_nothing_any_more() {
    on_every_database(async |app| {
        for _ in 0..10 {
            let made = app.issue(app.owner, "stolen").await;
            let (path, secret) = (app.item(app.owner, made["id"].as_str().unwrap()), made["token"].as_str().unwrap().to_owned());
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

async fn count(app: &App) -> usize {
    let page = app.get(format!("{}?count=true&limit=1", app.tokens(app.owner))).expect(200).await.json();
    usize::try_from(page["metadata"]["count"].as_u64().unwrap()).unwrap()
}
