//! Counting alone: edges take, spend, and die; leases are closed; the limit moves.

use proptest::prelude::*;

use super::{clip, unspent};

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
