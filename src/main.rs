//! Parse, run, exit code.

use std::process::ExitCode;

use tokenward::cli::{Cli, Given};

fn main() -> ExitCode {
    // Before there are threads: it may start the program anew.
    run(Given::take())
}

#[tokio::main]
async fn run(given: Given) -> ExitCode {
    match Cli::read(given).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tokenward::log::last_words(format!("tokenward: {failure}"));
            ExitCode::FAILURE
        }
    }
}
