//! `seckill_status`: what this edge has done, in Prometheus's text form.

use std::borrow::Cow;

use ngx::ffi::ngx_int_t;
use seckill_core::Verdict;
use seckill_core::metrics::{Kind, Page};

use super::handler;
use crate::clock;
use crate::conf::{Edge, confs};
use crate::ctx::request::Request;
use crate::ctx::respond::{Answer, send};
use crate::state::Zone;

handler!(entry, answer);

fn answer(request: &Request<'_>) -> ngx_int_t {
    if !request.is_read() {
        return send(request, Verdict::BadRequest.into());
    }
    let edge = match Edge::of(request) {
        Ok(edge) => edge,
        Err(verdict) => return send(request, verdict.into()),
    };
    let mut page = Page::default();
    edge.zone.counters().write(&mut page);
    write_buckets(request, &edge.zone, &mut page);
    write_permits(&edge.zone, &mut page);
    write_tables(&edge.zone, &mut page);
    send(
        request,
        Answer {
            status: 200,
            content_type: "text/plain; version=0.0.4",
            body: Cow::Owned(page.into_text()),
            retry_after_s: None,
        },
    )
}

fn write_buckets(request: &Request<'_>, zone: &Zone, page: &mut Page) {
    let edges = zone.edges();
    page.one(
        "edges",
        Kind::Gauge,
        "Edges alive, this one included.",
        edges,
    );
    let rates = confs(request).0.rates.iter().enumerate();
    let levels = rates.map(|(index, limit)| (index, zone.bucket_level(index, limit.share(edges))));
    let family = (
        "bucket_level",
        Kind::Gauge,
        "Tokens in the bucket of each seckill_rate, in the order of the file.",
    );
    page.each(family, "bucket", levels);
}

fn write_permits(zone: &Zone, page: &mut Page) {
    let (in_hand, kept) = zone.products().held(clock::monotonic_ms());
    page.one(
        "permits_held",
        Kind::Gauge,
        "Permits in hand, of all products, that may be spent now.",
        in_hand,
    );
    page.one(
        "permits_kept",
        Kind::Gauge,
        "Permits kept for when Redis is away, of all products.",
        kept,
    );
}

/// What each table in the zone holds, what it is made for, and what gave way.
fn write_tables(zone: &Zone, page: &mut Page) {
    let (seen, products) = (zone.seen_counts(), zone.products());
    let room = zone.room();
    let entries = [
        ("products", products.count() as u64),
        ("seen", seen.entries()),
    ];
    let family = ("table_entries", Kind::Gauge, "Entries in each table.");
    page.each(family, "table", entries);
    let family = (
        "table_room",
        Kind::Gauge,
        "Entries that each table is made for.",
    );
    page.each(family, "table", room);
    let family = (
        "table_evicted_total",
        Kind::Counter,
        "Entries that gave way to others.",
    );
    page.each(family, "table", [("seen", seen.evicted())]);
    page.one(
        "products_left_out",
        Kind::Gauge,
        "Products for which the zone had no room when the catalogue was last read; they are not sold here.",
        zone.counters().left_out.get(),
    );
}
