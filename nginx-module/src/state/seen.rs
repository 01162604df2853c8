//! Second clicks: what the edge remembers of a buyer whom it admitted.
//!
//! Only a shortcut: the stock script decides about every click that passes.

use seckill_core::shared::seen::{Answer, BuyerKey, RequestKey};

use super::Zone;
use crate::{clock, random};

/// A buyer's click on one product, in the form of the table of seen buyers.
#[derive(Clone, Copy)]
pub(crate) struct SeenClick {
    buyer: BuyerKey,
    request: RequestKey,
}

impl SeenClick {
    /// The click of `user` on a product. A click without a request id of its own
    /// equals no other.
    pub(crate) fn new(
        zone: &Zone,
        user: &str,
        (round, product): (&str, &str),
        request: Option<&str>,
    ) -> Self {
        let seed = zone.seed();
        let request = match request {
            Some(id) => RequestKey::new(seed, id),
            None => RequestKey::random(random::word()),
        };
        Self {
            buyer: BuyerKey::new(seed, round, product, user),
            request,
        }
    }

    /// Prefetches the memory that [`Self::is_second_click`] will read: two lines
    /// of a large table, which are hardly ever in a cache.
    pub(crate) fn prefetch(self, zone: &Zone) {
        for line in zone.seen().lines(self.buyer) {
            fetch_line(line);
        }
    }

    /// What this edge knows of the click, however long ago the buyer was admitted.
    pub(crate) fn recall(self, zone: &Zone) -> Answer {
        zone.seen().recall(self.buyer, self.request)
    }

    /// Whether another request of this buyer was admitted a moment ago. A repeated
    /// request is no second click: it gets the same response.
    pub(crate) fn is_second_click(self, zone: &Zone, now_ns: u64) -> bool {
        let now_s = now_ns / 1_000_000_000;
        let answer = zone.seen().check(self.buyer, self.request, now_s);
        answer == Answer::SecondClick
    }

    /// Remembers the buyer as admitted.
    pub(crate) fn record(self, zone: &Zone) {
        zone.seen()
            .record(self.buyer, self.request, clock::monotonic_s());
    }

    /// Remembers that the buyer was admitted again, by another request than before.
    pub(crate) fn touch(self, zone: &Zone) {
        zone.seen().touch(self.buyer, clock::monotonic_s());
    }

    /// Forgets the buyer, who may click again.
    pub(crate) fn forget(self, zone: &Zone) {
        zone.seen().forget(self.buyer);
    }
}

/// Whether a buyer may be one of those who were admitted for a product.
pub(crate) fn is_known(zone: &Zone, user: &str, (round, product): (&str, &str)) -> bool {
    let buyer = BuyerKey::new(zone.seed(), round, product, user);
    zone.seen().knows(buyer)
}

#[cfg(target_arch = "x86_64")]
fn fetch_line<T>(line: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint, which reads and writes nothing.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
fn fetch_line<T>(_line: &T) {}
