//! Tells the other edges whom this one admitted, and reads whom they did.
//!
//! A buyer is put on the product's list in Redis before their permit is reported as
//! used: both go over one connection, in this order (`super::reports`). "Sold out" is
//! told when every permit is known to be used, so that whoever tells it can know every
//! winner; and it is told here only when this edge has read the list to its end
//! (`Found::is_settled`).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

use redis::RedisResult;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::shared::products::{self, Found};
use seckill_core::shared::winners::{self, FINGERPRINT_BYTES, WinnerTag};

use super::tallies;
use crate::conf::Edge;
use crate::error_log;
use crate::link::{self, Link};
use crate::state::Zone;

/// Most winners who wait to be sent while Redis is away; who is beyond that is a winner to
/// this edge alone.
const MOST_WAITING: usize = 100_000;
/// How long after the round's end the list is kept, in ms: as the other records are.
const KEEP_MS: u64 = 7 * 86_400_000;
/// Fingerprints read with one command, and commands for one product in one pass.
const BATCH: u64 = 8_192;
const BATCHES: usize = 16;

/// A buyer whom this worker admitted.
pub(super) struct Winner {
    fingerprint: u64,
    /// Lease and number of the permits that they certainly used.
    used: Option<(u64, u64)>,
}

#[derive(Default)]
struct Due {
    winners: BTreeMap<Item, Vec<Winner>>,
    waiting: usize,
}

thread_local! {
    static DUE: RefCell<Due> = RefCell::default();
    /// Permits used, by lease, of winners who were sent to Redis and whose arrival is not
    /// known yet.
    static UNDER_WAY: RefCell<HashMap<u64, u64>> = RefCell::default();
}

/// Permits of a lease that this worker's winners have used and that are not in the
/// tallies yet: what is sent to Redis now arrives behind those winners.
pub(super) fn under_way(lease: u64) -> u64 {
    UNDER_WAY.with_borrow(|used| used.get(&lease).copied().unwrap_or_default())
}

/// The tag of a buyer in this zone's filter.
fn tag(zone: &Zone, product: &Found<'_>, fingerprint: u64) -> WinnerTag {
    WinnerTag::new(zone.seed(), product.hash(), fingerprint)
}

/// Whether a buyer may be one of those whom any edge admitted.
pub(crate) fn may_be_one(zone: &Zone, product: &Found<'_>, user: &str) -> bool {
    product.winners_known() > 0
        && zone
            .winners()
            .may_hold(tag(zone, product, winners::fingerprint(user)))
}

/// Whether a buyer may be one of those whom this edge or another admitted for a product
/// that is sold out, as far as the filter knows; `None` if it may lack some whom this edge
/// admitted.
pub(crate) fn of_sold_out(zone: &Zone, product: &Found<'_>, user: &str) -> Option<bool> {
    let is_complete = zone.winners().knows_own(product.hash());
    is_complete.then(|| may_be_one(zone, product, user))
}

/// Counts a buyer whom this edge admits, until it is known what became of them.
pub(super) fn admitted(zone: &Zone, round: &str, product: &str) {
    if let Some(hash) = products::hash(round, product) {
        zone.winners().admitted(hash);
    }
}

/// Counts buyers no longer who are on the list, or did not win.
fn settled(zone: &Zone, item: &Item, buyers: u64) {
    if let Some(hash) = products::hash(item.round(), item.product()) {
        zone.winners().settled(hash, buyers);
    }
}

/// Counts a buyer no longer whose permit was not used. Whoever `has_one` is a winner by
/// another request of theirs.
pub(super) fn unused(edge: &Edge, item: &Item, user: &str, has_one: bool) {
    if has_one && let Some(found) = edge.zone.products().find(item.round(), item.product()) {
        let tag = tag(&edge.zone, &found, winners::fingerprint(user));
        edge.zone.winners().add(tag);
    }
    settled(&edge.zone, item, 1);
}

