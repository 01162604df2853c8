//! What this process sold lately: by segment, with the event that says so; and the transfers
//! that it made.
//!
//! The archive is behind by less than a second, or by as long as the database is away.
//! What is in the archive need not be here, but nobody says so; hence a bound.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use seckill_core::journal::request::Request;
use seckill_core::stock::ledger::EntryId;

use crate::redis::segments::Segment;
use crate::sale::catalogue::Products;

/// Most purchases kept of a segment.
const MOST: usize = 50_000;
/// Most transfers kept of a segment; blocks are halves, so that they are few.
const MOST_TRANSFERS: usize = 1_000;
/// For how long a purchase or a transfer is kept, in ms.
const KEEP_MS: u64 = 120_000;
/// For how long the last event of a segment is kept that sells nothing any more, in ms, if
/// it is not known that its round has retired.
const KEEP_LAST_MS: u64 = 7 * 86_400_000;

/// What was sold.
#[derive(Debug, Default)]
pub(super) struct Sold {
    segments: Mutex<HashMap<Segment, Recent>>,
    /// When all segments were last looked through, in ms.
    swept_ms: AtomicU64,
}

#[derive(Debug, Default)]
struct Recent {
    last: Option<EntryId>,
    purchases: VecDeque<(EntryId, u64, Request)>,
    /// Ids of transfers from here or to here, each with when it was noted, in ms.
    transfers: VecDeque<(String, u64)>,
}

impl Sold {
    fn segments(&self) -> MutexGuard<'_, HashMap<Segment, Recent>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a purchase. `products` is the catalogue, if it is known.
    pub(super) fn note(
        &self,
        (segment, event): (&Segment, EntryId),
        request: Request,
        products: Option<&Products>,
        now_ms: u64,
    ) {
        let mut segments = self.segments();
        self.sweep(&mut segments, products, now_ms);
        let Some(recent) = entry(&mut segments, segment) else {
            return;
        };
        recent.last = recent.last.max(Some(event));
        recent.purchases.push_back((event, now_ms, request));
        while recent.purchases.len() > MOST
            || recent
                .purchases
                .front()
                .is_some_and(|(_, at_ms, _)| is_over(*at_ms, KEEP_MS, now_ms))
        {
            recent.purchases.pop_front();
        }
    }

    /// Notes a transfer.
    pub(super) fn learn(&self, segment: &Segment, transfer: &str, now_ms: u64) {
        let mut segments = self.segments();
        self.sweep(&mut segments, None, now_ms);
        let Some(recent) = entry(&mut segments, segment) else {
            return;
        };
        let transfers = &mut recent.transfers;
        if transfers.iter().all(|(id, _)| id != transfer) {
            transfers.push_back((transfer.to_owned(), now_ms));
        }
        while transfers.len() > MOST_TRANSFERS
            || transfers
                .front()
                .is_some_and(|(_, at_ms)| is_over(*at_ms, KEEP_MS, now_ms))
        {
            transfers.pop_front();
        }
    }

    /// Forgets the purchases of segments that sell no more, once in the time that they are
    /// kept: a segment's own next purchase never comes. What has left the catalogue is not
    /// compared any more.
    fn sweep(
        &self,
        segments: &mut HashMap<Segment, Recent>,
        products: Option<&Products>,
        now_ms: u64,
    ) {
        let is_old = |at_ms, keep_ms| is_over(at_ms, keep_ms, now_ms);
        if !is_old(self.swept_ms.load(Ordering::Relaxed), KEEP_MS) {
            return;
        }
        self.swept_ms.store(now_ms, Ordering::Relaxed);
        segments.retain(|segment, recent| {
            let newest = recent.purchases.back();
            if newest.is_some_and(|(_, at_ms, _)| is_old(*at_ms, KEEP_MS)) {
                recent.purchases = VecDeque::new();
            }
            let newest = recent.transfers.back();
            if newest.is_some_and(|(_, at_ms)| is_old(*at_ms, KEEP_MS)) {
                recent.transfers = VecDeque::new();
            }
            let is_listed = products.is_none_or(|it| it.contains_key(&segment.item));
            let sells_no_more = recent
                .last
                .is_none_or(|last| !is_listed || is_old(last.ms, KEEP_LAST_MS));
            !(recent.purchases.is_empty() && recent.transfers.is_empty() && sells_no_more)
        });
    }

