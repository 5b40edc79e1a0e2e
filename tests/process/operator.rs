//! What operators do on the database itself.

use serde_json::Value;

use crate::program::{Database, Server, call, failure, init, printed, run, tokenward};

#[test]
fn tokens_and_users_from_the_command_line() {
    for database in Database::all() {
        let url = database.url();
        let first = init(&url);
        let users = printed(&["user", "list", "--database", &url]);
        assert!(users.contains(&first.user) && users.contains("owner@example.com"), "{users}");
        let issue = ["token", "issue", "--database", &url, "--user", "OWNER@example.com", "--format", "json"];
        let issued: Value = serde_json::from_str(&printed(&issue)).unwrap();
        let (id, secret) = (issued["tokenID"].as_str().unwrap(), issued["token"].as_str().unwrap());
        let listed: Value = serde_json::from_str(&printed(&[
            "token",
            "list",
            "--database",
            &url,
            "--user",
            "owner@example.com",
            "--format",
            "json",
        ]))
        .unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 2);
        assert!(!listed.to_string().contains(secret));
        assert!(printed(&["token", "list", "--database", &url]).contains(id));
        let events = format!(
            "/accounts/{}/core/v1/events?filter=resourceID%20eq%20'{id}'&include=name,userID,resourceMethod",
            first.account
        );
        {
            let server = Server::start(&url, &[]);
            assert_eq!(call(&server.address, "GET", &first.mine(), secret, "").0, 200);
            server.stop();
        }
        assert_eq!(printed(&["token", "revoke", "--database", &url, id]), format!("revoked {id}\n"));
        let server = Server::start(&url, &[]);
        assert_eq!(call(&server.address, "GET", &first.mine(), secret, "").0, 401);
        let (_, told) = call(&server.address, "GET", &events, &first.secret, "");
        let nobody = "00000000-0000-0000-0000-000000000000";
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(
            told["items"],
            serde_json::json!([["token.created", nobody, null], ["token.deleted", nobody, null]])
        );
        // While the server runs: on SQLite a clear sentence, on PostgreSQL as ever.
        match &database {
            Database::Sqlite(_) => assert!(failure(&["user", "list", "--database", &url]).contains("is in use")),
            Database::Postgres { .. } => {
                let issued: Value = serde_json::from_str(&printed(&issue)).unwrap();
                let (id, secret) = (issued["tokenID"].as_str().unwrap(), issued["token"].as_str().unwrap());
                assert_eq!(call(&server.address, "GET", &first.mine(), secret, "").0, 200);
                printed(&["token", "revoke", "--database", &url, id]);
                assert_eq!(call(&server.address, "GET", &first.mine(), secret, "").0, 401);
            }
        }
        server.stop();
        let nobody = failure(&["token", "issue", "--database", &url, "--user", "nobody@example.com"]);
        assert!(nobody.contains("no such user"), "{nobody}");
        let gone = failure(&["token", "revoke", "--database", &url, id]);
        assert!(gone.contains("no such token"), "{gone}");
    }
}

#[test]
fn slips_of_the_pen_make_no_database() {
    let database = Database::sqlite();
    let missing = failure(&["token", "list", "--database", &database.url()]);
    assert!(missing.contains("isn't there"), "{missing}");
    assert!(!database.path().exists());
    for arguments in [
        &["token", "issue"][..],
        &["token", "issue", "--user", "nonsense"],
        &["token", "revoke", "nonsense"],
        &["user"],
    ] {
        assert!(!run(arguments).status.success(), "{arguments:?}");
    }
    let one_sided = tokenward(&["serve", "--tls-cert", "x"]).output().unwrap();
    assert!(!one_sided.status.success());
}
