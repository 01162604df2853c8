//! How not to do it: the replica of a Redis is promoted without a look at what it has.
//!
//! Replication is asynchronous. A replica that was cut off lacks what was sold
//! meanwhile, and sells it once more when it becomes the master. Here that is done
//! without fence, ledger and `WAIT`: it must be *seen* overselling, or `redis-failover` and
//! `redis-old` would prove nothing.

use anyhow::Context as _;
use seckill_core::ids::Item;
use tokio_util::sync::CancellationToken;

use super::system::servers::RedisServer;
use super::system::{ROUND, until};
use crate::config::Config;
use crate::redis::RedisLink;
use crate::redis::scripts::stock::{self, Purchase, Sold, WhenGone};

/// The name of the drill.
pub const NAME: &str = "redis-failover-naive";
/// What it does, as a sentence.
pub const ABOUT: &str =
    "Promotes a replica that lacks events, unguarded: must be seen overselling.";
/// Items for sale.
const AMOUNT: u32 = 60;
/// How many are sold before the replica stands still, and before the master dies.
const SOLD_BEFORE: u32 = 20;
const SOLD_UNSEEN: u32 = 25;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Buyers who were told that they have an item.
    pub sold: u32,
    /// Items that there were.
    pub amount: u32,
}

impl Outcome {
    /// Whether more was sold than there was: what this drill is to show.
    #[must_use]
    pub fn has_oversold(&self) -> bool {
        self.sold > self.amount
    }

    /// The last line.
    #[must_use]
    pub fn verdict(&self) -> String {
        let word = if self.has_oversold() { "PASS" } else { "FAIL" };
        let Self { sold, amount } = self;
        format!("{word} {NAME}: {sold} of {amount} items were sold by the unguarded way")
    }
}

/// Runs it.
///
/// # Errors
/// The servers cannot be started, or `stop` is cancelled. They are stopped in any case.
pub async fn run(config: &Config, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    let folder = std::env::temp_dir().join(format!("seckill-{NAME}-{}", std::process::id()));
    let server = |name: &str| RedisServer::at_port(&config.redis_server, folder.join(name));
    let (mut master, mut replica) = (server("master")?, server("replica")?);
    let work = fail_over(&mut master, &mut replica);
    let outcome = stop.run_until_cancelled(work).await;
    let _ = master.kill().await;
    let _ = replica.kill().await;
    let _ = std::fs::remove_dir_all(&folder);
    outcome.context(super::INTERRUPTED)?
}

async fn fail_over(master: &mut RedisServer, replica: &mut RedisServer) -> anyhow::Result<Outcome> {
    master.start(&[]).await?;
    let port = master.port().to_string();
    replica.start(&["--replicaof", "127.0.0.1", &port]).await?;
    let item = Item::new(ROUND, "1").context("the drill's ids")?;
    let link = RedisLink::connect(&master.url()).await?;
    let preload = stock::preload(&item, 1, u64::from(AMOUNT));
    preload.run(&mut link.conn().await?).await?;
    let mut sold = sell(&link, &item, 0..SOLD_BEFORE).await?;
    let (first, second) = (&*master, &*replica);
    until("the replica has all", || async {
        let has = second.replication("slave_repl_offset").await;
        let is = first.replication("master_repl_offset").await;
        matches!((has, is), (Ok(has), Ok(is)) if has == is)
    })
    .await?;
    // The network between the two is gone; the replica keeps what it has.
    replica.command(&["REPLICAOF", "127.0.0.1", "1"]).await?;
    sold += sell(&link, &item, SOLD_BEFORE..SOLD_BEFORE + SOLD_UNSEEN).await?;
    master.kill().await?;
    promote(replica).await?;
    let link = RedisLink::connect(&replica.url()).await?;
    sold += sell(&link, &item, 1_000..1_000 + AMOUNT).await?;
    Ok(Outcome {
        sold,
        amount: AMOUNT,
    })
}

async fn promote(replica: &RedisServer) -> anyhow::Result<()> {
    replica.command(&["REPLICAOF", "NO", "ONE"]).await?;
    until("the replica is a master", || async {
        let role = replica.replication("role").await;
        role.is_ok_and(|role| role == "master")
    })
    .await
}

/// Lets buyers of these numbers buy; returns how many were told that they have an item.
async fn sell(link: &RedisLink, item: &Item, buyers: std::ops::Range<u32>) -> anyhow::Result<u32> {
    let mut conn = link.conn().await?;
    let mut sold = 0;
    for number in buyers {
        let (user, request) = (format!("u{number}"), format!("r{number}"));
        let purchase = Purchase {
            user: &user,
            request: &request,
            quantity: 1,
            permit: None,
            price_cents: 100,
            when_gone: WhenGone::SpendPermit,
            edge_returns: false,
            spent_until_ms: 0,
            order: None,
            traceparent: None,
            pass: None,
        };
        let reply = stock::purchase(item, 1, &purchase).run(&mut conn).await?;
        sold += u32::from(reply == Sold::Accepted);
    }
    Ok(sold)
}
