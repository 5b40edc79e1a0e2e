//! A server under test: its own database, a clock that ticks a second a look, randomness from a seed.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    io,
    net::IpAddr,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use poem::{
    Addr, Endpoint, Request, RequestParts,
    endpoint::BoxEndpoint,
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Executor as _};
use tempfile::TempDir;
use tokenward::{
    api::{
        self, Settings,
        document::{assembly, openapi_3_0},
    },
    config::DatabaseUrl,
    domain::{
        clock::{Clock, Timestamp},
        entropy::Entropy,
        id::TokenId,
        id::{AccountId, RoleBindingId, UserId},
        label::Labels,
        metadata::Metadata,
        name::{Email, FreeText, ResourceName},
        role::Role,
        role_binding::{RoleBinding, RoleConstraints},
        token::{NewToken, Token},
        user::{AuthProvider, Profile, User, UserState},
    },
    service::{
        Service,
        bootstrap::{Bootstrap, Bootstrapped},
    },
    store::Store,
};
use tokio::io::AsyncWriteExt as _;

/// 2026-01-15T09:30:00Z
const BEGIN: i64 = 1_768_469_400;

pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn turn_back(&self, seconds: i64) {
        self.0.fetch_sub(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1_000_000, Ordering::SeqCst))
    }
}

struct Seeded(AtomicU64);

