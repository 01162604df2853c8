//! Requests that wait for a permit, in the order of their arrival at this worker.
//!
//! One task for each product serves its queue: it spends the permits in the hand,
//! requests a lease when there are none (one flight for each product and edge), and
//! ends with the queue.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use seckill_core::Verdict;
use seckill_core::ids::Item;
use seckill_core::permits::lease::Spent;
use seckill_core::shared::products::Found;

use super::{Outcome, claim_flight, fetch, return_unspent};
use crate::conf::Edge;
use crate::ctx::park::Parked;
use crate::ctx::{Ctx, Decision};
use crate::state::Zone;
use crate::{clock, rt};

/// Pause while another worker requests a lease of the same product.
const TURN: Duration = Duration::from_millis(1);

/// A request that waits.
pub(crate) struct Waiter {
    /// Resumes the request.
    pub(crate) parked: Rc<Parked>,
    /// Number of permits that it needs.
    pub(crate) quantity: u32,
    /// Whether it may pass from this edge's share while Redis is away.
    pub(crate) has_fallback: bool,
}

struct Queue {
    item: Item,
    waiting: VecDeque<Waiter>,
}

/// Queues by the product's slot.
type Queues = HashMap<usize, Queue>;

thread_local! {
    static QUEUES: RefCell<Queues> = RefCell::new(HashMap::new());
}

/// Whether requests for the product wait already: a new one must not be served
/// before them.
pub(crate) fn is_waiting(product: &Found<'_>) -> bool {
    QUEUES.with_borrow(|queues| queues.contains_key(&product.id()))
}

/// Puts a parked request at the end of its product's queue.
pub(crate) fn join(edge: &Edge, product: &Found<'static>, item: Item, waiter: Waiter) {
    edge.zone.counters().parked.add(1);
    let is_first = QUEUES.with_borrow_mut(|queues| match queues.get_mut(&product.id()) {
        Some(queue) => {
            queue.waiting.push_back(waiter);
            false
        }
        None => {
            queues.insert(
                product.id(),
                Queue {
                    item,
                    waiting: VecDeque::from([waiter]),
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

/// Requests the next lease while the last one is still being spent, so that no
/// request has to wait for it.
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
            return refuse_all(edge, id, Verdict::Ended);
        };
        let Some(quantity) = serve_from_hand(edge, id, &found) else {
            return;
        };
        let now_ms = clock::monotonic_ms();
        let hand = found.hand();
        if hand.in_flight(now_ms) {
            // Another worker's flight, or this one's prefetch.
            rt::sleep(TURN).await;
        } else if found.is_granted_out() && hand.left(now_ms) < u64::from(quantity) {
            // Only the first: others may be served where it needs two.
            refuse_first(edge, id, Verdict::SoldOut);
        } else if claim_flight(&found, edge.timeout) {
            // Enough in hand, but on several leases, and a purchase names one: they are
            // returned, to be taken again as one lease.
            let is_scattered = hand.left(now_ms) >= u64::from(quantity);
            let scattered = if is_scattered {
                hand.lapse(now_ms, true)
            } else {
                Vec::new()
            };
            if !scattered.is_empty() {
                return_unspent(edge, &item, &scattered).await;
            }
            let wanted = QUEUES.with_borrow(|queues| wanted(queues, id));
            let outcome = fetch(edge, &item, (wanted, u64::from(quantity))).await;
            match outcome {
                Outcome::Replied => {}
                Outcome::Away => return serve_from_share(edge, id, &item),
                Outcome::Failed => return refuse_all(edge, id, Verdict::Unavailable),
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
        .map(|waiter| u64::from(waiter.quantity))
        .sum()
}

/// Serves from the front of the queue as far as the hand suffices; the quantity of
/// the first request that still waits.
fn serve_from_hand(edge: &Edge, id: usize, found: &Found<'_>) -> Option<u32> {
    while let Some(quantity) = first_quantity(edge, id) {
        let Some(spent) = found.hand().spend(quantity, clock::monotonic_ms()) else {
            return Some(quantity);
        };
        if let Some(first) = pop_first(edge, id) {
            first.parked.resume(|ctx| admit(&edge.zone, ctx, spent));
        }
    }
    None
}

/// The quantity of the first request that still exists; those of clients that left
/// are removed, and so is an empty queue.
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

/// Takes the first request out of the queue.
fn pop_first(edge: &Edge, id: usize) -> Option<Waiter> {
    edge.zone.counters().unparked.add(1);
    QUEUES.with_borrow_mut(|queues| queues.get_mut(&id)?.waiting.pop_front())
}

fn refuse_first(edge: &Edge, id: usize, verdict: Verdict) {
    if let Some(first) = pop_first(edge, id) {
        first.parked.resume(|ctx| {
            edge.zone.counters().refuse(verdict);
            ctx.decision.set(Decision::Refused(verdict));
        });
    }
}

/// While Redis is away: admits requests that have a fallback, as far as this edge's
/// share suffices, and refuses the others.
fn serve_from_share(edge: &Edge, id: usize, item: &Item) {
    let found = edge.zone.products().find(item.round(), item.product());
    while let Some(quantity) = first_quantity(edge, id) {
        let now_ms = clock::monotonic_ms();
        let has_fallback = QUEUES.with_borrow(|queues| {
            let first = queues.get(&id).and_then(|queue| queue.waiting.front());
            first.is_some_and(|first| first.has_fallback)
        });
        let standby = found.as_ref().filter(|_| has_fallback).map(Found::standby);
        match standby.and_then(|standby| standby.spend(quantity, now_ms)) {
            Some(spent) => {
                edge.zone.counters().fallbacks.add(1);
                if let Some(first) = pop_first(edge, id) {
                    first.parked.resume(|ctx| admit(&edge.zone, ctx, spent));
                }
            }
            None => refuse_first(edge, id, Verdict::Unavailable),
        }
    }
}

/// Refuses every request of the queue.
fn refuse_all(edge: &Edge, id: usize, verdict: Verdict) {
    while first_quantity(edge, id).is_some() {
        refuse_first(edge, id, verdict);
    }
}

/// Records an admission in a request's context, and counts it.
pub(crate) fn admit(zone: &Zone, ctx: &Ctx, spent: Spent) {
    zone.counters().admitted.add(1);
    if let Some(click) = ctx.click.get() {
        click.record(zone);
    }
    ctx.permit.set(Some(spent));
    ctx.decision.set(Decision::Admitted);
}
