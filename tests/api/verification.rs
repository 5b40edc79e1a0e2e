//! Is a token good, and whose is it: for proxies, for services, for whoever holds it.

use std::fmt::Write as _;

use serde_json::json;
use tokenward::domain::{
    entropy::OsEntropy,
    role::Role,
    secret::{PREFIX, Secret},
    user::UserState,
};

use crate::app::{App, Call, on_every_database};

/// Well-formed, and nobody's.
const UNKNOWN: &str = "tokward00000000000000000000000000000000000000000001xVqUp";

fn introspect<'a>(app: &'a App, token: &str) -> Call<'a> {
    app.call("POST", "/oauth2/introspect").form(&[("token", token)])
}

fn revoke<'a>(app: &'a App, token: &str) -> Call<'a> {
    app.call("POST", "/oauth2/revoke").anonymous().form(&[("token", token)])
}

/// The names and results of the newest events, oldest first.
async fn events(app: &App) -> Vec<String> {
    let list =
        app.get(format!("/accounts/{}/core/v1/events?orderBy=sequenceCount", app.account)).expect(200).await.json();
    let told = |event: &serde_json::Value| {
        let text = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
        [text("name"), text("class"), text("resourceURI"), text("resourceMethod"), text("resourceMethodResult")]
            .join(" ")
    };
    list["items"].as_array().unwrap().iter().map(told).collect()
}

#[tokio::test]
async fn verify_token() {
    on_every_database(async |app| {
        let user = app.user("Łukasz%+tag@пример.example", Some(Role::Member)).await;
        let (id, secret) = app.token_of(user, "gateway").await;
        let good = || app.get("/verify").secret(&secret);
        let passed = good().expect(200).await;
        passed.snapshot("verify_token__200");
        assert_eq!(passed.header("x-auth-token-id"), id);
        let email = percent_encoding::percent_decode_str(passed.header("x-auth-email")).decode_utf8().unwrap();
        assert_eq!(email, "Łukasz%+tag@пример.example");
        assert_eq!(app.get("/verify").expect(200).await.header("x-auth-email"), "ada@example.com");

        app.get("/verify").anonymous().expect(401).await.snapshot("verify_token__401");
        app.get("/verify").secret(UNKNOWN).expect(401).await.snapshot("verify_token__401_unknown");
        for bad in ["nonsense", "", "a b", &secret[1..], &"A".repeat(9_000)] {
            app.get("/verify").secret(bad).expect(401).await;
        }
        good().header("authorization", format!("Bearer {secret}")).expect(401).await;
        app.get("/verify").anonymous().header("authorization", b"Bearer \xff").expect(401).await;
        app.get("/verify?role=admin").secret(&secret).expect(403).await.snapshot("verify_token__403");
        app.get("/verify?role=nonsense").expect(403).await.snapshot("verify_token__403_query");
        for bad in [
            "role=",
            "role",
            "role=Owner",
            "role=viewer&role=viewer",
            "role=%ff",
            "account=x",
            "account=",
            "rolle=owner",
            "x",
        ] {
            app.get(format!("/verify?{bad}")).expect(403).await;
            app.get(format!("/verify?{bad}")).anonymous().expect(403).await;
        }
        // Who only adds a slash means the same; further behind stand the client's own path and query.
        for bad in ["role=nonsense", "role=admin", "utm_source=x&role=member", "account=x"] {
            app.get(format!("/verify/?{bad}")).secret(&secret).expect(403).await;
        }
        app.get("/verify/?role=member").secret(&secret).expect(200).await;
        app.get("/verify/orders/7?role=admin&role=nonsense&account=x").secret(&secret).expect(200).await;
        for near in ["/verify2", "/verify.txt", "/verifyx/", "//verify", "/x/verify"] {
            app.get(near).secret(&secret).problem(2).await;
        }
    })
    .await;
}

