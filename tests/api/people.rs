//! The life of users, role bindings and accounts, the events that it leaves, and the rules that refuse
//! (spec/contract/CONTRACT.md §9).

use serde_json::{Value, json};
use tokenward::{domain::role::Role, service::event::Cutoff};

use crate::{
    app::{App, Call, Reply, on_every_database},
    operation,
};

fn user(fields: &Value) -> Value {
    with(json!({ "type": "application/astra-user", "version": "1.2" }), fields)
}

fn binding(fields: &Value) -> Value {
    with(json!({ "type": "application/astra-roleBinding", "version": "1.1" }), fields)
}

fn account(fields: &Value) -> Value {
    with(json!({ "type": "application/astra-account", "version": "1.0" }), fields)
}

fn with(mut body: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn below(app: &App, path: &str) -> String {
    format!("/accounts/{}/core/v1/{path}", app.account)
}

async fn binding_of(app: &App, user: impl std::fmt::Display) -> String {
    let all = app.get(below(app, &format!("users/{user}/roleBindings"))).expect(200).await.json();
    all["items"][0]["id"].as_str().unwrap().to_owned()
}

async fn refused(name: &str, call: Call<'_>, number: u16) -> Reply {
    let reply = call.problem(number).await;
    reply.snapshot(&format!("rule__{name}"));
    reply
}

/// What each operation answers when all is well. Those on tokens have tests of their own.
#[tokio::test]
async fn every_success() {
    on_every_database(async |app| {
        for operation in operation::all().iter().filter(|operation| !operation.path.contains("token")) {
            if operation.id == "delete_account" {
                // Else the one that was created here would be left without its owner.
                app.sabotage(&format!("DELETE FROM accounts WHERE name = 'x' AND id <> '{}'", app.account)).await;
            }
            let role = if operation.method == "POST" { None } else { Some(Role::Member) };
            let target = app.target(&format!("{}@example.com", operation.id), role).await;
            let got = operation.call(app, &target).send().await;
            assert!(got.status.is_success(), "{}: {}", operation.id, got.text());
            got.snapshot(&format!("{}__{}", operation.id, got.status.as_u16()));
            if operation.is_retrieval() {
                let again = operation.call(app, &target).header("if-none-match", got.header("etag")).expect(304).await;
                again.snapshot(&format!("{}__304", operation.id));
            }
            if operation.method == "POST" {
                let path = got.header("location").trim_start_matches("http://tokens.example").to_owned();
                let next = app.get(path).expect(200).await;
                assert_eq!((next.header("etag"), next.json()), (got.header("etag"), got.json()), "{}", operation.id);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn users_are_who_they_say() {
    on_every_database(async |app| {
        let address = json!({ "addressCountry": "PL", "addressLocality": "Łódź", "addressRegion": "Łódzkie",
            "postalCode": "90-001",
            "streetAddress1": "Piotrkowska 1", "streetAddress2": "m. 2" });
        let all = json!({ "email": "Jan@Example.com", "firstName": "Jan", "lastName": "O'Brien-Łukasz",
            "companyName": "Zakład & Syn",
            "phone": "+48 1", "postalAddress": address, "sendWelcomeEmail": "true" });
        let made = app.call("POST", below(app, "users")).json(&user(&all)).expect(201).await;
        made.snapshot("create_user__201_in_full");
        let path = below(app, &format!("users/{}", made.json()["id"].as_str().unwrap()));
        // What was answered can be sent back as it is.
        app.call("PUT", &path).json(&made.json()).expect(204).await;
        refused("pending_is_for_others", app.call("PUT", &path).json(&user(&json!({ "state": "pending" }))), 9).await;
        let bad = json!({ "firstName": "<b>", "companyName": "a\u{202e}b", "phone": "\u{7}", "email": "a@b@c",
            "postalAddress": with(address.clone(), &json!({ "postalCode": "<" })) });
        refused("free_text_is_harmless", app.call("PUT", &path).json(&user(&bad)), 9).await;
        refused("the_provider_stays", app.call("PUT", &path).json(&user(&json!({ "authProvider": "ldap" }))), 10).await;
        refused("emails_are_unique", app.call("PUT", &path).json(&user(&json!({ "email": "ADA@EXAMPLE.COM" }))), 10)
            .await;
        app.call("PUT", &path).json(&user(&json!({ "email": "jan2@example.com" }))).expect(204).await;
        let got = app.get(&path).expect(200).await.json();
        assert_eq!(
            (&got["authID"], &got["email"], &got["lastName"]),
            (&json!("jan2@example.com"), &json!("jan2@example.com"), &json!("O'Brien-Łukasz"))
        );
        let ldap = user(&json!({ "email": "l@example.com", "authProvider": "ldap", "authID": "cn=l" }));
        let made = app.call("POST", below(app, "users")).json(&ldap).expect(201).await.json();
        assert_eq!((&made["authProvider"], &made["authID"]), (&json!("ldap"), &json!("cn=l")));
        let list = app.get(below(
            app,
            "users?include=email,isEnabled,lastActTimestamp&orderBy=email%20desc\
                &filter=isEnabled%20eq%20'true'&limit=2",
        ));
        let page = list.expect(200).await.json();
        assert_eq!(page["items"][0][0], "l@example.com");
        let next = page["metadata"]["continue"].as_str().unwrap().replace('+', "%2B").replace('=', "%3D");
        assert_eq!(
            app.get(below(app, &format!("users?continue={next}"))).expect(200).await.json()["items"][0]["email"],
            "ada@example.com"
        );
    })
    .await;
}

/// An admin may know the secrets that it has made for a member; they don't rise above it with that one.
#[tokio::test]
async fn who_rises_loses_the_tokens_that_lower_ones_may_know() {
    on_every_database(async |app| {
        let admin = app.user("admin@example.com", Some(Role::Admin)).await;
        let admins = app.token_of(admin, "admin").await.1;
        let member = app.user("member@example.com", Some(Role::Member)).await;
        let own = app.token_of(member, "own").await.1;
        let token = json!({ "type": "application/astra-token", "version": "1.0", "name": "made" });
        let made = |by: &str| app.call("POST", app.tokens(member)).json(&token).secret(by);
        let by_owner = made(&app.secret).expect(201).await.json()["token"].as_str().unwrap().to_owned();
        let by_admin = made(&admins).expect(201).await.json()["token"].as_str().unwrap().to_owned();
        // Whoever knows a secret makes more with it, which don't look as if they were made by somebody else.
        let by_admin_in_turn = made(&by_admin).expect(201).await.json()["token"].as_str().unwrap().to_owned();
        let by_itself = made(&own).expect(201).await.json()["token"].as_str().unwrap().to_owned();
        let path = below(app, &format!("roleBindings/{}", binding_of(app, member).await));
        let works = async |secret: &str| app.get(app.tokens(member)).secret(secret).send().await.status == 200;
        // What isn't a rise takes nothing.
        for role in ["member", "viewer", "member"] {
            app.call("PUT", &path).json(&binding(&json!({ "role": role }))).expect(204).await;
            assert!(works(&by_owner).await && works(&by_admin).await && works(&own).await, "as {role}");
        }
        app.call("PUT", &path).json(&binding(&json!({ "role": "admin" }))).expect(204).await;
        assert!(
            works(&by_owner).await && works(&own).await && works(&by_admin).await && works(&by_admin_in_turn).await
        );
        app.call("PUT", &path).json(&binding(&json!({ "role": "owner" }))).expect(204).await;
        assert!(works(&own).await && works(&by_itself).await && works(&by_owner).await);
        app.get(app.tokens(member)).secret(&by_admin).problem(4).await;
        app.get(app.tokens(member)).secret(&by_admin_in_turn).problem(4).await;
        let revoked =
            app.get(below(app, "events?filter=name%20eq%20'token.deleted'&count=true")).expect(200).await.json();
        assert_eq!(revoked["metadata"]["count"], 2);
        for event in revoked["items"].as_array().unwrap() {
            assert_eq!((&event["resourceMethod"], &event["resourceMethodResult"]), (&json!("put"), &json!("204")));
        }
    })
    .await;
}

/// Every change to a user waits for all its accounts, so their number has a limit.
#[tokio::test]
async fn a_user_has_a_role_in_a_hundred_accounts_at_most() {
    on_every_database(async |app| {
        for number in 1..100 {
            app.call("POST", "/accounts").json(&account(&json!({ "name": format!("n{number}") }))).expect(201).await;
        }
        refused(
            "accounts_have_a_limit",
            app.call("POST", "/accounts").json(&account(&json!({ "name": "one too many" }))),
            11,
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn every_order_of_every_collection_continues() {
    on_every_database(async |app| {
        for (index, role) in Role::ALL.iter().cycle().take(7).enumerate() {
            let target = app.target(&format!("u{index}@example.com"), Some(*role)).await;
            let phone = user(&json!({ "phone": format!("{}", index % 3),
                "isEnabled": if index % 2 == 0 { "false" } else { "true" } }));
            app.call("PUT", below(app, &format!("users/{}", target.user))).json(&phone).expect(204).await;
        }
        // A guest: whoever made the account is in it, and at home elsewhere.
        let other = app.call("POST", "/accounts").json(&account(&json!({ "name": "second" }))).expect(201).await.json();
        let other = other["id"].as_str().unwrap();
        for n in 0..3 {
            let body = user(&json!({ "email": format!("r{n}@example.com") }));
            app.call("POST", format!("/accounts/{other}/core/v1/users")).json(&body).expect(201).await;
        }
        for collection in ["users", "roleBindings", "events"] {
            for account in [app.account.to_string(), other.to_owned()] {
                let url = format!("/accounts/{account}/core/v1/{collection}");
                let all = app.get(format!("{url}?count=true")).expect(200).await.json();
                let first = all["items"][0].as_object().unwrap();
                let total = all["metadata"]["count"].as_u64().unwrap();
                for field in
                    first.iter().filter(|(_, value)| value.is_string() || value.is_number()).map(|(name, _)| name)
                {
                    for direction in ["", "%20desc"] {
                        let sorted =
                            app.get(format!("{url}?orderBy={field}{direction}&include=id")).expect(200).await.json();
                        let mut paged = vec![];
                        let mut query = format!("{url}?orderBy={field}{direction}&include=id&limit=3");
                        loop {
                            let page = app.get(&query).expect(200).await.json();
                            paged.extend(page["items"].as_array().unwrap().clone());
                            let Some(next) = page["metadata"]["continue"].as_str() else { break };
                            query = format!(
                                "{url}?include=id&limit=3&continue={}",
                                next.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
                            );
                        }
                        assert_eq!(json!(paged), sorted["items"], "{collection} by {field}{direction}");
                        assert_eq!(paged.len() as u64, total, "{collection} by {field}{direction}");
                    }
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_minds_its_own_profile_and_nothing_else_of_itself() {
    on_every_database(async |app| {
        for role in [Role::Viewer, Role::Member, Role::Admin] {
            let target = app.target(&format!("{role}@example.com"), Some(role)).await;
            let (_, secret) = app.token_of(target.user.parse().unwrap(), "own").await;
            let path = below(app, &format!("users/{}", target.user));
            let put = |fields: Value| app.call("PUT", &path).secret(&secret).json(&user(&fields));
            put(json!({ "firstName": "A", "lastName": "B", "companyName": "C", "phone": "1" })).expect(204).await;
            let now = app.get(&path).expect(200).await.json();
            put(now).expect(204).await;
            for more in [
                json!({ "state": "suspended" }),
                json!({ "isEnabled": "false" }),
                json!({ "email": "other@example.com" }),
                json!({ "authID": "root" }),
                json!({ "metadata": { "labels": [{ "name": "a", "value": "b" }] } }),
            ] {
                put(more).problem(11).await;
            }
            app.call("DELETE", &path).secret(&secret).problem(11).await;
        }
    })
    .await;
}

#[tokio::test]
async fn suspended_and_disabled_users_hold_dead_tokens() {
    on_every_database(async |app| {
        let target = app.target("m@example.com", Some(Role::Member)).await;
        let (token, secret) = app.token_of(target.user.parse().unwrap(), "own").await;
        let path = below(app, &format!("users/{}", target.user));
        for (off, on) in [
            (json!({ "state": "suspended" }), json!({ "state": "active" })),
            (json!({ "isEnabled": "false" }), json!({ "isEnabled": "true" })),
        ] {
            app.call("PUT", &path).json(&user(&off)).expect(204).await;
            app.get(&path).secret(&secret).problem(4).await;
            app.call("PUT", &path).json(&user(&on)).expect(204).await;
            app.get(&path).secret(&secret).expect(200).await;
        }
        // One event in a minute tells of it, from the background.
        let mut found = json!([]);
        for _ in 0..200 {
            found =
                app.get(below(app, "events?filter=class%20eq%20'security'")).expect(200).await.json()["items"].clone();
            if found != json!([]) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(found.as_array().unwrap().len(), 1);
        let event = &found[0];
        assert_eq!(
            (
                &event["name"],
                &event["resourceID"],
                &event["userID"],
                &event["resourceMethodResult"],
                &event["resourceMethod"]
            ),
            (&json!("token.refused"), &json!(token), &json!(target.user), &json!("401"), &json!("get"))
        );
    })
    .await;
}

#[tokio::test]
async fn role_bindings_keep_to_the_rules() {
    on_every_database(async |app| {
        let (_, eve, _) = app.another_account().await;
        let target = app.target("t@example.com", None).await;
        let roled = app.target("roled@example.com", Some(Role::Viewer)).await;
        let group = operation::NOBODY;
        let nil = "00000000-0000-0000-0000-000000000000";
        let here = app.account.to_string();
        let post = |fields: Value| {
            app.call("POST", below(app, "roleBindings"))
                .json(&binding(&with(json!({ "accountID": here, "role": "member" }), &fields)))
        };
        refused("groups_are_not_offered", post(json!({ "groupID": group })), 9).await;
        refused("a_user_or_a_group", post(json!({ "groupID": group, "userID": target.user })), 9).await;
        refused("somebody_has_to_hold_the_role", post(json!({})), 9).await;
        post(json!({ "userID": nil, "groupID": nil })).problem(9).await;
        let stranger = refused("only_users_of_the_account", post(json!({ "userID": eve.to_string() })), 9).await;
        let nobody = post(json!({ "userID": group })).problem(9).await;
        assert_eq!(stranger.json()["invalidFields"], nobody.json()["invalidFields"]);
        refused("one_role_in_an_account", post(json!({ "userID": roled.user })), 10).await;
        refused(
            "constraints_are_short_texts",
            post(json!({ "userID": target.user, "roleConstraints": ["", "x\u{7}"] })),
            9,
        )
        .await;
        let under = below(app, &format!("users/{}/roleBindings", target.user));
        let body = |fields: Value| binding(&with(json!({ "accountID": here, "role": "member" }), &fields));
        refused("the_user_of_the_path", app.call("POST", &under).json(&body(json!({ "userID": roled.user }))), 10)
            .await;
        let made = app
            .call("POST", &under)
            .json(&body(json!({ "roleConstraints": ["namespaces:x"], "groupID": nil })))
            .expect(201)
            .await
            .json();
        assert_eq!((&made["roleConstraints"], &made["userID"]), (&json!(["namespaces:x"]), &json!(target.user)));
        let path = below(app, &format!("roleBindings/{}", made["id"].as_str().unwrap()));
        // What was answered can be sent back, but for the principal's type, which the schema of requests doesn't have.
        let mut again = made.clone();
        again.as_object_mut().unwrap().remove("principalType");
        app.call("PUT", &path).json(&again).expect(204).await;
        for (name, value) in [("userID", roled.user.as_str()), ("groupID", group), ("accountID", group)] {
            app.call("PUT", &path).json(&binding(&json!({ "role": "member", name: value }))).problem(10).await;
        }
        // Below another user it isn't there.
        app.get(below(app, &format!("users/{}/roleBindings/{}", roled.user, made["id"].as_str().unwrap())))
            .problem(2)
            .await;
        // The last binding takes the user along; that of a user of a directory doesn't.
        app.call("DELETE", &path).expect(204).await;
        app.get(below(app, &format!("users/{}", target.user))).problem(2).await;
        let ldap = user(&json!({ "email": "l@example.com", "authProvider": "ldap" }));
        let ldap = app.call("POST", below(app, "users")).json(&ldap).expect(201).await.json();
        let made = post(json!({ "userID": ldap["id"] })).expect(201).await.json();
        app.call("DELETE", below(app, &format!("roleBindings/{}", made["id"].as_str().unwrap()))).expect(204).await;
        app.get(below(app, &format!("users/{}", ldap["id"].as_str().unwrap()))).expect(200).await;
    })
    .await;
}

#[tokio::test]
async fn admins_grant_up_to_member() {
    on_every_database(async |app| {
        let admin = app.target("admin@example.com", Some(Role::Admin)).await;
        let (_, secret) = app.token_of(admin.user.parse().unwrap(), "own").await;
        let low = app.target("low@example.com", Some(Role::Viewer)).await;
        let put = |id: &str, role: &str| {
            app.call("PUT", below(app, &format!("roleBindings/{id}")))
                .secret(&secret)
                .json(&binding(&json!({ "role": role })))
        };
        put(&low.binding, "member").expect(204).await;
        refused("admins_grant_up_to_member", put(&low.binding, "admin"), 11).await;
        put(&admin.binding, "owner").problem(11).await;
        put(&admin.binding, "viewer").problem(11).await;
        // An owner who has lost all scope is still no lower one.
        let dormant = app.target("dormant@example.com", Some(Role::Owner)).await;
        app.call("PUT", below(app, &format!("roleBindings/{}", dormant.binding)))
            .json(&binding(&json!({ "role": "owner", "roleConstraints": [] })))
            .expect(204)
            .await;
        put(&dormant.binding, "viewer").problem(11).await;
        let token = json!({ "type": "application/astra-token", "version": "1.0", "name": "x" });
        app.call("POST", app.tokens(&dormant.user)).secret(&secret).json(&token).problem(11).await;
    })
    .await;
}

#[tokio::test]
async fn the_last_owner_stays() {
    on_every_database(async |app| {
        let mine = below(app, &format!("roleBindings/{}", binding_of(app, app.owner).await));
        let me = below(app, &format!("users/{}", app.owner));
        // Neither is one who doesn't count.
        for (email, change) in
            [("s@example.com", json!({ "state": "suspended" })), ("d@example.com", json!({ "isEnabled": "false" }))]
        {
            let other = app.target(email, Some(Role::Owner)).await;
            app.call("PUT", below(app, &format!("users/{}", other.user))).json(&user(&change)).expect(204).await;
        }
        refused(
            "the_last_owner_is_not_demoted",
            app.call("PUT", &mine).json(&binding(&json!({ "role": "admin" }))),
            10,
        )
        .await;
        let none = binding(&json!({ "role": "owner", "roleConstraints": [] }));
        refused("the_last_owner_keeps_a_scope", app.call("PUT", &mine).json(&none), 10).await;
        refused(
            "the_last_owner_is_not_suspended",
            app.call("PUT", &me).json(&user(&json!({ "state": "suspended" }))),
            10,
        )
        .await;
        refused(
            "the_last_owner_is_not_disabled",
            app.call("PUT", &me).json(&user(&json!({ "isEnabled": "false" }))),
            10,
        )
        .await;
        refused("the_last_owner_is_not_deleted", app.call("DELETE", &me), 11).await;
        refused("the_last_owner_is_not_unbound", app.call("DELETE", &mine), 11).await;
        app.get(&me).expect(200).await;
        let second = app.target("second@example.com", Some(Role::Owner)).await;
        let (_, secret) = app.token_of(second.user.parse().unwrap(), "own").await;
        app.call("DELETE", &mine).expect(204).await;
        app.call("DELETE", below(app, &format!("users/{}", second.user))).secret(&secret).problem(11).await;
    })
    .await;
}

#[tokio::test]
async fn accounts_keep_to_the_rules() {
    on_every_database(async |app| {
        let mine = format!("/accounts/{}", app.account);
        let admin = app.target("admin@example.com", Some(Role::Admin)).await;
        let (_, secret) = app.token_of(admin.user.parse().unwrap(), "own").await;
        let put = |fields: Value| app.call("PUT", &mine).json(&account(&fields));
        refused("accounts_stay_active", put(json!({ "state": "deletePending" })), 9).await;
        let partial = json!({ "accountContact": { "firstName": "A", "postalAddress": { "postalCode": "1" } } });
        refused("contacts_are_complete", put(partial), 9).await;
        let contact = json!({ "firstName": "Ada", "lastName": "Byron", "email": "ada@example.com", "postalAddress": {
            "addressCountry": "GB", "addressLocality": "London", "addressRegion": "London", "postalCode": "SW1",
                "streetAddress1": "1" } });
        put(json!({ "accountContact": contact, "state": "active" })).expect(204).await;
        let got = app.get(&mine).expect(200).await;
        got.snapshot("retrieve_account__200_with_contact");
        put(got.json()).expect(204).await;
        put(json!({ "isEnabled": "false" })).expect(204).await;
        app.get(&mine).secret(&secret).problem(11).await;
        assert_eq!(app.get("/accounts").secret(&secret).expect(200).await.json()["items"], json!([]));
        put(json!({ "isEnabled": "true" })).expect(204).await;
        assert_eq!(
            app.get("/accounts?include=id").secret(&secret).expect(200).await.json()["items"],
            json!([[app.account.to_string()]])
        );
        // Whose user is the last owner of another account isn't deleted.
        let made = app.call("POST", "/accounts").json(&account(&json!({ "name": "second" }))).expect(201).await.json();
        refused("accounts_whose_users_are_needed_stay", app.call("DELETE", &mine), 11).await;
        let second = format!("/accounts/{}", made["id"].as_str().unwrap());
        app.call("DELETE", &second).expect(204).await;
        app.get(&second).problem(11).await;
        app.call("DELETE", &mine).expect(204).await;
        app.get("/accounts").problem(4).await;
    })
    .await;
}

/// Through another account, nobody gets hold of a guest, or by a guest's token into its other accounts.
#[tokio::test]
async fn guests_belong_to_their_home() {
    on_every_database(async |app| {
        let made = app.call("POST", "/accounts").json(&account(&json!({ "name": "second" }))).expect(201).await.json();
        let second = made["id"].as_str().unwrap().to_owned();
        let there = |path: &str| format!("/accounts/{second}/core/v1/{path}");
        let body = user(&json!({ "email": "victor@example.com" }));
        let victor =
            app.call("POST", there("users")).json(&body).expect(201).await.json()["id"].as_str().unwrap().to_owned();
        let role = |role: &str| binding(&json!({ "accountID": second, "userID": victor, "role": role }));
        app.call("POST", there("roleBindings")).json(&role("owner")).expect(201).await;
        let (_, secret) = app.token_of(victor.parse().unwrap(), "own").await;
        // Victor sees the guest, whose role is the account's affair; nothing else of it is.
        let ada = app.owner.to_string();
        app.get(there(&format!("users/{ada}"))).secret(&secret).expect(200).await;
        let listed =
            app.get(there("users?include=email&count=true&orderBy=email")).secret(&secret).expect(200).await.json();
        assert_eq!(
            (&listed["items"], &listed["metadata"]["count"]),
            (&json!([["ada@example.com"], ["victor@example.com"]]), &json!(2))
        );
        let token = json!({ "type": "application/astra-token", "version": "1.0", "name": "x" });
        let tokens = there(&format!("users/{ada}/tokens"));
        app.get(&tokens).secret(&secret).problem(11).await;
        app.call("POST", &tokens).secret(&secret).json(&token).problem(11).await;
        app.call("DELETE", format!("{tokens}/{}", app.token)).secret(&secret).problem(11).await;
        for change in [json!({ "state": "suspended" }), json!({ "lastName": "x" }), json!({ "email": "x@example.com" })]
        {
            app.call("PUT", there(&format!("users/{ada}"))).secret(&secret).json(&user(&change)).problem(11).await;
        }
        app.call("DELETE", there(&format!("users/{ada}"))).secret(&secret).problem(11).await;
        app.call("POST", there("users"))
            .secret(&secret)
            .json(&user(&json!({ "email": "Ada@example.com" })))
            .problem(10)
            .await;
        // The guest minds its own, there as at home; and at home it is told.
        app.get(&tokens).expect(200).await;
        let issued = app.call("POST", &tokens).json(&token).expect(201).await.json();
        let told = |account: &str| {
            format!(
                "/accounts/{account}/core/v1/events?filter=resourceID%20eq%20'{}'&count=true",
                issued["id"].as_str().unwrap()
            )
        };
        let home = app.account.to_string();
        for (account, events) in [(home.as_str(), 1), (second.as_str(), 0)] {
            assert_eq!(app.get(told(account)).expect(200).await.json()["metadata"]["count"], events, "{account}");
        }
        app.call("PUT", there(&format!("users/{ada}")))
            .json(&user(&json!({ "lastName": "Lovelace" })))
            .expect(204)
            .await;
        // A home admin makes no token for one who has a role elsewhere: it would open that account, too.
        let bindings = app.get(there(&format!("users/{ada}/roleBindings"))).secret(&secret).expect(200).await.json();
        let guest = bindings["items"][0]["id"].as_str().unwrap();
        app.call("PUT", there(&format!("roleBindings/{guest}")))
            .secret(&secret)
            .json(&binding(&json!({ "role": "viewer" })))
            .expect(204)
            .await;
        let other = app.target("other@example.com", Some(Role::Owner)).await;
        let (_, others) = app.token_of(other.user.parse().unwrap(), "own").await;
        let mine = binding_of(app, &ada).await;
        app.call("PUT", below(app, &format!("roleBindings/{mine}")))
            .secret(&others)
            .json(&binding(&json!({ "role": "viewer" })))
            .expect(204)
            .await;
        app.call("POST", app.tokens(&ada)).secret(&others).json(&token).problem(11).await;
        app.call("POST", app.tokens(&ada)).json(&token).expect(201).await;
    })
    .await;
}

/// A guest who loses its last role anywhere stops being a guest. It is its home account that could delete it.
#[tokio::test]
async fn a_guest_is_not_deleted_abroad() {
    on_every_database(async |app| {
        let (second, _, secret) = app.another_account().await;
        let guest = app.user("guest@example.com", None).await;
        app.bind_in(second, guest, Role::Viewer).await;
        let there = format!("/accounts/{second}/core/v1");
        let bindings = app.get(format!("{there}/users/{guest}/roleBindings")).secret(&secret).expect(200).await.json();
        let binding = bindings["items"][0]["id"].as_str().unwrap();
        app.call("DELETE", format!("{there}/roleBindings/{binding}")).secret(&secret).expect(204).await;
        app.get(format!("{there}/users/{guest}")).secret(&secret).problem(2).await;
        app.get(below(app, &format!("users/{guest}"))).expect(200).await;
    })
    .await;
}

/// Whoever names somebody else's user waits for none of that user's accounts: neither does it hold them up, nor learn
/// that they are.
#[tokio::test]
async fn a_strangers_account_is_not_even_locked() {
    on_every_database(async |app| {
        let (second, _, secret) = app.another_account().await;
        let Some(hold) =
            app.hold(&format!("UPDATE accounts SET changed_at = changed_at WHERE id = '{}'", app.account)).await
        else {
            return;
        };
        let body =
            binding(&json!({ "accountID": second.to_string(), "userID": app.owner.to_string(), "role": "viewer" }));
        app.call("POST", format!("/accounts/{second}/core/v1/roleBindings"))
            .secret(&secret)
            .json(&body)
            .problem(9)
            .await;
        hold.close().await;
    })
    .await;
}

#[tokio::test]
async fn every_change_leaves_an_event() {
    on_every_database(async |app| {
        let made = app.issue(app.owner, "audited").await;
        let path = app.item(app.owner, made["id"].as_str().unwrap());
        app.call("PUT", &path).json(&json!({ "type": "application/astra-token", "version": "1.0" })).expect(204).await;
        app.call("PUT", &path)
            .json(&json!({ "type": "application/astra-token", "version": "1.0", "id": operation::NOBODY }))
            .problem(10)
            .await;
        app.call("DELETE", &path).expect(204).await;
        let target = app.target("m@example.com", Some(Role::Member)).await;
        app.call("DELETE", below(app, &format!("users/{}", target.user))).expect(204).await;
        let page = app
            .get(below(
                app,
                "events?include=sequenceCount,name,resourceMethod,resourceMethodResult,resourceID\
                &orderBy=sequenceCount",
            ))
            .expect(200)
            .await;
        page.snapshot("list_events__200_story");
        assert!(!page.text().contains(made["token"].as_str().unwrap()));
        let times = app.get(below(app, "events?include=eventTime")).expect(200).await.json();
        let times: Vec<String> = times["items"].as_array().unwrap().iter().map(|item| item[0].to_string()).collect();
        assert!(times.is_sorted() && times.len() > 8, "{times:?}");
    })
    .await;
}

#[tokio::test]
async fn old_events_are_forgotten() {
    on_every_database(async |app| {
        let before =
            app.get(below(app, "events?count=true")).expect(200).await.json()["metadata"]["count"].as_u64().unwrap();
        assert_eq!(
            app.service.prune_events(std::time::Duration::from_hours(24), Cutoff::AsTheClockSays).await.unwrap(),
            0
        );
        assert_eq!(app.service.prune_events(std::time::Duration::ZERO, Cutoff::AsTheClockSays).await.unwrap(), before);
        app.issue(app.owner, "x").await;
        let page = app.get(below(app, "events")).expect(200).await.json();
        assert_eq!(page["items"][0]["sequenceCount"], before + 1, "places are never given twice");
    })
    .await;
}

/// Labels don't exist on events, and can be asked for all the same.
#[tokio::test]
async fn filters_on_events() {
    on_every_database(async |app| {
        for (filter, matches) in [
            ("sequenceCount gte '2', sequenceCount lt '4'".replace(", ", ","), 2),
            ("sequenceCount in '3'".to_owned(), 1),
            ("metadata.labels[*].name eq 'x'".to_owned(), 0),
            ("metadata.modifiedBy in 'x'".to_owned(), 0),
            ("resourceType eq 'application/astra-token'".to_owned(), 1),
            ("source eq 'tokenward'".to_owned(), 4),
        ] {
            let filter = filter.replace(' ', "%20").replace('[', "%5B").replace(']', "%5D");
            let page = app.get(below(app, &format!("events?filter={filter}&count=true"))).expect(200).await.json();
            assert_eq!(page["metadata"]["count"], matches, "{filter}");
        }
    })
    .await;
}