impl Entropy for Seeded {
    fn fill(&self, buffer: &mut [u8]) -> io::Result<()> {
        for chunk in buffer.chunks_mut(32) {
            let block = Sha256::digest(self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

/// A database that goes away with the test.
enum Database {
    Sqlite(TempDir),
    Postgres { server: String, schema: String },
    Memory,
}

impl Database {
    async fn postgres(server: String) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let schema = format!("tokenward_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let pool = sqlx::PgPool::connect(&server).await.expect("TEST_DATABASE_URL can be reached");
        pool.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.unwrap();
        pool.close().await;
        Self::Postgres { server, schema }
    }

    fn url(&self) -> String {
        match self {
            Self::Memory => unreachable!("nobody else reaches it"),
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("test.db").display()),
            Self::Postgres { server, schema } => {
                let separator = if server.contains('?') { '&' } else { '?' };
                format!("{server}{separator}options=-csearch_path%3D{schema}")
            }
        }
    }

    /// Runs a statement beside the server.
    async fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(_) => {
                let pool = sqlx::SqlitePool::connect(&self.url()).await.unwrap();
                pool.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
                pool.close().await;
            }
            Self::Memory => unreachable!("nobody else reaches it"),
            Self::Postgres { .. } => {
                let pool = sqlx::PgPool::connect(&self.url()).await.unwrap();
                pool.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
                pool.close().await;
            }
        }
    }
}

pub struct App {
    pub service: Service,
    pub clock: Arc<TestClock>,
    pub account: AccountId,
    pub owner: UserId,
    pub token: String,
    pub secret: String,
    store: Store,
    endpoint: BoxEndpoint<'static, poem::Response>,
    database: Database,
    paused: AtomicBool,
}

/// Runs a test on SQLite and, if there is one, on PostgreSQL.
pub async fn on_every_database(test: impl AsyncFn(&App)) {
    let sqlite = App::new(Database::Sqlite(TempDir::new().unwrap())).await;
    test(&sqlite).await;
    if let Ok(server) = std::env::var("TEST_DATABASE_URL") {
        let database = Database::postgres(server).await;
        let postgres = App::new(database).await;
        test(&postgres).await;
        postgres.store.close().await;
        if let Database::Postgres { schema, .. } = &postgres.database {
            postgres.database.execute(&format!("DROP SCHEMA {schema} CASCADE")).await;
        }
    }
}

impl App {
    async fn new(database: Database) -> Self {
        let url: DatabaseUrl =
            if let Database::Memory = database { DatabaseUrl::Memory } else { database.url().parse().unwrap() };
        let store = Store::open(&url).await.unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(BEGIN * 1_000_000)));
        let service = Service::new(store.clone(), clock.clone(), Arc::new(Seeded(AtomicU64::new(0)))).await.unwrap();
        let bootstrap = Bootstrap {
            account_name: ResourceName::parse("main").unwrap(),
            email: Email::parse("ada@example.com").unwrap(),
            first_name: FreeText::parse("Ada").unwrap(),
            last_name: FreeText::parse("Byron").unwrap(),
            token_name: ResourceName::parse("bootstrap").unwrap(),
            secret: None,
        };
        let demo = matches!(database, Database::Memory);
        let bootstrapped = if demo {
            service.seed_demo().await.unwrap()
        } else {
            service.bootstrap(bootstrap).await.unwrap().unwrap()
        };
        let Bootstrapped { account_id, user_id, token_id, secret } = bootstrapped;
        let settings = Settings {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            credential_header: Some(HeaderName::from_static("x-api-key")),
            demo,
            ..Settings::default()
        };
        let endpoint = poem::EndpointExt::boxed(api::endpoint(service.clone(), settings).unwrap());
        let secret = secret.expose().to_owned();
        let (token, paused) = (token_id.to_string(), AtomicBool::new(false));
        Self { service, clock, account: account_id, owner: user_id, token, secret, store, endpoint, database, paused }
    }

    /// What `tokenward serve --demo` serves.
    pub async fn demo() -> Self {
        Self::new(Database::Memory).await
    }

    /// What a server does in the background; a database that doesn't answer is left alone.
    pub async fn settle(&self) {
        if self.paused.load(Ordering::SeqCst) {
            return;
        }
        let background = async {
            self.service.write_activity().await?;
            self.service.finish_deletions().await
        };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(20), background).await;
    }

    /// Leaves undone what a server does in the background.
    pub fn pause_background(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }

    /// How many rows a table has of that kind.
    pub async fn count(&self, table: &str, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        match &self.database {
            Database::Postgres { .. } => {
                let pool = sqlx::PgPool::connect(&self.database.url()).await.unwrap();
                let counted = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap();
                pool.close().await;
                counted
            }
            Database::Sqlite(_) | Database::Memory => {
                let pool = sqlx::SqlitePool::connect(&self.database.url()).await.unwrap();
                let counted = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap();
                pool.close().await;
                counted
            }
        }
    }

    /// Runs a statement on the database, behind the server's back.
    pub async fn sabotage(&self, sql: &str) {
        self.database.execute(sql).await;
    }

    /// On PostgreSQL: takes a lock, beside the server, until the pool that is returned is closed.
    pub async fn hold(&self, lock: &str) -> Option<sqlx::PgPool> {
        let Database::Postgres { .. } = self.database else { return None };
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect(&self.database.url()).await.unwrap();
        pool.execute(AssertSqlSafe(format!("BEGIN; {lock}"))).await.unwrap();
        Some(pool)
    }

    pub fn tokens(&self, user: impl ToString) -> String {
        format!("/accounts/{}/core/v1/users/{}/tokens", self.account, user.to_string())
    }

    pub fn item(&self, user: impl ToString, token: impl ToString) -> String {
        format!("{}/{}", self.tokens(user), token.to_string())
    }

    /// The bootstrap token's path.
    pub fn mine(&self) -> String {
        self.item(self.owner, &self.token)
    }

    /// A request by the owner.
    pub fn call(&self, method: &str, path: impl Into<String>) -> Call<'_> {
        let mut call = Call {
            app: self,
            method: method.parse().unwrap(),
            path: path.into(),
            headers: HeaderMap::new(),
            body: vec![],
            from: None,
        };
        call.headers.insert(header::HOST, "tokens.example".parse().unwrap());
        call.secret(&self.secret)
    }

    pub fn get(&self, path: impl Into<String>) -> Call<'_> {
        self.call("GET", path)
    }

    /// A request of each operation on somebody's tokens, by operation id.
    pub fn operations(&self, user: impl ToString, token: impl ToString) -> Vec<(&'static str, Call<'_>)> {
        let body = json!({ "type": "application/astra-token", "version": "1.0", "name": "x" });
        let (tokens, item) = (self.tokens(user.to_string()), self.item(user, token));
        vec![
            ("list_tokens", self.get(&tokens)),
            ("create_token", self.call("POST", &tokens).json(&body)),
            ("retrieve_token", self.get(&item)),
            ("modify_token", self.call("PUT", &item).json(&body)),
            ("delete_token", self.call("DELETE", &item)),
        ]
    }

    /// A new user of the account, with a role or without.
    pub async fn user(&self, email: &str, role: Option<Role>) -> UserId {
        self.user_in(self.account, email, role, UserState::Active, true).await
    }

    /// A new user of an account.
    pub async fn user_in(
        &self,
        account: AccountId,
        email: &str,
        role: Option<Role>,
        state: UserState,
        is_enabled: bool,
    ) -> UserId {
        let id = UserId::random(self.service_entropy()).unwrap();
        let metadata = Metadata::new(Labels::default(), self.clock.now(), self.owner);
        let name = |text| FreeText::parse(text).unwrap();
        let mut writer = self.store.write().await.unwrap();
        let user = User {
            id,
            account_id: account,
            email: Email::parse(email).unwrap(),
            profile: Profile {
                first_name: name(""),
                last_name: name(""),
                company_name: None,
                phone: None,
                postal_address: None,
            },
            auth_provider: AuthProvider::Local,
            auth_id: name(email),
            state,
            is_enabled,
            enabled_at: None,
            last_act_at: None,
            metadata,
        };
        writer.insert_user(&user).await.unwrap();
        writer.commit().await.unwrap();
        if let Some(role) = role {
            self.bind_in(account, id, role).await;
        }
        id
    }

    /// A role for a user, made by whoever may.
    pub async fn bind(&self, user: UserId, role: Role) {
        self.bind_in(self.account, user, role).await;
    }

    pub async fn bind_in(&self, account_id: AccountId, user_id: UserId, role: Role) {
        let metadata = Metadata::new(Labels::default(), self.clock.now(), self.owner);
        let id = RoleBindingId::random(self.service_entropy()).unwrap();
        let binding =
            RoleBinding { id, account_id, user_id, role, role_constraints: RoleConstraints::default(), metadata };
        let mut writer = self.store.write().await.unwrap();
        writer.insert_role_binding(&binding).await.unwrap();
        writer.commit().await.unwrap();
    }

    /// A token for a user, made by whoever may: its id and secret.
    pub async fn token_of(&self, user: UserId, name: &str) -> (String, String) {
        let id = TokenId::random(self.service_entropy()).unwrap();
        let token = Token::new(id, user, NewToken::named(ResourceName::parse(name).unwrap()), self.clock.now(), user);
        let secret = tokenward::domain::secret::Secret::generate(self.service_entropy()).unwrap();
        let mut writer = self.store.write().await.unwrap();
        writer.insert_token(&token, secret.digest(), &BTreeSet::new()).await.unwrap();
        writer.commit().await.unwrap();
        (token.id.to_string(), secret.expose().to_owned())
    }

    /// A second account with an owner: its id, the owner and the owner's secret.
    pub async fn another_account(&self) -> (AccountId, UserId, String) {
        let id = AccountId::random(self.service_entropy()).unwrap();
        let metadata = Metadata::new(Labels::default(), self.clock.now(), self.owner);
        let name = ResourceName::parse("other").unwrap();
        let account = tokenward::domain::account::Account {
            id,
            name,
            is_enabled: true,
            enabled_at: None,
            contact: None,
            metadata,
        };
        let mut writer = self.store.write().await.unwrap();
        writer.insert_account(&account).await.unwrap();
        writer.commit().await.unwrap();
        let owner = self.user_in(id, "eve@example.com", Some(Role::Owner), UserState::Active, true).await;
        let (_, secret) = self.token_of(owner, "theirs").await;
        (id, owner, secret)
    }

    fn service_entropy(&self) -> &dyn Entropy {
        self.service.entropy()
    }

    /// Issues a token by way of the API: the answer's body.
    pub async fn issue(&self, user: impl ToString, name: &str) -> Value {
        let body = json!({ "type": "application/astra-token", "version": "1.0", "name": name });
        self.call("POST", self.tokens(user)).json(&body).expect(201).await.json()
    }
}

