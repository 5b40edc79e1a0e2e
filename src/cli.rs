//! The command line: what can be said on it, and what each command does.

mod operator;

use std::{
    fmt,
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use poem::http::HeaderName;
use tokio::net::TcpListener;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    api::{self, Settings, document, metrics::Metrics, openapi_3_0},
    config::{DatabaseUrl, PublicUrl, TrustedProxy},
    domain::{
        clock::SystemClock,
        entropy::OsEntropy,
        name::{Email, FreeText, ResourceName},
        secret::Secret,
    },
    server,
    service::{
        Error, Service,
        bootstrap::{Founded, Founding},
    },
    store::Store,
    tls::{Files, Tls},
};

/// A self-hosted API-token service that speaks the published Astra Control `core/v1` API.
///
/// Without a command it serves. On an empty database it founds the first account, its owner and a token first, and prints a curl line
/// that retrieves that token.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API (the default).
    Serve(Box<Serve>),
    /// Found the first account, its owner and a token, and print them. Refuses a database that has an account.
    Init(Init),
    Token(operator::TokenCommand),
    User(operator::UserCommand),
    /// Print the OpenAPI document. Needs no database.
    Openapi(Openapi),
    /// Print a fresh secret, for `TOKENWARD_BOOTSTRAP_TOKEN`. Needs no database.
    Secret,
}

#[derive(Args)]
struct Database {
    /// Where the data lies: `sqlite:PATH`, made if need be, or `postgres://USER:PASSWORD@HOST/NAME`.
    // Read later than the rest: clap repeats what it refuses, and this may hold a password.
    #[arg(
        long = "database",
        env = "TOKENWARD_DATABASE",
        default_value = "sqlite:tokenward.db",
        hide_env_values = true,
        value_name = "URL"
    )]
    url: String,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Database {
    fn read(&self) -> Result<DatabaseUrl, Failure> {
        self.url.parse().map_err(|reason: String| fail(format!("--database is malformed: {reason}")))
    }
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    database: Database,
    /// Show what it is like: in memory, with what the document's examples speak of. Nothing is kept.
    #[arg(long, env = "TOKENWARD_DEMO", conflicts_with_all = ["url", "First"])]
    demo: bool,
    /// The address and port to listen on.
    #[arg(long, env = "TOKENWARD_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The address and port to serve `/metrics` on, for Prometheus. Without it nothing is counted.
    #[arg(long, env = "TOKENWARD_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
    /// Under which URL clients reach the server; needed behind a proxy. Without it, what each request says of it counts.
    #[arg(long, env = "TOKENWARD_PUBLIC_URL", value_name = "URL")]
    public_url: Option<PublicUrl>,
    /// A certificate chain in PEM: serve HTTPS. It is read again on SIGHUP and when the file changes.
    #[arg(long, env = "TOKENWARD_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM.
    #[arg(long, env = "TOKENWARD_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// How many connections are served at a time; more wait. Each takes a file descriptor: keep below `ulimit -n`, with some to spare.
    #[arg(long, env = "TOKENWARD_MAX_CONNECTIONS", default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "NUMBER")]
    max_connections: u32,
    /// How many days events are kept.
    #[arg(long, env = "TOKENWARD_EVENT_RETENTION", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=36_500), value_name = "DAYS")]
    event_retention: u32,
    /// The most items that a page of a collection holds.
    #[arg(long, env = "TOKENWARD_PAGE_CAP", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000), value_name = "NUMBER")]
    page_cap: u64,
    /// How many refused tokens, and reports of leaks, each client address has a minute until it is told to wait. 0 for no bound. Good
    /// tokens are accepted all the same.
    #[arg(long, env = "TOKENWARD_FAILURE_BUDGET", default_value_t = 20, value_name = "NUMBER")]
    failure_budget: u32,
    /// A proxy, or a network of them, whose `X-Forwarded-For` is believed. May be given several times, or separated by commas.
    #[arg(long = "trusted-proxy", env = "TOKENWARD_TRUSTED_PROXY", value_delimiter = ',', value_name = "NETWORK")]
    trusted_proxies: Vec<TrustedProxy>,
    /// A header in which proxies may be sent a secret instead of `Authorization`, such as `X-API-Key`; for `/verify`.
    #[arg(long, env = "TOKENWARD_CREDENTIAL_HEADER", value_name = "HEADER")]
    credential_header: Option<HeaderName>,
    /// How log lines are written, to standard error.
    #[arg(long, env = "TOKENWARD_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
    /// What is logged: off, error, warn, info or debug.
    #[arg(long, env = "TOKENWARD_LOG", default_value = "info", value_name = "LEVEL")]
    log: LevelFilter,
    #[command(flatten)]
    founding: First,
}

