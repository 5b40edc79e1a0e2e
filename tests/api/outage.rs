//! When the database fails or goes away: a problem, never a detail of the cause, and nothing else.

use serde_json::json;

use crate::app::{App, Call, on_every_database};

fn operations(app: &App) -> Vec<(&'static str, Call<'_>)> {
    let body = json!({ "type": "application/astra-token", "version": "1.0", "name": "x" });
    vec![
        ("list_tokens", app.get(app.tokens(app.owner))),
        ("create_token", app.call("POST", app.tokens(app.owner)).json(&body)),
        ("retrieve_token", app.get(app.mine())),
        ("modify_token", app.call("PUT", app.mine()).json(&body)),
        ("delete_token", app.call("DELETE", app.mine())),
    ]
}

#[tokio::test]
async fn a_failing_database() {
    on_every_database(async |app| {
        app.sabotage("ALTER TABLE tokens RENAME TO gone").await;
        for (operation, call) in operations(app) {
            let reply = call.problem(34).await;
            reply.snapshot(&format!("{operation}__500_problem_34"));
            assert!(!reply.text().contains("tokens\""), "{}", reply.text());
        }
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_database() {
    on_every_database(async |app| {
        app.get("/healthz").anonymous().expect(200).await.snapshot("check_health__200");
        app.get("/readyz").anonymous().expect(200).await.snapshot("check_readiness__200");
        app.service.close().await;
        for (operation, call) in operations(app) {
            call.problem(41).await.snapshot(&format!("{operation}__503_problem_41"));
        }
        app.get("/healthz").anonymous().expect(200).await;
        app.get("/readyz").anonymous().expect(503).await.snapshot("check_readiness__503");
        // A malformed secret is refused without asking the database.
        app.get(app.mine()).secret("nonsense").problem(4).await;
    })
    .await;
}
