//! Products that ledger and orders do not account for. A person has to decide, unless that
//! passes by itself: an archive that is behind catches up.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use seckill_core::ids::Item;

use crate::inspect::rebuild::RebuildError;

/// The pause before such a product is tried again; it doubles up to a minute or so.
const FIRST_PAUSE: Duration = Duration::from_secs(4);
const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// The products, each with when it is tried again.
#[derive(Debug, Default)]
pub(super) struct Undecided(HashMap<Item, Retry>);

#[derive(Debug)]
struct Retry {
    at: Instant,
    pause: Duration,
}

impl Undecided {
    pub(super) fn has(&self, item: &Item) -> bool {
        self.0.contains_key(item)
    }

    /// Whether it is too early to try this product again.
    pub(super) fn waits(&self, item: &Item) -> bool {
        let retry = self.0.get(item);
        retry.is_some_and(|retry| Instant::now() < retry.at)
    }

    /// The same for any product of a round.
    pub(super) fn any_waits(&self, round: &str) -> bool {
        let mut here = self.0.keys().filter(|item| item.round() == round);
        here.any(|item| self.waits(item))
    }

    /// Notes that a product cannot be healed; the first time people are told.
    pub(super) fn note(&mut self, item: &Item, error: &RebuildError) {
        let before = self.0.get(item).map(|retry| retry.pause);
        match before {
            None => tracing::error!(%error, "a person has to decide"),
            Some(_) => tracing::debug!(%error, "a person still has to decide"),
        }
        let pause = before.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        let at = Instant::now() + pause;
        self.0.insert(item.clone(), Retry { at, pause });
    }

    /// Forgets the products that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(&Item) -> bool) {
        self.0.retain(|item, _| keep(item));
    }
}