/// What the first things shall be called, on an empty database.
#[derive(Debug, Args)]
#[command(next_help_heading = "On an empty database")]
struct First {
    /// The first account's name.
    #[arg(long, env = "TOKENWARD_ACCOUNT_NAME", default_value = "main", value_parser = ResourceName::parse, value_name = "NAME")]
    account_name: ResourceName,
    /// Its owner's email address.
    #[arg(long, env = "TOKENWARD_EMAIL", default_value = "owner@example.com", value_parser = Email::parse, value_name = "EMAIL")]
    email: Email,
    /// Its owner's first name.
    #[arg(long, env = "TOKENWARD_FIRST_NAME", default_value = "", value_parser = FreeText::parse, value_name = "NAME")]
    first_name: FreeText,
    /// Its owner's last name.
    #[arg(long, env = "TOKENWARD_LAST_NAME", default_value = "", value_parser = FreeText::parse, value_name = "NAME")]
    last_name: FreeText,
    /// The first token's name.
    #[arg(long, env = "TOKENWARD_TOKEN_NAME", default_value = "bootstrap", value_parser = ResourceName::parse, value_name = "NAME")]
    token_name: ResourceName,
    /// A file that holds the first token's secret, as `tokenward secret` makes it. `TOKENWARD_BOOTSTRAP_TOKEN` may hold it instead.
    /// Without either, one is made and shown.
    #[arg(long, env = "TOKENWARD_BOOTSTRAP_TOKEN_FILE", value_name = "FILE")]
    bootstrap_token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Init {
    #[command(flatten)]
    database: Database,
    /// How the result is printed.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    format: OutputFormat,
    #[command(flatten)]
    founding: First,
}

#[derive(Debug, Args)]
struct Openapi {
    /// The notation.
    #[arg(long, default_value = "json", value_name = "FORMAT")]
    format: DocumentFormat,
    /// The version of OpenAPI: 3.0 is for generators that read nothing newer.
    #[arg(long, default_value = "3.1", value_name = "VERSION")]
    openapi_version: OpenapiVersion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DocumentFormat {
    Json,
    Yaml,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OpenapiVersion {
    #[value(name = "3.0")]
    V3_0,
    #[value(name = "3.1")]
    V3_1,
}

/// The variable that may hold the first token's secret. Not an option of the command line, where other users of the machine would see it.
const BOOTSTRAP_TOKEN: &str = "TOKENWARD_BOOTSTRAP_TOKEN";

/// Why a command failed: one sentence for the operator.
#[derive(Debug)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fail(sentence: impl Into<String>) -> Failure {
    Failure(sentence.into())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(cause) | Error::Internal(cause) => fail(cause.for_log()),
            other => fail(format!("{other:?}")),
        }
    }
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// One sentence that says why it can't be done.
    pub async fn run(self) -> Result<(), Failure> {
        match self.command.unwrap_or_else(|| Command::Serve(Box::new(self.serve))) {
            Command::Serve(serve) => serve.run().await,
            Command::Init(init) => init.run().await,
            Command::Token(token) => token.run().await,
            Command::User(user) => user.run().await,
            Command::Openapi(openapi) => openapi.run(),
            Command::Secret => {
                let secret = Secret::generate(&OsEntropy).map_err(|error| fail(format!("no randomness can be had: {error}")))?;
                print(secret.expose())
            }
        }
    }
}

