//! `seckill doctor`: what keeps this system from selling, and the cure.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::say;
use crate::config::Config;
use crate::inspect::doctor::{self, Grade, Options};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// nginx's configuration file [default: that of the nginx that runs here]
    #[arg(long, value_name = "FILE")]
    nginx_conf: Option<PathBuf>,
    /// This machine has no edge: nginx is not looked at
    #[arg(long)]
    no_edge: bool,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Prints the findings; an error if one of them is wrong.
pub(super) async fn run(config: &Config, arguments: DoctorArgs) -> anyhow::Result<()> {
    let options = Options {
        nginx_conf: arguments.nginx_conf,
        no_edge: arguments.no_edge,
    };
    let report = doctor::examine(config, &options).await;
    if arguments.json {
        let text = serde_json::to_string_pretty(&report).context("the report cannot be written")?;
        say(&format!("{text}\n"))?;
    } else {
        say(&report.table())?;
    }
    match report.count(Grade::Wrong) {
        0 => Ok(()),
        1 => anyhow::bail!("one finding is wrong; its cure stands below it"),
        wrong => anyhow::bail!("{wrong} findings are wrong; the cures stand below them"),
    }
}
