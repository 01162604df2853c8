//! Requests that wait for a permit, in the order of their arrival at this worker.
//!
//! One task for each product serves its queue: it spends the permits in the hand,
//! requests a lease when there are none (one flight for each product and edge), and
//! ends with the queue.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use seckill_core::Verdict;
use seckill_core::gate::answer_known;
use seckill_core::ids::Item;
use seckill_core::permits::hand::Flight;
use seckill_core::permits::lease::Spent;
use seckill_core::permits::reopening::Supply;
use seckill_core::shared::products::Found;
use seckill_core::shared::seen::Answer;

use super::{Outcome, claim_flight, fetch, reports, winners};
use crate::conf::Edge;
use crate::ctx::park::Parked;
use crate::ctx::{Ctx, Decision};
use crate::state::Zone;
use crate::{clock, rt};

/// Pause while another worker requests a lease of the same product.
const TURN: Duration = Duration::from_millis(1);
/// How often a lease is requested again for those who wait, while this edge itself keeps
/// what they want.
const MOST_AGAIN: u32 = 3;
/// How long a reply that no permit is free holds, in ms: without it the crowd would ask
/// Redis over and over while the last purchases are under way.
const NONE_FREE_MS: u64 = 20;

/// A request that waits.
pub(crate) struct Waiter {
    /// Resumes the request.
    pub(crate) parked: Rc<Parked>,
    /// Number of permits that it needs.
    pub(crate) quantity: u32,
    /// Whether it may pass from this edge's share while Redis is away.
    pub(crate) has_fallback: bool,
}

type Queues = HashMap<Item, VecDeque<Waiter>>;

thread_local! {
    static QUEUES: RefCell<Queues> = RefCell::new(HashMap::new());
    /// When Redis last replied that no permit is free, though some are not spent:
    /// monotonic ms.
    static NONE_FREE: RefCell<HashMap<Item, u64>> = RefCell::new(HashMap::new());
}

/// Whether requests for the product wait already: a new one must not be served
/// before them.
pub(crate) fn is_waiting(round: &str, product: &str) -> bool {
    QUEUES.with_borrow(|queues| {
        !queues.is_empty()
            && Item::new(round, product).is_some_and(|item| queues.contains_key(&item))
    })
}

/// Whether Redis replied a moment ago that no permit is free.
pub(crate) fn is_none_free(round: &str, product: &str, now_ms: u64) -> bool {
    NONE_FREE.with_borrow(|replied| {
        !replied.is_empty()
            && Item::new(round, product)
                .and_then(|item| replied.get(&item).copied())
                .is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < NONE_FREE_MS)
    })
}

fn note_none_free(item: &Item) {
    let now_ms = clock::monotonic_ms();
    NONE_FREE.with_borrow_mut(|replied| {
        replied.retain(|_, at_ms| now_ms.saturating_sub(*at_ms) < NONE_FREE_MS);
        replied.insert(item.clone(), now_ms);
    });
}

/// Puts a parked request at the end of its product's queue.
pub(crate) fn join(edge: &Edge, item: Item, waiter: Waiter) {
    edge.zone.counters().parked.add(1);
    let is_first = QUEUES.with_borrow_mut(|queues| match queues.get_mut(&item) {
        Some(queue) => {
            queue.push_back(waiter);
            false
        }
        None => {
            queues.insert(item.clone(), VecDeque::from([waiter]));
            true
        }
    });
    if is_first {
        let edge = edge.clone();
        rt::spawn(async move { serve(&edge, &item).await }).detach();
    }
}

/// Requests the next lease while the last one is still being spent, so that no
/// request has to wait for it.
pub(crate) fn prefetch(edge: &Edge, item: Item, flight: Flight) {
    let edge = edge.clone();
    rt::spawn(async move { fetch(&edge, &item, flight, (0, 1), || {}).await }).detach();
}

async fn serve(edge: &Edge, item: &Item) {
    let mut again = 0;
    loop {
        let Some(found) = edge.zone.products().find(item.round(), item.product()) else {
            return refuse_all(edge, item, Verdict::Ended);
        };
        let Some(quantity) = serve_from_hand(edge, item, &found) else {
            return;
        };
        let now_ms = clock::monotonic_ms();
        let hand = found.hand();
        if hand.in_flight(now_ms) {
            // Another worker's flight, or this one's prefetch.
            rt::sleep(TURN).await;
        } else if found.supply(now_ms) == Supply::SoldOut {
            refuse_all(edge, item, Verdict::SoldOut);
        } else if let Some(flight) = claim_flight(&found, edge.timeout) {
            // No lease in hand has enough for the first request, and a purchase names
            // one: what they have is returned, to be taken again as one lease.
            reports::returned(edge, item, &hand.lapse(now_ms, true));
            let wanted = QUEUES.with_borrow(|queues| wanted(queues, item));
            let is_late = Cell::new(false);
            let late = || {
                is_late.set(true);
                serve_from_share(edge, item);
            };
            let wants = (wanted, u64::from(quantity));
            let outcome = fetch(edge, item, flight, wants, late).await;
            if is_late.get() {
                // Those who waited were served, and whoever waits now has a task of
                // their own, which finds in the hand what came late.
                return;
            }
            match outcome {
                Outcome::Replied(reply) if reply.granted >= u64::from(quantity) => again = 0,
                // What was free went into this edge's own share in the same moment: it is
                // given back with the next request.
                Outcome::Replied(_) if again < MOST_AGAIN && has_share(edge, item, quantity) => {
                    again += 1;
                }
                Outcome::Replied(reply) => {
                    let verdict = if reply.is_the_rest(&found) {
                        Verdict::SoldOut
                    } else {
                        note_none_free(item);
                        Verdict::Busy
                    };
                    if reply.granted == 0 {
                        refuse_all(edge, item, verdict);
                    } else {
                        // Only the first: others may be served where it needs two.
                        refuse_first(edge, item, verdict);
                    }
                }
                Outcome::Away => return serve_from_share(edge, item),
                Outcome::Failed => return refuse_all(edge, item, Verdict::Unavailable),
            }
        }
    }
}

