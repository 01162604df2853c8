//! The catalogue in the zone: as Redis has it, as far as there is room.

use std::collections::HashSet;

use redis::RedisResult;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::urgency;

use crate::conf::Edge;
use crate::link::Link;
use crate::permits::reports;
use crate::{clock, error_log};

/// One worker's copy.
#[derive(Default)]
pub(super) struct Catalogue {
    /// Version of the catalogue that this worker wrote into the zone. A worker that
    /// becomes refresher starts with none and reads everything, which also repairs a
    /// slot that a killed worker left half written.
    version: Option<Vec<u8>>,
    /// The products of that version; those that must not be left out come first.
    items: Vec<(Item, Entry)>,
    /// How many of them are in the zone: the first ones.
    placed: usize,
    /// When those that are not may get a place, epoch ms.
    turn_ms: Option<u64>,
}

impl Catalogue {
    /// The products in the zone.
    pub(super) fn items(&self) -> &[(Item, Entry)] {
        &self.items[..self.placed]
    }

    /// The names of these products.
    pub(super) fn names(&self) -> Vec<&Item> {
        self.items().iter().map(|(item, _)| item).collect()
    }

    /// Forgets what was written: another worker writes.
    pub(super) fn forget(&mut self) {
        self.version = None;
    }

    /// Reads the catalogue if its version has changed, and writes it into the zone then
    /// and when a product that was left out may get a place.
    ///
    /// # Errors
    /// The connection's error, or Redis's.
    pub(super) async fn follow(
        &mut self,
        link: &mut Link,
        edge: &Edge,
        version: Vec<u8>,
    ) -> RedisResult<()> {
        if self.version.as_ref() != Some(&version) {
            let (items, version) = read(link).await?;
            if !edge.zone.claim_refresh() {
                return Ok(());
            }
            self.items = items;
            self.place(edge, true);
            self.version = Some(version);
        } else if self.turn_ms.is_some_and(|turn| clock::now_ms() >= turn) {
            self.place(edge, false);
        }
        Ok(())
    }

    /// Writes as many products as there is room for, after those were removed that have
    /// none or are no longer in the catalogue.
    fn place(&mut self, edge: &Edge, is_news: bool) {
        let now_ms = clock::now_ms();
        let products = edge.zone.products();
        urgency::sort(&mut self.items, now_ms);
        self.placed = self.items.len().min(products.most());
        let (placed, left_out) = self.items.split_at(self.placed);
        let names = placed.iter().map(|(item, _)| item.to_string());
        let listed: HashSet<String> = names.collect();
        let leases = products.take_back(|name| !listed.contains(name), edge.zone.tallies());
        products.retain(|name| listed.contains(name));
        let mut without_place = left_out.len() as u64;
        for (item, entry) in placed {
            without_place += u64::from(!products.put(item.round(), item.product(), entry));
        }
        if is_news && without_place > 0 {
            let first = left_out.first().map(|(item, _)| item.to_string());
            error_log::warn(&format!(
                "the zone has no room for {without_place} of {} products, as for {}: make seckill_zone larger",
                self.items.len(),
                first.unwrap_or_default()
            ));
        }
        self.turn_ms = urgency::next_turn_ms(placed, left_out, now_ms);
        edge.zone.counters().left_out.set(without_place);
        edge.zone.set_has_catalogue();
        for (name, leases) in leases {
            if let Some(item) = Item::parse(&name) {
                reports::returned(edge, &item, &leases);
            }
        }
    }
}

/// The products and their version, both of the same instant: of a Redis that is emptied
/// and filled again in between, a version read before is no version of what was read.
async fn read(link: &mut Link) -> RedisResult<(Vec<(Item, Entry)>, Vec<u8>)> {
    // Bytes: an entry that is not text must not prevent reading the rest.
    let all: Vec<(Vec<u8>, Vec<u8>)> = redis::cmd("HGETALL")
        .arg(keys::CATALOGUE)
        .query_async(&mut link.connection)
        .await?;
    let mut items = Vec::with_capacity(all.len());
    let mut version = Vec::new();
    for (name, text) in &all {
        if name == keys::CATALOGUE_VERSION.as_bytes() {
            version.clone_from(text);
            continue;
        }
        let (name, text) = (String::from_utf8_lossy(name), String::from_utf8_lossy(text));
        if let (Some(item), Ok(entry)) = (Item::parse(&name), Entry::parse(&text)) {
            items.push((item, entry));
        } else {
            error_log::warn(&format!(
                "entry \"{}\" of the catalogue does not parse; approve its round again",
                name.escape_debug()
            ));
        }
    }
    Ok((items, version))
}
