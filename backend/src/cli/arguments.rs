//! The command line: what can be asked for, and what each word means.

use std::path::PathBuf;

use crate::config::{Given, Source};
use crate::roles;
use clap::{Args, Parser, Subcommand};
use seckill_load::command::Load;

/// Accounts, bans, findings.
mod people;
/// Sales, stock, orders, notices.
mod selling;

pub(crate) use people::{Accounts, Bans, Findings, Whom};
pub(crate) use selling::{Letters, Notices, Orders, Sale, Stock, Which};

/// A flash sale: shoppers come in at the edge, buyers go out with an order.
///
/// "seckill up --demo" starts all of it on this machine with a sale to try.
/// Settings come from a TOML file, SECKILL_… variables and flags, in rising
/// strength; "seckill config" shows those in force.
#[derive(Debug, Parser)]
#[command(
    name = "seckill",
    version,
    arg_required_else_help = true,
    max_term_width = 90
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Settings that every command takes.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Configuration file [default: seckill.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of everything that is written [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
    /// What is logged: error, warn, info, debug, trace, off [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    /// How log lines look: human or json [default: human]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Any other setting of "seckill config"; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start everything on this machine: Redis, nginx with the module, all roles
    ///
    /// Waits until each part is healthy, prints the addresses, and stops all of
    /// it on Ctrl-C or when a part dies. Everything that is written lives in one
    /// folder (--data); a second "up" continues where the first one ended.
    Up {
        /// Sell examples/sale.toml, and let anybody log in under any name
        #[arg(long)]
        demo: bool,
        /// Port of the edge [default: 8080]
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        port: Option<u16>,
        /// Start no nginx: run behind an nginx of your own that includes conf/seckill/
        #[arg(long)]
        no_edge: bool,
        /// Play only these roles, and leave the others to "seckill serve" [default: all]
        #[arg(
            long,
            value_name = "ROLES",
            value_delimiter = ',',
            value_parser = roles::Role::parse
        )]
        roles: Option<Vec<roles::Role>>,
    },
    /// Run roles of the back end against a Redis and a database that run elsewhere
    Serve {
        /// Which, separated by commas: purchase, relay, orders, ops, analysis
        #[arg(
            long,
            value_name = "ROLES",
            value_delimiter = ',',
            required = true,
            value_parser = roles::Role::parse
        )]
        roles: Vec<roles::Role>,
    },
    /// Import, approve and export sales
    #[command(subcommand)]
    Sale(Sale),
    /// Keep addresses, networks and users out of the sale
    ///
    /// Every edge follows within a second, and keeps the bans while Redis is away.
    #[command(subcommand)]
    Bans(Bans),
    /// Show who seems to be a program by the access logs, and decide on it
    #[command(subcommand)]
    Findings(Findings),
    /// Say who may log in at the console
    #[command(subcommand)]
    Accounts(Accounts),
    /// Show how much lies where, and change how much there is
    #[command(subcommand)]
    Stock(Stock),
    /// Show orders, and messages of which none could be made
    #[command(subcommand)]
    Orders(Orders),
    /// Shop by the thousand: people, and bots among them; races; steady clicks
    #[command(subcommand)]
    Load(Load),
    /// Notices to buyers of what became of their orders
    #[command(subcommand)]
    Notices(Notices),
    /// Show which parts run, and how far each sale is
    Status {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Replay the ledger, and check that stock, permits, records and orders agree
    ///
    /// On a running system as well as on a stopped one, whose Redis it starts for
    /// that time. Prints PASS with what was looked at, or FAIL with the first breach
    /// and its events; then the exit status is 1.
    Verify {
        /// As JSON, with all breaches
        #[arg(long)]
        json: bool,
    },
    /// Compute how many edges, back ends, Redis masters and connections a rate needs
    ///
    /// From what the benchmarks measured on this machine (bench/results), or from
    /// figures given by flags.
    Capacity(crate::cli::capacity::Asked),
    /// Run the drills of the repository: a system of its own, struck and counted
    ///
    /// Each prints a PASS or FAIL line for each fact, with the numbers, and so does
    /// the end. Needs a clone with what "make test" installs and "scripts/build.sh"
    /// builds.
    Drill {
        /// "list", the name of one, or "all"
        name: String,
        /// What the drill itself takes, such as --full for the size of a real sale
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Print the settings in force, where each came from and what it means
    Config,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as port=9000".to_owned()),
    }
}

impl Cli {
    /// The settings given by flags, each with its flag's name.
    pub(crate) fn given(&self) -> Vec<(String, Given)> {
        let flag = |flag: &str, key: &str, value: &Option<String>| {
            value.clone().map(|text| {
                (
                    key.to_owned(),
                    Given {
                        text,
                        source: Source::Flag(flag.to_owned()),
                    },
                )
            })
        };
        let settings = &self.settings;
        let port = match &self.command {
            Command::Up { port, .. } => port.map(|port| port.to_string()),
            _ => None,
        };
        let sets = settings.set.iter().map(|(key, text)| {
            let source = Source::Flag("--set".to_owned());
            (
                key.clone(),
                Given {
                    text: text.clone(),
                    source,
                },
            )
        });
        sets.chain(flag("--data", "data", &settings.data))
            .chain(flag("--log", "log", &settings.log))
            .chain(flag("--log-format", "log_format", &settings.log_format))
            .chain(flag("--port", "port", &port))
            .collect()
    }
}
