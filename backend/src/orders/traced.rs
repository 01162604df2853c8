//! The traces of orders that are placed together.

use seckill_core::orders::message::OrderMessage;

use crate::store::orders::Placed;
use crate::trace::{Kind, Service, Span};

/// Records how long a message waited in the queue, and begins the span of placing its
/// order; what follows from the order follows from that span. `None` if the purchase is
/// not sampled.
pub(super) fn received(purchase: &mut OrderMessage, attempt: u32) -> Option<Span> {
    let parent = purchase.traceparent.as_deref();
    let waited = Span::below(parent, Service::Orders, Kind::Consumer, "queue wait")?;
    let below = waited.context();
    let since_us = purchase.relayed_us.unwrap_or(purchase.at_ms * 1000);
    waited
        .since_us(since_us)
        .with("messaging.delivery_attempt", u64::from(attempt))
        .end();
    let span = Span::child(&below, Service::Orders, Kind::Internal, "place order")?
        .with("seckill.round", purchase.round.as_str())
        .with("seckill.product", purchase.product.as_str());
    purchase.traceparent = Some(span.context().to_string());
    Some(span)
}

/// Records the orders of one transaction, by the spans that placing them has, each linked
/// with the others that are sampled.
pub(super) fn placed(spans: &[Option<&Span>], placed: &[Placed]) {
    record(spans, |n| match placed.get(n) {
        Some(Placed::New(order)) => ("placed", Some(order.to_string())),
        Some(Placed::Before(order)) => ("placed_before", Some(order.to_string())),
        Some(Placed::Taken(_)) => ("duplicate", None),
        Some(Placed::Failed) | None => ("failed", None),
    });
}

/// The same of purchases that were failed for a reason.
pub(super) fn failed(spans: &[Option<&Span>], reason: &str) {
    record(spans, |_| (reason, None));
}

fn record<'a>(spans: &[Option<&Span>], outcome: impl Fn(usize) -> (&'a str, Option<String>)) {
    let sampled = || {
        let numbered = spans.iter().enumerate();
        numbered.filter_map(|(n, span)| Some((n, (*span)?)))
    };
    for (n, span) in sampled() {
        let (outcome, order) = outcome(n);
        let batch = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let mut span = span
            .clone()
            .with("seckill.outcome", outcome)
            .with("messaging.batch.message_count", batch);
        if let Some(order) = order {
            span.set("seckill.order", order);
        }
        for (other, linked) in sampled() {
            if other != n {
                span.link(linked.context());
            }
        }
        span.end();
    }
}
