//! What a product's stock must be after its Redis lost it, wholly or in part:
//! decided from the ledger's archive and the orders, which the database kept.
//!
//! Worked example. Ten items were preloaded. The archive has the purchases of li
//! (2) and wang (1); the orders are li's, paid, and zhao's (1), whose purchase was
//! lost before it was archived. Wang's order message was lost with the queue.
//! Then: zhao's purchase is entered into the ledger again, li's is confirmed, and
//! six are for sale, two locked, two sold. Wang's order message is sent again. A
//! purchase that neither archive nor orders know counts as never made; its stock is for
//! sale.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::orders::order;
use crate::orders::purchase::Reason;
use crate::permits::permit::PermitId;
use crate::permits::reopening::{refund_id, refund_without_permit};
use crate::stock::ledger::{Amounts, EntryId, Event, Life, PurchaseId, Replay};

/// The fields of an event to be appended.
pub type Fields = Vec<(String, String)>;

/// An order in the database, as far as its stock is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRecord {
    /// The segment whose stock it has.
    pub segment: u16,
    /// The purchase that it was placed for.
    pub purchase: PurchaseId,
    /// How many items were bought.
    pub quantity: u32,
    /// Price of one item in cents.
    pub price_cents: u64,
    /// Permit of the purchase; empty if there was none.
    pub permit: String,
    /// The order's number.
    pub order: String,
    /// Its state.
    pub stands: order::State,
    /// Why it was cancelled or failed, in one word.
    pub reason: String,
}

/// What is known of a product.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    /// Round id.
    pub round: &'a str,
    /// Product id.
    pub product: &'a str,
    /// Items in all, as the database has them set aside.
    pub amount: u64,
    /// How they were divided among the segments when they were preloaded.
    pub preloaded: &'a [u64],
    /// The events of each segment, archived or still in its stream, oldest first.
    pub events: Vec<&'a [Event]>,
    /// Every order.
    pub orders: &'a [OrderRecord],
    /// Purchases whose order messages are in the queue.
    pub under_way: &'a HashSet<PurchaseId>,
}

/// What a segment must become.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Events that the ledger lacks, in order, each with the amounts after it; the
    /// last one is the rebuild itself.
    pub missing: Vec<Fields>,
    /// The three amounts.
    pub amounts: Amounts,
    /// Items that are more, or, below 0, fewer than the ledger accounts for.
    pub correction: i64,
    /// The buyers' records.
    pub buyers: BTreeMap<String, String>,
    /// Permits that purchases have spent, by lease.
    pub spent: BTreeMap<String, u64>,
    /// Transfers that have arrived, here or from here.
    pub transfers: BTreeMap<String, String>,
    /// The refunds of released purchases that are done, as `lua/permits/refund.lua` remembers them.
    pub refunds: BTreeSet<String>,
    /// Permits of released purchases.
    pub returned: u64,
    /// Copies of purchases whose order message was lost, to be relayed again.
    pub redriven: Vec<Fields>,
    /// Purchases that were in the orders but not in the ledger.
    pub adopted: usize,
    /// How often an event is missing in the ledger.
    pub gaps: usize,
}

/// The plans of all segments, in order, and how many items are sold beyond the
/// amount: 0 unless it was oversold before.
#[must_use]
pub fn plan(known: &Known<'_>) -> (Vec<Plan>, u64) {
    let mut segments: Vec<SegmentState> = (1..)
        .zip(&known.events)
        .map(|(number, events)| SegmentState::new(known, number, events))
        .collect();
    for segment in &mut segments {
        segment.preload(known);
        segment.adopt(known);
        segment.follow(known);
    }
    finish_transfers(&mut segments);
    let oversold = correct(&mut segments, known.amount);
    let plans = segments.into_iter().map(|segment| segment.finish(known));
    (plans.collect(), oversold)
}

/// A segment while it is planned.
struct SegmentState<'a> {
    number: u16,
    ids: (&'a str, &'a str),
    events: Vec<Event>,
    replay: Replay,
    plan: Plan,
}

