//! `seckill serve`: roles of the back end, alone.

use clap::Args;

use super::stop_at_signals;
use crate::config::Config;
use crate::roles::{self, Role};

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The roles, separated by commas: purchase, relay, orders, ops, analysis
    #[arg(
        long,
        value_name = "ROLES",
        value_delimiter = ',',
        required = true,
        value_parser = Role::parse
    )]
    roles: Vec<Role>,
}

/// Runs until a signal, or until a role cannot be kept up.
///
/// # Errors
/// A role could not start, or could not be kept up.
pub(super) async fn run(config: &Config, arguments: ServeArgs) -> anyhow::Result<()> {
    Ok(roles::run(config, &arguments.roles, stop_at_signals()?).await?)
}
