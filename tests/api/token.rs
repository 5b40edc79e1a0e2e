//! The life of a token.

use base64::Engine as _;
use serde_json::json;
use tokenward::domain::role::Role;

use crate::app::on_every_database;

#[tokio::test]
async fn retrieve_token() {
    on_every_database(async |app| {
        let got = app.get(app.mine()).expect(200).await;
        got.snapshot("retrieve_token__200");
        assert!(!got.text().contains(&app.secret));
        app.get(app.mine())
            .header("accept", "application/astra-token+json")
            .expect(200)
            .await
            .snapshot("retrieve_token__200_own_media_type");
        app.get(app.mine())
            .header("if-none-match", got.header("etag"))
            .expect(304)
            .await
            .snapshot("retrieve_token__304");
        let head = app.call("HEAD", app.mine()).expect(200).await;
        assert_eq!((head.header("etag"), head.body.len()), (got.header("etag"), 0));
    })
    .await;
}

/// A row that can't be read fails those who may have it; others learn nothing of it.
#[tokio::test]
async fn an_unreadable_token_is_nobody_elses_failure() {
    on_every_database(async |app| {
        let (other, _, stranger) = app.another_account().await;
        let viewer = app.user("viewer@example.com", Some(Role::Viewer)).await;
        let (_, viewer) = app.token_of(viewer, "viewer").await;
        let (unreadable, _) = app.token_of(app.owner, "unreadable").await;
        app.sabotage(&format!("UPDATE tokens SET labels = 'broken' WHERE id = '{unreadable}'")).await;
        let path = app.item(app.owner, &unreadable);
        app.get(&path).secret(&viewer).problem(11).await;
        app.get(&path).secret(&stranger).problem(11).await;
        app.get(path.replace(&app.account.to_string(), &other.to_string())).secret(&stranger).problem(2).await;
        app.get(&path).secret("nobody's").problem(4).await;
        app.get(&path).problem(34).await;
        app.get(app.mine()).expect(200).await;
    })
    .await;
}

#[tokio::test]
async fn create_token() {
    on_every_database(async |app| {
        let body = json!({ "type": "application/astra-token", "version": "1.0", "name": "CI/CD (main) #4",
            "metadata": { "labels": [{ "name": "team", "value": "storage" }],
                "createdBy": "00000000-0000-0000-0000-000000000000" } });
        let made = app.call("POST", app.tokens(app.owner)).json(&body).expect(201).await;
        made.snapshot("create_token__201");
        let secret = made.json()["token"].as_str().unwrap().to_owned();
        assert!(base64::engine::general_purpose::STANDARD.decode(&secret).unwrap().len() >= 32);

        let path = app.item(app.owner, made.json()["id"].as_str().unwrap());
        assert_eq!(made.header("location"), format!("http://tokens.example{path}"));
        let got = app.get(&path).secret(&secret).expect(200).await;
        assert_eq!(got.header("etag"), made.header("etag"));
        let mut without_secret = made.json();
        without_secret.as_object_mut().unwrap().remove("token");
        assert_eq!(got.json(), without_secret);
        assert!(!app.get(app.tokens(app.owner)).expect(200).await.text().contains(&secret));
    })
    .await;
}

#[tokio::test]
async fn modify_token() {
    on_every_database(async |app| {
        let made = app.issue(app.owner, "before").await;
        let path = app.item(app.owner, made["id"].as_str().unwrap());
        let change = json!({ "type": "application/astra-token", "version": "1.0", "name": "after", "id": made["id"],
                "userID": made["userID"] });
        let modified = app.call("PUT", &path).json(&change).expect(204).await;
        modified.snapshot("modify_token__204");
        let got = app.get(&path).expect(200).await;
        got.snapshot("retrieve_token__200_modified");
        assert_eq!(got.header("etag"), modified.header("etag"));

        let labels = json!({ "type": "application/astra-token", "version": "1.0",
            "metadata": { "labels": [{ "name": "a", "value": "" }, { "name": "a", "value": "ü" }] } });
        app.call("PUT", &path).json(&labels).expect(204).await;
        let got = app.get(&path).expect(200).await.json();
        assert_eq!((&got["name"], &got["metadata"]["labels"]), (&json!("after"), &labels["metadata"]["labels"]));
        app.get(&path).secret(made["token"].as_str().unwrap()).expect(200).await;
    })
    .await;
}

#[tokio::test]
async fn every_modification_is_later_than_the_one_before() {
    on_every_database(async |app| {
        let made = app.issue(app.owner, "x").await;
        let path = app.item(app.owner, made["id"].as_str().unwrap());
        let mut before = made["metadata"]["modificationTimestamp"].to_string();
        for _ in 0..3 {
            app.clock.turn_back(3_600);
            app.call("PUT", &path)
                .json(&json!({ "type": "application/astra-token", "version": "1.0" }))
                .expect(204)
                .await;
            let after = app.get(&path).expect(200).await.json()["metadata"]["modificationTimestamp"].to_string();
            assert!(after > before, "{after} is not after {before}");
            before = after;
        }
    })
    .await;
}

#[tokio::test]
async fn delete_token() {
    on_every_database(async |app| {
        let made = app.issue(app.owner, "doomed").await;
        let (path, secret) = (app.item(app.owner, made["id"].as_str().unwrap()), made["token"].as_str().unwrap());
        app.get(app.mine()).secret(secret).expect(200).await;
        app.call("DELETE", &path).expect(204).await.snapshot("delete_token__204");
        app.get(app.mine()).secret(secret).problem(4).await;
        app.get(&path).problem(2).await;
        app.call("DELETE", &path).problem(1).await;
        app.call("PUT", &path).json(&json!({ "type": "application/astra-token", "version": "1.0" })).problem(1).await;
    })
    .await;
}

#[tokio::test]
async fn a_token_can_revoke_itself() {
    on_every_database(async |app| {
        let made = app.issue(app.owner, "x").await;
        let (path, secret) = (app.item(app.owner, made["id"].as_str().unwrap()), made["token"].as_str().unwrap());
        app.call("DELETE", path).secret(secret).expect(204).await;
        app.get(app.mine()).secret(secret).problem(4).await;
    })
    .await;
}

#[tokio::test]
async fn location_follows_what_the_client_sees() {
    on_every_database(async |app| {
        let body = json!({ "type": "application/astra-token", "version": "1.0", "name": "x" });
        let post = || app.call("POST", app.tokens(app.owner)).json(&body);
        // Two host headers, or one that would smuggle a user into the URL, are not repeated.
        for evil in ["user@tokens.example", "tokens.example/evil?", "\"><script>"] {
            let made = post().header("host", evil).expect(201).await;
            assert!(!made.header("location").contains(evil), "{}", made.header("location"));
        }
        assert!(post().expect(201).await.header("location").starts_with("http://tokens.example/accounts/"));
    })
    .await;
}

/// A database that takes a column's type for a number would make 7 of 007.
#[tokio::test]
async fn names_that_look_like_numbers_stay_as_they_are() {
    on_every_database(async |app| {
        for name in ["007", "1e3", "0x10", "12345678901234567890", "1.50", "NULL"] {
            let made = app.issue(app.owner, name).await;
            assert_eq!(
                app.get(app.item(app.owner, made["id"].as_str().unwrap())).expect(200).await.json()["name"],
                name
            );
        }
    })
    .await;
}