/// Keeps a buyer to be sent, with lease and number of the permits that they certainly
/// used.
pub(super) fn add(edge: &Edge, item: &Item, user: &str, used: Option<(u64, u64)>) {
    let fingerprint = winners::fingerprint(user);
    if put(item, [Winner { fingerprint, used }]) {
        return;
    }
    error_log::warn_rarely("other edges cannot be told of all winners: Redis is away");
    if let Some((lease, n)) = used {
        count_used(edge, item, &HashMap::from([(lease, n)]));
    }
}

/// Counts permits as used, by lease.
fn count_used(edge: &Edge, item: &Item, used: &HashMap<u64, u64>) {
    for (lease, n) in used {
        // One that is no longer remembered is settled by the back end.
        let _ = tallies::count(edge, item, *lease, (*n, 0));
    }
}

/// Keeps winners to be sent; whether there is room.
fn put<I>(item: &Item, winners: I) -> bool
where
    I: IntoIterator<Item = Winner, IntoIter: ExactSizeIterator>,
{
    let winners = winners.into_iter();
    DUE.with_borrow_mut(|due| {
        if due.waiting + winners.len() > MOST_WAITING {
            return false;
        }
        due.waiting += winners.len();
        match due.winners.get_mut(item) {
            Some(waiting) => waiting.extend(winners),
            None => {
                due.winners.insert(item.clone(), winners.collect());
            }
        }
        true
    })
}

/// Winners of one product on their way to Redis, who are kept again if they do not arrive.
pub(super) struct Batch<'a> {
    edge: &'a Edge,
    item: &'a Item,
    winners: Vec<Winner>,
    /// Whether Redis has put them on the list.
    is_listed: Cell<bool>,
}

impl<'a> Batch<'a> {
    /// All who wait to be sent.
    pub(super) fn take(edge: &'a Edge, item: &'a Item) -> Self {
        let winners = DUE.with_borrow_mut(|due| {
            let winners = due.winners.remove(item).unwrap_or_default();
            due.waiting -= winners.len();
            winners
        });
        UNDER_WAY.with_borrow_mut(|used| {
            for (lease, n) in winners.iter().filter_map(|winner| winner.used) {
                *used.entry(lease).or_default() += n;
            }
        });
        Self {
            edge,
            item,
            winners,
            is_listed: Cell::new(false),
        }
    }

    /// Takes them out of what is under way: the permits that they used, by lease. Those are
    /// not counted in the tallies before, since another worker might report them before
    /// Redis has their buyers.
    fn end(&self) -> HashMap<u64, u64> {
        let mut ended = HashMap::new();
        UNDER_WAY.with_borrow_mut(|used| {
            for (lease, n) in self.winners.iter().filter_map(|winner| winner.used) {
                *ended.entry(lease).or_default() += n;
                if let Some(left) = used.get_mut(&lease) {
                    *left = left.saturating_sub(n);
                    if *left == 0 {
                        used.remove(&lease);
                    }
                }
            }
        });
        ended
    }

    /// Puts them on the list. False if that failed, and is to be repeated: a fingerprint
    /// may stand there twice.
    pub(super) async fn send(&self) -> bool {
        if self.winners.is_empty() {
            return true;
        }
        match append(self.edge, self.item, &self.winners).await {
            Ok(known) => {
                note_known(self.edge, self.item, &self.winners, known);
                self.is_listed.set(true);
                true
            }
            Err(is_away) => !is_away,
        }
    }

    /// Counts their permits, now that Redis has them.
    pub(super) fn arrived(mut self) {
        count_used(self.edge, self.item, &self.end());
        if self.is_listed.get() {
            settled(&self.edge.zone, self.item, self.winners.len() as u64);
        }
        self.winners.clear();
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.winners.is_empty() {
            return;
        }
        let used = self.end();
        if !put(self.item, std::mem::take(&mut self.winners)) {
            count_used(self.edge, self.item, &used);
        }
    }
}

