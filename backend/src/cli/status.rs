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
    let mut down: Vec<&str> = status.away().map(|part| part.name).collect();
    let (are, them) = match down.len() {
        0 => return Ok(()),
        1 => ("is", "it"),
        _ => ("are", "them"),
    };
    // Of several edges or masters the table says which.
    down.dedup();
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
        None if status.is_of_up => {
            anyhow::bail!("not everything is up: {down} {are} away; \"seckill up\" starts {them}")
        }
        None => anyhow::bail!(
            "not everything is up: {down} {are} away; see the service that runs {them}, and its log"
        ),
    }
}
