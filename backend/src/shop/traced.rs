//! The trace of a purchase request: the edge's, if one vouches for it, or one of its own.

use axum::http::HeaderMap;
use seckill_core::gate::admission;
use seckill_core::signing::keyring::Keyring;
use seckill_core::signing::trace::{self, GateSpan, TraceContext};

use super::admission::single;
use super::purchase::Purchase;
use crate::trace::{Kind, Service, Span};

/// Begins the span of a request, and records that of the gate which passed it on. `None`
/// if the request is not sampled: by the word of an edge, whoever says that it is not, or
/// else by `trace_ratio`.
pub(super) fn begin(headers: &HeaderMap, ring: &Keyring) -> Option<Span> {
    if !crate::trace::is_on() {
        return None;
    }
    let (service, kind, name) = (Service::Purchase, Kind::Server, "purchase");
    let text = |name| single(headers, name).ok().flatten();
    let given = text(trace::TRACEPARENT).and_then(TraceContext::parse);
    let Some(context) = given else {
        return Span::root(service, kind, name);
    };
    if !context.sampled {
        return None;
    }
    let request = text(admission::REQUEST_HEADER).unwrap_or_default();
    let report = text(trace::HEADER);
    let Some(gate) = report.and_then(|it| GateSpan::read(it, &context, request, ring)) else {
        // Anybody could have written it.
        return Span::root(service, kind, name);
    };
    Span::of(context, gate.parent, Service::Edge, Kind::Server, "gate")
        .since_us(gate.begin_us)
        .end_at(gate.end_us);
    Span::child(&context, service, kind, name)
}

/// Describes what was bought, and by whom, as far as a trace may say it.
pub(super) fn describe(span: &mut Span, purchase: &Purchase<'_>, ring: &Keyring) {
    let wanted = &purchase.admissible;
    span.set("seckill.round", wanted.round);
    span.set("seckill.product", wanted.product);
    span.set("seckill.quantity", u64::from(wanted.quantity));
    span.set("seckill.buyer", trace::pseudonym(wanted.user, ring.first()));
    if let Some(permit) = &purchase.permit {
        span.set("seckill.permit", permit.to_string());
    }
}