impl<'a> SegmentState<'a> {
    fn new(known: &Known<'a>, number: u16, events: &[Event]) -> Self {
        let mut replay = Replay::default();
        for at in 1..=events.len() {
            replay.push(&events[..at]);
        }
        let missing = replay.faults.iter().filter(|it| it.kind == "event_missing");
        let plan = Plan {
            gaps: missing.count(),
            ..Plan::default()
        };
        Self {
            number,
            ids: (known.round, known.product),
            events: events.to_vec(),
            replay,
            plan,
        }
    }

    /// Appends an event that the ledger lacks, and adjusts the amounts.
    fn enter(&mut self, kind: &str, fields: &[(&str, &str)]) {
        let (round, product) = self.ids;
        let segment = self.number.to_string();
        let common = [
            ("kind", kind),
            ("v", "1"),
            ("round", round),
            ("product", product),
            ("segment", &segment),
        ];
        let mut event = Event {
            id: EntryId {
                ms: u64::MAX,
                seq: self.events.len() as u64,
            },
            fields: common
                .iter()
                .chain(fields)
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
        };
        let amounts = self.replay.after(&event);
        for (name, items) in [
            ("sale", amounts.sale),
            ("locked", amounts.locked),
            ("saled", amounts.saled),
        ] {
            event.fields.insert(name.to_owned(), items.to_string());
        }
        self.plan
            .missing
            .push(event.fields.clone().into_iter().collect());
        self.events.push(event);
        self.replay.push(&self.events);
    }

    fn preload(&mut self, known: &Known<'_>) {
        if !self.events.iter().any(|event| event.kind() == "preload") {
            let at = usize::from(self.number) - 1;
            let amount = known.preloaded.get(at).copied().unwrap_or(0).to_string();
            let fields = [("request", "preload"), ("user", ""), ("quantity", &amount)];
            self.enter("preload", &fields);
        }
    }

