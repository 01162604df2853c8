//! Carries a transfer between two sites on at this end, from wherever it stands.
//!
//! Which step follows which is in [`seckill_core::sites::transfer`]. Here each step is done:
//! in Redis by a script that does nothing a second time, then in the database in one
//! transaction. What was done in Redis is in the archive before the database says so: a
//! Redis that comes back older is halted then, and sells nothing twice (`stock/fence.rs`).

use std::collections::BTreeMap;
use std::time::Duration;

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::{Entry, split_evenly};
use seckill_core::sites::share;
use seckill_core::sites::transfer::{Next, State};
use seckill_core::stock::ledger::{EntryId, Event};
use tokio::time::Instant;

use crate::now_ms;
use crate::redis::segments::{Segment, Segments};
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::sale::catalogue;
use crate::stock::{adjust, reopening};
use crate::store::site_transfers::SiteTransfer;
use crate::store::{LazyStore, Store, StoreError};

/// For how long a step has the product to itself, in ms: a process that was killed meanwhile
/// holds the next one up for so long.
const LOCK_MS: u64 = 5_000;
/// How long a step waits for others that change the amount of the same product.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// Pause before the lock is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// How long a transfer waits for edges to return permits: they adjust what they keep four
/// times a second.
const RETURN_PATIENCE: Duration = Duration::from_millis(700);
/// Pause before it looks again.
const RETURN_PAUSE: Duration = Duration::from_millis(20);
/// Events that are read at once from the end of an outbox.
const PAGE: usize = 500;
/// Pages of an outbox that are looked through. What is further back is archived by now.
const PAGES: usize = 40;

/// Why a transfer waits.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Redis is away or refuses.
    #[error(transparent)]
    Link(#[from] RedisLinkError),
    /// The database is away or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else changes the amount of the product.
    #[error("somebody else changes the amount of {0} at this moment")]
    Busy(Item),
    /// It is not in the catalogue.
    #[error("{0} is not on sale here; approve its round at every site")]
    NotOnSale(Item),
}

impl From<redis::RedisError> for MoveError {
    fn from(error: redis::RedisError) -> Self {
        Self::Link(error.into())
    }
}

/// Moves items between this site and others.
#[derive(Debug, Clone)]
pub struct Mover {
    /// The main Redis.
    pub redis: RedisLink,
    /// The masters of the segments.
    pub segments: Segments,
    /// The database.
    pub store: LazyStore,
}

impl Mover {
    /// Gives to another site what it asked for, as far as it is free here; returns how many
    /// items, the same at every call for one transfer.
    ///
    /// # Errors
    /// [`MoveError`]; calling again goes on.
    pub async fn give(&self, asked: &SiteTransfer) -> Result<u64, MoveError> {
        let store = self.store.get().await?;
        store.begin_site_transfer(asked, None, now_ms()).await?;
        let given = self.carry_on(&asked.id).await?;
        Ok(given.map_or(0, |transfer| transfer.items))
    }