/// The scopes of a role are reported, as far as a header carries them.
#[tokio::test]
async fn verify_tells_the_scopes_of_the_role() {
    on_every_database(async |app| {
        let user = app.user("scoped@example.com", Some(Role::Member)).await;
        let (_, secret) = app.token_of(user, "x").await;
        let verify = || app.get("/verify").secret(&secret);
        assert_eq!(verify().expect(200).await.header("x-auth-role-constraints"), r#"["*"]"#);
        let set = async |constraints: &serde_json::Value| {
            let sql = format!("UPDATE role_bindings SET role_constraints = '{constraints}' WHERE user_id = '{user}'");
            app.sabotage(&sql).await;
        };
        let scopes = json!(["project:a b", "100%, Łódź", "\"\\"]);
        set(&scopes).await;
        let passed = verify().expect(200).await;
        passed.snapshot("verify_token__200_scopes");
        let told =
            percent_encoding::percent_decode_str(passed.header("x-auth-role-constraints")).decode_utf8().unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&told).unwrap(), scopes);
        // More than proxies carry: nobody passes with less than all of them.
        let long = |count: usize| json!(vec!["x".repeat(255); count]);
        set(&long(15)).await;
        verify().expect(200).await;
        set(&long(16)).await;
        verify().expect(403).await;
        app.get("/whoami").secret(&secret).expect(200).await;
    })
    .await;
}

#[tokio::test]
async fn verify_answers_every_method_and_heeds_no_body() {
    on_every_database(async |app| {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW"] {
            for path in ["/verify", "/verify/a/b%2f..%ff"] {
                let good = app
                    .call(method, path)
                    .body("{")
                    .header("content-type", "text/x-nonsense")
                    .header("accept", "image/png");
                let passed = good.clone().expect(200).await;
                assert!(passed.body.is_empty() && !passed.header("x-auth-user").is_empty(), "{method}");
                assert!(good.anonymous().expect(401).await.body.is_empty(), "{method}");
            }
        }
    })
    .await;
}

/// What each role opens, of each demand.
#[tokio::test]
async fn roles_and_demands() {
    on_every_database(async |app| {
        let (other, _, stranger) = app.another_account().await;
        let mut table = format!("{:<22}", "who \\ demand");
        let demands: Vec<String> =
            std::iter::once(String::new()).chain(Role::ALL.iter().map(|role| format!("role={role}"))).collect();
        let accounts = [
            ("", String::new()),
            (" here", format!("account={}", app.account)),
            (" there", format!("account={other}")),
        ];
        for (name, _) in &accounts {
            for demand in &demands {
                write!(table, "{:<18}", format!("{}{name}", if demand.is_empty() { "any" } else { demand.as_str() }))
                    .unwrap();
            }
        }
        table = table.trim_end().to_owned() + "\n";
        let mut callers = vec![("anonymous".to_owned(), None), ("unknown".to_owned(), Some(UNKNOWN.to_owned()))];
        for role in std::iter::once(None).chain(Role::ALL.iter().copied().map(Some)) {
            let name = role.map_or_else(|| "no role".to_owned(), |role| role.to_string());
            let user = app.user(&format!("{}@example.com", name.replace(' ', "-")), role).await;
            callers.push((name, Some(app.token_of(user, "x").await.1)));
        }
        let guest = app.user("guest@example.com", Some(Role::Viewer)).await;
        app.bind_in(other, guest, Role::Admin).await;
        callers.push(("viewer, admin there".to_owned(), Some(app.token_of(guest, "x").await.1)));
        let only_there = app.user("only-there@example.com", None).await;
        app.bind_in(other, only_there, Role::Member).await;
        callers.push(("member there only".to_owned(), Some(app.token_of(only_there, "x").await.1)));
        callers.push(("stranger".to_owned(), Some(stranger)));
        for (email, state, is_enabled) in
            [("suspended", UserState::Suspended, true), ("disabled", UserState::Active, false)]
        {
            let user =
                app.user_in(app.account, &format!("{email}@example.com"), Some(Role::Owner), state, is_enabled).await;
            callers.push((email.to_owned(), Some(app.token_of(user, "x").await.1)));
        }
        for (name, secret) in callers {
            write!(table, "{name:<22}").unwrap();
            for (_, account) in &accounts {
                for demand in &demands {
                    let call = app.get(format!("/verify?{account}&{demand}"));
                    let call = match &secret {
                        Some(secret) => call.secret(secret),
                        None => call.anonymous(),
                    };
                    let reply = call.send().await;
                    let role = if reply.status.is_success() {
                        format!(" {}", reply.header("x-auth-role"))
                    } else {
                        String::new()
                    };
                    write!(table, "{:<18}", format!("{}{role}", reply.status.as_u16())).unwrap();
                }
            }
            table = table.trim_end().to_owned() + "\n";
        }
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_snapshot!("verify_roles", table) });
    })
    .await;
}

