//! `seckill orders …`: the orders of all buyers, and the dead letters.

use crate::config::Config;
use crate::orders::give_up::{GiveUp, GiveUpError, GivenUp};
use crate::queue::dead_letters::{KeptLetter, Redriven};
use crate::queue::{DeadLetters, QueueError, Queues};
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::shop::view;
use crate::store::Done;
use crate::store::orders::Order;
use crate::store::payments::Payment;
use crate::store::stops::MAX_REASON;
use crate::time::rfc3339;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use seckill_core::ids;
use seckill_core::orders::money::Currency;
use seckill_core::orders::order::State;
use seckill_core::sale::reasons::{self, on_one_line};
use serde_json::json;

use super::audited::{AuditLog, recorded};
use super::texts::{buyer, filled};
use super::{open_store, say};

/// Finding orders, and acting on one.
mod one;

use one::OrderCommand;

/// Letters shown of one page.
const PAGE: usize = 500;
/// Characters of a message that a line shows.
const SHOWN: usize = 160;

#[derive(Debug, Subcommand)]
pub(crate) enum OrdersCommand {
    /// Show orders, newest first
    List {
        /// Only those of this buyer
        #[arg(long, value_name = "NAME", value_parser = buyer)]
        user: Option<String>,
        /// Only those in this state: created, paid, cancelled or failed
        #[arg(long, value_name = "STATE", value_parser = order_state)]
        state: Option<State>,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    One(OrderCommand),
    /// Show refunds due: payments that pay no order, each with the reason
    Refunds {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show dead letters, each with the reason, or redrive them
    DeadLetters {
        #[command(subcommand)]
        command: Option<DeadLettersCommand>,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Send dead letters to the queue again: the same as "dead-letters redrive"
    Redrive(LetterArgs),
    /// Give up dead letters: their purchases fail, items and permits return, and their
    /// buyers may buy again
    GiveUp {
        /// Their numbers, as "seckill orders dead-letters" shows them
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT", value_parser = filled)]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Show them, oldest first
    List {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Send them to the queue again, once the cause of their failure is mended
    Redrive(LetterArgs),
}

/// Which dead letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct LetterArgs {
    /// Their numbers, as "seckill orders dead-letters" shows them
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

fn order_state(text: &str) -> Result<State, String> {
    State::parse(text).ok_or_else(|| "write created, paid, cancelled or failed".to_owned())
}

/// Carries out a command of `seckill orders`.
pub(crate) async fn run(config: &Config, command: OrdersCommand) -> anyhow::Result<()> {
    match command {
        OrdersCommand::List {
            user,
            state,
            limit,
            json,
        } => {
            let store = open_store(config).await?;
            let orders = store.list_orders(user.as_deref(), state, limit).await?;
            store.close().await;
            say(&orders_text(&orders, json)?)
        }
        OrdersCommand::One(command) => one::run(config, command).await,
        OrdersCommand::Refunds { json } => {
            let store = open_store(config).await?;
            let due = store.refunds_due().await?;
            store.close().await;
            say(&refunds_text(&due, config.currency, json)?)
        }
        OrdersCommand::DeadLetters { command, json } => {
            match command.unwrap_or(DeadLettersCommand::List { json }) {
                DeadLettersCommand::List { json } => list_letters(config, json).await,
                DeadLettersCommand::Redrive(which) => redrive(config, which).await,
            }
        }
        OrdersCommand::Redrive(which) => redrive(config, which).await,
        OrdersCommand::GiveUp { ids, reason } => give_up(config, &ids, &reason).await,
    }
}

fn refunds_text(due: &[Payment], shop: Currency, json: bool) -> anyhow::Result<String> {
    if json {
        let payments: Vec<_> = due.iter().map(view::payment_json).collect();
        let text = serde_json::to_string_pretty(&payments).context("the list cannot be written")?;
        return Ok(format!("{text}\n"));
    }
    if due.is_empty() {
        return Ok("No refunds are due.\n".to_owned());
    }
    let line = |payment: &Payment| {
        let reason = payment.reason.as_deref().unwrap_or("");
        let Payment { id, order, .. } = payment;
        let amount = payment.amount(shop);
        let (id, order) = (on_one_line(id), on_one_line(order));
        format!("{id}  order {order}  {amount}  {reason}\n")
    };
    Ok(due.iter().map(line).collect())
}

fn orders_text(orders: &[Order], json: bool) -> anyhow::Result<String> {
    if json {
        let all: Vec<_> = orders.iter().map(order_json).collect();
        let text = serde_json::to_string_pretty(&all).context("the orders cannot be written")?;
        return Ok(format!("{text}\n"));
    }
    if orders.is_empty() {
        return Ok("No such orders.\n".to_owned());
    }
    let lines = orders.iter().map(|order| {
        let (state, placed) = (order.state.as_str(), rfc3339(order.created_ms));
        let reason = order.reason.map_or("", |reason| reason.as_str());
        let line = format!(
            "{:<20} {:<10} {:>3} of {}-{} for {}  {placed}  {reason}",
            order.id, state, order.quantity, order.round, order.product, order.user
        );
        format!("{}\n", line.trim_end())
    });
    Ok(lines.collect())
}

fn order_json(order: &Order) -> serde_json::Value {
    json!({
        "order": order.id.to_string(),
        "state": order.state.as_str(),
        "reason": order.reason.map(|reason| reason.as_str()),
        "user": ids::user::name(&order.user),
        "round": order.round,
        "product": order.product,
        "segment": order.segment,
        "quantity": order.quantity,
        "total_cents": order.total_cents(),
        "request": order.request,
        "permit": order.permit,
        "locked_ms": order.locked_ms,
        "created_ms": order.created_ms,
        "pay_by_ms": order.pay_by_ms,
    })
}

async fn letters(config: &Config) -> anyhow::Result<(DeadLetters, RedisLink)> {
    let redis = RedisLink::connect(&config.redis_url).await?;
    let segments = Segments::open(&redis, &config.redis_segments)?;
    Ok((DeadLetters::new(redis.clone(), segments), redis))
}

async fn list_letters(config: &Config, json: bool) -> anyhow::Result<()> {
    let (letters, _) = letters(config).await?;
    let (mut after, mut all) = (None, Vec::new());
    loop {
        let page = letters.list(after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.id.clone());
        all.extend(page);
    }
    if json {
        let all: Vec<_> = all.iter().map(letter_json).collect();
        let text = serde_json::to_string_pretty(&all).context("the letters cannot be written")?;
        return say(&format!("{text}\n"));
    }
    if all.is_empty() {
        return say("There are no dead letters.\n");
    }
    let lines: String = all.iter().map(letter_text).collect();
    let cure = "Send them to the queue again: seckill orders dead-letters redrive ID…, or --all\n\
                Or let their purchases fail: seckill orders give-up ID… --reason TEXT\n";
    say(&format!("{lines}{cure}"))
}

fn letter_json(kept: &KeptLetter) -> serde_json::Value {
    json!({
        "id": kept.id,
        "came_ms": kept.came_ms(),
        "reason": kept.letter.reason,
        "source": kept.letter.source,
        "attempts": kept.letter.attempts,
        "message": String::from_utf8_lossy(&kept.letter.body),
    })
}

fn letter_text(kept: &KeptLetter) -> String {
    let body = String::from_utf8_lossy(&kept.letter.body);
    // One line each, whatever a broken message has in it.
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let shown: String = body.chars().map(printable).take(SHOWN).collect();
    let more = if body.chars().count() > SHOWN {
        "…"
    } else {
        ""
    };
    let letter = &kept.letter;
    format!(
        "{}  {}\n  {}\n  from {}, delivered {} times: {shown}{more}\n",
        kept.id,
        rfc3339(kept.came_ms()),
        on_one_line(&letter.reason),
        on_one_line(&letter.source),
        letter.attempts,
    )
}

async fn redrive(config: &Config, which: LetterArgs) -> anyhow::Result<()> {
    let (letters, redis) = letters(config).await?;
    let queues = Queues::open(config, &redis).map_err(anyhow::Error::msg)?;
    let log = AuditLog::open(config).await;
    let redriven = match which.ids.is_empty() {
        true => all(&log, &letters, &queues).await,
        false => some(&log, &letters, &queues, &which.ids).await,
    };
    log.close().await;
    let (sent, stay) = redriven?;
    say(&format!("{sent} sent to the queue again.\n"))?;
    anyhow::ensure!(stay.is_empty(), "not sent: {}", stay.join("; "));
    Ok(())
}

/// A letter may have been sent although the queue did not say so.
fn may_have_happened(_: &QueueError) -> bool {
    true
}

async fn give_up(config: &Config, ids: &[String], reason: &str) -> anyhow::Result<()> {
    let reason = reasons::check("reason", reason, (1, MAX_REASON))?;
    let redis = RedisLink::connect(&config.redis_url).await?;
    let segments = Segments::open(&redis, &config.redis_segments)?;
    let store = open_store(config).await?;
    let mut giving_up = GiveUp::new(&redis, &segments, &store).await;
    let mut stay = Vec::new();
    for id in ids {
        let done = Done {
            action: "letter.giveup",
            target: id.clone(),
            detail: json!({ "reason": reason }),
        };
        let detail = done.detail.clone();
        let act = async {
            let given_up = giving_up.letter(id).await?;
            let detail = match &given_up {
                GivenUp::Failed { .. } | GivenUp::Removed => Some(detail),
                // The letter is gone, and nothing else.
                GivenUp::HadFailed { .. } => Some(json!({ "reason": reason, "before": "failed" })),
                GivenUp::HasOrder(order) => {
                    Some(json!({ "reason": reason, "order": order.to_string() }))
                }
                GivenUp::Gone | GivenUp::Stays(_) => None,
            };
            Ok((given_up, detail))
        };
        match recorded(&store, done, act, GiveUpError::may_have_happened).await? {
            GivenUp::Failed { user } => {
                say(&format!(
                    "{id}: the purchase of {user} failed; stock and permit return\n"
                ))?;
            }
            GivenUp::HadFailed { user } => {
                say(&format!(
                    "{id}: removed; the purchase of {user} had failed before\n"
                ))?;
            }
            GivenUp::HasOrder(order) => {
                say(&format!(
                    "{id}: its purchase has order {order}, which stays\n"
                ))?;
            }
            GivenUp::Removed => say(&format!("{id}: removed; it was no purchase\n"))?,
            GivenUp::Gone => stay.push(format!("there is no dead letter {id}")),
            GivenUp::Stays(why) => stay.push(format!("{id}: {why}")),
        }
    }
    store.close().await;
    anyhow::ensure!(stay.is_empty(), "not given up: {}", stay.join("; "));
    Ok(())
}

/// Redrives all letters; an entry of the audit log has how many.
async fn all(
    log: &AuditLog,
    letters: &DeadLetters,
    queues: &Queues,
) -> anyhow::Result<(u64, Vec<String>)> {
    let done = Done {
        action: "letter.redrive",
        target: "all".to_owned(),
        detail: json!({ "letters": letters.count().await? }),
    };
    let act = async {
        let (sent, stay) = letters.redrive_all(queues).await?;
        let detail = (sent > 0).then(|| json!({ "letters": sent }));
        Ok(((sent, stay), detail))
    };
    log.recorded(done, act, may_have_happened).await
}

/// Redrives some letters, each with its entry in the audit log.
async fn some(
    log: &AuditLog,
    letters: &DeadLetters,
    queues: &Queues,
    ids: &[String],
) -> anyhow::Result<(u64, Vec<String>)> {
    let (mut sent, mut stay) = (0, Vec::new());
    for id in ids {
        let Some(kept) = letters.find(id).await? else {
            stay.push(format!("there is no dead letter {id}"));
            continue;
        };
        let done = Done {
            action: "letter.redrive",
            target: id.clone(),
            detail: json!({ "reason": kept.letter.reason, "source": kept.letter.source }),
        };
        let detail = done.detail.clone();
        let act = async {
            let redriven = letters.redrive(id, queues).await?;
            let is_sent = redriven == Redriven::Sent;
            Ok((redriven, is_sent.then_some(detail)))
        };
        match log.recorded(done, act, may_have_happened).await? {
            Redriven::Sent => sent += 1,
            Redriven::Gone => stay.push(format!("there is no dead letter {id}")),
            Redriven::Stays(reason) => stay.push(format!("{id}: {reason}")),
        }
    }
    Ok((sent, stay))
}
