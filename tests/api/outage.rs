//! When the database fails or goes away: a problem, never a detail of the cause, and nothing else.

use crate::{
    app::on_every_database,
    operation::{self, Target},
};

#[tokio::test]
async fn a_failing_database() {
    on_every_database(async |app| {
        app.sabotage("ALTER TABLE tokens RENAME TO gone").await;
        for operation in operation::all() {
            let reply = operation.call(app, &Target::nobody(app)).problem(34).await;
            reply.snapshot(&format!("{}__500_problem_34", operation.id));
            assert!(!reply.text().contains("tokens\""), "{}", reply.text());
        }
    })
    .await;
}

/// A database that takes a query and never answers it.
#[tokio::test]
async fn a_hanging_database() {
    on_every_database(async |app| {
        // SQLite's readers wait for nobody.
        let Some(hold) = app.hold("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE").await else { return };
        app.get("/readyz").anonymous().expect(503).await;
        hold.close().await;
        app.get("/readyz").anonymous().expect(200).await;
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_database() {
    on_every_database(async |app| {
        app.get("/healthz").anonymous().expect(200).await.snapshot("check_health__200");
        app.get("/readyz").anonymous().expect(200).await.snapshot("check_readiness__200");
        app.service.close().await;
        for operation in operation::all() {
            let reply = operation.call(app, &Target::nobody(app)).problem(41).await;
            reply.snapshot(&format!("{}__503_problem_41", operation.id));
        }
        app.get("/healthz").anonymous().expect(200).await;
        app.get("/readyz").anonymous().expect(503).await.snapshot("check_readiness__503");
        // A malformed secret is refused without asking the database.
        app.get(app.mine()).secret("nonsense").problem(4).await;
    })
    .await;
}
