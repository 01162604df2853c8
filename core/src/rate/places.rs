//! Which bucket belongs to which limit after a reload.
//!
//! Buckets outlive a reload, so that a site's limit holds over it; the limits themselves
//! may change. A bucket's word means something by its own limit alone: emptied at one
//! request a second, it lies a minute ahead, and by a thousand a second nobody would pass
//! for that minute. So a bucket stays with its limit, wherever that stands in the file, and
//! a limit that is new has a bucket to itself: workers that are leaving go on with theirs.
//!
//! With twice as many places as one configuration may have limits, no place is given away
//! that the configuration before has used.

/// A place for one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<L> {
    /// The limit that it had last.
    pub limit: L,
    /// The number of the last configuration that used it; 0 for none.
    pub last: u64,
}

/// What becomes of the bucket of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// It has been this limit's own, and goes on.
    Kept,
    /// It begins full.
    Full,
    /// It begins empty: the limit takes another one's place, and may have let pass what that
    /// one did.
    Empty,
}

/// The places of these limits, each with what becomes of its bucket. There are at least as
/// many places as limits.
#[must_use]
pub fn assign<L: PartialEq + Copy>(places: &[Place<L>], limits: &[L]) -> Vec<(usize, Bucket)> {
    let latest = places.iter().map(|place| place.last).max().unwrap_or(0);
    let is_in_force = |at: usize| latest > 0 && places[at].last == latest;
    let mut free: Vec<usize> = (0..places.len()).collect();
    free.sort_by_key(|at| places[*at].last);
    // All that are kept, before any other is given away.
    let mut keep = |limit: &L| {
        let is_it = |at: &usize| is_in_force(*at) && places[*at].limit == *limit;
        let index = free.iter().position(is_it)?;
        Some(free.remove(index))
    };
    let kept: Vec<Option<usize>> = limits.iter().map(&mut keep).collect();
    let begins = if free.iter().any(|at| is_in_force(*at)) {
        Bucket::Empty
    } else {
        Bucket::Full
    };
    // Those first that have rested longest.
    let mut rested = free.into_iter();
    kept.into_iter()
        .filter_map(|kept| match kept {
            Some(at) => Some((at, Bucket::Kept)),
            None => Some((rested.next()?, begins)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Places as configurations use them, one after another.
    struct Zone {
        places: [Place<u32>; 8],
        number: u64,
    }

    impl Zone {
        fn new() -> Self {
            Self {
                places: [Place { limit: 0, last: 0 }; 8],
                number: 0,
            }
        }

        fn configure(&mut self, limits: &[u32]) -> Vec<(usize, Bucket)> {
            let assigned = assign(&self.places, limits);
            self.number += 1;
            for ((at, _), limit) in assigned.iter().zip(limits) {
                self.places[*at] = Place {
                    limit: *limit,
                    last: self.number,
                };
            }
            assigned
        }
    }

    #[test]
    fn a_limit_keeps_its_bucket_wherever_it_stands_in_the_file() {
        let mut zone = Zone::new();
        let first = zone.configure(&[10, 20]);
        assert!(first.iter().all(|(_, bucket)| *bucket == Bucket::Full));
        let second = zone.configure(&[30, 10, 20]);
        assert_eq!(
            second[1..],
            [(first[0].0, Bucket::Kept), (first[1].0, Bucket::Kept)]
        );
        assert_eq!(
            second[0].1,
            Bucket::Full,
            "nothing was let pass by it before"
        );
    }

    #[test]
    fn a_limit_that_replaces_another_begins_empty_in_a_bucket_of_its_own() {
        let mut zone = Zone::new();
        let before = zone.configure(&[10, 20]);
        let after = zone.configure(&[10, 25]);
        assert_eq!(after[0], (before[0].0, Bucket::Kept));
        assert_eq!(after[1].1, Bucket::Empty);
        assert_ne!(after[1].0, before[1].0, "workers that are leaving have it");
        // Back again: the other one has let pass what it had meanwhile.
        assert_eq!(zone.configure(&[10, 20])[1].1, Bucket::Empty);
    }

    #[test]
    fn equal_limits_have_two_buckets() {
        let mut zone = Zone::new();
        let both = zone.configure(&[10, 10]);
        assert_ne!(both[0].0, both[1].0);
        assert!(
            zone.configure(&[10, 10])
                .iter()
                .all(|(_, bucket)| *bucket == Bucket::Kept)
        );
    }

    proptest! {
        /// Every limit has a place of its own, that of the configuration before if that had
        /// it, and else none of that one's.
        #[test]
        fn nobody_gets_a_bucket_that_is_in_use(
            configurations in prop::collection::vec(prop::collection::vec(1u32..6, 1..=4), 1..20),
        ) {
            let mut zone = Zone::new();
            let mut before: Vec<(u32, usize)> = Vec::new();
            for limits in configurations {
                let assigned = zone.configure(&limits);
                prop_assert_eq!(assigned.len(), limits.len());
                let now: Vec<(u32, usize)> = limits.iter().zip(&assigned).map(|(limit, (at, _))| (*limit, *at)).collect();
                for (index, (limit, at)) in now.iter().enumerate() {
                    prop_assert!(now[..index].iter().all(|(_, other)| other != at));
                    if let Some((owner, _)) = before.iter().find(|(_, place)| place == at) {
                        prop_assert_eq!(owner, limit);
                    }
                }
                before = now;
            }
        }
    }
}
