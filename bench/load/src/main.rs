//! `seckill-load`: shoppers by the thousand, from the command line.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use seckill_load::race::{self, Options};

#[derive(Debug, Parser)]
#[command(about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Races buyers for one product and prints a JSON summary; exits with 1 if a
    /// buyer lived through what must not happen
    Race(RaceArgs),
}

#[derive(Debug, Args)]
struct RaceArgs {
    /// Address of the edge
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    base: String,
    /// Round id
    #[arg(long)]
    round: String,
    /// Product id
    #[arg(long)]
    product: String,
    /// How many buyers
    #[arg(long, default_value_t = 1000)]
    buyers: usize,
    /// What the buyers' names begin with
    #[arg(long, default_value = "buyer")]
    prefix: String,
    /// Clicks of each buyer at once, each with a request id of its own
    #[arg(long, default_value_t = 1)]
    clicks_per_buyer: usize,
    /// Connections, and so requests under way at once
    #[arg(long, default_value_t = 256)]
    concurrency: usize,
    /// Ask again after "busy", "unavailable", lost connections and purchases that
    /// a dying back end forgot
    #[arg(long)]
    retry_busy: bool,
    /// Keep clicking after "sold out" until nobody was told anything else for
    /// this many seconds
    #[arg(long, value_name = "SECONDS")]
    until_sold_out: Option<u64>,
    /// Longest time for the race after the opening, in seconds
    #[arg(long, default_value_t = 120)]
    limit: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Command::Race(args) = Cli::parse().command;
    match race(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(std::io::stderr(), "seckill-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn race(args: RaceArgs) -> anyhow::Result<()> {
    let authority = args
        .base
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'))
        .filter(|rest| rest.contains(':') && !rest.contains('/'))
        .with_context(|| format!("--base {} must look like http://127.0.0.1:8080", args.base))?
        .to_owned();
    let options = Options {
        round: args.round,
        product: args.product,
        buyers: args.buyers,
        prefix: args.prefix,
        clicks_per_buyer: args.clicks_per_buyer,
        retry_busy: args.retry_busy,
        until_sold_out: args.until_sold_out.map(Duration::from_secs),
        limit: Duration::from_secs(args.limit),
    };
    let report = race::run(&authority, args.concurrency, options).await?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    anyhow::ensure!(
        report.breaches.is_empty(),
        "{} breaches",
        report.breaches.len()
    );
    Ok(())
}
