//! The program `seckill-load`, in the library so that its asynchronous code is
//! compiled once.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use crate::command::Load;

#[derive(Debug, Parser)]
#[command(name = "seckill-load", about, version)]
struct Cli {
    #[command(subcommand)]
    command: Load,
}

/// Carries the command line out; a failure is reported on standard error.
#[must_use]
#[tokio::main(flavor = "current_thread")]
pub async fn run() -> ExitCode {
    match Cli::parse().command.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to read it if this fails.
            let _ = writeln!(std::io::stderr(), "seckill-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
