//! The command line: its commands and options, and what each command does.

mod connections;
mod given;
mod operator;
mod serve;

use std::{fmt, io::Write as _, path::PathBuf, sync::Arc};

use clap::{Args, Parser, Subcommand, ValueEnum};
use zeroize::Zeroizing;

use crate::{
    api::document::{assembly, openapi_3_0},
    config::DatabaseUrl,
    domain::{
        clock::SystemClock,
        entropy::OsEntropy,
        name::{Email, FreeText, ResourceName},
        secret::Secret,
    },
    files,
    service::{
        Error, Service,
        bootstrap::{Bootstrap, Bootstrapped},
    },
    store::{
        Store,
        sizes::{CONNECTIONS, FEWEST},
    },
};
use given::BOOTSTRAP_TOKEN;
use serve::Serve;

pub use given::Given;

/// A self-hosted API-token service that speaks the published Astra Control `core/v1` API.
///
/// Without a command it serves. On an empty database it founds the first account, its owner and a token first, and
/// prints a curl line that retrieves that token.
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
    // Parsed later than the rest: clap quotes values that it refuses, and this may hold a password.
    #[arg(
        long = "database",
        env = "TOKENWARD_DATABASE",
        default_value = "sqlite:tokenward.db",
        hide_env_values = true,
        value_name = "URL"
    )]
    url: String,
    /// The most connections to the database; on PostgreSQL fewer, if it allows no more. Two fifths read, two fifths
    /// write (SQLite: one writes), the rest is for pages of collections.
    #[arg(long = "database-connections", env = "TOKENWARD_DATABASE_CONNECTIONS", default_value_t = CONNECTIONS,
        value_parser = clap::value_parser!(u32).range(i64::from(FEWEST)..=1_000), value_name = "NUMBER")]
    connections: u32,
    /// Only warn of files that other users may read or own: the SQLite database, the key of the TLS certificate, the
    /// first token's secret.
    #[arg(long, env = "TOKENWARD_ALLOW_READABLE_FILES")]
    allow_readable_files: bool,
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

    /// Opens the database, if other users can't access its files.
    async fn open(&self, url: &DatabaseUrl) -> Result<Service, Failure> {
        self.insist(files::check_database(url))?;
        let store = Store::open_with(url, self.connections)
            .await
            .map_err(|error| fail(format!("the database {url} {error}")))?;
        Ok(Service::new(store, Arc::new(SystemClock), Arc::new(OsEntropy)).await?)
    }

    /// Fails if a file is accessible to others; only logs a warning if that is allowed.
    fn insist(&self, checked: Result<(), String>) -> Result<(), Failure> {
        files::insist(checked, self.allow_readable_files).map_err(fail)
    }
}

/// What the first things shall be called, on an empty database.
#[derive(Debug, Args)]
#[command(next_help_heading = "On an empty database")]
struct First {
    /// The first account's name.
    #[arg(long, env = "TOKENWARD_ACCOUNT_NAME", default_value = "main", value_parser = ResourceName::parse,
        value_name = "NAME")]
    account_name: ResourceName,
    /// Its owner's email address.
    #[arg(long, env = "TOKENWARD_EMAIL", default_value = "owner@example.com", value_parser = Email::parse,
        value_name = "EMAIL")]
    email: Email,
    /// Its owner's first name.
    #[arg(long, env = "TOKENWARD_FIRST_NAME", default_value = "", value_parser = FreeText::parse, value_name = "NAME")]
    first_name: FreeText,
    /// Its owner's last name.
    #[arg(long, env = "TOKENWARD_LAST_NAME", default_value = "", value_parser = FreeText::parse, value_name = "NAME")]
    last_name: FreeText,
    /// The first token's name.
    #[arg(long, env = "TOKENWARD_TOKEN_NAME", default_value = "bootstrap", value_parser = ResourceName::parse,
        value_name = "NAME")]
    token_name: ResourceName,
    /// A file that holds the first token's secret, as `tokenward secret` makes it; or a pipe, such as `/dev/stdin`,
    /// that brings it within 5 seconds. `TOKENWARD_BOOTSTRAP_TOKEN` may hold it instead. Without either, one is made
    /// and shown.
    #[arg(long, env = "TOKENWARD_BOOTSTRAP_TOKEN_FILE", value_name = "FILE")]
    bootstrap_token_file: Option<PathBuf>,
    #[arg(skip)]
    given: Given,
}

