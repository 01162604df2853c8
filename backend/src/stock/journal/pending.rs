//! Records that were not replayed yet, by segment.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use seckill_core::ids::Item;

use super::Entry;
use crate::redis::segments::Segment;

/// Records that were not replayed yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    by_segment: HashMap<Segment, VecDeque<Arc<Entry>>>,
    /// How many requests of each buyer wait.
    buyers: HashMap<(Item, String), u32>,
    /// Their sequence numbers.
    seqs: BTreeSet<u64>,
    /// The last sequence number that was ever here.
    last: u64,
}

/// The segment of a record; a record whose ids make none is not taken in.
fn segment_of(entry: &Entry) -> Option<Segment> {
    Some(Segment {
        item: entry.request.item()?,
        number: entry.request.segment,
    })
}

impl Pending {
    pub(super) fn push(&mut self, entry: Entry) {
        let Some(segment) = segment_of(&entry) else {
            return;
        };
        let buyer = (segment.item.clone(), entry.request.user.clone());
        *self.buyers.entry(buyer).or_default() += 1;
        self.seqs.insert(entry.seq);
        self.last = self.last.max(entry.seq);
        let queue = self.by_segment.entry(segment).or_default();
        queue.push_back(Arc::new(entry));
    }

    pub(super) fn len(&self) -> usize {
        self.seqs.len()
    }

    pub(super) fn holds(&self, segment: &Segment) -> bool {
        self.by_segment.contains_key(segment)
    }

    pub(super) fn holds_buyer(&self, item: &Item, user: &str) -> bool {
        !self.buyers.is_empty() && self.buyers.contains_key(&(item.clone(), user.to_owned()))
    }

    pub(super) fn segments(&self) -> Vec<Segment> {
        self.by_segment.keys().cloned().collect()
    }

    pub(super) fn oldest(&self, segment: &Segment, most: usize) -> Vec<Arc<Entry>> {
        let queue = self.by_segment.get(segment).into_iter().flatten();
        queue.take(most).cloned().collect()
    }

    pub(super) fn forget(&mut self, segment: &Segment, count: usize) {
        let Some(queue) = self.by_segment.get_mut(segment) else {
            return;
        };
        for entry in queue.drain(..count.min(queue.len())) {
            self.seqs.remove(&entry.seq);
            let buyer = (segment.item.clone(), entry.request.user.clone());
            if let Some(left) = self.buyers.get_mut(&buyer) {
                *left -= 1;
                if *left == 0 {
                    self.buyers.remove(&buyer);
                }
            }
        }
        if queue.is_empty() {
            self.by_segment.remove(segment);
        }
    }

    /// Up to which sequence number all records were replayed; `None` if there never was
    /// one.
    pub(super) fn through(&self) -> Option<u64> {
        let through = match self.seqs.first() {
            Some(first) => first - 1,
            None => self.last,
        };
        (self.last > 0).then_some(through)
    }
}