#[tokio::test]
async fn a_disabled_account_or_a_role_without_scope_lets_nobody_pass() {
    on_every_database(async |app| {
        let admin = app.user("admin@example.com", Some(Role::Admin)).await;
        let (_, secret) = app.token_of(admin, "x").await;
        let verify = || app.get("/verify").secret(&secret);
        verify().expect(200).await;
        app.sabotage("UPDATE accounts SET is_enabled = FALSE").await;
        verify().expect(403).await;
        app.get("/verify").expect(200).await;
        assert_eq!(introspect(app, &secret).expect(200).await.json(), json!({ "active": false }));
        app.sabotage("UPDATE accounts SET is_enabled = TRUE").await;
        app.sabotage(&format!("UPDATE role_bindings SET role_constraints = '[]' WHERE user_id = '{admin}'")).await;
        verify().expect(403).await;
        app.get("/whoami").secret(&secret).expect(200).await.snapshot("who_am_i__200_no_role");
        app.call("POST", "/oauth2/introspect").secret(&secret).form(&[("token", &app.secret)]).expect(403).await;
    })
    .await;
}

#[tokio::test]
async fn who_am_i() {
    on_every_database(async |app| {
        app.get("/whoami").expect(200).await.snapshot("who_am_i__200");
        app.get("/whoami").anonymous().problem(3).await.snapshot("who_am_i__401_problem_3");
        app.get("/whoami").secret(UNKNOWN).problem(4).await.snapshot("who_am_i__401_problem_4");
        let head = app.call("HEAD", "/whoami").expect(200).await;
        assert_eq!((head.header("content-type"), head.body.len()), ("application/json", 0));
        app.call("POST", "/whoami").problem(69).await;
        app.get("/whoami/x").problem(2).await;
    })
    .await;
}

#[tokio::test]
async fn revoke_presented_token() {
    on_every_database(async |app| {
        let secret = app.issue(app.owner, "doomed").await["token"].as_str().unwrap().to_owned();
        let revoke = || app.call("DELETE", "/whoami").secret(&secret);
        revoke().expect(204).await.snapshot("revoke_presented_token__204");
        revoke().problem(4).await.snapshot("revoke_presented_token__401_problem_4");
        revoke().anonymous().problem(3).await.snapshot("revoke_presented_token__401_problem_3");
        app.get("/verify").secret(&secret).expect(401).await;
        assert_eq!(events(app).await.last().unwrap(), "token.deleted user /whoami delete 204");
    })
    .await;
}

