//! The command line, for this program and for `seckill load`.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};
use seckill_core::signing::keyring::Keyring;

use crate::client::authority;
use crate::decide::{self, Plan};
use crate::lines;
use crate::pace::{self, Click};
use crate::race::{self, Options};
use crate::shop::command::ShopArgs;
use crate::steady;
use crate::stock;
use crate::stock::strategies::Strategy;
use crate::stock::summary::Summary;

/// What a load generator can do.
#[derive(Debug, Subcommand)]
pub enum Load {
    /// Let shoppers who behave like people, and bots among them, shop for one
    /// product, and write a report as JSON and as HTML with plots
    Shop(ShopArgs),
    /// Race buyers for one product and print a JSON summary; exits with 1 if
    /// something happened that must not
    Race(RaceArgs),
    /// Send clicks that were signed beforehand at a steady rate, whatever the
    /// responses are, and print their codes as JSON
    Pace(PaceArgs),
    /// Let buyers come at a steady rate until a file exists: each opens the page, logs
    /// in, buys, and pays, cancels or lets the time pass; prints every response by step
    /// and code as JSON
    Steady(SteadyArgs),
    /// Let buyers pay or cancel their orders and print the states of these afterwards
    Decide(DecideArgs),
    /// Sell by the stock script and by the strategies that were rejected; prints a
    /// table to standard error and result rows, separated by tabs, to standard output
    Stock(StockArgs),
    /// Measure how many lines of access logs one core reads and judges; prints JSON
    Lines {
        /// How many lines
        #[arg(default_value_t = 1_000_000)]
        lines: usize,
    },
}

impl Load {
    /// Runs the command.
    ///
    /// # Errors
    /// It could not begin, or something happened that must never happen.
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Load::Shop(args) => args.run().await,
            Load::Race(args) => race(args).await,
            Load::Pace(args) => pace(args).await,
            Load::Stock(args) => stock(args).await,
            Load::Decide(args) => decide(args).await,
            Load::Steady(args) => steady(args).await,
            Load::Lines { lines } => print(&lines::measure(lines)),
        }
    }
}

/// Options of this command.
#[derive(Debug, Args)]
pub struct StockArgs {
    /// A Redis for this bench alone, whose keys of item 1::153 are removed
    #[arg(long)]
    redis: String,
    /// Buyers at once, each on a connection of their own
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(..=65_536))]
    clients: u64,
    /// How long each strategy is measured in a round, in seconds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(..=86_400))]
    seconds: u64,
    /// Rounds; the median counts
    #[arg(long, default_value_t = 5, value_parser = RangedU64ValueParser::<usize>::new().range(..=1_000))]
    rounds: usize,
    /// Where to draw the plot
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Options of this command.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// Address of the edge
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    base: String,
    /// Round id
    #[arg(long)]
    round: String,
    /// File of the buyers' names, one a line
    #[arg(long, value_name = "FILE")]
    users: PathBuf,
    /// What they do: both (at the same instant) or thirds
    #[arg(long, value_enum)]
    plan: Plan,
    /// Connections, and so requests under way at once
    #[arg(long, default_value_t = 64, value_parser = RangedU64ValueParser::<usize>::new().range(..=1_000_000))]
    concurrency: usize,
    /// How long to retry while the shop is unavailable, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=86_400))]
    limit: u64,
}

/// Options of this command.
#[derive(Debug, Args)]
pub struct SteadyArgs {
    /// Address of the edge
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    base: String,
    /// Round id
    #[arg(long)]
    round: String,
    /// Product ids, separated by commas, which the buyers want in turn
    #[arg(long, value_delimiter = ',', required = true)]
    products: Vec<String>,
    /// Buyers a second
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// What the buyers' names begin with
    #[arg(long, default_value = "steady")]
    prefix: String,
    /// Once this file exists, nobody comes any more
    #[arg(long, value_name = "FILE")]
    until: PathBuf,
}

/// Options of this command.
#[derive(Debug, Args)]
pub struct PaceArgs {
    /// File of clicks: path, tab, session on each line
    #[arg(long)]
    clicks: PathBuf,
    /// Clicks a second
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    rate: u64,
    /// For how many seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=86_400))]
    seconds: u64,
    /// Connections to each edge
    #[arg(long, default_value_t = 64, value_parser = RangedU64ValueParser::<usize>::new().range(..=1_000_000))]
    connections: usize,
    /// Addresses of the edges, host:port; one that goes away is left out
    #[arg(required = true)]
    edges: Vec<String>,
}