    fn orders<'k>(&self, known: &Known<'k>) -> HashMap<&'k PurchaseId, &'k OrderRecord> {
        let orders = known.orders.iter();
        let here = orders.filter(|order| order.segment == self.number);
        here.map(|order| (&order.purchase, order)).collect()
    }

    /// Appends the purchases of orders that the ledger lacks.
    fn adopt(&mut self, known: &Known<'_>) {
        let mut unknown: Vec<&OrderRecord> = self.orders(known).into_values().collect();
        unknown.retain(|order| !self.replay.purchases.contains_key(&order.purchase));
        unknown.sort_by_key(|order| (order.purchase.at_ms, &order.order));
        for order in unknown {
            let PurchaseId {
                user,
                request,
                at_ms,
            } = &order.purchase;
            let fields = [
                ("request", request.as_str()),
                ("user", user),
                ("quantity", &order.quantity.to_string()),
                ("price_cents", &order.price_cents.to_string()),
                ("permit", &order.permit),
                ("at_ms", &at_ms.to_string()),
            ];
            self.enter("purchase", &fields);
            self.plan.adopted += 1;
        }
    }

    /// Confirms or releases the stock of each decided order, and finds the purchases
    /// whose order message was lost.
    fn follow(&mut self, known: &Known<'_>) {
        let orders = self.orders(known);
        let open = |life: &Life| life.confirmed.is_none() && life.released.is_none();
        let mut purchases: Vec<(PurchaseId, Life)> =
            self.replay.purchases.clone().into_iter().collect();
        // Sold, and then cancelled by the shop: its items are for sale again.
        let is_withdrawn = |purchase: &PurchaseId, life: &Life| {
            let reason = orders.get(purchase).map(|order| order.reason.as_str());
            let reason = reason.and_then(Reason::parse);
            life.released.is_none() && reason.is_some_and(Reason::cancels_paid)
        };
        purchases.retain(|(purchase, life)| open(life) || is_withdrawn(purchase, life));
        purchases.sort_by_key(|(_, life)| life.made);
        for (purchase, life) in purchases {
            let made = self.events[life.made].clone();
            let bought = purchase.at_ms.to_string();
            let Some(order) = orders.get(&purchase) else {
                if !known.under_way.contains(&purchase) {
                    self.redrive(&made, &bought);
                }
                continue;
            };
            let quantity = life.quantity.to_string();
            let mut fields = vec![
                ("request", purchase.request.as_str()),
                ("user", &purchase.user),
                ("quantity", &quantity),
                ("permit", made.text("permit")),
                ("bought_ms", &bought),
            ];
            match order.stands {
                order::State::Created => {}
                // What was paid and refunded counts as sold until its stock follows.
                order::State::Cancelled if order.reason == "refunded" => {
                    fields.push(("order", &order.order));
                    self.enter("confirm", &fields);
                }
                order::State::Paid => {
                    fields.push(("order", &order.order));
                    self.enter("confirm", &fields);
                }
                order::State::Cancelled | order::State::Failed => {
                    fields.push(("order", order.number()));
                    fields.push(("state", order.stands.as_str()));
                    fields.push(("reason", &order.reason));
                    let kind = match life.confirmed {
                        Some(_) => "return",
                        None => "release",
                    };
                    self.enter(kind, &fields);
                }
            }
        }
    }

    fn redrive(&mut self, made: &Event, bought: &str) {
        let mut fields = made.fields.clone();
        fields.insert("at_ms".to_owned(), bought.to_owned());
        fields.insert("redriven".to_owned(), "rebuild".to_owned());
        self.plan.redriven.push(fields.into_iter().collect());
    }

    /// Items for sale, by the ledger alone.
    fn sale(&self) -> i64 {
        let (locked, saled) = self.replay.bound();
        self.replay.total - locked - saled
    }

    /// Appends the rebuild event, and completes the plan.
    fn finish(mut self, known: &Known<'_>) -> Plan {
        let (locked, saled) = self.replay.bound();
        let sale = self.sale() + self.plan.correction;
        self.plan.amounts = Amounts {
            sale,
            locked,
            saled,
        };
        self.records(known);
        let texts = [sale, locked, saled, self.plan.correction].map(|items| items.to_string());
        let (round, product) = self.ids;
        let rebuild = [
            ("kind", "rebuild"),
            ("v", "1"),
            ("request", "rebuild"),
            ("round", round),
            ("product", product),
            ("segment", &self.number.to_string()),
            ("user", ""),
            ("quantity", &texts[3]),
            ("sale", &texts[0]),
            ("locked", &texts[1]),
            ("saled", &texts[2]),
        ];
        let rebuild = rebuild.map(|(name, text)| (name.to_owned(), text.to_owned()));
        self.plan.missing.push(rebuild.to_vec());
        self.plan
    }

    fn records(&mut self, known: &Known<'_>) {
        let orders = self.orders(known);
        let mut purchases: Vec<_> = self.replay.purchases.iter().collect();
        purchases.sort_by_key(|(_, life)| life.made);
        // A purchase that was adopted from the orders comes after later ones of its buyer: the
        // record is of the one that lives, or of the last one.
        let mut ranks: HashMap<&str, (bool, u64)> = HashMap::new();
        for (purchase, life) in purchases {
            let permit = self.events[life.made].text("permit");
            let items = u64::try_from(life.quantity).unwrap_or(0);
            if let Some(permit) = PermitId::parse(permit) {
                *self.plan.spent.entry(permit.lease_id()).or_default() += items;
            }
            let PurchaseId {
                user,
                request,
                at_ms,
            } = purchase;
            let order = orders.get(purchase);
            let number = order.map_or("", |order| order.number());
            let (state, end) = match (life.confirmed, life.released) {
                (Some(_), None) => ("paid", String::new()),
                (_, Some(at)) => {
                    let released = &self.events[at];
                    let refund = refund_id(user, request, at_ms);
                    if permit.is_empty() {
                        // Permits that met empty stock are no longer counted, so that none
                        // is to go back for it.
                        self.plan.refunds.insert(refund_without_permit(&refund, 0));
                    } else {
                        self.plan.returned += items;
                    }
                    self.plan.refunds.insert(refund);
                    (
                        released.text("state"),
                        format!("|{}", released.text("reason")),
                    )
                }
                _ if order.is_some() => ("ordered", String::new()),
                _ => ("succeeded", String::new()),
            };
            let record = format!(
                "{state}|{request}|{}|{permit}|{number}|{at_ms}{end}",
                life.quantity
            );
            let rank = (life.released.is_none(), *at_ms);
            if ranks
                .get(user.as_str())
                .is_none_or(|before| *before <= rank)
            {
                ranks.insert(user, rank);
                self.plan.buyers.insert(user.clone(), record);
            }
        }
    }
}