/// Whether this edge keeps enough of the product for when Redis is away.
fn has_share(edge: &Edge, item: &Item, quantity: u32) -> bool {
    let found = edge.zone.products().find(item.round(), item.product());
    found.is_some_and(|found| found.standby().held() >= u64::from(quantity))
}

/// Permits that the queue waits for.
fn wanted(queues: &Queues, item: &Item) -> u64 {
    let waiting = queues.get(item);
    waiting
        .into_iter()
        .flatten()
        .map(|waiter| u64::from(waiter.quantity))
        .sum()
}

/// Serves from the front of the queue as far as the hand suffices; the quantity of
/// the first request that still waits.
fn serve_from_hand(edge: &Edge, item: &Item, found: &Found<'_>) -> Option<u32> {
    while let Some(quantity) = first_quantity(edge, item) {
        let Some(spent) = found.hand().spend(quantity, clock::monotonic_ms()) else {
            return Some(quantity);
        };
        if let Some(first) = pop_first(edge, item) {
            first.parked.resume(|ctx| admit(&edge.zone, ctx, spent));
        }
    }
    None
}

/// The quantity of the first request that still exists; those of clients that left
/// are removed, and so is an empty queue.
fn first_quantity(edge: &Edge, item: &Item) -> Option<u32> {
    QUEUES.with_borrow_mut(|queues| {
        let queue = queues.get_mut(item)?;
        while let Some(first) = queue.front() {
            if first.parked.is_waiting() {
                return Some(first.quantity);
            }
            queue.pop_front();
            edge.zone.counters().unparked.add(1);
        }
        queues.remove(item);
        None
    })
}

/// Takes the first request out of the queue.
fn pop_first(edge: &Edge, item: &Item) -> Option<Waiter> {
    edge.zone.counters().unparked.add(1);
    QUEUES.with_borrow_mut(|queues| queues.get_mut(item)?.pop_front())
}

fn refuse_first(edge: &Edge, item: &Item, verdict: Verdict) {
    if let Some(first) = pop_first(edge, item) {
        first
            .parked
            .resume(|ctx| match answer_known(verdict, ctx.known.get()) {
                Ok(()) => repeat(&edge.zone, ctx),
                Err(verdict) => {
                    edge.zone.counters().refuse(verdict);
                    ctx.decision.set(Decision::Refused(verdict));
                }
            });
    }
}

/// While Redis is away: admits requests that have a fallback, as far as this edge's
/// share suffices, and refuses the others.
fn serve_from_share(edge: &Edge, item: &Item) {
    let found = edge.zone.products().find(item.round(), item.product());
    while let Some(quantity) = first_quantity(edge, item) {
        let now_ms = clock::monotonic_ms();
        let has_fallback = QUEUES.with_borrow(|queues| {
            let first = queues.get(item).and_then(|queue| queue.front());
            first.is_some_and(|first| first.has_fallback)
        });
        let standby = found.as_ref().filter(|_| has_fallback).map(Found::standby);
        match standby.and_then(|standby| standby.spend(quantity, now_ms)) {
            Some(spent) => {
                edge.zone.counters().fallbacks.add(1);
                if let Some(first) = pop_first(edge, item) {
                    first.parked.resume(|ctx| admit(&edge.zone, ctx, spent));
                }
            }
            None => refuse_first(edge, item, Verdict::Unavailable),
        }
    }
}

/// Refuses every request of the queue.
fn refuse_all(edge: &Edge, item: &Item, verdict: Verdict) {
    while first_quantity(edge, item).is_some() {
        refuse_first(edge, item, verdict);
    }
}

/// Records an admission in a request's context, and counts it.
pub(crate) fn admit(zone: &Zone, ctx: &Ctx, spent: Spent) {
    zone.counters().admitted.add(1);
    if let Some(click) = ctx.click.get() {
        match ctx.known.get() {
            // It may have bought before by another request, which is kept.
            Answer::SecondClick => click.touch(zone),
            Answer::Unseen | Answer::SameRequest | Answer::PerhapsElsewhere => {
                click.record(zone);
            }
        }
    }
    let (round, product) = ctx.item();
    winners::admitted(zone, round, product);
    ctx.permit.set(Some(spent));
    ctx.decision.set(Decision::Admitted);
}

/// Lets a request pass without a permit whose buyer was, or may have been, admitted
/// before: it is answered from the buyer's record.
pub(crate) fn repeat(zone: &Zone, ctx: &Ctx) {
    zone.counters().repeats.add(1);
    // Whatever the answer is, the buyer was admitted by the first request.
    ctx.click.set(None);
    ctx.decision.set(Decision::Admitted);
}