/// A request in the making.
#[derive(Clone)]
pub struct Call<'a> {
    app: &'a App,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
    from: Option<IpAddr>,
}

impl Call<'_> {
    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.append(name, header::HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    pub fn secret(mut self, secret: &str) -> Self {
        self.headers.insert(header::AUTHORIZATION, format!("Bearer {secret}").parse().unwrap());
        self
    }

    pub fn anonymous(mut self) -> Self {
        self.headers.remove(header::AUTHORIZATION);
        self
    }

    /// From that address. Without one, no budget is spent.
    pub fn from(mut self, address: &str) -> Self {
        self.from = Some(address.parse().unwrap());
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string()).header("content-type", "application/json")
    }

    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        self.body(pairs.join("&")).header("content-type", "application/x-www-form-urlencoded")
    }

    pub async fn send(self) -> Reply {
        let body = self.body.clone().into();
        self.send_with(body).await
    }

    /// Sends; when the beginning of the body has been read, something happens before the rest arrives.
    pub async fn send_around(self, event: impl Future<Output = ()>) -> Reply {
        let (mut writer, reader) = tokio::io::duplex(1);
        let body = self.body.clone();
        let arriving = async move {
            let (beginning, rest) = body.split_at(2);
            // One byte fits in: this ends when the first has been read.
            writer.write_all(beginning).await.unwrap();
            event.await;
            writer.write_all(rest).await.unwrap();
        };
        tokio::join!(Box::pin(self.send_with(poem::Body::from_async_read(reader))), arriving).0
    }

    async fn send_with(self, body: poem::Body) -> Reply {
        let mut shown = format!("{} {}\n", self.method, self.path);
        for (name, value) in &self.headers {
            // A secret belongs into no file, not even one that is made from a seed; and every request here has the same
            // host.
            if name != "host" {
                writeln!(shown, "{name}: {}", without_secrets(&String::from_utf8_lossy(value.as_bytes()))).unwrap();
            }
        }
        if !self.body.is_empty() {
            writeln!(shown, "\n{}", shortened(&without_secrets(&String::from_utf8_lossy(&self.body)))).unwrap();
        }
        let mut request = hyper::Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.parse::<Uri>().unwrap();
        *request.headers_mut() = self.headers;
        let from = self.from.map_or(Addr::custom("test", ""), |address| Addr::SocketAddr((address, 4_711).into()));
        let local = LocalAddr(Addr::custom("test", ""));
        let parts = RequestParts::from((request.into_parts().0, local, RemoteAddr(from), Scheme::HTTP));
        let request = Request::from_parts(parts, body);
        let mut response = self.app.endpoint.get_response(request).await;
        let body = response.take_body().into_vec().await.unwrap();
        self.app.settle().await;
        let reply = Reply { shown, status: response.status(), headers: response.headers().clone(), body };
        conforms(&self.method, &self.path, &reply);
        reply
    }

    /// Sends, and insists on that status.
    pub async fn expect(self, status: u16) -> Reply {
        let shown = format!("{} {}", self.method, self.path);
        let reply = self.send().await;
        assert_eq!(reply.status.as_u16(), status, "{shown}: {}", reply.text());
        reply
    }

    /// Sends, and insists on that problem.
    pub async fn problem(self, number: u16) -> Reply {
        let reply = self.send().await;
        assert_eq!(reply.problem(), Some(number), "{}{} {}", reply.shown, reply.status, reply.text());
        reply
    }
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Puts an ellipsis in the place of each secret.
fn without_secrets(text: &str) -> String {
    let mut parts = text.split("tokward");
    let mut shown = parts.next().unwrap().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        shown += if part.len() - rest.len() > 20 { "…" } else { "tokward" };
        shown += if part.len() - rest.len() > 20 { rest } else { part };
    }
    shown
}

