//! `seckill-load`: shoppers by the thousand, from the command line. `seckill load`
//! is the same.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use seckill_load::command::Load;

#[derive(Debug, Parser)]
#[command(about, version)]
struct Cli {
    #[command(subcommand)]
    command: Load,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Cli::parse().command.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(std::io::stderr(), "seckill-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
