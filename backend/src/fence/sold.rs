//! What this process sold lately: by segment, with the event that says so.
//!
//! The archive is behind by less than a second, or by as long as the database is away.
//! What is in the archive need not be here, but nobody says so; hence a bound.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use seckill_core::journal::request::Request;
use seckill_core::stock::ledger::EntryId;

use crate::redis::segments::Segment;

/// Most purchases kept of a segment.
const MOST: usize = 50_000;
/// For how long a purchase is kept, in ms.
const KEEP_MS: u64 = 120_000;

/// What was sold.
#[derive(Debug, Default)]
pub(super) struct Sold {
    segments: Mutex<HashMap<Segment, Recent>>,
}

#[derive(Debug, Default)]
struct Recent {
    last: Option<EntryId>,
    purchases: VecDeque<(EntryId, u64, Request)>,
}

impl Sold {
    fn segments(&self) -> MutexGuard<'_, HashMap<Segment, Recent>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, segment: &Segment, event: EntryId, request: Request, now_ms: u64) {
        let mut segments = self.segments();
        if !segments.contains_key(segment) {
            segments.insert(segment.clone(), Recent::default());
        }
        let Some(recent) = segments.get_mut(segment) else {
            return;
        };
        recent.last = recent.last.max(Some(event));
        recent.purchases.push_back((event, now_ms, request));
        let is_old = |at_ms: u64| at_ms.saturating_add(KEEP_MS) < now_ms;
        while recent.purchases.len() > MOST
            || recent
                .purchases
                .front()
                .is_some_and(|(_, at_ms, _)| is_old(*at_ms))
        {
            recent.purchases.pop_front();
        }
    }

    /// The last event that this process caused in a segment.
    pub(super) fn last(&self, segment: &Segment) -> Option<EntryId> {
        self.segments().get(segment)?.last
    }

    /// What was sold behind this event, in order. It is forgotten here: whoever makes
    /// it again notes it again.
    pub(super) fn after(&self, segment: &Segment, event: EntryId) -> Vec<Request> {
        let mut segments = self.segments();
        let Some(recent) = segments.get_mut(segment) else {
            return Vec::new();
        };
        recent.last = None;
        let mut purchases: Vec<_> = std::mem::take(&mut recent.purchases).into();
        purchases.retain(|(id, _, _)| *id > event);
        purchases.sort_by_key(|(id, _, _)| *id);
        purchases
            .into_iter()
            .map(|(_, _, request)| request)
            .collect()
    }
}
