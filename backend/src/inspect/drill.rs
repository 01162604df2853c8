//! Drills: a whole system of its own, real shoppers, one part struck in the middle of
//! the sale, and a verdict.
//!
//! A drill ends with what `seckill verify` says, and with what a checker says that knows
//! neither parts nor code: it compares every call of every shopper and its answer with
//! the ledger and the orders ([`seckill_core::history`]). It writes a timeline of what
//! shoppers were told, and how long the system took to notice and to recover.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use seckill_core::history;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// A browser.
mod client;
/// What is struck, and how.
pub mod fault;
/// The provider's books against the shop's.
mod money;
/// The way that oversells, to be seen doing so.
pub mod naive;
/// What the system consists of.
pub mod needs;
/// The timeline as a picture.
mod plot;
/// A payment provider that can be away.
mod provider;
/// A proxy that can be slow or cut.
mod proxy;
/// Reads ledger and orders once the system is quiet.
mod quiet;
/// A seeded schedule of several faults.
pub mod random;
/// The verdict, as a table and as JSON.
pub mod report;
/// Shoppers, and the record of what they were told.
mod shoppers;
/// The system that is struck.
mod system;

use fault::Fault;
use needs::Needs;
use report::Report;
use shoppers::Crowd;
use system::System;

/// How long before the first fault everything works.
const BEFORE: Duration = Duration::from_secs(4);
/// How long shoppers go on coming after the last fault.
const AFTER: Duration = Duration::from_secs(8);

/// Why a drill that was told to stop has no verdict.
pub(crate) const INTERRUPTED: &str =
    "the drill was interrupted, and what it had started was stopped";

/// A fault at its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strike {
    /// When it begins, counted from the first shopper.
    pub at: Duration,
    /// The fault that is caused.
    pub fault: Fault,
    /// How long it lasts, if it lasts.
    pub lasts: Duration,
}

/// A drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// The strikes, in order.
    pub strikes: Vec<Strike>,
    /// Shoppers a second.
    pub per_second: u32,
}

impl Plan {
    /// One fault in the middle of a sale.
    #[must_use]
    pub fn of(fault: Fault) -> Self {
        Self {
            name: fault.name().to_owned(),
            strikes: vec![Strike {
                at: BEFORE,
                fault,
                lasts: fault.lasts(),
            }],
            per_second: 40,
        }
    }

    /// What all of its faults need together.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let needs = self.strikes.iter().map(|strike| strike.fault.needs());
        needs.fold(Needs::NONE, Needs::and)
    }

    /// How long shoppers come.
    fn duration(&self) -> Duration {
        let last = self.strikes.iter().map(|strike| strike.at + strike.lasts);
        last.max().unwrap_or(BEFORE) + AFTER
    }
}

/// Runs a drill. The system's folder is removed afterwards, unless the drill failed.
///
/// # Errors
/// The system cannot be started or struck, or `stop` is cancelled: then there is no
/// verdict. The system is stopped in any case.
pub async fn run(config: &Config, plan: &Plan, stop: &CancellationToken) -> anyhow::Result<Report> {
    let mut system = System::prepare(config, &plan.name, plan.needs())?;
    let outcome = stop.run_until_cancelled(drill(&mut system, plan)).await;
    system.stop().await;
    let Some(outcome) = outcome else {
        system.remove();
        bail!(INTERRUPTED);
    };
    let mut report = outcome
        .map_err(|error| anyhow!("{error:#}; its logs are in {}", system.folder().display()))?;
    if report.has_passed() {
        system.remove();
    } else {
        report.keep(system.keep().context("its logs cannot be kept")?);
    }
    Ok(report)
}

async fn drill(system: &mut System, plan: &Plan) -> anyhow::Result<Report> {
    let shoppers = u64::from(plan.per_second) * plan.duration().as_secs();
    // Scarce towards the end, so that "sold out" is told too.
    let amount = shoppers * 6 / 10;
    system.start().await?;
    system.sell(amount).await?;
    let pays_at_provider = system.provider.is_some();
    let crowd = Crowd::arriving(system.url(), shoppers, plan.per_second, pays_at_provider);
    let mut struck = Vec::new();
    for strike in &plan.strikes {
        tokio::time::sleep_until(crowd.began() + strike.at).await;
        let began_ms = crate::now_ms();
        strike.fault.strike(system).await?;
        tokio::time::sleep(strike.lasts).await;
        let ended_ms = crate::now_ms();
        strike.fault.mend(system).await?;
        struck.push((strike.fault, began_ms, ended_ms));
    }
    let calls = crowd.finish().await;
    let differences = money::compare(system).await?;
    let quiet = quiet::read(system, amount, calls).await?;
    let lies = history::check(&quiet.history);
    if !lies.is_empty() {
        let calls = quiet.history.calls.iter();
        let lines: String = calls.map(|call| format!("{call:?}\n")).collect();
        let file = system.folder().join("calls.txt");
        std::fs::write(file, lines).context("the calls cannot be written")?;
    }
    Ok(Report::new(plan, &struck, quiet, lies, differences))
}

/// Where reports are written.
#[must_use]
pub fn folder(config: &Config) -> PathBuf {
    let home = config.home.clone().unwrap_or_default();
    home.join("target/drills")
}
