//! What sites say to each other, as JSON, and what of it is kept in Redis for commands.

use std::collections::{BTreeMap, HashMap};

use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sites::audit::{Account, End};
use seckill_core::sites::transfer::State;
use serde::{Deserialize, Serialize};

use crate::redis::RedisLinkError;

/// Where a site tells what it has, and hears what the other has.
pub const REPORT: &str = "/site/report";
/// Where a site asks for items.
pub const TRANSFER: &str = "/site/transfer";
/// Where a command asks for the account of a product.
pub const ACCOUNT: &str = "/site/account";

/// What a site has of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportLine {
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// Items there in all.
    pub amount: u64,
    /// Items in orders, paid or not.
    pub sold: u64,
    /// Items for sale: of these some may be given.
    pub free: u64,
}

impl ReportLine {
    /// The product.
    #[must_use]
    pub fn item(&self) -> Option<Item> {
        Item::new(&self.round, &self.product)
    }
}

/// What was taken over of the site that is answered, while it was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostShare {
    /// The transfer's id.
    pub id: String,
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// How many items were taken over.
    pub items: u64,
}

/// What a site has of every product that sells; the answer to one is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// A line for each product.
    pub items: Vec<ReportLine>,
    /// What was taken over of the site that asks, in an answer to it. It sells on once it has
    /// taken all of it off its own sale.
    #[serde(default)]
    pub lost: Vec<LostShare>,
}

/// A site asks for items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The transfer's id, the same whenever it is asked for.
    pub id: String,
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// How many items the site asks for.
    pub wanted: u64,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gave {
    /// Items, which are the asking site's from here on.
    pub items: u64,
}

/// A command asks for the account of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountAsk {
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
}

/// One end of a transfer, as [`End`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndLine {
    id: String,
    peer: String,
    comes: bool,
    lost: bool,
    items: u64,
    short: u64,
    state: String,
}

impl EndLine {
    pub(super) fn of(end: &End) -> Self {
        Self {
            id: end.id.clone(),
            peer: end.peer.clone(),
            comes: end.comes,
            lost: end.lost,
            items: end.items,
            short: end.short,
            state: end.state.as_str().to_owned(),
        }
    }

    fn read(self) -> Option<End> {
        Some(End {
            state: State::parse(&self.state)?,
            id: self.id,
            peer: self.peer,
            comes: self.comes,
            lost: self.lost,
            items: self.items,
            short: self.short,
        })
    }
}

/// The account of a product at one site, as [`Account`], with its amounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLine {
    /// The site.
    pub site: String,
    /// Items for sale.
    pub sale: u64,
    /// Items in orders that are not paid.
    pub locked: u64,
    /// Items paid.
    pub saled: u64,
    /// Items on their way between its segments.
    pub in_transit: u64,
    /// The amount set aside.
    pub share: i64,
    /// Items by its ledger, without transfers between sites.
    pub base: i64,
    /// What its ledger says each transfer moved.
    pub moved: BTreeMap<String, i64>,
    /// Its ends of transfers.
    pub ends: Vec<EndLine>,
}

impl AccountLine {
    /// What is compared; an end that a newer version wrote is left out.
    #[must_use]
    pub fn account(&self) -> Account {
        let holds = self.sale + self.locked + self.saled + self.in_transit;
        Account {
            site: self.site.clone(),
            base: self.base,
            moved: self.moved.clone(),
            share: self.share,
            holds: i64::try_from(holds).unwrap_or(i64::MAX),
            ends: self
                .ends
                .iter()
                .cloned()
                .filter_map(EndLine::read)
                .collect(),
        }
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A stable code.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// What was last heard of another site, as commands read it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Heard {
    /// When it was last heard, epoch milliseconds by the clock here.
    pub at_ms: u64,
    /// When it last asked here and was answered: from then on counts its lease.
    pub asked_ms: u64,
    /// What it had.
    pub items: Vec<ReportLine>,
}

impl Heard {
    pub(super) fn to_text(&self) -> String {
        // Numbers and texts only: nothing that could fail to serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What was last heard of each site.
///
/// # Errors
/// Redis is away.
pub async fn heard(
    conn: &mut MultiplexedConnection,
) -> Result<HashMap<String, Heard>, RedisLinkError> {
    let texts: HashMap<String, String> = redis::cmd("HGETALL")
        .arg(keys::SITE_REPORTS)
        .query_async(conn)
        .await?;
    let read = |(peer, text): (String, String)| Some((peer, serde_json::from_str(&text).ok()?));
    Ok(texts.into_iter().filter_map(read).collect())
}
