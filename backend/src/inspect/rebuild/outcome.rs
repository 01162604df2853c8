//! What a product's parts are beside what they must be.

use std::collections::{BTreeMap, HashMap, HashSet};

use seckill_core::orders::purchase::{BuyerRecord, State};
use seckill_core::permits::permit::PermitId;
use seckill_core::stock::ledger::{Event, PurchaseId};
use seckill_core::stock::rebuild;
use seckill_core::stock::rebuild::{Known, OrderRecord, Plan};

use super::report::{Rebuilt, SegmentRebuilt};
use crate::inspect::verify::gather::{ProductState, SegmentState};
use crate::store::orders::Order;
use crate::store::round::Product;

/// What a product's parts are, and what they must be.
pub(super) struct Outcome<'a> {
    pub(super) state: &'a ProductState,
    plans: Vec<Plan>,
    oversold: u64,
}

impl<'a> Outcome<'a> {
    pub(super) fn of(state: &'a ProductState, product: &Product) -> Self {
        let orders: Vec<OrderRecord> = state.orders.iter().map(order).collect();
        let waiting = state.segments.iter().flat_map(|segment| &segment.waiting);
        let queued = state.under_way.iter().flatten();
        let under_way: HashSet<PurchaseId> = waiting.chain(queued).cloned().collect();
        let whole = [product.amount];
        let events = state.segments.iter().map(|it| it.events.as_slice());
        let (plans, oversold) = rebuild::plan(&Known {
            round: state.item.round(),
            product: state.item.product(),
            amount: product.amount,
            preloaded: match product.segments.as_slice() {
                [] => &whole,
                segments => segments,
            },
            events: events.collect::<Vec<&[Event]>>(),
            orders: &orders,
            under_way: &under_way,
        });
        Self {
            state,
            plans,
            oversold,
        }
    }

    /// The segments that differ from their plans.
    pub(super) fn wrong(&self) -> impl Iterator<Item = (&SegmentState, &Plan)> {
        let all = self.state.segments.iter().zip(&self.plans);
        all.filter(|(segment, plan)| differs(segment, plan))
    }

    pub(super) fn is_right(&self, on_sale: bool) -> bool {
        let (bought, out) = (self.bought(&self.permits()), self.out());
        let counted = self.state.permits.granted >= bought + out;
        let none = self.state.permits.leases.is_empty() && bought == 0;
        self.wrong().next().is_none() && counted && (on_sale || none)
    }

    /// Why ledger and orders do not account for every item; `None` if they do.
    pub(super) fn inexact(&self) -> Option<String> {
        if self.oversold > 0 {
            return Some(format!(
                "{} items are sold beyond the amount",
                self.oversold
            ));
        }
        let mut plans = (1..).zip(&self.plans);
        plans.find_map(|(segment, plan): (u16, &Plan)| match plan {
            Plan { gaps: 1.., .. } => Some(format!(
                "segment {segment}: an event is missing in {} places of its ledger",
                plan.gaps
            )),
            Plan { correction: 0, .. } => None,
            Plan { correction, .. } => Some(format!(
                "segment {segment}: {correction:+} items that no event explains"
            )),
        })
    }

    fn is_open(&self, lease: &str) -> bool {
        self.state.permits.leases.contains_key(lease)
    }

    /// The permits spent of each lease in a segment. Leases without a record are closed:
    /// purchases with their permits are refused. What single permits were told stands.
    pub(super) fn spent(&self, segment: &SegmentState, plan: &Plan) -> BTreeMap<String, String> {
        let is_permit = |id: &str| PermitId::parse(id).is_some();
        let told = segment.spent.iter().filter(|(id, _)| is_permit(id));
        let mut spent: BTreeMap<String, String> =
            told.map(|(id, text)| (id.clone(), text.clone())).collect();
        let leases = plan.spent.keys().chain(segment.spent.keys());
        for lease in leases.filter(|id| !is_permit(id)) {
            let bought = plan.spent.get(lease).copied().unwrap_or(0);
            let raw = segment.spent.get(lease).and_then(|text| text.parse().ok());
            let text = match self.is_open(lease) && !segment.is_closed(lease) {
                true => bought.max(raw.unwrap_or(0)).to_string(),
                false => format!("closed:{bought}"),
            };
            spent.insert(lease.clone(), text);
        }
        spent
    }

