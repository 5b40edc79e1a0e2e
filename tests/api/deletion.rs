//! Deletions of very much, which are finished in the background, and events that are forgotten in time.

use std::time::Duration;

use serde_json::json;
use tokenward::{
    domain::{id::UserId, role::Role, user::UserState},
    service::event::Cutoff,
};

use crate::app::{App, on_every_database};

/// More than are deleted in the request itself, and more than one batch.
const MANY: usize = 230;

fn below(app: &App, path: &str) -> String {
    format!("/accounts/{}/core/v1/{path}", app.account)
}

async fn many_tokens(app: &App, user: UserId) -> Vec<String> {
    let mut secrets = vec![];
    for _ in 0..MANY {
        secrets.push(app.token_of(user, "one of many").await.1);
    }
    secrets
}

/// How many events tell of the end of a token.
async fn deleted(app: &App) -> i64 {
    app.count("events", "name = 'token.deleted'").await
}

#[tokio::test]
async fn a_user_with_many_tokens_is_gone_at_once() {
    on_every_database(async |app| {
        let user = app.user("many@example.com", Some(Role::Viewer)).await;
        let secrets = many_tokens(app, user).await;
        app.pause_background(true);
        app.call("DELETE", below(app, &format!("users/{user}"))).expect(204).await;
        assert_eq!(app.count("tokens", "name = 'one of many'").await, 230, "they are there, and nobody's");
        for secret in &secrets {
            app.get("/whoami").secret(secret).expect(401).await;
        }
        app.get(below(app, &format!("users/{user}"))).problem(2).await;
        app.get(app.tokens(user)).problem(2).await;
        let listed = app.service.operator_list_tokens(None, None).await.unwrap();
        assert_eq!(listed.len(), 1, "operators see none of them");
        let body = json!({ "type": "application/astra-user", "version": "1.2", "email": "many@example.com" });
        app.call("POST", below(app, "users")).json(&body).expect(201).await;
        for secret in &secrets[..2] {
            app.call("POST", "/oauth2/revoke").anonymous().form(&[("token", secret)]).expect(200).await;
            app.call("POST", "/leaks").anonymous().json(&json!({ "secrets": [secret] })).expect(204).await;
        }
        assert_eq!(deleted(app).await, 0);
        // Two servers, or one that was stopped in the midst of it, do the same work once.
        app.pause_background(false);
        let (one, other) = tokio::join!(app.service.finish_deletions(), app.service.finish_deletions());
        one.and(other).unwrap();
        assert_eq!(app.count("tokens", "name = 'one of many'").await, 0);
        assert_eq!(app.count("deletions", "TRUE").await, 0);
        assert_eq!(deleted(app).await, 230);
        let page = app.get(below(app, "events?orderBy=sequenceCount%20desc&limit=1000")).expect(200).await.json();
        let events = page["items"].as_array().unwrap();
        assert_eq!(page["items"][0]["sequenceCount"].as_u64().unwrap(), events.len() as u64, "no place is missing");
        let [told, user_told] =
            ["token.deleted", "user.deleted"].map(|name| events.iter().find(|event| event["name"] == name).unwrap());
        for field in ["userID", "correlationID", "resourceURI", "resourceMethod", "resourceMethodResult"] {
            assert_eq!(told[field], user_told[field], "{field}");
        }
    })
    .await;
}

#[tokio::test]
async fn many_outgrown_tokens_are_refused_at_once() {
    on_every_database(async |app| {
        let admin = app.user("admin@example.com", Some(Role::Admin)).await;
        let member = app.user("member@example.com", None).await;
        let body = json!({ "type": "application/astra-roleBinding", "version": "1.1", "role": "member",
            "accountID": app.account.to_string(), "userID": member.to_string() });
        let binding = app.call("POST", below(app, "roleBindings")).json(&body).expect(201).await.json()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let secrets = many_tokens(app, member).await;
        app.sabotage(&format!(
            "INSERT INTO token_knowers (token_id, user_id) SELECT id, '{admin}' FROM tokens WHERE user_id = '{member}'"
        ))
        .await;
        let (_, own) = app.token_of(member, "own").await;
        app.pause_background(true);
        let rise = json!({ "type": "application/astra-roleBinding", "version": "1.1", "role": "owner" });
        app.call("PUT", below(app, &format!("roleBindings/{binding}"))).json(&rise).expect(204).await;
        for secret in &secrets {
            app.get("/whoami").secret(secret).expect(401).await;
        }
        let page = app.get(app.tokens(member) + "?count=true").secret(&own).expect(200).await.json();
        assert_eq!(page["metadata"]["count"], 1);
        app.pause_background(false);
        app.settle().await;
        assert_eq!(deleted(app).await, 230);
        let told = app.get(below(app, "events?filter=name%20eq%20'token.deleted'&limit=1")).expect(200).await.json();
        assert_eq!(told["items"][0]["additionalResourceIDs"], json!([member.to_string()]), "whose they were");
        assert_eq!(app.count("tokens", "TRUE").await, 2);
        assert_eq!(app.count("token_knowers", "TRUE").await, 0);
    })
    .await;
}