fn shortened(text: &str) -> String {
    if text.len() > 2_000 { format!("{} … and so on, {} bytes", &text[..60], text.len()) } else { text.to_owned() }
}

/// An answer.
pub struct Reply {
    shown: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The number of the problem, if the answer is one.
    pub fn problem(&self) -> Option<u16> {
        if self.header("content-type") != "application/problem+json" {
            return None;
        }
        self.json()["type"].as_str()?.rsplit('/').next()?.parse().ok()
    }

    /// Compares the whole exchange with its snapshot.
    pub fn snapshot(&self, name: &str) {
        let mut text = format!("{}\n{}\n", self.shown, self.status);
        for (name, value) in &self.headers {
            writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
        if !self.body.is_empty() && !self.header("content-type").ends_with("json") {
            writeln!(text, "\n{}", self.text()).unwrap();
        } else if !self.body.is_empty() {
            // Laid out for readers; every token of it is as it was sent.
            let mut pretty = serde_json::Serializer::pretty(vec![]);
            let mut plain = serde_json::Deserializer::from_slice(&self.body);
            serde_transcode::transcode(&mut plain, &mut pretty).unwrap();
            writeln!(text, "\n{}", String::from_utf8(pretty.into_inner()).unwrap()).unwrap();
        }
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_snapshot!(name, text) });
    }
}

