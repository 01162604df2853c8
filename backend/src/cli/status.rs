//! `seckill status`: which parts are up, and how far each sale is.

use anyhow::Context as _;
use clap::Args;

use super::say;
use crate::config::Config;
use crate::config::running::RunningSystem;
use crate::inspect::status;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Prints the status; an error if a part is down.
pub(super) async fn show(config: &Config, arguments: &StatusArgs) -> anyhow::Result<()> {
    let status = status::read(config).await;
    if arguments.json {
        let text = serde_json::to_string_pretty(&status).context("the report cannot be written")?;
        say(&format!("{text}\n"))?;
    } else {
        say(&status.table())?;
    }
    if status.is_all_up() {
        return Ok(());
    }
    let down: Vec<&str> = status
        .parts
        .iter()
        .filter(|part| !part.up)
        .map(|part| part.name)
        .collect();
    let (are, them) = match down.len() {
        1 => ("is", "it"),
        _ => ("are", "them"),
    };
    let down = down.join(", ");
    if let Some(hidden) = RunningSystem::hidden(&config.data) {
        anyhow::bail!("not everything is up as far as this user can see: {hidden}");
    }
    match status.running {
        Some(running) => anyhow::bail!(
            "not everything is up: {down} {are} away; the log of \"seckill up\" (process {}) says \
             why",
            running.pid
        ),
        None => {
            anyhow::bail!("not everything is up: {down} {are} away; \"seckill up\" starts {them}")
        }
    }
}
