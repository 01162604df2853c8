//! Edges that read late, purchases, cancellations and raised amounts, in any order: no edge
//! says "sold out" while an item is for sale.

use proptest::prelude::*;

use super::*;

#[test]
fn what_was_read_holds_for_its_time_and_not_a_millisecond_longer() {
    assert_eq!(supply(1_000, 1_000), Supply::SoldOut);
    assert_eq!(supply(1_000, 1_000 + KNOWN_MS - 1), Supply::SoldOut);
    assert_eq!(supply(1_000, 1_000 + KNOWN_MS), Supply::WasSoldOut);
    assert_eq!(supply(1_001, 1_000), Supply::WasSoldOut);
}

/// Redis as `reopen.lua`, `refund.lua` and `count.lua` have it.
#[derive(Default)]
struct Redis {
    limit: u64,
    granted: u64,
    stock: u64,
    /// When each change was announced that is not over.
    announced: Vec<(usize, u64)>,
}

impl Redis {
    fn is_all_used(&self) -> bool {
        self.granted >= self.limit
    }

    /// The ms to wait.
    fn announce(&mut self, id: usize, now_ms: u64) -> u64 {
        let since = self.announced.iter().map(|(_, at_ms)| *at_ms).min();
        self.announced.push((id, now_ms));
        match since {
            _ if !self.is_all_used() => 0,
            Some(since) => (since + KNOWN_MS).saturating_sub(now_ms),
            None => KNOWN_MS,
        }
    }
}

/// A change on its way: announced, then for sale, then with its permit.
struct Change {
    id: usize,
    /// When its item goes up for sale; `None` once it has.
    sells_at_ms: Option<u64>,
    is_raise: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Pass { ms: u64 },
    Buy,
    Announce { is_raise: bool },
    GoOn { which: usize },
    Ask { edge: usize },
    Hear { edge: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..400_u64).prop_map(|ms| Step::Pass { ms }),
        4 => Just(Step::Buy),
        2 => any::<bool>().prop_map(|is_raise| Step::Announce { is_raise }),
        4 => (0..4_usize).prop_map(|which| Step::GoOn { which }),
        3 => (0..2_usize).prop_map(|edge| Step::Ask { edge }),
        3 => (0..2_usize).prop_map(|edge| Step::Hear { edge }),
    ]
}

#[derive(Default, Clone, Copy)]
struct Edge {
    /// A reply on its way: when it was asked for, and whether it says that all are used.
    reply: Option<(u64, bool)>,
    /// When it asked for what it knows, if that is that all are used.
    asked_ms: Option<u64>,
}

proptest! {
    #[test]
    fn no_edge_says_sold_out_while_an_item_is_for_sale(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let mut redis = Redis { limit: 2, stock: 2, ..Redis::default() };
        let (mut now_ms, mut next) = (10_000, 0);
        let mut changes: Vec<Change> = Vec::new();
        let mut edges = [Edge::default(); 2];
        for step in steps {
            match step {
                Step::Pass { ms } => now_ms += ms,
                Step::Buy if redis.granted < redis.limit => {
                    redis.granted += 1;
                    // A raised limit is never ahead of the stock.
                    prop_assert!(redis.stock > 0);
                    redis.stock -= 1;
                }
                Step::Buy => {}
                Step::Announce { is_raise } => {
                    // What is cancelled was bought.
                    if is_raise || redis.granted > changes.iter().filter(|it| !it.is_raise).count() as u64 {
                        let wait = redis.announce(next, now_ms);
                        changes.push(Change { id: next, sells_at_ms: Some(now_ms + wait), is_raise });
                        next += 1;
                    }
                }
                Step::GoOn { which } => {
                    let Some(change) = changes.get_mut(which) else { continue };
                    match change.sells_at_ms {
                        Some(at_ms) if now_ms >= at_ms => {
                            redis.stock += 1;
                            change.sells_at_ms = None;
                        }
                        Some(_) => {}
                        None => {
                            let change = changes.remove(which);
                            redis.announced.retain(|(id, _)| *id != change.id);
                            match change.is_raise {
                                true => redis.limit += 1,
                                false => redis.granted -= 1,
                            }
                        }
                    }
                }
                Step::Ask { edge } => {
                    let is_sold_out = redis.is_all_used() && redis.announced.is_empty();
                    edges[edge].reply.get_or_insert((now_ms, is_sold_out));
                }
                Step::Hear { edge } => {
                    if let Some((asked_ms, is_sold_out)) = edges[edge].reply.take() {
                        edges[edge].asked_ms = is_sold_out.then_some(asked_ms);
                    }
                }
            }
            for edge in edges {
                let says = edge.asked_ms.map(|asked_ms| supply(asked_ms, now_ms));
                prop_assert!(
                    says != Some(Supply::SoldOut) || redis.stock == 0,
                    "at {now_ms} with {} for sale", redis.stock
                );
            }
        }
    }
}