/// The document, as JSON.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let document = assembly::document(None).unwrap();
    serde_json::from_str(&assembly::json(&document).unwrap()).unwrap()
});

/// The document in OpenAPI 3.0, as it is committed and served.
pub static DOCUMENT_3_0: LazyLock<String> = LazyLock::new(|| {
    let document = assembly::document(None).unwrap();
    assembly::json(&openapi_3_0::translated(&document).unwrap()).unwrap()
});

/// Validates an instance against a part of the document.
pub fn valid(pointer: &str, instance: &Value) -> Result<(), String> {
    static COMPILED: LazyLock<Mutex<HashMap<String, Arc<jsonschema::Validator>>>> = LazyLock::new(Mutex::default);
    let validator =
        Arc::clone(COMPILED.lock().unwrap().entry(pointer.to_owned()).or_insert_with(|| Arc::new(compiled(pointer))));
    validator.validate(instance).map_err(|error| format!("{error} at {}", error.instance_path()))
}

fn compiled(pointer: &str) -> jsonschema::Validator {
    let part = DOCUMENT.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in the document"));
    let mut schema = part.clone();
    schema["components"] = DOCUMENT["components"].clone();
    jsonschema::draft202012::new(&schema).unwrap()
}

/// The document's path and operation for a request, if it has one.
fn operation(method: &Method, path: &str) -> Option<(String, String)> {
    let path = path.split('?').next().unwrap();
    let method = if *method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    let template = DOCUMENT["paths"].as_object().unwrap().keys().find(|template| {
        let (wanted, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        wanted.len() == given.len()
            && wanted.iter().zip(given).all(|(wanted, given)| wanted.starts_with('{') || *wanted == given)
    })?;
    DOCUMENT["paths"][template].get(&method)?;
    Some((template.clone(), method))
}

/// Holds an answer against what the document declares for its operation.
fn conforms(method: &Method, path: &str, reply: &Reply) {
    let Some((template, method_name)) = operation(method, path) else { return };
    let (status, shown) = (reply.status.as_str(), &reply.shown);
    let declared = &DOCUMENT["paths"][&template][&method_name]["responses"][status];
    assert!(declared.is_object(), "{shown} is answered with {status}, which the document doesn't declare");
    for name in declared["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
        assert!(reply.headers.contains_key(name.as_str()), "{shown} is answered without {name}");
    }
    if *method == Method::HEAD {
        return;
    }
    match declared["content"].as_object() {
        None => assert!(reply.body.is_empty(), "{shown} is answered with a body"),
        Some(content) => {
            let media_type = reply.header("content-type");
            assert!(content.contains_key(media_type), "{shown} is answered as {media_type}");
            let escape = |text: &str| text.replace('~', "~0").replace('/', "~1");
            let pointer = format!(
                "/paths/{}/{method_name}/responses/{status}/content/{}/schema",
                escape(&template),
                escape(media_type)
            );
            let body = if media_type.ends_with("json") { reply.json() } else { reply.text().into() };
            if let Err(error) = valid(&pointer, &body) {
                panic!("{shown} is answered with what the document doesn't allow: {error}");
            }
            if let Some(number) = reply.problem() {
                let example = &content["application/problem+json"]["examples"][format!("problem_{number}")];
                assert!(
                    example.is_object(),
                    "{shown} is answered with problem {number}, which the document doesn't declare"
                );
            }
        }
    }
}
