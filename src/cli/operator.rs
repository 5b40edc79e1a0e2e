//! Operators' commands, which work on the database directly: for operators who have lost their access to the API.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Database, Failure, OutputFormat, fail, print};
use crate::{
    config::DatabaseUrl,
    domain::{
        id::{AccountId, TokenId},
        name::{Email, ResourceName},
    },
    service::{Error, Service},
};

/// Issue, list and revoke tokens on the database itself. On `SQLite` the server has to be stopped.
#[derive(Debug, Args)]
pub(super) struct TokenCommand {
    #[command(subcommand)]
    command: TokenCommands,
}

#[derive(Debug, Subcommand)]
enum TokenCommands {
    /// Issue a token to a user, and print its secret.
    Issue {
        #[command(flatten)]
        database: Database,
        /// The user's email.
        #[arg(long, value_parser = Email::parse, value_name = "EMAIL")]
        user: Email,
        /// The user's account, where several have a user of that email.
        #[arg(long, value_name = "ID")]
        account: Option<AccountId>,
        /// What to call the token.
        #[arg(long, default_value = "operator", value_parser = ResourceName::parse, value_name = "NAME")]
        name: ResourceName,
        /// How the result is printed.
        #[arg(long, default_value = "text", value_name = "FORMAT")]
        format: OutputFormat,
    },
    /// List tokens: all of them, or a user's. Never their secrets, which nobody knows.
    List {
        #[command(flatten)]
        database: Database,
        /// The user's email.
        #[arg(long, value_parser = Email::parse, value_name = "EMAIL")]
        user: Option<Email>,
        /// The user's account, where several have a user of that email.
        #[arg(long, requires = "user", value_name = "ID")]
        account: Option<AccountId>,
        /// How the result is printed.
        #[arg(long, default_value = "text", value_name = "FORMAT")]
        format: OutputFormat,
    },
    /// Revoke a token: its secret is refused from then on.
    Revoke {
        #[command(flatten)]
        database: Database,
        /// The token's id.
        #[arg(value_name = "ID")]
        token: TokenId,
    },
}

/// List users on the database itself. On `SQLite` the server has to be stopped.
#[derive(Debug, Args)]
pub(super) struct UserCommand {
    #[command(subcommand)]
    command: UserCommands,
}

#[derive(Debug, Subcommand)]
enum UserCommands {
    /// List the users of all accounts.
    List {
        #[command(flatten)]
        database: Database,
        /// How the result is printed.
        #[arg(long, default_value = "text", value_name = "FORMAT")]
        format: OutputFormat,
    },
}

impl TokenCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.command {
            TokenCommands::Issue { database, user: email, account, name, format } => {
                let service = existing(&database).await?;
                let issued = service.operator_issue_token(&email, account, name).await;
                service.close().await;
                let (user, token, secret) = issued.map_err(|error| explain(error, "user"))?;
                print(&match format {
                    OutputFormat::Text => {
                        format!(
                            "account {}\nuser    {}\ntoken   {}\nsecret  {}",
                            user.account_id,
                            user.id,
                            token.id,
                            secret.expose()
                        )
                    }
                    OutputFormat::Json => json!({
                        "accountID": user.account_id.to_string(),
                        "userID": user.id.to_string(),
                        "tokenID": token.id.to_string(),
                        "token": secret.expose(),
                    })
                    .to_string(),
                })
            }
            TokenCommands::List { database, user, account, format } => {
                let service = existing(&database).await?;
                let listed = service.operator_list_tokens(user.as_ref(), account).await;
                service.close().await;
                let rows = listed.map_err(|error| explain(error, "user"))?.into_iter().map(|(user, token)| {
                    [
                        ("tokenID", token.id.to_string()),
                        ("userID", user.id.to_string()),
                        ("email", user.email.to_string()),
                        ("created", token.metadata.created_at.to_string()),
                        ("name", token.name.to_string()),
                    ]
                });
                print_rows(format, rows)
            }
            TokenCommands::Revoke { database, token } => {
                let service = existing(&database).await?;
                let revoked = service.operator_revoke_token(token).await;
                service.close().await;
                revoked.map_err(|error| explain(error, "token"))?;
                print(&format!("revoked {token}"))
            }
        }
    }
}

impl UserCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let UserCommands::List { database, format } = self.command;
        let service = existing(&database).await?;
        let listed = service.operator_list_users().await;
        service.close().await;
        let rows = listed?.into_iter().map(|user| {
            [
                ("userID", user.id.to_string()),
                ("accountID", user.account_id.to_string()),
                ("state", user.state.to_string()),
                ("isEnabled", user.is_enabled.to_string()),
                ("email", user.email.to_string()),
            ]
        });
        print_rows(format, rows)
    }
}

/// Opens a database that must exist: creating an empty one would only hide a typing error in its path.
async fn existing(database: &Database) -> Result<Service, Failure> {
    let url = database.read()?;
    if let DatabaseUrl::Sqlite(path) = &url
        && !path.exists()
    {
        return Err(fail(format!("the database {url} isn't there")));
    }
    database.open(&url).await
}

fn explain(error: Error, what: &str) -> Failure {
    match error {
        Error::NotFound => fail(format!("there is no such {what}; nothing was changed")),
        Error::Invalid(faults) => fail(
            faults.iter().map(|fault| format!("the {} {}", fault.name, fault.reason)).collect::<Vec<_>>().join("; "),
        ),
        other => other.into(),
    }
}

/// Prints a line for each row, its cells separated by two spaces; or a JSON list of objects.
fn print_rows<const N: usize>(
    format: OutputFormat,
    rows: impl Iterator<Item = [(&'static str, String); N]>,
) -> Result<(), Failure> {
    match format {
        OutputFormat::Text => {
            for row in rows {
                print(&row.map(|(_, cell)| cell).join("  "))?;
            }
            Ok(())
        }
        OutputFormat::Json => {
            let rows = rows.map(|row| row.into_iter().map(|(name, cell)| (name.to_owned(), cell.into())).collect());
            print(&serde_json::Value::Array(rows.map(serde_json::Value::Object).collect()).to_string())
        }
    }
}
