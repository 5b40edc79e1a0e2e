//! Runs the binary, and speaks HTTP/1.1 to it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// The binary, without settings from the tests' own environment.
pub fn tokenward(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TOKENWARD_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Runs a command to its end.
pub fn run(arguments: &[&str]) -> Output {
    tokenward(arguments).output().unwrap()
}

/// What a command prints, if it succeeds.
pub fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one sentence that a command fails with.
pub fn failure(arguments: &[&str]) -> String {
    let output = run(arguments);
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.status.code().is_some(), "{arguments:?} did not fail: {sentence}");
    assert!(!sentence.contains("panicked") && !sentence.contains("backtrace"), "{sentence}");
    sentence
}

/// A database that goes away with the test: SQLite, or a schema on the PostgreSQL server of `TEST_DATABASE_URL`.
pub enum Database {
    Sqlite(TempDir),
    Postgres { server: String, schema: String },
}

impl Database {
    pub fn sqlite() -> Self {
        Self::Sqlite(TempDir::new().unwrap())
    }

    /// One of each kind that is at hand.
    pub fn all() -> Vec<Self> {
        let postgres = std::env::var("TEST_DATABASE_URL").ok().map(|server| {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let schema = format!("tokenward_process_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
            execute(&server, &format!("CREATE SCHEMA {schema}"));
            Self::Postgres { server, schema }
        });
        [Some(Self::sqlite()), postgres].into_iter().flatten().collect()
    }

    pub fn path(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.path().join("test.db"),
            Self::Postgres { .. } => panic!("not a file"),
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(_) => sqlite_url(&self.path()),
            Self::Postgres { server, schema } => {
                let separator = if server.contains('?') { '&' } else { '?' };
                format!("{server}{separator}options=-csearch_path%3D{schema}")
            }
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Self::Postgres { server, schema } = self {
            execute(server, &format!("DROP SCHEMA {schema} CASCADE"));
        }
    }
}

fn execute(server: &str, sql: &str) {
    use sqlx::{Connection as _, Executor as _};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = sqlx::PgConnection::connect(server).await.expect("TEST_DATABASE_URL can be reached");
        connection.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.unwrap();
    });
}

/// Takes a file from all other users.
pub fn keep_to_owner(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn sqlite_url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// What `tokenward init` has founded.
pub struct First {
    pub account: String,
    pub user: String,
    pub token: String,
    pub secret: String,
}

impl First {
    pub fn tokens(&self) -> String {
        format!("/accounts/{}/core/v1/users/{}/tokens", self.account, self.user)
    }

    pub fn mine(&self) -> String {
        format!("{}/{}", self.tokens(), self.token)
    }
}

pub fn init(url: &str) -> First {
    let made: Value = serde_json::from_str(&printed(&["init", "--database", url, "--format", "json"])).unwrap();
    let field = |name: &str| made[name].as_str().unwrap().to_owned();
    First { account: field("accountID"), user: field("userID"), token: field("tokenID"), secret: field("token") }
}

/// A server that ends with the test.
pub struct Server {
    pub child: Child,
    /// Where it listens: `127.0.0.1:PORT`.
    pub address: String,
    /// What it has printed until it was ready.
    pub greeting: String,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts a server on a free port, and waits until it says where it listens.
    pub fn start(url: &str, arguments: &[&str]) -> Self {
        Self::spawn(tokenward(&["serve", "--database", url, "--listen", "127.0.0.1:0"]).args(arguments))
    }

    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Swagger UI: ") {
            if stdout.read_line(&mut greeting).unwrap() == 0 {
                let mut said = String::new();
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("the server ended: {said}");
            }
        }
        let line =
            greeting.lines().find_map(|line| line.strip_prefix("tokenward listens on ")?.split_once("://")).unwrap().1;
        Self { address: line.to_owned(), child, greeting, stdout }
    }

    /// Where the metrics are.
    pub fn metrics(&self) -> &str {
        self.greeting.lines().find_map(|line| line.strip_prefix("Metrics: http://")?.strip_suffix("/metrics")).unwrap()
    }

    /// All that the server has printed, up to a line that begins so.
    pub fn read_until(&mut self, beginning: &str) -> String {
        while !self.greeting.lines().any(|line| line.starts_with(beginning)) {
            assert_ne!(self.stdout.read_line(&mut self.greeting).unwrap(), 0, "{}", self.greeting);
        }
        self.greeting.clone()
    }

    /// Asks the server to end, and returns all that it has said: standard output and standard error.
    pub fn stop(mut self) -> (String, String) {
        self.signal("TERM");
        let (mut out, mut err) = (std::mem::take(&mut self.greeting), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(self.child.wait().unwrap().success(), "{err}");
        (out, err)
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that is kept open.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request, and reads the answer's status and body.
    pub fn call(&mut self, method: &str, path: &str, secret: &str, body: &str) -> std::io::Result<(u16, String)> {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\nContent-Length: \
                {length}\r\n\r\n{body}"
        );
        self.send(head.as_bytes())?;
        self.receive()
    }

    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    pub fn receive(&mut self) -> std::io::Result<(u16, String)> {
        let broken = || std::io::Error::other("the answer broke off");
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
        let mut length = 0;
        loop {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err(broken());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| broken())?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// One request on a connection of its own.
pub fn call(address: &str, method: &str, path: &str, secret: &str, body: &str) -> (u16, String) {
    Client::connect(address).unwrap().call(method, path, secret, body).unwrap()
}
