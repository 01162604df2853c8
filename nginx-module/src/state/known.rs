//! Second clicks: what the edge remembers of a buyer whom it has let pass.
//!
//! Only a shortcut: whatever gets by, the stock script decides.

use seckill_core::shared::seen::{Answer, Buyer, Request};

use super::Zone;
use crate::{clock, random};

/// A buyer's click on one product, as the table knows it.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    buyer: Buyer,
    request: Request,
}

impl Known {
    /// Of `user`'s click on a product. A click without a request id of its own is
    /// like no other.
    pub(crate) fn new(
        zone: &Zone,
        user: &str,
        (round, product): (&str, &str),
        request: Option<&str>,
    ) -> Self {
        let seed = zone.seed();
        let request = match request {
            Some(id) => Request::new(seed, id),
            None => Request::new(seed, &format!("{:x}", random::word())),
        };
        Self {
            buyer: Buyer::new(seed, round, product, user),
            request,
        }
    }

    /// Has memory bring what [`Self::is_second_click`] will look at: two lines
    /// of a large table, which are hardly ever in a cache.
    pub(crate) fn prefetch(self, zone: &Zone) {
        for line in zone.seen().lines(self.buyer) {
            fetch_line(line);
        }
    }

    /// Whether this buyer was let pass by another request a moment ago. The same
    /// request may come again, to get the same answer.
    pub(crate) fn is_second_click(self, zone: &Zone, now_ns: u64) -> bool {
        let now_s = now_ns / 1_000_000_000;
        let answer = zone.seen().check(self.buyer, self.request, now_s);
        answer == Answer::SecondClick
    }

    /// He is let pass.
    pub(crate) fn record(self, zone: &Zone) {
        zone.seen()
            .record(self.buyer, self.request, clock::monotonic_s());
    }

    /// It came to nothing: he may click again.
    pub(crate) fn forget(self, zone: &Zone) {
        zone.seen().forget(self.buyer);
    }
}

#[cfg(target_arch = "x86_64")]
fn fetch_line<T>(line: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint, which reads and writes nothing.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
fn fetch_line<T>(_line: &T) {}