impl Serve {
    async fn run(self) -> Result<(), Failure> {
        log_to_stderr(self.log_format, self.log);
        let database = if self.demo { DatabaseUrl::Memory } else { self.database.read()? };
        let files = self.tls_cert.clone().zip(self.tls_key.clone()).map(|(certificate, key)| Files { certificate, key });
        let tls = files.map(Tls::load).transpose().map_err(fail)?.map(Arc::new);
        let service = open(&database).await?;
        // Read only where it's needed: a secret that was given once need not stay around.
        let secret_from = self.founding.secret_from();
        let founding = if self.demo || service.is_founded().await? { None } else { Some(self.founding.read()?) };
        let (listener, local) = listen(self.listen).await?;
        let metrics = match self.metrics_listen {
            Some(address) => Some((listen(address).await?, Metrics::of(service.clone()))),
            None => None,
        };
        let stop = stop_signal()?;
        let founded = match founding {
            Some(founding) => service.bootstrap(founding).await?,
            None if self.demo => Some(service.seed_demo().await?),
            None => None,
        };

        let scheme = if tls.is_some() { "https" } else { "http" };
        let base = self.public_url.as_ref().map_or_else(|| format!("{scheme}://{local}"), |url| url.as_str().to_owned());
        let settings = Settings {
            page_cap: self.page_cap,
            public_url: self.public_url,
            failure_budget: self.failure_budget,
            trusted_proxies: self.trusted_proxies,
            credential_header: self.credential_header,
            demo: self.demo,
            metrics: metrics.as_ref().map(|(_, metrics)| metrics.clone()),
        };
        let endpoint = api::endpoint(service.clone(), settings).map_err(|error| fail(error.to_string()))?;
        print(&format!("tokenward listens on {base}"))?;
        if let Some(((listener, local), metrics)) = metrics {
            print(&format!("Metrics: http://{local}/metrics"))?;
            // It is cut off with the process: nobody waits for the end of it.
            tokio::spawn(server::serve(
                listener,
                server::Options { tls: None, max_connections: 64 },
                metrics.endpoint(),
                std::future::pending(),
            ));
        }
        print(&format!("Swagger UI: {base}/swagger-ui/"))?;
        if let Some(founded) = founded {
            print(&if self.demo { founded.invitation(&base) } else { founded.greeting(&base, secret_from.as_deref()) })?;
        }
        tracing::info!(%database, listen = %local, "ready");
        if let Some(tls) = tls.clone() {
            tokio::spawn(async move { tls.watch().await });
        }
        // The demonstration's are as old as the document's examples.
        if !self.demo {
            tokio::spawn(forget_old_events(service.clone(), self.event_retention));
        }
        let options = server::Options { tls, max_connections: usize::try_from(self.max_connections).unwrap_or(usize::MAX) };
        server::serve(listener, options, endpoint, stop).await.map_err(|error| fail(format!("can't serve: {error}")))?;
        // A request that outlived its grace holds its connection; what was acknowledged is safe without this.
        let _ = tokio::time::timeout(Duration::from_secs(1), service.close()).await;
        tracing::info!("stopped");
        Ok(())
    }
}

impl Init {
    async fn run(self) -> Result<(), Failure> {
        let database = self.database.read()?;
        let service = open(&database).await?;
        let founded = if service.is_founded().await? { None } else { service.bootstrap(self.founding.read()?).await? };
        service.close().await;
        let Some(Founded { account_id, user_id, token_id, secret }) = founded else {
            return Err(fail(format!("the database {database} has an account already; nothing was changed")));
        };
        let secret = secret.expose();
        print(&match self.format {
            OutputFormat::Text => format!("account {account_id}\nuser    {user_id}\ntoken   {token_id}\nsecret  {secret}"),
            OutputFormat::Json => serde_json::json!({
                "accountID": account_id.to_string(),
                "userID": user_id.to_string(),
                "tokenID": token_id.to_string(),
                "token": secret,
            })
            .to_string(),
        })
    }
}

impl Openapi {
    fn run(&self) -> Result<(), Failure> {
        let made = document::document(None).and_then(|document| match self.openapi_version {
            OpenapiVersion::V3_0 => self.format.written(&openapi_3_0::translated(&document)?),
            OpenapiVersion::V3_1 => self.format.written(&document),
        });
        print(made.map_err(|error| fail(error.to_string()))?.trim_end())
    }
}

