//! `seckill orders search|show|export|cancel|refund|resend|note`.

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use seckill_core::orders::order::{OrderId, State};
use seckill_core::sale::reasons::on_one_line;
use serde_json::json;

use super::{order_state, orders_text};
use crate::cli::audited::recorded;
use crate::cli::texts::{buyer, filled};
use crate::cli::{open_store, say};
use crate::config::Config;
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::shop::order_export::{CSV_HEAD, csv_line, exported, full_json};
use crate::stock::following;
use crate::store::order_actions::{OrderAction, OrderActionError};
use crate::store::order_search::OrderQuery;
use crate::store::orders::Order;
use crate::store::{Actor, Done, Store};
use crate::time::rfc3339;

/// Orders that an export reads at once.
const PAGE: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum OrderCommand {
    /// Find orders of all buyers, newest first
    Search {
        #[command(flatten)]
        which: Which,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show one order and everything that happened to it
    Show {
        /// The order's number
        order: u64,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Print all orders that match, for a spreadsheet or a program
    Export {
        #[command(flatten)]
        which: Which,
        /// csv, or json: an object a line
        #[arg(long, value_enum, default_value = "csv")]
        format: Format,
    },
    /// Cancel an unpaid order
    Cancel(ActArgs),
    /// Cancel a paid order; a refund of its payment is due
    Refund(ActArgs),
    /// Send the notification of an order's latest change again
    Resend(ActArgs),
    /// Write a note on an order
    Note(ActArgs),
}

/// Which orders; what is left out matches all.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The order of this number
    #[arg(long, value_name = "NUMBER")]
    order: Option<u64>,
    /// A buyer
    #[arg(long, value_name = "NAME", value_parser = buyer)]
    user: Option<String>,
    /// A round's id
    #[arg(long, value_name = "ID", value_parser = filled)]
    round: Option<String>,
    /// A product's id
    #[arg(long, value_name = "ID", value_parser = filled)]
    product: Option<String>,
    /// A payment's id
    #[arg(long, value_name = "ID", value_parser = filled)]
    payment: Option<String>,
    /// created, paid, cancelled or failed
    #[arg(long, value_name = "STATE", value_parser = order_state)]
    state: Option<State>,
}

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Csv,
    Json,
}

impl Format {
    fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// One order, and why.
#[derive(Debug, Args)]
pub(crate) struct ActArgs {
    /// The order's number
    order: u64,
    /// The reason, or the note
    #[arg(default_value = "")]
    text: String,
}

/// Carries the command out.
pub(super) async fn run(config: &Config, command: OrderCommand) -> anyhow::Result<()> {
    match command {
        OrderCommand::Search { which, limit, json } => search(config, which, limit, json).await,
        OrderCommand::Show { order, json } => show(config, OrderId(order), json).await,
        OrderCommand::Export { which, format } => export(config, which, format).await,
        OrderCommand::Cancel(it) => act(config, OrderAction::Cancel, it).await,
        OrderCommand::Refund(it) => act(config, OrderAction::Refund, it).await,
        OrderCommand::Resend(it) => act(config, OrderAction::Resend, it).await,
        OrderCommand::Note(it) => act(config, OrderAction::Note, it).await,
    }
}

impl Which {
    fn query(self, limit: u32) -> OrderQuery {
        OrderQuery {
            order: self.order.map(OrderId),
            user: self.user.unwrap_or_default(),
            round: self.round.unwrap_or_default(),
            product: self.product.unwrap_or_default(),
            payment: self.payment.unwrap_or_default(),
            state: self.state,
            before: None,
            limit,
        }
    }
}

async fn search(config: &Config, which: Which, limit: u32, json: bool) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let orders = store.search_orders(&which.query(limit)).await?;
    store.close().await;
    say(&orders_text(&orders, json)?)
}

async fn export(config: &Config, which: Which, format: Format) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let mut query = which.query(PAGE);
    let done = exported(&query, format.as_str());
    store
        .note_audit(&Actor::on_the_box(), &done, crate::now_ms())
        .await?;
    if format == Format::Csv {
        say(CSV_HEAD)?;
    }
    loop {
        let page = store.search_orders(&query).await?;
        let text: String = page
            .iter()
            .map(|order| match format {
                Format::Csv => csv_line(order),
                Format::Json => format!("{}\n", full_json(order)),
            })
            .collect();
        say(&text)?;
        if page.len() < PAGE as usize {
            break;
        }
        query.before = page.last().map(|order| order.id);
    }
    store.close().await;
    Ok(())
}

async fn show(config: &Config, id: OrderId, json: bool) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let order = find(&store, id).await?;
    let history = store.order_history(&order, config.currency).await?;
    store.close().await;
    if json {
        let body = json!({ "order": full_json(&order), "history": history });
        let text = serde_json::to_string_pretty(&body).context("the order cannot be written")?;
        return say(&format!("{text}\n"));
    }
    let mut text = orders_text(std::slice::from_ref(&order), false)?;
    for event in history {
        let line = format!(
            "  {}  {:<12} {} {}",
            rfc3339(event.at_ms),
            event.what,
            on_one_line(&event.who),
            on_one_line(&event.detail)
        );
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    say(&text)
}

async fn find(store: &Store, id: OrderId) -> anyhow::Result<Order> {
    let found = store.any_order(id).await?;
    found.with_context(|| format!("there is no order {id}; \"seckill orders search\" finds them"))
}

async fn act(config: &Config, action: OrderAction, it: ActArgs) -> anyhow::Result<()> {
    let text = action.checked(&it.text).map_err(|error| {
        anyhow::anyhow!(
            "{error}: seckill orders {} {} \"…\"",
            action.as_str(),
            it.order
        )
    })?;
    let store = open_store(config).await?;
    let order = find(&store, OrderId(it.order)).await?;
    let done = Done {
        action: action.audited(),
        target: order.id.to_string(),
        detail: json!({ "text": text, "before": order.state.as_str() }),
    };
    let detail = done.detail.clone();
    let notifying = store.clone().notifying(&config.notify.channels());
    let act = async {
        let by = Actor::on_the_box().name;
        notifying
            .act_on_order(&order, action, (&by, text), crate::now_ms())
            .await?;
        Ok(((), Some(detail)))
    };
    recorded(&store, done, act, OrderActionError::may_have_happened).await?;
    let order = find(&store, order.id).await?;
    // Without Redis, the sweep of the orders role does it later.
    if let Ok(redis) = RedisLink::connect(&config.redis_url).await {
        let segments = Segments::open(&redis, &config.redis_segments)?;
        if let Err(error) = following::follow(&store, &segments, std::slice::from_ref(&order)).await
        {
            tracing::warn!(%error, "the stock follows this order later");
        }
    }
    store.close().await;
    say(&match action {
        OrderAction::Cancel => format!("Order {} is cancelled.\n", order.id),
        OrderAction::Refund => format!("Order {} is cancelled, and a refund is due.\n", order.id),
        OrderAction::Resend => format!(
            "The last notification of order {} is sent again.\n",
            order.id
        ),
        OrderAction::Note => format!("The note on order {} is written.\n", order.id),
    })
}