    /// The segments that this process has sold from, or moved items between, while it keeps
    /// what it sold.
    pub(super) fn recent(&self, now_ms: u64) -> Vec<Segment> {
        let segments = self.segments();
        let recent = segments.iter().filter(|(_, recent)| {
            let sold = recent.purchases.back().map(|(_, at_ms, _)| *at_ms);
            let moved = recent.transfers.back().map(|(_, at_ms)| *at_ms);
            let newest = sold.max(moved);
            newest.is_some_and(|at_ms| !is_over(at_ms, KEEP_MS, now_ms))
        });
        recent.map(|(segment, _)| segment.clone()).collect()
    }

    /// The last event that this process caused in a segment.
    pub(super) fn last(&self, segment: &Segment) -> Option<EntryId> {
        self.segments().get(segment)?.last
    }

    /// What is kept of a segment, in order, each with its own event.
    pub(super) fn of(&self, segment: &Segment) -> Vec<(EntryId, Request)> {
        let segments = self.segments();
        let purchases = segments.get(segment).into_iter();
        let kept = purchases.flat_map(|recent| &recent.purchases);
        let mut kept: Vec<_> = kept.map(|(id, _, it)| (*id, it.clone())).collect();
        drop(segments);
        kept.sort_by_key(|(id, _)| *id);
        kept
    }

    /// The transfers that are kept of a segment.
    pub(super) fn transfers(&self, segment: &Segment) -> Vec<String> {
        let segments = self.segments();
        let transfers = segments.get(segment).into_iter();
        let kept = transfers.flat_map(|recent| &recent.transfers);
        kept.map(|(id, _)| id.clone()).collect()
    }

    /// Forgets the purchases of these events, and the last event with them: whoever makes
    /// them again notes them again. `has` is the last event that the segment has: what is
    /// newer, it gets back without its event, or not at all.
    pub(super) fn forget(&self, segment: &Segment, events: &HashSet<EntryId>, has: EntryId) {
        if let Some(recent) = self.segments().get_mut(segment) {
            recent.purchases.retain(|(id, _, _)| !events.contains(id));
            let newest = recent.purchases.iter().map(|(id, _, _)| *id).max();
            recent.last = newest.filter(|id| *id <= has);
        }
    }

    /// Forgets these transfers.
    pub(super) fn forget_transfers(&self, segment: &Segment, transfers: &[String]) {
        if let Some(recent) = self.segments().get_mut(segment) {
            recent.transfers.retain(|(id, _)| !transfers.contains(id));
        }
    }
}

/// The segment's entry, which is made if there is none.
fn entry<'a>(
    segments: &'a mut HashMap<Segment, Recent>,
    segment: &Segment,
) -> Option<&'a mut Recent> {
    if !segments.contains_key(segment) {
        segments.insert(segment.clone(), Recent::default());
    }
    segments.get_mut(segment)
}

/// Whether what was noted at `at_ms` and is kept for `keep_ms` is not kept any more.
fn is_over(at_ms: u64, keep_ms: u64, now_ms: u64) -> bool {
    at_ms.saturating_add(keep_ms) < now_ms
}

#[cfg(test)]
mod tests {
    use seckill_core::ids::Item;
    use seckill_core::sale::catalogue::Entry;

    use super::*;

    fn sell(sold: &Sold, round: u32, at_ms: u64) -> Segment {
        sell_beside(sold, None, round, at_ms)
    }

    fn sell_beside(sold: &Sold, products: Option<&Products>, round: u32, at_ms: u64) -> Segment {
        let round = round.to_string();
        let segment = Segment {
            item: Item::new(&round, "153").unwrap(),
            number: 1,
        };
        let request = Request {
            at_ms,
            round,
            product: "153".to_owned(),
            segment: 1,
            segments: 1,
            user: "li".to_owned(),
            request: "r".to_owned(),
            quantity: 1,
            price_cents: 1,
            permit: String::new(),
            pass: None,
            traceparent: None,
        };
        let event = EntryId { ms: at_ms, seq: 0 };
        sold.note((&segment, event), request, products, at_ms);
        segment
    }

