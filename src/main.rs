//! Parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    match tokenward::cli::Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tokenward::log::last_words(format!("tokenward: {failure}"));
            ExitCode::FAILURE
        }
    }
}
