//! `seckill tune`: the settings that a sale's peak needs, beside those in force.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgGroup, Args};

use super::say;
use crate::config::Config;
use crate::inspect::tune::{self, Options, Part, State};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["check", "print"])))]
pub(crate) struct TuneArgs {
    /// Show each setting here beside the wanted one; the exit status is 1 if an
    /// important one is wrong
    #[arg(long)]
    check: bool,
    /// Print the files to write; what is better here already stays as it is
    #[arg(long)]
    print: bool,
    /// Shoppers' connections that this machine's edge holds at the peak
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    connections: u64,
    /// The parts of this machine [default: those that are found]
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    parts: Vec<Part>,
    /// nginx's configuration file [default: that of the edge that runs here]
    #[arg(long, value_name = "FILE")]
    nginx_conf: Option<PathBuf>,
    /// RocketMQ's broker.conf, if the broker runs here
    #[arg(long, value_name = "FILE")]
    broker_conf: Option<PathBuf>,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Prints the lines or the files; with `--check` an error if one is off.
pub(super) async fn run(config: &Config, arguments: TuneArgs) -> anyhow::Result<()> {
    let options = Options {
        connections: arguments.connections,
        nginx_conf: arguments.nginx_conf,
        broker_conf: arguments.broker_conf,
        parts: arguments.parts,
    };
    let tuning = tune::examine(config, &options).await;
    if arguments.json {
        let text = serde_json::to_string_pretty(&tuning).context("it cannot be written")?;
        say(&format!("{text}\n"))?;
    } else if arguments.print {
        say(&tuning.files())?;
    } else {
        say(&tuning.table())?;
    }
    match tuning.count(State::Off) {
        _ if arguments.print => Ok(()),
        0 => Ok(()),
        1 => anyhow::bail!(
            "one important setting is wrong; \"seckill tune --print\" prints its file"
        ),
        off => anyhow::bail!(
            "{off} important settings are wrong; \"seckill tune --print\" prints their files"
        ),
    }
}