    #[test]
    fn what_rounds_sold_that_are_over_is_forgotten_by_the_next_sale() {
        let sold = Sold::default();
        let first = sell(&sold, 1, 1_000);
        let later = 1_000 + 2 * KEEP_MS;
        sell(&sold, 2, later);
        assert_eq!(sold.segments()[&first].purchases.capacity(), 0);
        assert_eq!(
            sold.last(&first).map(|id| id.ms),
            Some(1_000),
            "it is still compared"
        );
        let after_a_week = later + KEEP_LAST_MS + KEEP_MS;
        for round in 3..1_000 {
            sell(&sold, round, after_a_week + u64::from(round) * 2 * KEEP_MS);
        }
        assert_eq!(sold.last(&first), None);
        let kept = sold
            .segments()
            .values()
            .filter(|it| !it.purchases.is_empty())
            .count();
        assert_eq!(kept, 1, "of a thousand rounds only the one that sells");
    }

    #[test]
    fn transfers_are_known_for_as_long_as_purchases() {
        let sold = Sold::default();
        let segment = sell(&sold, 1, 1_000);
        let later = 1_001 + KEEP_MS;
        sold.learn(&segment, "t1", later);
        sold.learn(&segment, "t2", later + 1);
        sold.learn(&segment, "t1", later + 2);
        assert_eq!(sold.transfers(&segment), ["t1", "t2"]);
        assert_eq!(sold.recent(later + KEEP_MS), std::slice::from_ref(&segment));
        sold.forget_transfers(&segment, &["t1".to_owned()]);
        assert_eq!(sold.transfers(&segment), ["t2"]);
        sold.learn(&segment, "t3", later + 2 + KEEP_MS);
        assert_eq!(sold.transfers(&segment), ["t3"]);
        sell(&sold, 2, later + 3 * KEEP_MS);
        assert!(sold.transfers(&segment).is_empty());
    }

    #[test]
    fn what_was_not_journalled_is_kept_and_compared_again() {
        let sold = Sold::default();
        let segment = sell(&sold, 1, 1_003);
        for at_ms in [1_001, 1_002, 1_004] {
            sell(&sold, 1, at_ms);
        }
        let id = |ms: u64| EntryId { ms, seq: 0 };
        let kept = || sold.of(&segment).into_iter().map(|(it, _)| it);
        let in_order = [1_001, 1_002, 1_003, 1_004].map(id);
        assert_eq!(kept().collect::<Vec<_>>(), in_order);
        sold.forget(&segment, &[id(1_002), id(1_004)].into(), id(1_003));
        assert_eq!(kept().collect::<Vec<_>>(), [id(1_001), id(1_003)]);
        assert_eq!(sold.last(&segment), Some(id(1_003)));
        sold.forget(&segment, &HashSet::new(), id(1_002));
        assert_eq!(kept().collect::<Vec<_>>(), [id(1_001), id(1_003)]);
        assert_eq!(sold.last(&segment), None, "what is newer has no event");
        sold.forget(&segment, &[id(1_001), id(1_003)].into(), id(1_004));
        assert_eq!(sold.last(&segment), None);
    }

    #[test]
    fn a_round_that_has_left_the_catalogue_is_not_remembered_at_all() {
        let sold = Sold::default();
        let mut products = Products::new();
        let first = sell_beside(&sold, Some(&products), 1, 1_000);
        let entry =
            r#"{"opens_ms":0,"ends_ms":9,"limit":1,"per_buyer":1,"segments":1,"price_cents":1}"#;
        products.insert(first.item.clone(), Entry::parse(entry).unwrap());
        sell_beside(&sold, Some(&products), 2, 1_000 + 2 * KEEP_MS);
        assert!(sold.last(&first).is_some(), "it may sell again");
        products.clear();
        for round in 3..1_000 {
            let at_ms = 1_000 + u64::from(round) * 2 * KEEP_MS;
            sell_beside(&sold, Some(&products), round, at_ms);
        }
        assert_eq!(sold.segments().len(), 1, "only the one that sells");
    }
}