/// Options of this command.
#[derive(Debug, Args)]
pub struct RaceArgs {
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
    #[arg(long, default_value_t = 1000, value_parser = RangedU64ValueParser::<usize>::new().range(..=10_000_000))]
    buyers: usize,
    /// What the buyers' names begin with
    #[arg(long, default_value = "buyer")]
    prefix: String,
    /// Let so many buyers a second begin to click, instead of all at the opening
    #[arg(long, value_name = "BUYERS")]
    rate: Option<u32>,
    /// Clicks of each buyer at once, each with a request id of its own
    #[arg(long, default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(..=1_000))]
    clicks_per_buyer: usize,
    /// Connections, and so requests under way at once
    #[arg(long, default_value_t = 256, value_parser = RangedU64ValueParser::<usize>::new().range(..=1_000_000))]
    concurrency: usize,
    /// Retry after "busy", "unavailable", lost connections and purchases that a dying
    /// back end forgot
    #[arg(long)]
    retry_busy: bool,
    /// Keep clicking after "sold out" until every response was "sold out" for this
    /// many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=86_400))]
    until_sold_out: Option<u64>,
    /// Longest time for the race after the opening, in seconds
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(..=86_400))]
    limit: u64,
    /// The system's key ring: sign a captcha pass for every click, where the shop wants
    /// one
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

async fn pace(args: PaceArgs) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.clicks)
        .with_context(|| format!("{} cannot be read", args.clicks.display()))?;
    let clicks: Vec<Click> = text.lines().filter_map(Click::parse).collect();
    let options = pace::Options {
        edges: args.edges,
        rate: args.rate,
        time: Duration::from_secs(args.seconds),
        connections: args.connections,
    };
    let paced = pace::run(&clicks, &options).await?;
    print(&paced)?;
    Ok(())
}

async fn stock(args: StockArgs) -> anyhow::Result<()> {
    let options = stock::Options {
        url: args.redis,
        clients: args.clients.max(1),
        time: Duration::from_secs(args.seconds.max(1)),
    };
    let mut rounds = Vec::new();
    for _ in 0..args.rounds.max(1) {
        let mut round = Vec::new();
        for strategy in Strategy::ALL {
            round.push(stock::measure(strategy, &options).await?);
        }
        rounds.push(round);
    }
    let result = Summary::of(&rounds);
    write!(std::io::stderr(), "{}", result.table())?;
    write!(std::io::stdout(), "{}", result.rows())?;
    if let Some(path) = args.svg {
        std::fs::write(&path, result.svg())
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

async fn decide(args: DecideArgs) -> anyhow::Result<()> {
    let users = std::fs::read_to_string(&args.users)
        .with_context(|| format!("{} cannot be read", args.users.display()))?;
    let options = decide::Options {
        round: args.round,
        users: users.lines().map(str::to_owned).collect(),
        plan: args.plan,
        limit: Duration::from_secs(args.limit),
    };
    let decided = decide::run(&authority(&args.base)?, args.concurrency, options).await?;
    print(&decided)?;
    Ok(())
}

async fn steady(args: SteadyArgs) -> anyhow::Result<()> {
    let options = steady::Options {
        round: args.round,
        products: args.products,
        rate: args.rate,
        prefix: args.prefix,
        until: args.until,
    };
    print(&steady::run(&authority(&args.base)?, options).await?)
}

async fn race(args: RaceArgs) -> anyhow::Result<()> {
    let authority = authority(&args.base)?;
    let keyring = args
        .keys
        .map(|path| {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            Keyring::parse(&text).with_context(|| path.display().to_string())
        })
        .transpose()?;
    let options = Options {
        keyring,
        round: args.round,
        product: args.product,
        buyers: args.buyers,
        prefix: args.prefix,
        rate: args.rate,
        clicks_per_buyer: args.clicks_per_buyer,
        retry_busy: args.retry_busy,
        until_sold_out: args.until_sold_out.map(Duration::from_secs),
        limit: Duration::from_secs(args.limit),
    };
    let report = race::run(&authority, args.concurrency, options).await?;
    print(&report)?;
    anyhow::ensure!(
        report.breaches.is_empty(),
        "{} breaches",
        report.breaches.len()
    );
    Ok(())
}

/// Prints JSON.
pub(crate) fn print(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    writeln!(std::io::stdout(), "{text}").context("the summary cannot be written")
}
