//! For how long a site may sell that its home site has not heard.
//!
//! A site that is cut off sells what it holds. But items at a site that never comes back
//! would be lost to the sale; so somebody at the home site may declare it lost after a
//! bound, and take over what it had. By then the lost site must have stopped by itself.
//!
//! 1. A site other than the home may sell until [`sells_for_ms`] after it *asked*, by its own
//!    monotonic clock, in an exchange that the home answered. The home heard it no earlier.
//! 2. The home counts the bound from when it *heard* it last. So it is over later, and no two
//!    clocks have to agree on the time, only on how fast it passes, within two percent.
//! 3. The relay role holds that lease, other processes sell: it writes the rest of the lease
//!    into Redis ([`Written`]), and a process that sells counts it from the reading *before*
//!    the one that found it ([`Copy`]). If the relay role dies, the lease runs out.
//!
//! Worked example. The bound is 600 s, so that a site sells for 587 s: two percent and one
//! second are for the clocks. It asks at 0.0 s and is answered at 0.1 s; at 1.0 s it writes
//! that 586 s are left. A purchase role reads at 0.9 s and finds that at 1.15 s: it sells
//! until 586.9 s. The home heard it at 0.04 s and declares it lost at 600.04 s at the
//! earliest.

/// The shortest bound that makes sense, in ms.
pub const SHORTEST_MS: u64 = 10_000;

/// For how long after it asked a site may sell, if it counts as lost after `lost_after_ms`.
#[must_use]
pub fn sells_for_ms(lost_after_ms: u64) -> u64 {
    lost_after_ms.saturating_sub(lost_after_ms / 50 + 1_000)
}

/// Whether a site that was heard last at `heard_ms` counts as lost at `now_ms`.
#[must_use]
pub fn is_lost(heard_ms: u64, now_ms: u64, lost_after_ms: u64) -> bool {
    now_ms.saturating_sub(heard_ms) >= lost_after_ms
}

/// The rest of a lease as it stands in Redis: `number:left_ms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Another one at every writing: a process that sells counts only what it saw change.
    pub number: u64,
    /// What is left of the lease, in ms.
    pub left_ms: u64,
}

impl Written {
    /// The lease as it is stored.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}:{}", self.number, self.left_ms)
    }

    /// Reads [`Written::to_text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (number, left_ms) = text.split_once(':')?;
        Some(Self {
            number: number.parse().ok()?,
            left_ms: left_ms.parse().ok()?,
        })
    }
}

/// The lease as a process that sells knows it. Times are of its own monotonic clock, in ms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copy {
    seen: Option<Written>,
    /// When the last reading was asked for.
    read_ms: Option<u64>,
    until_ms: u64,
}

impl Copy {
    /// Takes over a reading that was asked for at `asked_ms`; `None` if nothing was there,
    /// or nothing readable.
    pub fn read(&mut self, found: Option<Written>, asked_ms: u64) {
        let before = self.read_ms.replace(asked_ms);
        let Some(found) = found.filter(|found| self.seen.as_ref() != Some(found)) else {
            return;
        };
        // How old the first one is that a process finds, nobody knows.
        if let Some(before) = before {
            self.until_ms = self.until_ms.max(before.saturating_add(found.left_ms));
        }
        self.seen = Some(found);
    }

    /// Whether it may sell at `now_ms`.
    #[must_use]
    pub fn may_sell(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_above_adds_up() {
        assert_eq!(sells_for_ms(600_000), 587_000);
        let written = |number, left_ms| Some(Written { number, left_ms });
        let mut copy = Copy::default();
        copy.read(written(1, 587_000), 650);
        assert!(
            !copy.may_sell(651),
            "how old the first one is, nobody knows"
        );
        copy.read(written(1, 587_000), 900);
        copy.read(written(2, 586_000), 1_150);
        assert!(copy.may_sell(586_899));
        assert!(!copy.may_sell(586_900));
        copy.read(None, 1_400);
        assert!(
            copy.may_sell(586_899),
            "a Redis that lost it takes nothing back"
        );
        assert!(!is_lost(40, 600_039, 600_000));
        assert!(is_lost(40, 600_040, 600_000));
    }

    #[test]
    fn it_is_stored_as_it_reads_back() {
        let written = Written {
            number: 7,
            left_ms: 586_000,
        };
        assert_eq!(Written::parse(&written.to_text()), Some(written));
        assert_eq!(Written::parse("7"), None);
        assert_eq!(Written::parse("x:1"), None);
    }

    proptest! {
        /// Whenever the relay role writes and a purchase role reads, and although the clocks
        /// of the two sites run apart by two percent: a process sells only while the home
        /// does not count its site as lost.
        #[test]
        fn a_site_has_stopped_before_it_counts_as_lost(
            lost_after_ms in SHORTEST_MS..1_000_000,
            exchanges in prop::collection::vec((0u64..400_000, 0u64..3_000, 0u64..3_000), 1..20),
            writes in prop::collection::vec((0u64..2_000, any::<bool>()), 1..60),
            slow in 0u64..2,
        ) {
            // True time in ms; the site's clock may be two percent slower than the home's.
            let at_site = |true_ms: u64| true_ms * (100 - 2 * slow) / 100;
            let (mut now, mut heard, mut asked) = (0u64, 0u64, None);
            let (mut copy, mut number) = (Copy::default(), 0);
            let check = |copy: &Copy, heard: u64, now: u64| {
                let is_lost = is_lost(heard, now, lost_after_ms);
                !(is_lost && copy.may_sell(at_site(now)))
            };
            for (silence, there, back) in exchanges {
                let began = now;
                now += there;
                heard = heard.max(now);
                now += back;
                asked = Some(at_site(began)).max(asked);
                for (pause, reads) in &writes {
                    now += pause;
                    let left = asked.map_or(0, |asked: u64| {
                        (asked + sells_for_ms(lost_after_ms)).saturating_sub(at_site(now))
                    });
                    number += 1;
                    let written = Written { number, left_ms: left };
                    if *reads { copy.read(Some(written), at_site(now)); }
                    prop_assert!(check(&copy, heard, now));
                }
                now += silence;
                prop_assert!(check(&copy, heard, now));
            }
        }
    }
}
