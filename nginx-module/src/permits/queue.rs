//! Requests that wait for a permit, in order of their arrival at this worker.
//!
//! One task a product serves its queue: it spends what is in the hand, asks
//! Redis when there is nothing (one flight a product and edge), and ends with
//! the queue.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use seckill_core::Verdict;
use seckill_core::ids::Item;
use seckill_core::permits::lease::Spent;
use seckill_core::shared::products::Found;

use super::{Outcome, claim_flight, fetch, give_back};
use crate::conf::Edge;
use crate::ctx::park::Parked;
use crate::ctx::{Ctx, Stand};
use crate::state::Zone;
use crate::{clock, rt};

/// Pause while another worker asks Redis for the same product.
const TURN: Duration = Duration::from_millis(1);

/// One who waits.
pub(crate) struct Waiting {
    /// The request.
    pub(crate) parked: Rc<Parked>,
    /// Permits that it wants.
    pub(crate) quantity: u32,
    /// Whether it may pass from this edge's share, should Redis be away.
    pub(crate) passes: bool,
}

struct Queue {
    item: Item,
    waiting: VecDeque<Waiting>,
}

/// By the product's slot.
type Queues = HashMap<usize, Queue>;

thread_local! {
    static QUEUES: RefCell<Queues> = RefCell::new(HashMap::new());
}

/// Whether requests for the product wait already: whoever comes now must not be
/// served before them.
pub(crate) fn is_waiting(product: &Found<'_>) -> bool {
    QUEUES.with_borrow(|queues| queues.contains_key(&product.id()))
}

/// Puts a parked request at the end of its product's queue.
pub(crate) fn join(edge: &Edge, product: &Found<'static>, item: Item, waiting: Waiting) {
    edge.zone.counters().parked.add(1);
    let is_first = QUEUES.with_borrow_mut(|queues| match queues.get_mut(&product.id()) {
        Some(queue) => {
            queue.waiting.push_back(waiting);
            false
        }
        None => {
            queues.insert(
                product.id(),
                Queue {
                    item,
                    waiting: VecDeque::from([waiting]),
                },
            );
            true
        }
    });
    if is_first {
        let (edge, id) = (edge.clone(), product.id());
        rt::spawn(async move { serve(&edge, id).await }).detach();
    }
}

/// Asks Redis for the next lease while the last one is still being spent, so
/// that nobody has to wait for it.
pub(crate) fn prefetch(edge: &Edge, item: Item) {
    let edge = edge.clone();
    rt::spawn(async move { fetch(&edge, &item, (0, 1)).await }).detach();
}

async fn serve(edge: &Edge, id: usize) {
    let Some(item) = QUEUES.with_borrow(|queues| queues.get(&id).map(|queue| queue.item.clone()))
    else {
        return;
    };
    loop {
        let Some(found) = edge.zone.products().find(item.round(), item.product()) else {
            return dismiss(edge, id, Verdict::Ended);
        };
        let Some(quantity) = spend(edge, id, &found) else {
            return;
        };
        let now_ms = clock::monotonic_ms();
        let hand = found.hand();
        if hand.in_flight(now_ms) {
            // Another worker's, or this one's early one.
            rt::sleep(TURN).await;
        } else if found.is_granted_out() && hand.left(now_ms) < u64::from(quantity) {
            // Only the first: others may be served where he wanted two.
            refuse_first(edge, id, Verdict::SoldOut);
        } else if claim_flight(&found, edge.timeout) {
            // Enough in hand, but on several leases, and a purchase names one:
            // they go back, to be taken again as one.
            let scattered = hand.left(now_ms) >= u64::from(quantity);
            let loose = if scattered {
                hand.lapse(now_ms, true)
            } else {
                Vec::new()
            };
            if !loose.is_empty() {
                give_back(edge, &item, &loose).await;
            }
            let wanted = QUEUES.with_borrow(|queues| wanted(queues, id));
            let asked = fetch(edge, &item, (wanted, u64::from(quantity))).await;
            match asked {
                Outcome::Answered => {}
                Outcome::Away => return without_redis(edge, id, &item),
                Outcome::Amiss => return dismiss(edge, id, Verdict::Unavailable),
            }
        }
    }
}

/// Permits that the queue waits for.
fn wanted(queues: &Queues, id: usize) -> u64 {
    let waiting = queues.get(&id).map(|queue| &queue.waiting);
    waiting
        .into_iter()
        .flatten()
        .map(|waiting| u64::from(waiting.quantity))
        .sum()
}

/// Serves from the front as far as the hand reaches; what the first of those who
/// still wait wants.
fn spend(edge: &Edge, id: usize, found: &Found<'_>) -> Option<u32> {
    while let Some(quantity) = first_quantity(edge, id) {
        let Some(spent) = found.hand().spend(quantity, clock::monotonic_ms()) else {
            return Some(quantity);
        };
        if let Some(first) = leave(edge, id) {
            first.parked.resume(|ctx| admit(&edge.zone, ctx, spent));
        }
    }
    None
}

/// What the first who is still there wants; those who left make room. An empty
/// queue goes.
fn first_quantity(edge: &Edge, id: usize) -> Option<u32> {
    QUEUES.with_borrow_mut(|queues| {
        let queue = queues.get_mut(&id)?;
        while let Some(first) = queue.waiting.front() {
            if first.parked.is_waiting() {
                return Some(first.quantity);
            }
            queue.waiting.pop_front();
            edge.zone.counters().unparked.add(1);
        }
        queues.remove(&id);
        None
    })
}

/// Takes the first out of the queue.
fn leave(edge: &Edge, id: usize) -> Option<Waiting> {
    edge.zone.counters().unparked.add(1);
    QUEUES.with_borrow_mut(|queues| queues.get_mut(&id)?.waiting.pop_front())
}

fn refuse_first(edge: &Edge, id: usize, verdict: Verdict) {
    if let Some(first) = leave(edge, id) {
        first.parked.resume(|ctx| {
            edge.zone.counters().refuse(verdict);
            ctx.stand.set(Stand::Refused(verdict));
        });
    }
}

/// Redis is away: lets those pass who may, as far as this edge's share reaches,
/// and refuses the others.
fn without_redis(edge: &Edge, id: usize, item: &Item) {
    let found = edge.zone.products().find(item.round(), item.product());
    while let Some(quantity) = first_quantity(edge, id) {
        let now_ms = clock::monotonic_ms();
        let passes = QUEUES.with_borrow(|queues| {
            let first = queues.get(&id).and_then(|queue| queue.waiting.front());
            first.is_some_and(|first| first.passes)
        });
        let standby = found.as_ref().filter(|_| passes).map(Found::standby);
        match standby.and_then(|standby| standby.spend(quantity, now_ms)) {
            Some(spent) => {
                edge.zone.counters().fallbacks.add(1);
                if let Some(first) = leave(edge, id) {
                    first.parked.resume(|ctx| admit(&edge.zone, ctx, spent));
                }
            }
            None => refuse_first(edge, id, Verdict::Unavailable),
        }
    }
}

/// Refuses everybody who waits.
fn dismiss(edge: &Edge, id: usize, verdict: Verdict) {
    while first_quantity(edge, id).is_some() {
        refuse_first(edge, id, verdict);
    }
}

/// Writes an admission into a request's context.
pub(crate) fn admit(zone: &Zone, ctx: &Ctx, spent: Spent) {
    zone.counters().admitted.add(1);
    if let Some(known) = ctx.known.get() {
        known.record(zone);
    }
    ctx.permit.set(Some(spent));
    ctx.stand.set(Stand::Admitted);
}
