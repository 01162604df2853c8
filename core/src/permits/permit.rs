//! Permits (course §125): as many requests pass the edges as there are items.
//!
//! Worked example. The limit is 1,000 and 990 are granted. Edge A asks for 64:
//! it gets the 10 that are left, as lease `a.k3-7`. Edge B asks for 64: it gets
//! none and answers "sold out". A's tenth request carries the permit
//! `a.k3-7.10`. If A dies after seven of them reached the stock script, the
//! lease is closed and three are given back: 997 granted.

use std::fmt;

/// How many permits to grant of `asked`, with `granted` of `limit` gone.
///
/// Never more than what is left; nothing when the limit was lowered below what
/// is granted.
#[must_use]
pub fn clip(asked: u64, granted: u64, limit: u64) -> u64 {
    asked.min(limit.saturating_sub(granted))
}

/// Names one admitted request: which edge let it pass, on which lease, and how
/// many-th of the lease it is. Travels as `X-Seckill-Permit: {edge}.{lease}.{n}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PermitId {
    edge: String,
    lease: String,
    n: u32,
}

impl PermitId {
    /// Builds one; `None` if a part is malformed (letters, digits, `-`, `_`; 1 to 48 bytes).
    #[must_use]
    pub fn new(edge: &str, lease: &str, n: u32) -> Option<Self> {
        (is_part(edge) && is_part(lease) && n > 0).then(|| Self {
            edge: edge.to_owned(),
            lease: lease.to_owned(),
            n,
        })
    }

    /// Reads the header's value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (edge, lease, n) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Self::new(edge, lease, n.parse().ok()?)
    }

    /// The lease's full id, `{edge}.{lease}`: the field in the leases hash.
    #[must_use]
    pub fn lease_id(&self) -> String {
        format!("{}.{}", self.edge, self.lease)
    }
}

impl fmt::Display for PermitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.edge, self.lease, self.n)
    }
}

/// Whether `s` may name an edge (`seckill_node`) or a lease.
#[must_use]
pub fn is_part(s: &str) -> bool {
    (1..=48).contains(&s.len())
        && s.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// A lease as Redis records it: `{amount}:{taken_ms}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Permits taken with it.
    pub amount: u64,
    /// When, epoch milliseconds by Redis's clock.
    pub taken_ms: u64,
}

impl Lease {
    /// Reads the recorded form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (amount, taken_ms) = text.split_once(':')?;
        Some(Self {
            amount: amount.parse().ok()?,
            taken_ms: taken_ms.parse().ok()?,
        })
    }

    /// Whether every request admitted on it must have arrived by `now_ms`, so
    /// that what the stock script has not seen may be given back.
    #[must_use]
    pub fn is_overdue(&self, now_ms: u64, in_flight_ms: u64) -> bool {
        now_ms.saturating_sub(self.taken_ms) > in_flight_ms
    }
}

/// How many permits go back when a lease of `amount` is closed with `spent` seen.
#[must_use]
pub fn unspent(amount: u64, spent: u64) -> u64 {
    amount.saturating_sub(spent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_permit_reads_back_as_written() {
        let permit = PermitId::new("edge-1", "k3-7", 10).unwrap();
        assert_eq!(permit.to_string(), "edge-1.k3-7.10");
        assert_eq!(permit.lease_id(), "edge-1.k3-7");
        assert_eq!(PermitId::parse("edge-1.k3-7.10"), Some(permit));
        for bad in ["", "a.b", "a.b.0", "a.b.c", "a.b.1.2", "a b.c.1", "..1"] {
            assert_eq!(PermitId::parse(bad), None, "{bad:?}");
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Take(u64),
        Spend(usize),
        Close(usize),
        Limit(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1u64..5).prop_map(Step::Take),
            4 => any::<usize>().prop_map(Step::Spend),
            2 => any::<usize>().prop_map(Step::Close),
            1 => (0u64..60).prop_map(Step::Limit),
        ]
    }

    proptest! {
        /// Whatever edges take, spend, and lose by dying, permits out never
        /// exceed the highest limit there was, and closing every lease leaves
        /// exactly what was spent.
        #[test]
        fn granted_never_exceeds_the_limit(steps in prop::collection::vec(step(), 1..300)) {
            let (mut limit, mut granted, mut highest) = (40u64, 0u64, 40u64);
            let mut leases: Vec<(u64, u64)> = Vec::new();
            let mut spent_for_good = 0;
            for step in steps {
                match step {
                    Step::Take(asked) => {
                        let got = clip(asked, granted, limit);
                        granted += got;
                        if got > 0 {
                            prop_assert!(granted <= limit);
                            leases.push((got, 0));
                        }
                    }
                    Step::Spend(i) if !leases.is_empty() => {
                        let i = i % leases.len();
                        if leases[i].1 < leases[i].0 { leases[i].1 += 1; }
                    }
                    Step::Close(i) if !leases.is_empty() => {
                        let (amount, spent) = leases.swap_remove(i % leases.len());
                        granted -= unspent(amount, spent);
                        spent_for_good += spent;
                    }
                    Step::Limit(next) => { limit = next; highest = highest.max(next); }
                    _ => {}
                }
                prop_assert!(granted <= highest);
            }
            for (amount, spent) in leases {
                granted -= unspent(amount, spent);
                spent_for_good += spent;
            }
            prop_assert_eq!(granted, spent_for_good);
        }
    }
}