#[tokio::test]
async fn parameters_where_there_are_none_are_refused() {
    on_every_database(async |app| {
        let secret = app.issue(app.owner, "spared").await["token"].as_str().unwrap().to_owned();
        let leak = json!({ "secrets": [secret] });
        let calls = [
            ("who_am_i", app.get("/whoami?x=1&x=2&secret")),
            ("revoke_presented_token", app.call("DELETE", "/whoami?dry-run=true")),
            ("report_leaks", app.call("POST", "/leaks?dry-run=true").json(&leak)),
        ];
        for (operation, call) in calls {
            call.secret(&secret).problem(6).await.snapshot(&format!("{operation}__400_problem_6"));
        }
        // Whoever may not ask doesn't learn how to; and nothing was revoked.
        app.get("/whoami?x=1").anonymous().problem(3).await;
        app.get("/whoami?").secret(&secret).expect(200).await;
        let echoed = app.get(format!("/whoami?{secret}=1")).problem(6).await;
        assert!(!echoed.text().contains(&secret[7..]));
        // OAuth 2.0 has them ignored (RFC 6749 §3.2), and whoever only looks whether the server lives may write what it
        // likes.
        app.call("POST", "/oauth2/introspect?x=1").form(&[("token", &secret)]).expect(200).await;
        app.get("/healthz?x=1").anonymous().expect(200).await;
    })
    .await;
}

#[tokio::test]
async fn introspect_token() {
    on_every_database(async |app| {
        let member = app.user("grace@example.com", Some(Role::Member)).await;
        let (id, secret) = app.token_of(member, "service").await;
        let told = introspect(app, &secret).expect(200).await;
        told.snapshot("introspect_token__200");
        assert_eq!((&told.json()["jti"], &told.json()["scope"]), (&json!(id), &json!("viewer member")));
        introspect(app, UNKNOWN).expect(200).await.snapshot("introspect_token__200_inactive");

        // What is none of the caller's business is as unknown.
        let (other, eve, stranger) = app.another_account().await;
        let inactive = json!({ "active": false });
        assert_eq!(introspect(app, &stranger).expect(200).await.json(), inactive);
        assert_eq!(introspect(app, "nonsense").expect(200).await.json(), inactive);
        assert_eq!(introspect(app, &secret).secret(&stranger).expect(200).await.json(), inactive);
        let suspended = app.user_in(app.account, "s@example.com", Some(Role::Owner), UserState::Suspended, true).await;
        let (_, of_suspended) = app.token_of(suspended, "x").await;
        assert_eq!(introspect(app, &of_suspended).expect(200).await.json(), inactive);
        // A guest is told of as what it is where the caller may ask.
        app.bind_in(app.account, eve, Role::Viewer).await;
        let guest = introspect(app, &stranger).expect(200).await.json();
        assert_eq!((&guest["account"], &guest["role"]), (&json!(app.account.to_string()), &json!("viewer")));
        app.bind_in(other, app.owner, Role::Owner).await;
        assert_eq!(introspect(app, &stranger).expect(200).await.json()["account"], json!(other.to_string()));

        // Who may ask about nobody may ask about itself.
        let own = introspect(app, &secret).secret(&secret).expect(200).await.json();
        assert_eq!((&own["active"], &own["role"]), (&json!(true), &json!("member")));
        introspect(app, &app.secret).secret(&secret).expect(403).await.snapshot("introspect_token__403");
        introspect(app, UNKNOWN).secret(&secret).expect(403).await;

        introspect(app, &secret).anonymous().expect(401).await.snapshot("introspect_token__401");
        introspect(app, &secret).secret(UNKNOWN).expect(401).await.snapshot("introspect_token__401_invalid_token");
        app.call("POST", "/oauth2/introspect")
            .form(&[("tokn", "x")])
            .expect(400)
            .await
            .snapshot("introspect_token__400");
        app.call("POST", "/oauth2/introspect")
            .form(&[("token", &"x".repeat(70_000))])
            .expect(413)
            .await
            .snapshot("introspect_token__413");
        app.get("/oauth2/introspect").expect(405).await.snapshot("oauth2__405");
        app.get("/oauth2/nothing").expect(404).await.snapshot("oauth2__404");
    })
    .await;
}