#[derive(Debug, Args)]
struct Init {
    #[command(flatten)]
    database: Database,
    /// How the result is printed.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    format: OutputFormat,
    #[command(flatten)]
    bootstrap: First,
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
    /// Parses the command line. `given` is the first token's secret, if it was in the environment.
    #[must_use]
    pub fn read(given: Given) -> Self {
        let mut cli = Self::parse();
        match &mut cli.command {
            None => cli.serve.bootstrap.given = given,
            Some(Command::Serve(serve)) => serve.bootstrap.given = given,
            Some(Command::Init(init)) => init.bootstrap.given = given,
            Some(_) => {}
        }
        cli
    }

    /// Runs the command.
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
                let secret =
                    Secret::generate(&OsEntropy).map_err(|error| fail(format!("no randomness can be had: {error}")))?;
                print(secret.expose())
            }
        }
    }
}

impl Init {
    async fn run(self) -> Result<(), Failure> {
        let database = self.database.read()?;
        let service = self.database.open(&database).await?;
        let bootstrapped = if service.is_bootstrapped().await? {
            None
        } else {
            service.bootstrap(self.bootstrap.read(&self.database)?).await?
        };
        service.close().await;
        let Some(Bootstrapped { account_id, user_id, token_id, secret }) = bootstrapped else {
            return Err(fail(format!("the database {database} has an account already; nothing was changed")));
        };
        let secret = secret.expose();
        print(&Zeroizing::new(match self.format {
            OutputFormat::Text => {
                format!("account {account_id}\nuser    {user_id}\ntoken   {token_id}\nsecret  {secret}")
            }
            OutputFormat::Json => serde_json::json!({
                "accountID": account_id.to_string(),
                "userID": user_id.to_string(),
                "tokenID": token_id.to_string(),
                "token": secret,
            })
            .to_string(),
        }))
    }
}

impl Openapi {
    fn run(&self) -> Result<(), Failure> {
        let made = assembly::document(None).and_then(|document| match self.openapi_version {
            OpenapiVersion::V3_0 => self.format.written(&openapi_3_0::translated(&document)?),
            OpenapiVersion::V3_1 => self.format.written(&document),
        });
        print(made.map_err(|error| fail(error.to_string()))?.trim_end())
    }
}

impl DocumentFormat {
    fn written(self, document: &impl serde::Serialize) -> Result<String, assembly::DocumentError> {
        match self {
            Self::Json => assembly::json(document),
            Self::Yaml => assembly::yaml(document),
        }
    }
}

impl First {
    /// The shell expression that yields the given secret, if one is given.
    fn secret_from(&self) -> Option<String> {
        match &self.bootstrap_token_file {
            Some(path) => Some(format!("$(cat '{}')", path.display())),
            None => self.given.0.as_ref().map(|_| format!("${BOOTSTRAP_TOKEN}")),
        }
    }

    fn read(self, database: &Database) -> Result<Bootstrap, Failure> {
        if let Some(path) = &self.bootstrap_token_file {
            database.insist(files::check_secret(path, "bootstrap token"))?;
        }
        let text = match &self.bootstrap_token_file {
            Some(path) => Some(files::read_secret(path, "bootstrap token").map_err(fail)?),
            None => self.given.0,
        };
        let secret = text.map(|text| Secret::parse(text.trim())).transpose();
        Ok(Bootstrap {
            account_name: self.account_name,
            email: self.email,
            first_name: self.first_name,
            last_name: self.last_name,
            token_name: self.token_name,
            secret: secret.map_err(|refused| fail(format!("the bootstrap token {refused}")))?,
        })
    }
}

/// Prints to standard output. A reader that has closed the pipe isn't an error.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(fail(format!("can't print: {error}"))),
        _ => Ok(()),
    }
}
