//! What roles and membership let through, and what they keep to themselves.

use tokenward::domain::{role::Role, user::UserState};

use crate::app::on_every_database;

#[tokio::test]
async fn everyone_minds_its_own_tokens() {
    on_every_database(async |app| {
        for role in Role::ALL.iter().copied() {
            let user = app.user(&format!("own-{role}@example.com"), Some(role)).await.to_string();
            let (token, secret) = app.token_of(user.parse().unwrap(), "own").await;
            for (operation, call) in app.operations(&user, &token) {
                let status = call.secret(&secret).send().await.status;
                assert!(status.is_success(), "{role}: {operation}: {status}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_tells_viewers_whether_a_user_exists() {
    on_every_database(async |app| {
        let viewer = app.user("viewer@example.com", Some(Role::Viewer)).await;
        let (_, secret) = app.token_of(viewer, "own").await;
        for user in [
            app.owner.to_string(),
            "11111111-1111-4111-8111-111111111111".to_owned(),
            "nonsense".to_owned(),
            "%ff".to_owned(),
        ] {
            for (_, call) in app.operations(&user, &app.token) {
                call.secret(&secret).problem(11).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn another_account_is_out_of_reach_in_every_position() {
    on_every_database(async |app| {
        let (other, eve, secret) = app.another_account().await;
        // The stranger in our account, and we in the stranger's, whether it exists or not.
        for (_, call) in app.operations(app.owner.to_string(), &app.token) {
            call.secret(&secret).problem(11).await;
        }
        for account in
            [other.to_string(), "11111111-1111-4111-8111-111111111111".to_owned(), "nonsense".to_owned(), String::new()]
        {
            app.get(format!("/accounts/{account}/core/v1/users/{eve}/tokens")).problem(11).await;
        }
        // Their user below our account, and our token below their user.
        for (operation, call) in app.operations(eve.to_string(), &app.token) {
            let number = if ["modify_token", "delete_token"].contains(&operation) { 1 } else { 2 };
            call.problem(number).await;
        }
        let member = app.user("member@example.com", Some(Role::Member)).await;
        let (token, _) = app.token_of(member, "theirs").await;
        app.get(app.item(app.owner, &token)).problem(2).await;
        app.call("DELETE", app.item(app.owner, &token)).problem(1).await;
        app.get(app.item(member, &token)).expect(200).await;
    })
    .await;
}

#[tokio::test]
async fn suspended_and_disabled_users_are_as_unknown_ones() {
    on_every_database(async |app| {
        for (email, state, is_enabled) in
            [("s@example.com", UserState::Suspended, true), ("d@example.com", UserState::Active, false)]
        {
            let user = app.user_in(app.account, email, Some(Role::Owner), state, is_enabled).await;
            let (_, secret) = app.token_of(user, "x").await;
            app.get(app.mine()).secret(&secret).problem(4).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_role_without_scope_is_none_and_a_disabled_account_refuses_all_but_owners() {
    on_every_database(async |app| {
        let admin = app.user("admin@example.com", Some(Role::Admin)).await;
        let (_, secret) = app.token_of(admin, "x").await;
        app.get(app.tokens(admin)).secret(&secret).expect(200).await;
        app.sabotage("UPDATE accounts SET is_enabled = FALSE").await;
        app.get(app.tokens(admin)).secret(&secret).problem(11).await;
        app.get(app.mine()).expect(200).await;
        app.sabotage("UPDATE accounts SET is_enabled = TRUE").await;
        app.sabotage(&format!("UPDATE role_bindings SET role_constraints = '[]' WHERE user_id = '{admin}'")).await;
        app.get(app.tokens(admin)).secret(&secret).problem(11).await;
    })
    .await;
}