/// Who is asked about hasn't done anything, and whoever may not ask leaves no mark on it.
#[tokio::test]
async fn an_introspection_leaves_no_trace_of_whom_it_is_about() {
    on_every_database(async |app| {
        let (_, _, stranger) = app.another_account().await;
        let idle = app.user("idle@example.com", Some(Role::Viewer)).await;
        let (_, of_idle) = app.token_of(idle, "x").await;
        let suspended = app.user_in(app.account, "s@example.com", Some(Role::Viewer), UserState::Suspended, true).await;
        let (_, of_suspended) = app.token_of(suspended, "x").await;
        let member = app.user("member@example.com", Some(Role::Member)).await;
        let (_, of_member) = app.token_of(member, "x").await;
        let before = events(app).await;
        for (asking, status) in [(&of_member, 403), (&stranger, 200), (&app.secret, 200)] {
            for token in [&of_idle, &of_suspended] {
                introspect(app, token).secret(asking).expect(status).await;
            }
        }
        for user in [idle, suspended] {
            let user = app.get(format!("/accounts/{}/core/v1/users/{user}", app.account)).expect(200).await.json();
            assert!(user["lastActTimestamp"].is_null(), "{user}");
        }
        assert_eq!(events(app).await, before);
    })
    .await;
}

/// A form may be long on its way. What was revoked meanwhile counts.
#[tokio::test]
async fn who_is_gone_when_its_form_arrives_learns_nothing() {
    on_every_database(async |app| {
        let gone = [
            ("DELETE FROM tokens WHERE user_id = ", 401),
            ("UPDATE users SET state = 'suspended' WHERE id = ", 401),
            ("UPDATE users SET is_enabled = FALSE WHERE id = ", 401),
            ("UPDATE role_bindings SET role = 'member' WHERE user_id = ", 403),
        ];
        for (index, (sql, status)) in gone.into_iter().enumerate() {
            for about_itself in [false, true] {
                let user = app.user(&format!("{about_itself}{index}@example.com"), Some(Role::Admin)).await;
                let (_, secret) = app.token_of(user, "x").await;
                let ask = introspect(app, if about_itself { &secret } else { &app.secret }).secret(&secret);
                let reply = Box::pin(ask.send_around(app.sabotage(&format!("{sql}'{user}'")))).await;
                let wanted = if about_itself && status == 403 { 200 } else { status };
                assert_eq!(reply.status.as_u16(), wanted, "{sql} {about_itself}: {}", reply.text());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn forms_are_read_strictly() {
    on_every_database(async |app| {
        let secret = &app.secret;
        let post = |body: String| app.call("POST", "/oauth2/introspect").body(body);
        let form = "application/x-www-form-urlencoded";
        for good in [form.to_owned(), form.to_uppercase(), format!("{form}; charset=UTF-8"), format!("{form} ;x=y")] {
            post(format!("token_type_hint=access_token&x=y&token={secret}"))
                .header("content-type", good)
                .expect(200)
                .await;
        }
        for bad in ["application/json", "text/plain", "multipart/form-data", "", &format!("{form}, {form}")] {
            post(format!("token={secret}")).header("content-type", bad).expect(400).await;
        }
        post(format!("token={secret}")).expect(400).await.snapshot("introspect_token__400_no_form");
        post(format!("token={secret}")).header("content-type", form).header("content-type", form).expect(400).await;
        let bad = [
            String::new(),
            "token".to_owned(),
            "token=".to_owned(),
            "Token=x".to_owned(),
            format!("token={secret}&token={secret}"),
            format!("token={secret}&x=1&x=2"),
            format!("token={secret}&t%6Fken=x"),
            "token=%ff".to_owned(),
        ];
        for bad in bad {
            post(bad).header("content-type", form).expect(400).await;
        }
        post("token=\u{fe}".to_owned()).header("content-type", form).expect(200).await;
        app.call("POST", "/oauth2/introspect")
            .body(b"token=\xff".to_vec())
            .header("content-type", form)
            .expect(400)
            .await;
        app.call("POST", format!("/oauth2/introspect?token={secret}")).form(&[]).expect(400).await;
        // Whoever may not ask doesn't learn how to.
        post("token=%ff".to_owned()).anonymous().expect(401).await;
        post("x".repeat(70_000)).anonymous().expect(401).await;
    })
    .await;
}

#[tokio::test]
async fn revoke_token() {
    on_every_database(async |app| {
        let secret = app.issue(app.owner, "doomed").await["token"].as_str().unwrap().to_owned();
        app.get("/verify").secret(&secret).expect(200).await;
        revoke(app, &secret).expect(200).await.snapshot("revoke_token__200");
        app.get("/verify").secret(&secret).expect(401).await;
        app.get(app.mine()).secret(&secret).problem(4).await;
        assert_eq!(introspect(app, &secret).expect(200).await.json(), json!({ "active": false }));
        assert_eq!(events(app).await.last().unwrap(), "token.deleted user /oauth2/revoke post 200");
        for unknown in [&secret, UNKNOWN, "nonsense"] {
            assert!(revoke(app, unknown).expect(200).await.body.is_empty());
        }
        // Whoever is suspended can still be rid of a token.
        let suspended = app.user_in(app.account, "s@example.com", Some(Role::Owner), UserState::Suspended, true).await;
        let (id, of_suspended) = app.token_of(suspended, "x").await;
        revoke(app, &of_suspended).expect(200).await;
        app.get(app.item(suspended, &id)).problem(2).await;
        revoke(app, "").expect(400).await.snapshot("revoke_token__400");
        revoke(app, &"x".repeat(70_000)).expect(413).await.snapshot("revoke_token__413");
    })
    .await;
}

#[tokio::test]
async fn report_leaks() {
    on_every_database(async |app| {
        let report = |secrets: &[&str]| app.call("POST", "/leaks").anonymous().json(&json!({ "secrets": secrets }));
        let secret = app.issue(app.owner, "doomed").await["token"].as_str().unwrap().to_owned();
        let suspended = app.user_in(app.account, "s@example.com", Some(Role::Owner), UserState::Suspended, true).await;
        let (id, of_suspended) = app.token_of(suspended, "x").await;
        report(&["nonsense", UNKNOWN, &secret, &secret, &of_suspended]).expect(204).await.snapshot("report_leaks__204");
        app.get("/verify").secret(&secret).expect(401).await;
        app.get(app.item(suspended, &id)).problem(2).await;
        report(&[&secret]).expect(204).await;
        let told = events(app).await;
        assert_eq!(told[told.len() - 2..], ["token.deleted security /leaks post 204"; 2]);
        let query =
            "filter=class eq 'security'&include=summary,description,severity,userID,additionalResourceIDs&count=true";
        let events = app
            .get(format!("/accounts/{}/core/v1/events?{}", app.account, query.replace(' ', "%20")))
            .expect(200)
            .await;
        events.snapshot("list_events__200_leaks");
        assert!(!events.text().contains(&secret[7..]));

        let post = |body: String| app.call("POST", "/leaks").anonymous().body(body);
        post("{".to_owned()).problem(7).await.snapshot("report_leaks__400_problem_7");
        report(&["x"; 101]).problem(8).await.snapshot("report_leaks__400_problem_8");
        report(&["x"; 100]).expect(204).await;
        for bad in [
            "{}",
            "[]",
            r#"{"secrets":"x"}"#,
            r#"{"secrets":[]}"#,
            r#"{"secrets":[1]}"#,
            r#"{"secrets":["x"],"source":"x"}"#,
        ] {
            post(bad.to_owned()).problem(8).await;
        }
        let echoed = post(format!(r#"{{"{}":1}}"#, app.secret)).problem(8).await;
        assert!(!echoed.text().contains(&app.secret[7..]));
        post("{}".to_owned())
            .header("content-type", "text/xml")
            .problem(12)
            .await
            .snapshot("report_leaks__400_problem_12");
        post(" ".repeat(70_000)).problem(85).await.snapshot("report_leaks__413_problem_85");
    })
    .await;
}

/// The rules for scanners that we ship find what we make, alone and whole.
#[test]
fn scanners_find_every_secret() {
    for (file, marks) in [("gitleaks.toml", ("regex = '''", "'''")), ("trufflehog.yaml", ("secret: '", "'"))] {
        let text =
            std::fs::read_to_string(format!("{}/examples/secret-scanners/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let rule = text.split_once(marks.0).unwrap().1.split_once(marks.1).unwrap().0;
        let rule = regex::Regex::new(rule).unwrap();
        for _ in 0..1_000 {
            let secret = Secret::generate(&OsEntropy).unwrap();
            let secret = secret.expose();
            for around in [
                "{}",
                "TOKEN={}\n",
                "\"{}\"",
                "Authorization: Bearer {}, x",
                "https://x?token={}&y=1",
                "<a>{}</a>",
                "`{}`.",
                "a-{}-b",
            ] {
                let text = around.replace("{}", secret);
                let found: Vec<&str> = rule.find_iter(&text).map(|found| found.as_str()).collect();
                assert_eq!(found, [secret], "{file}: {around}");
            }
            for other in
                [&secret[..55], &format!("{secret}0"), &format!("x{secret}"), &secret.to_uppercase(), &secret[1..]]
            {
                assert!(!rule.is_match(other), "{file}: {other}");
            }
        }
        assert!(text.contains(PREFIX), "{file} has the prefix for a keyword");
    }
}

#[tokio::test]
async fn failures_are_counted_by_client() {
    on_every_database(async |app| {
        let client = "192.0.2.1";
        let bad = |path: &str| app.get(path).from(client).secret(UNKNOWN);
        // Looking up a secret reads the clock, which moves this one by a second: it is set back by that, so that only
        // what is counted moves it.
        let set_back = || app.clock.turn_back(1);
        // Those that the contract answers with 401 count, too; what presents nothing doesn't.
        for _ in 0..6 {
            set_back();
            bad("/verify").expect(401).await;
            set_back();
            bad("/whoami").expect(401).await;
            set_back();
            bad(&app.mine()).problem(4).await;
            bad("/verify").anonymous().expect(401).await;
            bad("/verify?role=nonsense").secret(&app.secret).expect(403).await;
        }
        for _ in 0..2 {
            bad("/verify").secret("nonsense").expect(401).await;
        }
        set_back();
        bad("/verify").expect(403).await.snapshot("verify_token__403_too_many");
        set_back();
        bad("/whoami").expect(429).await.snapshot("who_am_i__429_too_many_requests");
        set_back();
        app.call("DELETE", "/whoami")
            .from(client)
            .secret(UNKNOWN)
            .expect(429)
            .await
            .snapshot("revoke_presented_token__429_too_many_requests");
        set_back();
        introspect(app, UNKNOWN).from(client).secret(UNKNOWN).expect(429).await.snapshot("introspect_token__429");
        bad(&app.mine()).problem(4).await;
        // Good tokens don't mind, and neither do other clients.
        app.get("/verify").from(client).expect(200).await;
        revoke(app, UNKNOWN).from(client).expect(200).await;
        bad("/verify").from("192.0.2.2").expect(401).await;
        bad("/verify").from("10.0.0.1").header("x-forwarded-for", "203.0.113.9, 192.0.2.3").expect(401).await;
        bad("/verify").from("10.0.0.1").header("x-forwarded-for", client).expect(403).await;
        bad("/verify").from("192.0.2.9").header("x-forwarded-for", client).expect(401).await;
        // A minute later all is forgotten.
        app.clock.turn_back(-60);
        bad("/verify").expect(401).await;
    })
    .await;
}

/// The row that is read for an unknown secret is another token's: its faults are none of the asker's.
#[tokio::test]
async fn an_unreadable_neighbour_does_not_matter() {
    on_every_database(async |app| {
        for _ in 0..8 {
            app.issue(app.owner, "x").await;
        }
        app.sabotage("UPDATE role_bindings SET role_constraints = 'nonsense'").await;
        app.get("/verify").secret(UNKNOWN).expect(401).await;
        app.get("/verify").expect(500).await;
    })
    .await;
}

/// What can't be read costs no good report.
#[tokio::test]
async fn malformed_reports_are_not_counted() {
    on_every_database(async |app| {
        let report = |body: String| app.call("POST", "/leaks").anonymous().from("192.0.2.1").body(body);
        for _ in 0..10 {
            report("{".to_owned()).problem(7).await;
            report("{}".to_owned()).problem(8).await;
            report(" ".repeat(70_000)).problem(85).await;
            report("{}".to_owned()).header("content-type", "text/xml").problem(12).await;
        }
        for _ in 0..20 {
            report(json!({ "secrets": [UNKNOWN] }).to_string()).expect(204).await;
        }
        for body in ["{".to_owned(), json!({ "secrets": [app.secret] }).to_string()] {
            report(body).expect(429).await;
        }
        app.get("/verify").from("192.0.2.1").expect(200).await;
    })
    .await;
}

#[tokio::test]
async fn reports_are_counted_by_client() {
    on_every_database(async |app| {
        let report = |secret: &str| {
            app.call("POST", "/leaks").anonymous().from("192.0.2.1").json(&json!({ "secrets": [secret] }))
        };
        for _ in 0..20 {
            report(UNKNOWN).expect(204).await;
        }
        report(&app.secret).expect(429).await.snapshot("report_leaks__429_too_many_requests");
        app.get("/verify").from("192.0.2.1").expect(200).await;
        app.get("/verify").from("192.0.2.1").secret(UNKNOWN).expect(401).await;
    })
    .await;
}

#[tokio::test]
async fn proxies_may_be_sent_secrets_in_a_header_of_their_own() {
    on_every_database(async |app| {
        let verify = |value: &str| app.get("/verify").anonymous().header("x-api-key", value);
        assert_eq!(verify(&app.secret).expect(200).await.header("x-auth-email"), "ada@example.com");
        verify(&format!(" {} ", app.secret)).expect(200).await;
        // The application's own credentials may stand beside; they say nothing here.
        verify(&app.secret).header("authorization", "Basic YTpi").expect(200).await;
        verify(&app.secret).secret(UNKNOWN).expect(200).await;
        verify(UNKNOWN).secret(&app.secret).expect(401).await;
        verify("").secret(&app.secret).expect(401).await;
        verify(&format!("Bearer {}", app.secret)).expect(401).await;
        verify(&app.secret).header("x-api-key", &app.secret).expect(401).await;
        app.get("/verify").anonymous().header("x-api-key", b"\xff").expect(401).await;
        app.get("/whoami").anonymous().header("x-api-key", &app.secret).problem(3).await;
    })
    .await;
}

#[tokio::test]
async fn without_a_database() {
    on_every_database(async |app| {
        app.sabotage("ALTER TABLE tokens RENAME TO gone").await;
        answer_with(app, "500").await;
        app.sabotage("ALTER TABLE gone RENAME TO tokens").await;
        app.service.close().await;
        answer_with(app, "503").await;
    })
    .await;
}

async fn answer_with(app: &App, status: &str) {
    let number: u16 = status.parse().unwrap();
    app.get("/verify").expect(number).await.snapshot(&format!("verify_token__{status}"));
    introspect(app, UNKNOWN).expect(number).await.snapshot(&format!("introspect_token__{status}"));
    revoke(app, UNKNOWN).expect(number).await.snapshot(&format!("revoke_token__{status}"));
    let problem = if number == 500 { 34 } else { 41 };
    for (operation, method) in [("who_am_i", "GET"), ("revoke_presented_token", "DELETE")] {
        let reply = app.call(method, "/whoami").problem(problem).await;
        reply.snapshot(&format!("{operation}__{status}_problem_{problem}"));
    }
    let leak = json!({ "secrets": [UNKNOWN] });
    app.call("POST", "/leaks")
        .json(&leak)
        .problem(problem)
        .await
        .snapshot(&format!("report_leaks__{status}_problem_{problem}"));
    app.get("/verify").secret("nonsense").expect(401).await;
}
