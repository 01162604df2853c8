//! `seckill status`: what a running system reports about itself.

use anyhow::Context as _;

use super::say;
use crate::config::Config;
use crate::inspect::status;

/// Prints the status; an error if a part is down.
pub(super) async fn show(config: &Config, json: bool) -> anyhow::Result<()> {
    let status = status::read(config).await;
    if json {
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
    anyhow::bail!(
        "not everything is up: {} {are} away; \"seckill up\" starts {them}",
        down.join(", ")
    )
}