#[tokio::test]
async fn of_a_deleted_account_nothing_is_left() {
    on_every_database(async |app| {
        let (other, _, secret) = app.another_account().await;
        let viewer = app.user_in(other, "viewer@example.com", Some(Role::Viewer), UserState::Active, true).await;
        let (_, of_viewer) = app.token_of(viewer, "x").await;
        // Somebody from elsewhere who owns it, too, and somebody of it who is a guest elsewhere.
        let guest = app.user("guest@example.com", Some(Role::Viewer)).await;
        app.bind_in(other, guest, Role::Owner).await;
        let (_, of_guest) = app.token_of(guest, "x").await;
        let abroad = app.user_in(other, "abroad@example.com", Some(Role::Viewer), UserState::Active, true).await;
        app.bind(abroad, Role::Viewer).await;
        let tokens = app.count("tokens", "TRUE").await;
        let body = json!({ "type": "application/astra-token", "version": "1.0", "name": "x" });
        app.call("POST", format!("/accounts/{other}/core/v1/users/{viewer}/tokens"))
            .json(&body)
            .secret(&secret)
            .expect(201)
            .await;
        app.pause_background(true);
        app.call("DELETE", format!("/accounts/{other}")).secret(&secret).expect(204).await;
        for secret in [&secret, &of_viewer] {
            app.get("/whoami").secret(secret).expect(401).await;
            app.get("/verify").secret(secret).expect(401).await;
            app.get("/accounts").secret(secret).expect(401).await;
        }
        app.get("/whoami").secret(&of_guest).expect(200).await;
        app.get(format!("/accounts/{other}")).secret(&of_guest).problem(11).await;
        app.get(format!("/accounts/{other}/core/v1/users")).secret(&of_guest).problem(11).await;
        app.get(format!("/verify?account={other}")).secret(&of_guest).expect(403).await;
        assert_eq!(
            app.get("/accounts").secret(&of_guest).expect(200).await.json()["items"].as_array().unwrap().len(),
            1
        );
        let account = json!({ "type": "application/astra-account", "version": "1.0", "name": "x" });
        app.call("POST", "/accounts").secret(&of_guest).json(&account).problem(11).await;
        // What was given to it there is no obstacle at home.
        app.call("POST", app.tokens(guest)).json(&body).expect(201).await;
        app.get(below(app, &format!("users/{abroad}"))).problem(2).await;
        let listed = app.service.operator_list_users().await.unwrap();
        assert!(listed.iter().all(|user| user.account_id == app.account), "operators see none of them");
        assert_eq!(app.count("tokens", "TRUE").await, tokens + 2, "they are there, and nobody's");
        app.pause_background(false);
        app.settle().await;
        let of_other = format!("account_id = '{other}'");
        for table in ["users", "role_bindings", "events"] {
            assert_eq!(app.count(table, &of_other).await, 0, "{table}");
        }
        assert_eq!(app.count("accounts", &format!("id = '{other}'")).await, 0);
        assert_eq!(app.count("tokens", "TRUE").await, 3);
        assert_eq!(app.count("events", "name = 'rolebinding.deleted'").await, 1, "what was had abroad ends there");
        assert_eq!(app.count("deletions", "TRUE").await, 0);
    })
    .await;
}

/// A clock that is years ahead forgets nothing that a day more wouldn't.
#[tokio::test]
async fn a_jump_of_the_clock_forgets_no_events() {
    const YEAR: i64 = 365 * 86_400;
    let kept = Duration::from_hours(24 * 400);
    let carefully = |hours| Cutoff::ADayMore { passed: Duration::from_hours(hours) };
    on_every_database(async |app| {
        let events = app.count("events", "TRUE").await;
        let prune = async |cutoff| app.service.prune_events(kept, cutoff).await.unwrap();
        // The first run that is known of is the one whose clock is wrong.
        app.clock.turn_back(-2 * YEAR);
        assert_eq!(prune(carefully(0)).await, 0);
        app.clock.turn_back(2 * YEAR);
        assert_eq!(prune(carefully(0)).await, 0);
        for _ in 0..3 {
            app.clock.turn_back(-2 * YEAR);
            assert_eq!(prune(carefully(0)).await, 0, "a start with a wrong clock");
            app.clock.turn_back(2 * YEAR);
        }
        assert_eq!(app.count("events", "TRUE").await, events);
        // A day at a time, and as fast as time passes.
        app.sabotage("UPDATE instance SET pruned_before = (SELECT min(created_at) FROM events) - 86400000000 * 3")
            .await;
        app.clock.turn_back(-2 * YEAR);
        assert_eq!(prune(carefully(0)).await, 0);
        assert_eq!(prune(carefully(23)).await, 0);
        assert!(prune(carefully(24)).await > 0);
        assert_eq!(prune(Cutoff::AsTheClockSays).await, 0, "all of them happened within that day");
        app.clock.turn_back(2 * YEAR);
    })
    .await;
}

/// Last use and refusals are noted also after the clock went back.
#[tokio::test]
async fn notes_move_when_the_clock_went_back() {
    on_every_database(async |app| {
        let user = app.user("back@example.com", Some(Role::Viewer)).await;
        let (_, secret) = app.token_of(user, "x").await;
        let path = below(app, &format!("users/{user}"));
        let seen = async || app.get(&path).expect(200).await.json()["lastActTimestamp"].as_str().unwrap().to_owned();
        app.get("/whoami").secret(&secret).expect(200).await;
        let before = seen().await;
        app.clock.turn_back(86_400);
        app.get("/whoami").secret(&secret).expect(200).await;
        assert!(seen().await < before);
        let put = async |state: &str| {
            let body = json!({ "type": "application/astra-user", "version": "1.2", "state": state });
            app.call("PUT", &path).json(&body).expect(204).await;
        };
        app.clock.turn_back(-86_400);
        put("suspended").await;
        for (back, events) in [(0, 1), (0, 1), (86_400, 2), (0, 2)] {
            app.clock.turn_back(back);
            app.get("/whoami").secret(&secret).expect(401).await;
            assert_eq!(app.count("events", "name = 'token.refused'").await, events);
        }
    })
    .await;
}
