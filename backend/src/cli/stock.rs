//! `seckill stock …`: the stock of each segment, its rebuilding and its changes.

use crate::config::{Config, QueueKind};
use crate::console::rounds::proposals;
use crate::inspect::rebuild::{Options, PutBack, RebuildError, Rebuilder, Report};
use crate::redis::RedisLink;
use crate::redis::segments::Segments;
use crate::sale::catalogue;
use crate::stock::adjust::{Adjusted, Adjuster, Raise};
use crate::stock::levels;
use crate::store::stops::MAX_REASON;
use crate::store::{Actor, Done, Store};
use anyhow::Context as _;
use clap::Subcommand;
use seckill_core::ids::{self, Item};
use seckill_core::sale::reasons;
use serde_json::json;

use super::audited::recorded;
use super::texts::filled;
use super::{open_store, say};

#[derive(Debug, Subcommand)]
pub(crate) enum StockCommand {
    /// Show each segment's amounts, transfers between segments, and permits
    Show {
        /// The round's id; all products without it
        #[arg(requires = "product")]
        round: Option<String>,
        /// The product's id
        product: Option<String>,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Put stock back after its Redis lost it, from the database
    ///
    /// For a Redis that was emptied or restored from an older snapshot: rounds,
    /// amounts, buyers' records and permits follow from the approved rounds, the
    /// archived ledger and the orders; lost order messages are sent again. Refused
    /// while a sale runs on it. Repeating it changes nothing.
    Rebuild {
        /// Only this round
        #[arg(value_parser = filled, long, value_name = "ID")]
        round: Option<String>,
        /// Only print what would be done
        #[arg(long)]
        dry_run: bool,
        /// Also while edges and back ends work on this Redis
        #[arg(long)]
        while_running: bool,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Change how many items a product has in all, while it sells
    ///
    /// The permits follow. An amount below what is sold is refused. To raise it takes
    /// two people: propose it, and a supervisor decides at the console. A command that
    /// broke off is repeated as it was.
    Adjust {
        /// The round's id
        round: String,
        /// The product's id
        product: String,
        /// Items in all, sold ones included
        #[arg(value_parser = clap::value_parser!(u64).range(0..=1_000_000_000))]
        amount: u64,
        /// Id of this request: repeated with it, it is carried out once
        #[arg(long, value_name = "ID")]
        request: Option<String>,
        /// Propose it instead, for this reason
        #[arg(long, value_name = "REASON", value_parser = filled, conflicts_with_all = ["alone", "request"])]
        propose: Option<String>,
        /// Raise it without a second person, for this reason, which the audit log keeps
        #[arg(long, value_name = "REASON", value_parser = filled)]
        alone: Option<String>,
    },
}

/// Carries out a command of `seckill stock`.
pub(crate) async fn run(config: &Config, command: StockCommand) -> anyhow::Result<()> {
    match command {
        StockCommand::Show {
            round,
            product,
            json,
        } => {
            let item = round.zip(product).map(|(r, p)| item(&r, &p)).transpose()?;
            show(config, item, json).await
        }
        StockCommand::Rebuild {
            round,
            dry_run,
            while_running,
            json,
        } => {
            let options = Options {
                round,
                dry_run,
                while_running,
                ..Options::default()
            };
            // A stopped system's Redis is started for this; a running one's is used.
            let alone = crate::up::redis_alone(config).await?;
            let done = rebuild(config, &options).await;
            if let Some(alone) = alone {
                alone.stop().await;
            }
            tell_rebuilt(&done?, dry_run, json)
        }
        StockCommand::Adjust {
            round,
            product,
            amount,
            request,
            propose,
            alone,
        } => {
            let item = item(&round, &product)?;
            match propose {
                Some(reason) => propose_amount(config, &item, amount, &reason).await,
                None => adjust(config, &item, amount, request, alone.as_deref()).await,
            }
        }
    }
}

fn item(round: &str, product: &str) -> anyhow::Result<Item> {
    Item::new(round, product).with_context(|| {
        format!(
            "\"{round}\" and \"{product}\" cannot be ids of a round and a product; write 1 to {} \
             letters, digits or underscores each",
            ids::MAX_ID
        )
    })
}

async fn show(config: &Config, only: Option<Item>, json: bool) -> anyhow::Result<()> {
    let redis = RedisLink::connect(&config.redis_url).await?;
    let segments = Segments::open(&redis, &config.redis_segments)?;
    let mut conn = redis.conn().await?;
    let products = catalogue::read(&mut conn).await?;
    let mut items: Vec<_> = products.keys().collect();
    items.sort();
    if let Some(only) = &only {
        items.retain(|item| *item == only);
        anyhow::ensure!(
            !items.is_empty(),
            "{only} is not on sale; \"seckill stock show\" lists what is"
        );
    }
    let mut all = Vec::new();
    for item in items {
        if let Some(entry) = products.get(item) {
            all.push(levels::read(&mut conn, &segments, item, entry).await?);
        }
    }
    let text = if json {
        let text = serde_json::to_string_pretty(&all).context("the levels cannot be written")?;
        format!("{text}\n")
    } else if all.is_empty() {
        "Nothing is on sale. Import a sale: seckill sale import FILE --approve\n".to_owned()
    } else {
        let tables: Vec<String> = all.iter().map(levels::table).collect();
        tables.join("\n")
    };
    say(&text)?;
    let missing: Vec<&str> = all
        .iter()
        .flat_map(|levels| &levels.missing)
        .map(String::as_str)
        .collect();
    anyhow::ensure!(
        missing.is_empty(),
        "segments cannot be read: {}",
        missing.join("; ")
    );
    Ok(())
}

/// Prints what was put back, and then fails if something was not.
fn tell_rebuilt(done: &PutBack, dry_run: bool, json: bool) -> anyhow::Result<()> {
    let PutBack { report, failed } = done;
    let failed = sentences(failed);
    if json {
        let mut told = serde_json::to_value(report).context("the report cannot be written")?;
        told["failed"] = json!(failed);
        say(&format!("{told:#}\n"))?;
    } else if failed.is_empty() || *report != Report::default() {
        say(&report.text(dry_run))?;
    }
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn sentences(failed: &[RebuildError]) -> Vec<String> {
    failed.iter().map(ToString::to_string).collect()
}

async fn rebuild(config: &Config, options: &Options) -> anyhow::Result<PutBack> {
    let redis = RedisLink::connect(&config.redis_url).await?;
    let segments = Segments::open(&redis, &config.redis_segments)?;
    let store = open_store(config).await?;
    let rebuilder = Rebuilder {
        store: &store,
        redis: &redis,
        segments: &segments,
        zone: &config.time_zone,
        queue_is_visible: config.queue == QueueKind::Streams,
    };
    let rebuild = rebuilder.rebuild(options);
    let done = match options.dry_run {
        true => rebuild.await.map_err(Into::into),
        false => {
            let target = options.round.clone();
            let done = Done {
                action: "stock.rebuild",
                target: target.unwrap_or_else(|| "all".to_owned()),
                detail: json!({}),
            };
            let act = async {
                let done = rebuild.await?;
                let PutBack { report, failed } = &done;
                let items: Vec<&str> = report.products.iter().map(|it| &*it.item).collect();
                let mut detail = json!({ "products": items, "rounds": report.published });
                if !failed.is_empty() {
                    detail["failed"] = json!(sentences(failed));
                    detail["outcome"] = "unknown".into();
                }
                let is_nothing = failed.is_empty() && *report == Report::default();
                Ok((done, (!is_nothing).then_some(detail)))
            };
            recorded(&store, done, act, RebuildError::may_have_happened).await
        }
    };
    store.close().await;
    done
}

async fn adjust(
    config: &Config,
    item: &Item,
    amount: u64,
    request: Option<String>,
    alone: Option<&str>,
) -> anyhow::Result<()> {
    let request = match request {
        Some(request) if ids::is_request(&request) => request,
        Some(request) => anyhow::bail!(
            "--request {request} cannot be a request id; write 1 to {} letters, digits, - or _",
            ids::MAX_REQUEST
        ),
        None => format!("adjust-{}", crate::now_ms()),
    };
    let alone = alone.map(|why| reasons::check("reason", why, (1, MAX_REASON)));
    let alone = alone.transpose()?;
    let redis = RedisLink::connect(&config.redis_url).await?;
    let segments = Segments::open(&redis, &config.redis_segments)?;
    let store: Store = open_store(config).await?;
    let by = Actor::on_the_box();
    let adjuster = Adjuster {
        redis: &redis,
        segments: &segments,
        store: &store,
        by: &by,
        raise: alone.map_or(Raise::Refused, Raise::Alone),
        site: config.site.as_ref(),
    };
    let adjusted = adjuster.adjust(item, amount, &request).await?;
    store.close().await;
    say(&match adjusted {
        Adjusted::Changed { from, to } if from == to => format!("{item} has {to} items already.\n"),
        Adjusted::Changed { from, to } => format!("{item}: {to} items instead of {from}.\n"),
        Adjusted::Before(amount) => {
            format!("Request {request} set {item} to {amount} items before; nothing was done.\n")
        }
    })
}

async fn propose_amount(
    config: &Config,
    item: &Item,
    amount: u64,
    reason: &str,
) -> anyhow::Result<()> {
    let store: Store = open_store(config).await?;
    let by = Actor::on_the_box();
    let proposed = proposals::propose_amount(&store, config, (item, amount), reason, &by).await;
    store.close().await;
    say(&format!(
        "{item} stays as it is. Proposed change {} waits for a supervisor at the console.\n",
        proposed?
    ))
}
