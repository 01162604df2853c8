//! `seckill up`: the whole system on this machine.

use clap::Args;

use super::stop_at_signals;
use crate::config::Config;
use crate::roles::Role;
use crate::up;

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Sell examples/sale.toml, and let anybody log in under any name
    #[arg(long)]
    pub(super) demo: bool,
    /// Port of the edge [default: 8080]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Option<u16>,
    /// Start no nginx: run behind an nginx of your own that includes conf/seckill/
    #[arg(long)]
    no_edge: bool,
    /// Run only these roles, and leave the others to "seckill serve" [default: all]
    #[arg(
        long,
        value_name = "ROLES",
        value_delimiter = ',',
        value_parser = Role::parse
    )]
    roles: Option<Vec<Role>>,
}

impl UpArgs {
    /// Sets what follows from these arguments and is not set otherwise.
    pub(super) fn preset(&self, config: &mut Config) {
        if !self.no_edge {
            config.list_own_edge();
        }
        if self.demo {
            config.prepare_demo();
        }
    }
}

/// Runs until a signal, or until a part cannot be kept up.
///
/// # Errors
/// Something could not start, or could not be kept up.
pub(super) async fn run(config: &Config, arguments: UpArgs) -> anyhow::Result<()> {
    let options = up::Options {
        demo: arguments.demo,
        no_edge: arguments.no_edge,
        roles: arguments.roles.unwrap_or_else(|| Role::ALL.to_vec()),
    };
    Ok(up::run(config, options, stop_at_signals()?).await?)
}
