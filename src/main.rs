//! The program's entry point: parses the command line, runs the command and returns the exit code.

use std::process::ExitCode;

use tokenward::cli::{Cli, Given};

fn main() -> ExitCode {
    // Before any thread is started, because it may re-execute the program.
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
