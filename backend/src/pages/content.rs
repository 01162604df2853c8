//! Reads the content of a round's pages from Redis, so that pages are rendered also
//! while the database is away.

use std::collections::{BTreeMap, BTreeSet};

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::pages::picture;

use crate::redis::RedisLinkError;
use crate::sale::page::PageContent;

/// Products in one query.
const BATCH: usize = 256;

/// The content of a round's pages.
#[derive(Debug, Clone, Default)]
pub(super) struct RoundContent {
    pub(super) ends_ms: u64,
    /// The content of each page, by product.
    pub(super) pages: BTreeMap<String, PageContent>,
}

/// All rounds in the catalogue.
pub(super) async fn rounds(
    conn: &mut MultiplexedConnection,
) -> Result<BTreeSet<String>, RedisLinkError> {
    let fields: Vec<String> = conn.hkeys(keys::CATALOGUE).await?;
    let items = fields.iter().filter_map(|field| Item::parse(field));
    Ok(items.map(|item| item.round().to_owned()).collect())
}

/// Reads the round of this id; `None` if shoppers may not see it.
pub(super) async fn read(
    conn: &mut MultiplexedConnection,
    round: &str,
) -> Result<Option<RoundContent>, RedisLinkError> {
    type Info = (Option<String>, Option<u64>, Option<u64>);
    let (info, products): (Info, Vec<String>) = redis::pipe()
        .hmget(keys::round_info(round), &["name", "starts_ms", "ends_ms"])
        .zrange(keys::round_products(round), 0, -1)
        .query_async(conn)
        .await?;
    let (Some(name), Some(opens_ms), Some(ends_ms)) = info else {
        return Ok(None);
    };
    let items: Vec<Item> = products
        .iter()
        .filter_map(|product| Item::new(round, product))
        .collect();
    let mut pages = BTreeMap::new();
    for batch in items.chunks(BATCH) {
        let mut query = redis::pipe();
        for item in batch {
            query.hgetall(keys::info(item));
        }
        let infos: Vec<BTreeMap<String, String>> = query.query_async(conn).await?;
        for (item, info) in batch.iter().zip(infos) {
            if let Some(page) = page(item, &info, &name, (opens_ms, ends_ms)) {
                pages.insert(item.product().to_owned(), page);
            }
        }
    }
    Ok(Some(RoundContent { ends_ms, pages }))
}

/// `None` for a product that its approval has not written yet.
fn page(
    item: &Item,
    info: &BTreeMap<String, String>,
    round_name: &str,
    (opens_ms, ends_ms): (u64, u64),
) -> Option<PageContent> {
    let text = |field: &str| info.get(field).map_or("", String::as_str);
    let number = |field: &str| text(field).parse().ok();
    Some(PageContent {
        round: item.round().to_owned(),
        round_name: round_name.to_owned(),
        product: item.product().to_owned(),
        title: info.get("title")?.clone(),
        text: text("text").to_owned(),
        pictures: picture::described(text("picture"), text("picture_alt")),
        amount: number("amount")?,
        price_cents: number("price_cents")?,
        list_price_cents: number("list_price_cents")?,
        per_buyer: text("per_buyer").parse().ok()?,
        opens_ms,
        ends_ms,
    })
}
