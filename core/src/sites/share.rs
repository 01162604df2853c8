//! Who asks whom for how many items, and how many are given.
//!
//! A site that runs short asks the one that has most, for half of the difference. So
//! transfers are few while there is much, and single items move at the end.
//!
//! Worked example. East has 10 free items and west 100. East has less than a quarter of
//! that, and asks for 45; west may give 50, half of what it has, and gives 45. Both have 55.

/// A site asks if another has more than so many times what it has itself.
const IMBALANCE: u64 = 4;
/// First pause between two requests for the same product, in ms.
pub const FIRST_PAUSE_MS: u64 = 100;
/// Longest pause while another site has several items, in ms.
const LONG_PAUSE_MS: u64 = 2_000;
/// Longest pause while another site has one last item, in ms: it would only go to and fro
/// between sites at which nobody wants it.
const LAST_ITEM_PAUSE_MS: u64 = 60_000;

/// How many items a site with `own` free ones asks of one with `other`; 0 if it is not
/// worth a transfer.
#[must_use]
pub fn wanted(own: u64, other: u64) -> u64 {
    match own.saturating_mul(IMBALANCE) < other {
        true => (other - own).div_ceil(2),
        false => 0,
    }
}

/// How many a site with `free` items gives to one that asks for `wanted`: at most half, and
/// the last one whole.
#[must_use]
pub fn given(free: u64, wanted: u64) -> u64 {
    wanted.min(free.div_ceil(2))
}

/// Which of `others`, names with their free items, a site with `own` asks, and for how many:
/// the richest, of equals the first by name.
#[must_use]
pub fn ask<'a>(
    own: u64,
    others: impl IntoIterator<Item = (&'a str, u64)>,
) -> Option<(&'a str, u64)> {
    let richest = others.into_iter().max_by(|(a, of_a), (b, of_b)| {
        // Of two equals the last is taken, so that names are compared the other way round.
        of_a.cmp(of_b).then_with(|| b.cmp(a))
    });
    let (name, free) = richest?;
    let items = wanted(own, free);
    (items > 0).then_some((name, items))
}

/// When a site may ask for more of a product again. While what arrives is sold it asks as
/// soon as it is short; what arrives and is not sold makes it wait longer each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Patience {
    pause_ms: u64,
    /// When it asked last, by the caller's monotonic clock, in ms.
    asked_ms: Option<u64>,
    /// Items that it had sold by then.
    sold: u64,
}

impl Patience {
    /// Whether a site that has sold `sold` items may ask at `now_ms` one that has `other`
    /// free ones.
    #[must_use]
    pub fn may_ask(&self, now_ms: u64, sold: u64, other: u64) -> bool {
        let Some(asked_ms) = self.asked_ms else {
            return true;
        };
        let longest = match other {
            0 | 1 => LAST_ITEM_PAUSE_MS,
            _ => LONG_PAUSE_MS,
        };
        let pause_ms = match sold > self.sold {
            true => FIRST_PAUSE_MS,
            false => self.pause_ms.min(longest),
        };
        now_ms.saturating_sub(asked_ms) >= pause_ms
    }

    /// Notes that it asks at `now_ms`, having sold `sold` items.
    pub fn asks(&mut self, now_ms: u64, sold: u64) {
        self.pause_ms = match sold > self.sold || self.asked_ms.is_none() {
            true => FIRST_PAUSE_MS,
            false => (self.pause_ms * 2).min(LAST_ITEM_PAUSE_MS),
        };
        self.asked_ms = Some(now_ms);
        self.sold = sold;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_above_adds_up() {
        assert_eq!(ask(10, [("west", 100), ("north", 90)]), Some(("west", 45)));
        assert_eq!(given(100, 45), 45);
        assert_eq!(wanted(25, 100), 0);
        assert_eq!(ask(0, [("west", 0)]), None);
        assert_eq!(ask(0, []), None);
    }

    #[test]
    fn the_last_item_is_given_and_of_equals_the_first_by_name_is_asked() {
        assert_eq!((wanted(0, 1), given(1, 1)), (1, 1));
        assert_eq!(ask(0, [("b", 4), ("a", 4), ("c", 3)]), Some(("a", 2)));
    }

    #[test]
    fn a_last_item_that_nobody_wants_moves_less_and_less_often() {
        let (mut patience, mut now_ms, mut asked) = (Patience::default(), 0, 0);
        while now_ms < 600_000 {
            if patience.may_ask(now_ms, 0, 1) {
                patience.asks(now_ms, 0);
                asked += 1;
            }
            now_ms += 50;
        }
        assert!((15..25).contains(&asked), "{asked} times in ten minutes");
        // What is sold meanwhile is asked for at once, and of several items every two seconds.
        assert!(patience.may_ask(now_ms, 1, 1));
        assert!(patience.may_ask(patience.asked_ms.unwrap() + LONG_PAUSE_MS, 0, 2));
        assert!(!patience.may_ask(patience.asked_ms.unwrap() + LONG_PAUSE_MS, 0, 1));
    }

    proptest! {
        /// No site gives what it has not, none is asked for more than levels the two, and an
        /// item never goes straight back.
        #[test]
        fn a_transfer_levels_two_sites(own in 0u64..1_000_000, other in 0u64..1_000_000) {
            let items = given(other, wanted(own, other));
            prop_assert!(items <= other);
            let (own, other) = (own + items, other - items);
            if items > 0 {
                prop_assert!(own <= other + 1);
                prop_assert!(other == 0 || wanted(other, own) == 0);
            }
        }
    }
}