impl OrderRecord {
    /// The number that the buyer knows; an order that was never placed has none.
    fn number(&self) -> &str {
        match self.stands {
            order::State::Failed => "",
            _ => &self.order,
        }
    }
}

/// Finishes every transfer of which one end is on record: what left arrives, and
/// what arrived has left.
fn finish_transfers(segments: &mut [SegmentState<'_>]) {
    for out in [true, false] {
        let mut open: Vec<(u16, String, String, u16)> = Vec::new();
        for segment in segments.iter() {
            let ends = if out {
                &segment.replay.left
            } else {
                &segment.replay.arrived
            };
            for (id, at) in ends {
                let other = segment.events[*at].text("other").parse().unwrap_or(0_u16);
                let known = segments.iter().any(|it| match out {
                    true => it.replay.arrived.contains_key(id),
                    false => it.replay.left.contains_key(id),
                });
                if !known {
                    let items = segment.events[*at].text("quantity").to_owned();
                    open.push((other, id.clone(), items, segment.number));
                }
            }
        }
        open.sort();
        let kind = if out { "transfer_in" } else { "transfer_out" };
        for (end, id, items, other) in open {
            let Some(segment) = segments.iter_mut().find(|it| it.number == end) else {
                continue;
            };
            let other = other.to_string();
            let fields = [
                ("request", id.as_str()),
                ("user", ""),
                ("quantity", &items),
                ("other", &other),
            ];
            segment.enter(kind, &fields);
        }
    }
    for segment in segments {
        let ends = [
            ("out", &segment.replay.left),
            ("in", &segment.replay.arrived),
        ];
        for (end, ids) in ends {
            for (id, at) in ids {
                let event = &segment.events[*at];
                let text = format!("{end}|{}|{}", event.text("quantity"), event.text("other"));
                segment.plan.transfers.insert(id.clone(), text);
            }
        }
    }
}

/// Makes all segments together have the amount, and none less than nothing for
/// sale; returns how many items are sold beyond the amount.
fn correct(segments: &mut [SegmentState<'_>], amount: u64) -> u64 {
    let amount = i64::try_from(amount).unwrap_or(i64::MAX);
    let total: i64 = segments.iter().map(|segment| segment.replay.total).sum();
    let mut over = total - amount;
    for segment in segments.iter_mut().filter(|segment| segment.sale() < 0) {
        // More was sold here than was here: the other segments have that much less.
        segment.plan.correction = -segment.sale();
        over += segment.plan.correction;
    }
    while over > 0 {
        let left = |segment: &SegmentState<'_>| segment.sale() + segment.plan.correction;
        let Some(richest) = segments.iter_mut().max_by_key(|segment| left(segment)) else {
            break;
        };
        let taken = over.min(left(richest));
        if taken <= 0 {
            break;
        }
        richest.plan.correction -= taken;
        over -= taken;
    }
    if over < 0
        && let Some(first) = segments.first_mut()
    {
        first.plan.correction -= over;
        over = 0;
    }
    u64::try_from(over).unwrap_or(0)
}

#[cfg(test)]
mod tests;