/// How many fingerprints the list has now.
///
/// # Errors
/// Whether Redis is away, and may not have them; else the list cannot be written.
async fn append(edge: &Edge, item: &Item, winners: &[Winner]) -> Result<u64, bool> {
    let Some(found) = edge.zone.products().find(item.round(), item.product()) else {
        return Err(false);
    };
    let mut link = link::ready().await.ok_or(true)?;
    let fingerprints = winners.iter().map(|winner| winner.fingerprint);
    let reply: RedisResult<u64> = redis::cmd("EVALSHA")
        .arg(&link.scripts.winners)
        .arg(1)
        .arg(keys::winners(item))
        .arg(winners::to_bytes(fingerprints))
        .arg(found.entry.window.ends_ms.saturating_add(KEEP_MS))
        .query_async(&mut link.connection)
        .await;
    reply.map_err(|error| {
        let is_away = link::judge(&error);
        if !is_away {
            let why = link::text_of(&error);
            error_log::warn_rarely(&format!("winners of {item} cannot be recorded: {why}"));
        }
        is_away
    })
}

/// Records that this edge knows the winners whom it put on the list, the last of `known`.
fn note_known(edge: &Edge, item: &Item, winners: &[Winner], known: u64) {
    // Looked up again: its slot in the table may be another product's by now.
    let Some(found) = edge.zone.products().find(item.round(), item.product()) else {
        return;
    };
    for winner in winners {
        let tag = tag(&edge.zone, &found, winner.fingerprint);
        edge.zone.winners().add(tag);
    }
    let before = known.saturating_sub(winners.len() as u64);
    found.know_winners(before, known);
}

/// Reads the list of a product's winners as far as this edge does not know it, now that
/// it has `listed` of them.
///
/// # Errors
/// The connection's error, or Redis's.
pub(crate) async fn follow(
    link: &mut Link,
    edge: &Edge,
    item: &Item,
    listed: u64,
) -> RedisResult<()> {
    for _ in 0..BATCHES {
        let Some(found) = edge.zone.products().find(item.round(), item.product()) else {
            return Ok(());
        };
        let known = found.winners_known();
        if known == listed {
            return Ok(());
        }
        if known > listed {
            // Redis has lost it.
            edge.zone.winners().lost();
            found.know_winners(known, 0);
            continue;
        }
        let read = range(link, item, known, listed.min(known + BATCH)).await?;
        for fingerprint in &read {
            let tag = tag(&edge.zone, &found, *fingerprint);
            edge.zone.winners().add(tag);
        }
        if read.is_empty() {
            return Ok(());
        }
        found.know_winners(known, known + read.len() as u64);
    }
    Ok(())
}

/// The fingerprints from one place in the list to another.
async fn range(link: &mut Link, item: &Item, from: u64, to: u64) -> RedisResult<Vec<u64>> {
    let at = |place: u64| place * FINGERPRINT_BYTES as u64;
    let bytes: Vec<u8> = redis::cmd("GETRANGE")
        .arg(keys::winners(item))
        .arg(at(from))
        .arg(at(to) - 1)
        .query_async(&mut link.connection)
        .await?;
    Ok(winners::of_bytes(&bytes).collect())
}

/// Forgets the winners of products that are over, once so many were added that the
/// filter would take many others for winners. `items` are the products that are not over.
///
/// # Errors
/// The connection's error, or Redis's; then nobody is forgotten.
pub(crate) async fn sweep<'a>(
    link: &mut Link,
    edge: &Edge,
    items: impl Iterator<Item = &'a Item>,
) -> RedisResult<()> {
    let filter = edge.zone.winners();
    if !filter.is_full() {
        return Ok(());
    }
    let mut sweep = filter.begin();
    for item in items {
        let Some(found) = edge.zone.products().find(item.round(), item.product()) else {
            continue;
        };
        let (mut at, known) = (0, found.winners_known());
        while at < known {
            let read = range(link, item, at, known.min(at + BATCH)).await?;
            for fingerprint in &read {
                filter.keep(tag(&edge.zone, &found, *fingerprint), &mut sweep);
            }
            if read.is_empty() {
                break;
            }
            at += read.len() as u64;
        }
    }
    filter.finish(sweep);
    Ok(())
}
