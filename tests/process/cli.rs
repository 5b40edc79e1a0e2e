//! What the command line does, and how it says what is wrong.

use std::{fs, net::TcpListener, process::Stdio};

use serde_json::Value;

use crate::program::{Database, Server, call, failure, init, keep_to_owner, printed, run, sqlite_url, tokenward};

#[test]
fn init_founds_once() {
    for database in Database::all() {
        let url = database.url();
        let first = init(&url);
        assert!(failure(&["init", "--database", &url]).contains("has an account already"));
        let server = Server::start(&url, &[]);
        assert!(!server.greeting.contains("curl"));
        let (status, body) = call(&server.address, "GET", &first.mine(), &first.secret, "");
        assert_eq!(status, 200, "{body}");
        let (out, err) = server.stop();
        assert!(!format!("{out}{err}").contains(&first.secret));
    }
}

#[test]
fn of_several_inits_at_once_one_founds() {
    for database in Database::all() {
        let url = database.url();
        let started = (0..6).map(|_| {
            tokenward(&["init", "--database", &url]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        let started: Vec<_> = started.collect();
        let ended: Vec<_> = started.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        let bootstrapped = ended.iter().filter(|output| output.status.success()).count();
        let said: Vec<_> = ended.iter().map(|output| String::from_utf8_lossy(&output.stderr)).collect();
        assert_eq!(bootstrapped, 1, "{said:?}");
    }
}

#[test]
fn of_several_servers_at_once_one_founds_and_all_serve() {
    for database in Database::all().into_iter().filter(|database| matches!(database, Database::Postgres { .. })) {
        let url = database.url();
        let servers: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..3).map(|_| scope.spawn(|| Server::start(&url, &[]))).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let addresses: Vec<String> = servers.iter().map(|server| server.address.clone()).collect();
        let mut said: Vec<String> = servers.into_iter().map(|server| server.stop().0).collect();
        said.retain(|said| said.contains("curl"));
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(addresses.len(), 3);
    }
}

#[test]
fn a_first_serve_prints_a_curl_line_that_works() {
    for database in Database::all() {
        let url = database.url();
        let mut server = Server::start(&url, &["--account-name", "acme", "--email", "root@example.com"]);
        let greeting = server.read_until("curl ");
        let line = greeting.lines().find(|line| line.starts_with("curl ")).unwrap();
        let output =
            std::process::Command::new("sh").args(["-c", &format!("{line} -s -w ' %{{http_code}}'")]).output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(answer.ends_with(" 200") && answer.contains("application/astra-token"), "{line}: {answer}");
        server.stop();
        let (out, _) = Server::start(&url, &[]).stop();
        assert!(!out.contains("tokward"), "{out}");
    }
}

#[test]
fn the_first_secret_can_be_given() {
    let secret = printed(&["secret"]).trim().to_owned();
    assert_ne!(secret, printed(&["secret"]).trim());
    let given = Database::sqlite();
    let made = tokenward(&["init", "--database", &given.url(), "--format", "json"])
        .env("TOKENWARD_BOOTSTRAP_TOKEN", &secret)
        .output()
        .unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["token"], secret);

    let file = Database::sqlite();
    let path = file.path().with_extension("secret");
    fs::write(&path, format!("{secret}\n")).unwrap();
    keep_to_owner(&path);
    let mut command = tokenward(&["--database", &file.url(), "--listen", "127.0.0.1:0"]);
    let server = Server::spawn(command.env("TOKENWARD_BOOTSTRAP_TOKEN_FILE", &path));
    assert_eq!(call(&server.address, "GET", "/accounts/x", &secret, "").0, 403);
    let (out, err) = server.stop();
    assert!(out.contains(&format!("Bearer $(cat '{}')", path.display())), "{out}");
    // Once it has served, it may go.
    fs::remove_file(&path).unwrap();
    let mut command = tokenward(&["--database", &file.url(), "--listen", "127.0.0.1:0"]);
    Server::spawn(command.env("TOKENWARD_BOOTSTRAP_TOKEN_FILE", &path)).stop();
    assert!(!format!("{out}{err}").contains(&secret), "what the operator has given isn't repeated");

    let environment = Database::sqlite();
    let mut command = tokenward(&["--database", &environment.url(), "--listen", "127.0.0.1:0"]);
    let server = Server::spawn(command.env("TOKENWARD_BOOTSTRAP_TOKEN", &secret));
    assert_eq!(call(&server.address, "GET", "/accounts/x", &secret, "").0, 403);
    #[cfg(target_os = "linux")]
    assert!(
        !String::from_utf8_lossy(&fs::read(format!("/proc/{}/environ", server.child.id())).unwrap()).contains(&secret),
        "it has left there"
    );
    let (out, _) = server.stop();
    assert!(out.contains("Bearer $TOKENWARD_BOOTSTRAP_TOKEN"), "{out}");

    let bad = tokenward(&["init", "--database", &Database::sqlite().url()])
        .env("TOKENWARD_BOOTSTRAP_TOKEN", "hunter2")
        .output()
        .unwrap();
    let said = String::from_utf8(bad.stderr).unwrap();
    assert!(!bad.status.success() && said.contains("is not a tokenward secret") && !said.contains("hunter2"), "{said}");
    let nowhere =
        failure(&["init", "--database", &Database::sqlite().url(), "--bootstrap-token-file", "/nowhere/at/all"]);
    assert!(nowhere.contains("can't be read"), "{nowhere}");
}

#[test]
fn a_demonstration_lives_in_memory_and_says_so() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut server =
        Server::spawn(tokenward(&["serve", "--demo", "--listen", "127.0.0.1:0"]).current_dir(folder.path()));
    let greeting = server.read_until("curl ");
    assert!(greeting.contains("THIS IS A DEMONSTRATION"), "{greeting}");
    let secret = greeting.lines().find(|line| line.starts_with("tokward")).unwrap();
    let signed_in = format!("http://{}/swagger-ui/#token={secret}", server.address);
    assert!(greeting.lines().any(|line| line == signed_in), "{greeting}");
    let line = greeting.lines().find(|line| line.starts_with("curl ")).unwrap();
    let (_, path) = line.split_once(&server.address).unwrap();
    assert_eq!(call(&server.address, "GET", path, secret, "").0, 200);
    let secret = secret.to_owned();
    let (_, err) = server.stop();
    assert!(!err.contains(&secret), "{err}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "it leaves files");
}

#[test]
fn quotas_are_told_on_the_command_line() {
    for database in Database::all() {
        let url = database.url();
        let first = init(&url);
        let server = Server::start(&url, &["--max-tokens-per-user", "1", "--max-users-per-account", "1"]);
        let tokens = first.mine().rsplit_once('/').unwrap().0.to_owned();
        let users = tokens.rsplit_once("/users/").unwrap().0.to_owned() + "/users";
        for (path, body) in [
            (tokens, r#"{"type": "application/astra-token", "version": "1.0", "name": "x"}"#),
            (users, r#"{"type": "application/astra-user", "version": "1.2", "email": "x@example.com"}"#),
        ] {
            let (status, body) = call(&server.address, "POST", &path, &first.secret, body);
            assert_eq!(status, 403, "{body}");
            assert!(body.contains("the most that this server allows"), "{body}");
        }
        server.stop();
    }
}

#[test]
fn the_document_needs_no_database() {
    let committed = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/spec/openapi.json")).unwrap();
    assert_eq!(printed(&["openapi"]), committed);
    assert!(printed(&["openapi", "--format", "yaml"]).starts_with("openapi: 3.1.0\n"));
    let older = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/spec/openapi-3.0.json")).unwrap();
    assert_eq!(printed(&["openapi", "--openapi-version", "3.0"]), older);
    assert!(printed(&["openapi", "--openapi-version", "3.0", "--format", "yaml"]).starts_with("openapi: 3.0.3\n"));
}

#[test]
fn malformed_arguments_are_one_sentence() {
    for arguments in [
        &["--listen", "nowhere"][..],
        &["--public-url", "example.com"],
        &["--page-cap", "0"],
        &["init", "--account-name", "<b>"],
        &["init", "--email", "nobody"],
        &["openapi", "--format", "xml"],
        &["serve", "--public-url", "ftp://example.com"],
        &["serve", "--credential-header", "Authorization"],
        &["serve", "--credential-header", "X API Key"],
        &["serve", "--demo", "--database", "sqlite:x.db"],
        &["--demo", "--email", "grace@example.com"],
        &["openapi", "--openapi-version", "2.0"],
        &["nonsense"],
    ] {
        let said = failure(arguments);
        assert!(said.starts_with("error: "), "{arguments:?}: {said}");
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    for url in ["tokens.db", "", "sqlite:", "mysql://me:hunter2@x", "postgres://me:hunter2@:x/y"] {
        for command in ["serve", "init"] {
            let said = failure(&[command, "--database", url]);
            assert!(said.starts_with("tokenward: --database is malformed: ") && said.lines().count() == 1, "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
    let help = printed(&["--help"]);
    for word in [
        "--database",
        "TOKENWARD_LISTEN",
        "init",
        "openapi",
        "--page-cap",
        "--max-tokens-per-user",
        "TOKENWARD_MAX_USERS_PER_ACCOUNT",
    ] {
        assert!(help.contains(word), "{help}");
    }
}

#[test]
fn unusable_databases_are_one_sentence() {
    let folder = tempfile::TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("text.db"), "not a database, but long enough to be looked at".repeat(40)).unwrap();
    fs::create_dir(at("folder.db")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::{Connection as _, Executor as _};
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(at("foreign.db")).create_if_missing(true);
        let mut foreign = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        foreign.execute("CREATE TABLE notes (text TEXT)").await.unwrap();
        foreign.close().await.unwrap();
    });
    keep_to_owner(&at("text.db"));
    keep_to_owner(&at("foreign.db"));
    for (name, wanted) in [
        ("text.db", "is not a SQLite database"),
        ("folder.db", "can't be opened for writing"),
        ("foreign.db", "is a SQLite database of another application"),
        ("missing/folder/x.db", "can't be opened for writing"),
    ] {
        for command in ["serve", "init"] {
            let said = failure(&[command, "--database", &sqlite_url(&at(name))]);
            assert!(
                said.starts_with("tokenward: the database ") && said.contains(wanted) && said.lines().count() == 1,
                "{name}: {said}"
            );
        }
    }
    let said = failure(&["serve", "--database", "postgres://me:hunter2@127.0.0.1:1/x"]);
    assert!(said.contains("can't be reached") && !said.contains("hunter2") && said.lines().count() == 1, "{said}");
}

#[test]
fn a_newer_database_is_refused() {
    let database = Database::sqlite();
    init(&database.url());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::{Connection as _, Executor as _};
        let mut connection = sqlx::SqliteConnection::connect(&database.url()).await.unwrap();
        let future =
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'x', \
                1, x'00', 0)";
        connection.execute(future).await.unwrap();
        connection.close().await.unwrap();
    });
    let said = failure(&["serve", "--database", &database.url(), "--listen", "127.0.0.1:0"]);
    assert!(said.contains("newer") && said.lines().count() == 1, "{said}");
}

/// A copy that SQLite makes beside the running server has every acknowledged change, and is a database by itself
/// (docs/operations.md).
#[test]
fn a_backup_of_a_running_server_can_be_served() {
    let database = Database::sqlite();
    let first = init(&database.url());
    let server = Server::start(&database.url(), &[]);
    let body = r#"{"type": "application/astra-token", "version": "1.0", "name": "newest"}"#;
    assert_eq!(call(&server.address, "POST", &first.tokens(), &first.secret, body).0, 201);
    let copy = database.path().with_file_name("backup.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::{Connection as _, Executor as _};
        let mut connection = sqlx::SqliteConnection::connect(&database.url()).await.unwrap();
        let backup = format!("VACUUM INTO '{}'", copy.display());
        connection.execute(sqlx::AssertSqlSafe(backup)).await.unwrap();
        connection.close().await.unwrap();
    });
    server.stop();
    keep_to_owner(&copy);
    let restored = Server::start(&sqlite_url(&copy), &[]);
    let (status, list) = call(&restored.address, "GET", &first.tokens(), &first.secret, "");
    assert!(status == 200 && list.contains("\"newest\""), "{list}");
    restored.stop();
}

#[test]
fn a_file_is_served_by_one_process() {
    let database = Database::sqlite();
    let url = database.url();
    init(&url);
    let server = Server::start(&url, &[]);
    // Also by another name.
    let link = database.path().with_file_name("link.db");
    std::os::unix::fs::symlink(database.path(), &link).unwrap();
    for url in [&url, &sqlite_url(&link)] {
        let said = failure(&["serve", "--database", url, "--listen", "127.0.0.1:0"]);
        assert!(said.contains("is in use by another tokenward process") && said.lines().count() == 1, "{said}");
    }
    server.stop();
    Server::start(&url, &[]).stop();
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let database = Database::sqlite();
    let said = failure(&["serve", "--database", &database.url(), "--listen", &address]);
    assert!(said.contains("can't listen on") && said.lines().count() == 1, "{said}");
    // Nothing was founded by a server that never came up, so no secret is lost.
    init(&database.url());
}

/// Files that others may read are refused, or only warned of, where the operator says so.
#[test]
#[cfg(unix)]
fn files_that_are_open_to_others_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let database = Database::sqlite();
    let url = database.url();
    init(&url);
    let open_to = |mode| fs::set_permissions(database.path(), fs::Permissions::from_mode(mode)).unwrap();
    open_to(0o640);
    for arguments in
        [&["serve", "--database", &url, "--listen", "127.0.0.1:0"][..], &["user", "list", "--database", &url]]
    {
        let said = failure(arguments);
        assert!(
            said.contains("is open to others (its mode is 0640): chmod 600") && said.lines().count() == 1,
            "{said}"
        );
    }
    let (_, err) = Server::start(&url, &["--allow-readable-files"]).stop();
    assert!(err.contains("WARN") && err.contains("is open to others"), "{err}");
    open_to(0o600);
    Server::start(&url, &[]).stop();
}

/// Of fewer connections than three nothing can be made.
#[test]
fn connections_are_as_many_as_asked_for() {
    for database in Database::all() {
        let url = database.url();
        let first = init(&url);
        let server = Server::start(&url, &["--database-connections", "3", "--metrics-listen", "127.0.0.1:0"]);
        for _ in 0..3 {
            assert_eq!(call(&server.address, "GET", &first.mine(), &first.secret, "").0, 200);
            assert_eq!(call(&server.address, "GET", &first.tokens(), &first.secret, "").0, 200);
            assert_eq!(call(&server.address, "DELETE", &first.tokens(), &first.secret, "").0, 405);
        }
    }
    let said = failure(&["--database-connections", "2"]);
    assert!(said.contains("2 is not in 3..=1000"), "{said}");
}

#[test]
#[cfg(unix)]
fn files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let database = Database::sqlite();
    init(&database.url());
    let server = Server::start(&database.url(), &[]);
    for entry in fs::read_dir(database.path().parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
    server.stop();
}