    /// Permits that edges hold.
    fn out(&self) -> i64 {
        self.state.permits.leases.values().sum()
    }

    /// Permits of purchases, without those of open leases and those given back.
    fn bought(&self, permits: &Permits) -> i64 {
        let closed = permits.spent.iter();
        let closed = closed.filter(|(lease, _)| !self.is_open(lease));
        closed.map(|(_, n)| n).sum::<i64>() - permits.returned
    }

    pub(super) fn permits(&self) -> Permits {
        let mut permits = Permits::default();
        for (segment, plan) in self.state.segments.iter().zip(&self.plans) {
            let leases: HashMap<&String, i64> = match differs(segment, plan) {
                true => plan
                    .spent
                    .iter()
                    .map(|(lease, n)| (lease, signed(*n)))
                    .collect(),
                false => segment.spent_of_leases().collect(),
            };
            for (lease, n) in leases {
                *permits.spent.entry(lease.clone()).or_default() += n;
            }
            permits.returned += signed(plan.returned);
            permits.refunds.extend(plan.refunds.iter().cloned());
        }
        permits
    }

    pub(super) fn rebuilt(&self) -> Rebuilt {
        let segments = self.wrong();
        let segments = segments.map(|(segment, plan)| SegmentRebuilt::of(segment, plan));
        let (bought, out) = (self.bought(&self.permits()), self.out());
        Rebuilt {
            item: self.state.item.to_string(),
            segments: segments.collect(),
            permits: Some(bought + out),
            oversold: self.oversold,
        }
    }
}

impl SegmentRebuilt {
    /// What a plan makes of a segment.
    pub(super) fn of(segment: &SegmentState, plan: &Plan) -> Self {
        Self {
            segment: segment.id.number,
            sale: plan.amounts.sale,
            locked: plan.amounts.locked,
            saled: plan.amounts.saled,
            before: segment.stock.map(|it| (it.sale, it.locked, it.saled)),
            buyers: plan.buyers.len(),
            adopted: plan.adopted,
            redriven: plan.redriven.len(),
            correction: plan.correction,
        }
    }
}

/// The permits that the count is computed from.
#[derive(Default)]
pub(super) struct Permits {
    /// Permits spent, by lease; of open leases too.
    pub(super) spent: BTreeMap<String, i64>,
    /// How many of them were given back.
    pub(super) returned: i64,
    /// Refunds that were made.
    pub(super) refunds: Vec<String>,
}

/// Whether a segment differs from its plan. An order number that has not reached its
/// buyer's record yet is no difference.
fn differs(segment: &SegmentState, plan: &Plan) -> bool {
    let stock = segment.stock == Some(plan.amounts);
    let ledger = plan.missing.len() == 1 && plan.gaps == 0 && plan.correction == 0;
    let same = |(user, text): (&String, &String)| {
        let (Some(have), Some(must)) = (
            segment
                .buyers
                .get(user)
                .and_then(|text| BuyerRecord::parse(text)),
            BuyerRecord::parse(text),
        ) else {
            return false;
        };
        let is_behind = have.state == State::Succeeded && must.state == State::Ordered;
        (have.state == must.state || is_behind)
            && (&have.request, have.at_ms) == (&must.request, must.at_ms)
    };
    let records = segment.buyers.len() == plan.buyers.len() && plan.buyers.iter().all(same);
    let seen = |lease: &String| {
        let text = segment.spent.get(lease)?;
        text.strip_prefix("closed:").unwrap_or(text).parse().ok()
    };
    let permits = plan.spent.iter();
    let permits = permits.map(|(lease, n)| seen(lease).is_some_and(|seen: u64| seen >= *n));
    !(stock && ledger && records && plan.redriven.is_empty() && permits.into_iter().all(|it| it))
}

fn order(order: &Order) -> OrderRecord {
    OrderRecord {
        segment: order.segment,
        purchase: PurchaseId {
            user: order.user.clone(),
            request: order.request.clone(),
            at_ms: order.locked_ms,
        },
        quantity: order.quantity,
        price_cents: order.price_cents,
        permit: order.permit.clone(),
        order: order.id.to_string(),
        stands: order.state,
        reason: order
            .reason
            .map_or("cancelled", |it| it.as_str())
            .to_owned(),
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
