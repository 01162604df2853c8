//! Which edges are alive, and what that means for their buckets: with `scope=site`
//! each has an equal share of the site's rate, so that a death or an arrival changes
//! what every bucket may grant.
//!
//! One bucket for the whole site would go on filling while an edge lies dead and
//! unnoticed. The shares reproduce that: the survivors inherit what the dead one's
//! share filled meanwhile, as far as their buckets hold it; an edge that others
//! took for dead pays it back; a newcomer begins empty. So the sum over all edges
//! stays what the one bucket would have let pass.

use core::time::Duration;

/// How often an edge sends a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Pause between two heartbeats.
    pub pause: Duration,
    /// How long an edge counts as alive after one.
    pub alive: Duration,
}

impl Pace {
    /// The figures of an edge that shares a rate: a death costs the site at most what the
    /// dead edge's share fills in this time, if the buckets are too small to
    /// inherit it. Missing one heartbeat of three is forgiven.
    pub const SHARING: Self = Self {
        pause: Duration::from_millis(50),
        alive: Duration::from_millis(150),
    };
    /// Longest time until the others notice that an edge that shares a rate is gone.
    pub const NOTICED: Duration = Duration::from_millis(250);

    /// For an edge that only needs to know how many edges take permits.
    pub const ALONE: Self = Self {
        pause: Duration::from_millis(500),
        alive: Duration::from_millis(2_000),
    };
}

/// What a change in the number of edges does to a bucket of a shared rate. The
/// times are nanoseconds of the bucket's own filling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The bucket stays as it is.
    None,
    /// This edge has just joined others, whose buckets hold the site's burst
    /// already: its bucket begins empty.
    Drain,
    /// Other edges died: this edge inherits this much.
    Credit(u64),
    /// Others took this edge for dead: it pays this much back, but no more than empties
    /// its bucket and what the others inherited until they shared its part.
    Debit(u64),
}

/// What an edge learns by one heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Living edges before, this one included; 0 before its first heartbeat.
    pub before: u64,
    /// Living edges now, this one included.
    pub now: u64,
    /// Milliseconds since the last heartbeat of the edge that was lost last.
    pub unheard_ms: u64,
    /// Milliseconds since this edge's own heartbeat before this one, if the
    /// others took it for dead meanwhile; else 0.
    pub silent_ms: u64,
}

