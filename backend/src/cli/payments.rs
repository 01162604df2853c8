//! `seckill payments …`: comparing payments with the providers' lists, and returning money.

use crate::config::Config;
use crate::now_ms;
use crate::orders::payments::reconcile::{self, ReconcileError, Report};
use crate::orders::payments::refunds::{self, RefundError};
use crate::orders::payments::{Payments, Provider as _, Returned};
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::stock::following;
use crate::store::{Actor, Done, Store};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::civil::Date;
use seckill_core::orders::money::Money;
use seckill_core::orders::payment::ProviderName;
use serde_json::{Value, json};

use super::audited::recorded;
use super::texts::day;
use super::{open_store, say};

/// Days of reconciliation that are shown.
const SHOWN: u32 = 60;

#[derive(Debug, Subcommand)]
pub(crate) enum PaymentsCommand {
    /// Compare our payments with the providers' lists, and record what never arrived
    ///
    /// The exit status is 1 if something is left for a person. The orders role does this
    /// every day by itself, for the day before.
    Reconcile(ReconcileArgs),
    /// Show what the daily reconciliations found
    Reconciliations {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Return money to a buyer, at the provider that took it
    ///
    /// Repeating the command returns the money once. An order whose payment is returned
    /// in full is cancelled; the setting "refund_stock" says what becomes of its items.
    Refund(RefundArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// First day, such as 2026-11-27 [default: yesterday]
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<Date>,
    /// Last day [default: the same]
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<Date>,
    /// Only with this provider
    #[arg(long, value_name = "NAME", value_parser = provider)]
    provider: Option<ProviderName>,
    /// Record nothing, only compare
    #[arg(long)]
    dry_run: bool,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RefundArgs {
    /// The payment, by the id that its provider gave it
    #[arg(value_name = "PAYMENT")]
    payment: String,
    /// How much, in minor units [default: all that is left]
    #[arg(long, value_name = "N")]
    amount: Option<u64>,
}

fn provider(text: &str) -> Result<ProviderName, String> {
    let named = ProviderName::parse(text).filter(|name| *name != ProviderName::Shop);
    named.ok_or_else(|| "write signed, stripe, alipay or wechat".to_owned())
}

/// Carries out a command of `seckill payments`.
pub(crate) async fn run(config: &Config, command: PaymentsCommand) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let outcome = match command {
        PaymentsCommand::Reconcile(arguments) => reconcile(config, &store, &arguments).await,
        PaymentsCommand::Reconciliations { json } => reconciliations(&store, json).await,
        PaymentsCommand::Refund(arguments) => refund(config, &store, &arguments).await,
    };
    store.close().await;
    outcome
}

fn open(config: &Config) -> anyhow::Result<Payments> {
    Ok(crate::roles::payments(config)?)
}

async fn reconcile(
    config: &Config,
    store: &Store,
    arguments: &ReconcileArgs,
) -> anyhow::Result<()> {
    let payments = open(config)?;
    let zone = &config.time_zone;
    let yesterday = || {
        jiff::Timestamp::now()
            .to_zoned(zone.clone())
            .date()
            .yesterday()
    };
    let from = match arguments.from {
        Some(from) => from,
        None => yesterday().context("there is no yesterday")?,
    };
    let to = arguments.to.unwrap_or(from);
    anyhow::ensure!(from <= to, "--from {from} is after --to {to}");
    let times = |day| reconcile::day_ms(day, zone).context("this day is out of range");
    let (span, mend) = ((times(from)?.0, times(to)?.1), !arguments.dry_run);
    let wanted = |name| arguments.provider.is_none_or(|wanted| wanted == name);
    let mut reports = Vec::new();
    for provider in payments.all().iter().filter(|it| wanted(it.name())) {
        if provider.can_report() {
            let compare = reconcile::reconcile(store, &payments, provider, span, mend);
            let report = match mend {
                true => mended(store, provider.name(), (from, to), compare).await?,
                false => compare.await?,
            };
            if mend && from == to {
                reconcile::keep(store, &report, &from.to_string()).await?;
            }
            reports.push(report);
        }
    }
    anyhow::ensure!(
        !reports.is_empty(),
        "no provider reports its payments here; see payments.toml, and [signed] api"
    );
    if arguments.json {
        let all: Vec<Value> = reports.iter().map(Report::as_json).collect();
        say(&format!("{}\n", serde_json::to_string_pretty(&all)?))?;
    } else {
        say(&reports.iter().map(text_of).collect::<String>())?;
    }
    let open: usize = reports.iter().map(Report::open).sum();
    anyhow::ensure!(open == 0, "{open} differences are left for a person");
    Ok(())
}

/// Compares payments of these days and mends them; the audit log has how many it mended.
async fn mended(
    store: &Store,
    provider: ProviderName,
    (from, to): (Date, Date),
    compare: impl Future<Output = Result<Report, ReconcileError>>,
) -> anyhow::Result<Report> {
    let detail = json!({ "from": from.to_string(), "until": to.to_string() });
    let done = Done {
        action: "payment.reconcile",
        target: provider.as_str().to_owned(),
        detail: detail.clone(),
    };
    let act = async {
        let report = compare.await?;
        let mended = report.differences.len() - report.open();
        let mut detail = detail;
        detail["mended"] = mended.into();
        Ok((report, (mended > 0).then_some(detail)))
    };
    // What was mended before it failed stays so.
    recorded(store, done, act, |_: &ReconcileError| true).await
}

fn text_of(report: &Report) -> String {
    let name = report.provider.as_str();
    let mut text = format!(
        "{name}: {} payments there, {} here",
        report.theirs, report.ours
    );
    if report.differences.is_empty() {
        text += ", no difference";
    }
    text.push('\n');
    for (difference, mended) in &report.differences {
        let done = if *mended { "; it is now" } else { "" };
        text += &format!("  {difference}{done}\n");
    }
    text
}

async fn reconciliations(store: &Store, json: bool) -> anyhow::Result<()> {
    let all = store.reconciliations(SHOWN).await?;
    if json {
        let parsed = all.iter().map(|it| {
            let mut body: Value = serde_json::from_str(&it.report).unwrap_or_default();
            body["day"] = it.day.as_str().into();
            body
        });
        let parsed: Vec<Value> = parsed.collect();
        return say(&format!("{}\n", serde_json::to_string_pretty(&parsed)?));
    }
    if all.is_empty() {
        return say("No day was reconciled yet.\n");
    }
    let line = |it: &crate::store::refunds::Reconciled| {
        let (day, name) = (&it.day, it.provider.as_str());
        format!(
            "{day}  {name:<8} {} differences, {} left for a person\n",
            it.differences, it.open
        )
    };
    say(&all.iter().map(line).collect::<String>())
}

async fn refund(config: &Config, store: &Store, arguments: &RefundArgs) -> anyhow::Result<()> {
    let payments = open(config)?;
    let RefundArgs { payment, amount } = arguments;
    let by = Actor::on_the_box().name;
    let done = Done {
        action: "payment.refund",
        target: payment.clone(),
        detail: json!({}),
    };
    let act = async {
        let refunded = refunds::refund(store, &payments, payment, *amount, &by).await?;
        let (of, returned, _) = &refunded;
        let left = of.amount_cents.saturating_sub(of.refunded_cents);
        let currency = of.amount(payments.currency()).currency;
        let money = Money::new(amount.unwrap_or(left), currency).to_string();
        let mut detail = json!({ "money": money, "order": of.order });
        if *returned == Returned::Pending {
            detail["outcome"] = "pending".into();
        }
        Ok((refunded, Some(detail)))
    };
    let (payment, returned, noted) =
        recorded(store, done, act, RefundError::may_have_happened).await?;
    let id = &payment.id;
    if returned == Returned::Pending {
        return say(&format!(
            "{} has accepted the refund of payment {id}, and reports when it is done.\n",
            payment.provider.as_str()
        ));
    }
    let mut text = format!("The money of payment {id} is on its way to the buyer.\n");
    if let Some(order) = noted.and_then(|noted| noted.order) {
        text += &format!("Order {} is {}.\n", order.id, order.state.as_str());
        // If Redis is away, the sweep of the orders role does it later.
        let redis = RedisLink::of_command(&config.redis_url)?;
        let segments = Segments::open(&redis, &config.redis_segments)?;
        if let Err(error) = following::follow(store, &segments, &[order]).await {
            tracing::debug!(%error, at_ms = now_ms(), "the stock follows later");
        }
    }
    say(&text)
}