    /// Carries a transfer on as far as this site can alone; returns it as it stands then.
    ///
    /// # Errors
    /// [`MoveError`]; calling again goes on.
    pub async fn carry_on(&self, id: &str) -> Result<Option<SiteTransfer>, MoveError> {
        let store = self.store.get().await?;
        loop {
            let Some(transfer) = store.site_transfer(id).await? else {
                return Ok(None);
            };
            if matches!(transfer.state.next(), Next::Ask | Next::Nothing) {
                return Ok(Some(transfer));
            }
            let mut conn = self.redis.conn().await?;
            self.lock(&mut conn, &transfer).await?;
            // Under the lock the row is read again: another process may have carried it on.
            let outcome = match store.site_transfer(id).await {
                Ok(Some(now)) => self.step(store, &mut conn, &now).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error.into()),
            };
            adjust::unlock(&mut conn, &transfer.item).await;
            outcome?;
        }
    }

    async fn lock(
        &self,
        conn: &mut MultiplexedConnection,
        transfer: &SiteTransfer,
    ) -> Result<(), MoveError> {
        let deadline = Instant::now() + LOCK_PATIENCE;
        while !adjust::lock(conn, &transfer.item, &transfer.id, LOCK_MS).await? {
            if Instant::now() >= deadline {
                return Err(MoveError::Busy(transfer.item.clone()));
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        Ok(())
    }

    async fn step(
        &self,
        store: &Store,
        conn: &mut MultiplexedConnection,
        transfer: &SiteTransfer,
    ) -> Result<(), MoveError> {
        let entry = entry_of(conn, &transfer.item).await?;
        match transfer.state.next() {
            Next::PutOnSale => {
                self.put_on_sale(&entry, transfer).await?;
                store.arrive_site_transfer(transfer, now_ms()).await?;
            }
            Next::TakeOffSale => {
                let taken = self.take_off_sale(conn, &entry, transfer).await?;
                let short = match transfer.lost {
                    true => transfer.wanted.saturating_sub(taken),
                    false => 0,
                };
                store
                    .give_site_transfer(transfer, (taken, short), now_ms())
                    .await?;
            }
            Next::FitLimit => {
                fit_limit(store, conn, transfer).await?;
                let change = [announced(transfer)];
                reopening::withdraw(&self.redis, &change).await?;
                store.finish_site_transfer(&transfer.id, now_ms()).await?;
            }
            Next::Ask | Next::Nothing => {}
        }
        Ok(())
    }

    /// Puts the items that came on sale; the permits follow.
    async fn put_on_sale(&self, entry: &Entry, transfer: &SiteTransfer) -> Result<(), MoveError> {
        let item = &transfer.item;
        // From here until there are permits again no edge says "sold out".
        reopening::announce(&self.redis, &[announced(transfer)]).await?;
        let shares = split_evenly(transfer.items, entry.segments);
        for (number, share) in (1..).zip(shares) {
            if share > 0 {
                self.change(item, number, transfer, signed(share)).await?;
            }
        }
        self.archive(entry, transfer).await
    }

    /// Takes items off the sale: first permits that nobody has, then as many items. Returns
    /// how many.
    async fn take_off_sale(
        &self,
        conn: &mut MultiplexedConnection,
        entry: &Entry,
        transfer: &SiteTransfer,
    ) -> Result<u64, MoveError> {
        let item = &transfer.item;
        let mut left = match transfer.lost {
            // The other site has them, whatever became of their permits here.
            true => {
                let permits = scripts::permits::give(item, &transfer.id, transfer.wanted);
                permits.run(conn).await?;
                transfer.wanted
            }
            false => {
                let most = share::given(self.for_sale(item, entry).await?, transfer.wanted);
                free_permits(conn, item, &transfer.id, most).await?
            }
        };
        // Always in the same order: a call that was interrupted finds what each segment gave.
        for number in order(&transfer.id, entry.segments) {
            if left == 0 {
                break;
            }
            let change = self.change(item, number, transfer, -signed(left)).await?;
            left = left.saturating_sub(change.unsigned_abs());
        }
        self.archive(entry, transfer).await?;
        // By what the segments remember: an earlier call may have taken more than this one.
        let mut taken = 0;
        for Segment { number, .. } in Segment::all(item, entry) {
            let mut conn = self.segments.conn(item, number).await?;
            let made: Option<i64> = conn
                .hget(keys::adjustments(item, number), &transfer.id)
                .await?;
            taken += made.unwrap_or(0).unsigned_abs();
        }
        Ok(taken)
    }

    /// Items for sale here.
    async fn for_sale(&self, item: &Item, entry: &Entry) -> Result<u64, MoveError> {
        let mut sale = 0;
        for segment in Segment::all(item, entry) {
            let mut conn = self.segments.conn(item, segment.number).await?;
            let here: Option<u64> = conn
                .hget(keys::stock(item, segment.number), "sale_stock_amount")
                .await?;
            sale += here.unwrap_or(0);
        }
        Ok(sale)
    }

    async fn change(
        &self,
        item: &Item,
        segment: u16,
        transfer: &SiteTransfer,
        change: i64,
    ) -> Result<i64, MoveError> {
        let mut conn = self.segments.conn(item, segment).await?;
        let link = self.segments.link(item, segment).await?;
        let life = link.life();
        let call = scripts::stock::adjust(item, segment, &transfer.id, change);
        let changed = call.run(&mut conn).await?;
        link.replicated(life).await?;
        Ok(changed)
    }

    /// Archives what the transfer changed in the segments.
    async fn archive(&self, entry: &Entry, transfer: &SiteTransfer) -> Result<(), MoveError> {
        let (store, item) = (self.store.get().await?, &transfer.item);
        for Segment { number, .. } in Segment::all(item, entry) {
            let mut conn = self.segments.conn(item, number).await?;
            let made: Option<i64> = conn
                .hget(keys::adjustments(item, number), &transfer.id)
                .await?;
            if made.is_none_or(|made| made == 0) {
                continue;
            }
            if let Some(event) = event_of(&mut conn, item, number, &transfer.id).await? {
                store.archive(item, number, &[event], now_ms()).await?;
            }
        }
        Ok(())
    }

    /// Decides the transfers of a product by which its stock and the database may differ,
    /// before its stock is put back: its segments are halted. What is granted counts as
    /// arrived; what was not taken off the sale, or was forgotten, is not taken. Returns the
    /// amount that the stock must come to; `None` if nothing is set aside.
    ///
    /// # Errors
    /// [`MoveError`]; calling again goes on.
    pub async fn decide(
        store: &Store,
        segments: &Segments,
        item: &Item,
        entry: &Entry,
    ) -> Result<Option<u64>, MoveError> {
        let Some((_, between)) = store.share_and_between(item).await? else {
            return Ok(None);
        };
        for transfer in &between {
            for Segment { number, .. } in Segment::all(item, entry) {
                let mut conn = segments.conn(item, number).await?;
                // What a step that is under way finds when it comes.
                let key = keys::adjustments(item, number);
                let _: bool = conn.hset_nx(key, &transfer.id, 0).await?;
            }
            if transfer.state == State::Granted {
                store.arrive_site_transfer(transfer, now_ms()).await?;
            }
        }
        let Some((share, between)) = store.share_and_between(item).await? else {
            return Ok(None);
        };
        let mut amount = signed(share);
        for transfer in &between {
            for Segment { number, .. } in Segment::all(item, entry) {
                let mut conn = segments.conn(item, number).await?;
                let key = keys::adjustments(item, number);
                let made: Option<i64> = conn.hget(key, &transfer.id).await?;
                amount += made.unwrap_or(0);
            }
        }
        Ok(Some(u64::try_from(amount).unwrap_or(0)))
    }
}

/// Takes permits off the limit that nobody has, at most so many. Edges keep what is free for
/// when Redis is away, and return it when the limit falls.
async fn free_permits(
    conn: &mut MultiplexedConnection,
    item: &Item,
    transfer: &str,
    most: u64,
) -> Result<u64, RedisLinkError> {
    scripts::permits::give(item, transfer, most)
        .run(conn)
        .await?;
    let deadline = Instant::now() + RETURN_PATIENCE;
    while Instant::now() < deadline {
        let (limit, granted): (Option<u64>, Option<u64>) = redis::pipe()
            .hget(keys::info(item), keys::INFO_LIMIT)
            .get(keys::permits(item))
            .query_async(conn)
            .await?;
        if granted.unwrap_or(0) <= limit.unwrap_or(0) {
            break;
        }
        tokio::time::sleep(RETURN_PAUSE).await;
    }
    Ok(scripts::permits::keep(item, transfer).run(conn).await?)
}

/// How a product's change by a transfer is announced to the edges.
fn announced(transfer: &SiteTransfer) -> reopening::Reopening {
    (transfer.item.clone(), vec![format!("site:{}", transfer.id)])
}

/// Makes the limit of permits what the database has set aside, less what other transfers
/// have taken off it and not yet recorded.
async fn fit_limit(
    store: &Store,
    conn: &mut MultiplexedConnection,
    transfer: &SiteTransfer,
) -> Result<(), MoveError> {
    let item = &transfer.item;
    // Not removed: a call of the script that comes late must not take them once more.
    let () = conn.hset(keys::giving(item), &transfer.id, 0).await?;
    let Some((share, _)) = store.share_and_between(item).await? else {
        return Err(MoveError::NotOnSale(item.clone()));
    };
    let others: Vec<String> = conn.hvals(keys::giving(item)).await?;
    let permits = |text: &String| text.trim_end_matches('!').parse::<u64>().ok();
    let limit = share.saturating_sub(others.iter().filter_map(permits).sum());
    Ok(adjust::set_limit(conn, item, limit).await?)
}

async fn entry_of(conn: &mut MultiplexedConnection, item: &Item) -> Result<Entry, MoveError> {
    let text: Option<String> = conn.hget(keys::CATALOGUE, item.to_string()).await?;
    let entry = text.and_then(|text| Entry::parse(&text).ok());
    entry.ok_or_else(|| MoveError::NotOnSale(item.clone()))
}

/// The segments in the order in which this transfer takes from them: another first one for
/// each transfer.
fn order(id: &str, segments: u16) -> impl Iterator<Item = u16> {
    let count = segments.max(1);
    let sum: u32 = id.bytes().map(u32::from).sum();
    let first = u16::try_from(sum % u32::from(count)).unwrap_or(0);
    (0..count).map(move |at| 1 + (first + at) % count)
}

/// The event by which a transfer changed a segment; `None` if it is no longer in the outbox:
/// then it is archived.
async fn event_of(
    conn: &mut MultiplexedConnection,
    item: &Item,
    segment: u16,
    id: &str,
) -> Result<Option<Event>, RedisLinkError> {
    let key = keys::outbox(item, segment);
    let mut from = "+".to_owned();
    for _ in 0..PAGES {
        let page: StreamRangeReply = redis::cmd("XREVRANGE")
            .arg(&key)
            .arg(&from)
            .arg("-")
            .arg("COUNT")
            .arg(PAGE)
            .query_async(conn)
            .await?;
        let Some(last) = page.ids.last() else {
            return Ok(None);
        };
        from = format!("({}", last.id);
        for entry in &page.ids {
            let field = |name: &str| entry.get::<String>(name).unwrap_or_default();
            if field("kind") != "adjust" || field("request") != id {
                continue;
            }
            let names = entry.map.keys();
            let fields: BTreeMap<String, String> =
                names.map(|name| (name.clone(), field(name))).collect();
            let id = EntryId::parse(&entry.id);
            return Ok(id.map(|id| Event { id, fields }));
        }
    }
    Ok(None)
}

fn signed(items: u64) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

/// The catalogue's entries by which items may move: those that are on sale.
pub(super) async fn on_sale(
    conn: &mut MultiplexedConnection,
) -> Result<Vec<(Item, Entry)>, RedisLinkError> {
    let products = catalogue::read(conn).await?;
    let mut products: Vec<(Item, Entry)> = products.into_iter().collect();
    products.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(products)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_takes_from_every_segment_in_an_order_of_its_own() {
        assert_eq!(order("a", 1).collect::<Vec<_>>(), [1]);
        let mut firsts = Vec::new();
        for id in ["a", "b", "c"] {
            let mut all: Vec<u16> = order(id, 3).collect();
            firsts.push(all[0]);
            all.sort_unstable();
            assert_eq!(all, [1, 2, 3]);
        }
        firsts.sort_unstable();
        assert_eq!(firsts, [1, 2, 3]);
    }
}