impl Census {
    /// The change for each bucket of a shared rate.
    #[must_use]
    pub fn change(&self) -> Change {
        const MS: u64 = 1_000_000;
        if self.before == 0 {
            return if self.now > 1 {
                Change::Drain
            } else {
                Change::None
            };
        }
        if self.silent_ms > 0 && self.now > 1 {
            return Change::Debit(self.silent_ms.saturating_mul(MS));
        }
        if self.now < self.before {
            // The share of each that went filled for `unheard`; it is divided
            // among those who are left, whose buckets fill faster from now on.
            let lost = self.before - self.now;
            return Change::Credit(self.unheard_ms.saturating_mul(MS) / self.before * lost);
        }
        Change::None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gate::directive::{RateLimit, Scope};
    use crate::rate::bucket::Take;

    const MS: u64 = 1_000_000;

    #[test]
    fn each_event_has_its_change() {
        let quiet = Census {
            before: 2,
            now: 2,
            unheard_ms: 0,
            silent_ms: 0,
        };
        assert_eq!(quiet.change(), Change::None);
        let first = Census { before: 0, ..quiet };
        assert_eq!(first.change(), Change::Drain);
        assert_eq!(Census { now: 1, ..first }.change(), Change::None);
        let lost = Census {
            now: 1,
            unheard_ms: 200,
            ..quiet
        };
        assert_eq!(lost.change(), Change::Credit(100 * MS));
        let late = Census {
            silent_ms: 400,
            ..quiet
        };
        assert_eq!(late.change(), Change::Debit(400 * MS));
        let joined = Census { now: 3, ..quiet };
        assert_eq!(joined.change(), Change::None);
    }

    #[test]
    fn an_edge_that_was_cut_off_for_long_works_again_at_once() {
        let limit = RateLimit {
            per_second: 100,
            burst: 20,
            scope: Scope::Site,
        };
        let census = Census {
            before: 2,
            now: 2,
            unheard_ms: 0,
            silent_ms: 50_000,
        };
        let (rate, now_ns) = (limit.share(2), 1_000_000 * MS);
        // An empty bucket, and a full one.
        for word in [now_ns + 200 * MS, 0] {
            let mut word = rate.apply(word, now_ns, census.change());
            // However often it happens.
            word = rate.apply(word, now_ns, census.change());
            let token_ns = 20 * MS;
            let noticed_ns = Pace::NOTICED.as_nanos() as u64;
            let early = rate.take(word, now_ns);
            assert!(matches!(early, Take::Refused { .. }), "{early:?}");
            let later = rate.take(word, now_ns + noticed_ns + token_ns);
            assert!(matches!(later, Take::Granted(_)), "{later:?}");
        }
    }

    /// One edge of the simulation.
    struct Edge {
        word: u64,
        heard_ms: u64,
        edges: u64,
        dies_ms: u64,
    }

    /// Runs edges that are asked far more than they may let pass, some of which
    /// die, and returns what passed.
    fn overloaded(limit: RateLimit, dies_ms: &[u64], until_ms: u64) -> u64 {
        let count = dies_ms.len() as u64;
        let mut edges: Vec<Edge> = dies_ms
            .iter()
            .map(|dies_ms| Edge {
                word: 0,
                heard_ms: 0,
                edges: count,
                dies_ms: *dies_ms,
            })
            .collect();
        let mut passed = 0;
        for now_ms in 1..=until_ms {
            for index in 0..edges.len() {
                if now_ms >= edges[index].dies_ms {
                    continue;
                }
                // Heartbeats of different edges fall at different times.
                if (now_ms + 17 * index as u64).is_multiple_of(50) {
                    heartbeat(&mut edges, index, now_ms, limit);
                }
                let edge = &mut edges[index];
                while let Take::Granted(word) = limit.share(edge.edges).take(edge.word, now_ms * MS)
                {
                    edge.word = word;
                    passed += 1;
                }
            }
        }
        passed
    }

    fn heartbeat(edges: &mut [Edge], index: usize, now_ms: u64, limit: RateLimit) {
        let heard = |edge: &Edge| now_ms - edge.heard_ms <= 150;
        let living = edges.iter().filter(|edge| heard(edge)).count() as u64;
        let unheard_ms = edges
            .iter()
            .filter(|edge| !heard(edge))
            .map(|edge| now_ms - edge.heard_ms)
            .min()
            .unwrap_or_default();
        let edge = &mut edges[index];
        let census = Census {
            before: edge.edges,
            now: living,
            unheard_ms,
            silent_ms: 0,
        };
        edge.heard_ms = now_ms;
        edge.edges = living;
        edge.word = limit
            .share(living)
            .apply(edge.word, now_ms * MS, census.change());
    }

    proptest! {
        /// Whoever dies, whenever: over ten seconds the living let pass what one
        /// bucket would have, within one percent, if the burst is worth a
        /// quarter of a second or more.
        #[test]
        fn the_site_passes_what_one_bucket_would(
            per_second in 1_000u64..20_000,
            burst_ms in 250u64..1_000,
            deaths in prop::collection::vec(1_000u64..20_000, 1..4),
        ) {
            let limit = RateLimit {
                per_second,
                burst: per_second * burst_ms / 1_000,
                scope: Scope::Site,
            };
            // One survives to the end.
            let mut dies_ms = deaths;
            dies_ms.push(u64::MAX);
            let passed = overloaded(limit, &dies_ms, 10_000);
            let ideal = per_second * 10 + limit.burst;
            let off = passed.abs_diff(ideal) as f64 / ideal as f64;
            prop_assert!(off <= 0.01, "{passed} passed, {ideal} would be right");
        }
    }
}