impl DocumentFormat {
    fn written(self, document: &impl serde::Serialize) -> Result<String, document::DocumentError> {
        match self {
            Self::Json => document::json(document),
            Self::Yaml => document::yaml(document),
        }
    }
}

impl First {
    /// What a shell makes the given secret of, if one is given.
    fn secret_from(&self) -> Option<String> {
        match &self.bootstrap_token_file {
            Some(path) => Some(format!("$(cat '{}')", path.display())),
            None => std::env::var_os(BOOTSTRAP_TOKEN).filter(|text| !text.is_empty()).map(|_| format!("${BOOTSTRAP_TOKEN}")),
        }
    }

    fn read(self) -> Result<Founding, Failure> {
        let text = match &self.bootstrap_token_file {
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .map_err(|error| fail(format!("the bootstrap token's file {} can't be read: {error}", path.display())))?,
            ),
            None => std::env::var(BOOTSTRAP_TOKEN).ok().filter(|text| !text.is_empty()),
        };
        let secret = text.map(|text| Secret::parse(text.trim())).transpose();
        Ok(Founding {
            account_name: self.account_name,
            email: self.email,
            first_name: self.first_name,
            last_name: self.last_name,
            token_name: self.token_name,
            secret: secret.map_err(|refused| fail(format!("the bootstrap token {refused}")))?,
        })
    }
}

impl Founded {
    /// What a first start says. A secret that the operator has brought isn't repeated; the line says where the shell finds it.
    fn greeting(&self, base: &str, given: Option<&str>) -> String {
        let told = if given.is_some() {
            "The first token's secret is the one that you have given. To retrieve the token:"
        } else {
            "The first token's secret is in the line below, and is never shown again. To retrieve the token:"
        };
        format!("\n{told}\n\n{}\n", self.curl(base, given.unwrap_or_else(|| self.secret.expose())))
    }

    /// What a demonstration says.
    fn invitation(&self, base: &str) -> String {
        let secret = self.secret.expose();
        format!(
            "\nTHIS IS A DEMONSTRATION. It lives in memory: when it ends, everything in it is gone.\n\n\
             Its token, an owner's:\n\n{secret}\n\nSwagger UI, signed in with it:\n\n{base}/swagger-ui/#token={secret}\n\n{}\n",
            self.curl(base, secret)
        )
    }

    fn curl(&self, base: &str, secret: &str) -> String {
        let path = format!("accounts/{}/core/v1/users/{}/tokens/{}", self.account_id, self.user_id, self.token_id);
        format!("curl -H \"Authorization: Bearer {secret}\" {base}/{path}")
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let cannot = |error| fail(format!("can't listen on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let local = listener.local_addr().map_err(cannot)?;
    Ok((listener, local))
}

async fn open(url: &DatabaseUrl) -> Result<Service, Failure> {
    let store = Store::open(url).await.map_err(|error| fail(format!("the database {url} {error}")))?;
    Ok(Service::new(store, Arc::new(SystemClock), Arc::new(OsEntropy)).await?)
}

/// Once an hour, forgets the events that have been kept long enough. Never returns.
async fn forget_old_events(service: Service, days: u32) {
    let mut hours = tokio::time::interval(Duration::from_hours(1));
    loop {
        hours.tick().await;
        match service.prune_events(Duration::from_hours(24 * u64::from(days))).await {
            Ok(0) => {}
            Ok(events) => tracing::info!(events, "old events were forgotten"),
            Err(error) => tracing::warn!(?error, "old events couldn't be forgotten"),
        }
    }
}

/// Prints to standard output. A reader that went away is no reason to stop serving.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(fail(format!("can't print: {error}"))),
        _ => Ok(()),
    }
}

/// Libraries tell of warnings only: what they trace may hold a request's head, and with it a secret.
fn log_to_stderr(format: LogFormat, level: LevelFilter) {
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target(env!("CARGO_CRATE_NAME"), level);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(layer.with_ansi(std::io::stderr().is_terminal()).with_target(false)).init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true).with_current_span(false).with_span_list(false)).init(),
    }
}

/// Resolves when the process is asked to end.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| fail(format!("can't listen for signals: {error}")));
        // From here on a hangup ends nothing, be there a certificate to read again or not.
        let _ = listen(SignalKind::hangup())?;
        let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
