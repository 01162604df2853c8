//! `seckill_status`: this edge's metrics, in Prometheus's text format.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use ngx::ffi::ngx_int_t;
use seckill_core::Verdict;
use seckill_core::metrics::{Kind, Page};

use super::handler;
use crate::clock;
use crate::ctx::request::Request;
use crate::ctx::respond::{Response, send};
use crate::settings::confs;
use crate::state::{LimitCounts, Zone};

handler!(entry, respond);

fn respond(request: &Request<'_>) -> ngx_int_t {
    if !request.is_read() {
        return send(request, Verdict::BadRequest.into());
    }
    // `nginx -t` refuses a configuration without a zone.
    let Some(zone) = confs(request).0.zone.ready() else {
        return send(request, Verdict::Unavailable.into());
    };
    let mut page = Page::default();
    zone.counters().write(&mut page);
    write_buckets(request, zone, &mut page);
    write_redis(zone, &mut page);
    write_permits(zone, &mut page);
    write_protection(zone, &mut page);
    write_limits(request, &mut page);
    write_tables(zone, &mut page);
    send(
        request,
        Response {
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
    page.one(
        "edges_same_name",
        Kind::Gauge,
        "Other living edges that claim this one's name; they are counted apart.",
        zone.namesakes().load(Ordering::Relaxed),
    );
    if let Some(edge) = confs(request).0.edge() {
        let family = (
            "edge_info",
            Kind::Gauge,
            "This edge: its name and its random identity.",
        );
        let name = format!("{}.{:x}", edge.line.node, edge.line.identity);
        page.each(family, "edge", [(name, 1)]);
    }
    let buckets = confs(request).0.buckets().enumerate();
    let levels = buckets
        .map(|(index, (place, limit))| (index, zone.bucket_level(place, limit.share(edges))));
    let family = (
        "bucket_level",
        Kind::Gauge,
        "Tokens in the bucket of each seckill_rate, in the order of the file.",
    );
    page.each(family, "bucket", levels);
}

/// Limits by key.
fn write_limits(request: &Request<'_>, page: &mut Page) {
    let limits = &confs(request).0.limits;
    if limits.is_empty() {
        return;
    }
    let families: [(&str, &str, Count); 3] = [
        (
            "limit_passed_total",
            "Requests that seckill_rate key=… let pass, by zone.",
            |counts| counts.passed.get(),
        ),
        (
            "limit_refused_total",
            "Requests that seckill_rate key=… refused, by zone.",
            |counts| counts.refused.get(),
        ),
        (
            "limit_alone_total",
            "Of both, requests decided by this edge's part of the rate because Redis was away.",
            |counts| counts.alone.get(),
        ),
    ];
    for (name, help, count) in families {
        let counts = limits
            .iter()
            .map(|zone| (&zone.name, zone.counts().map_or(0, count)));
        page.each((name, Kind::Counter, help), "zone", counts);
    }
}

type Count = fn(&LimitCounts) -> u64;

/// Whether Redis works.
fn write_redis(zone: &Zone, page: &mut Page) {
    page.one(
        "redis_away",
        Kind::Gauge,
        "1 while Redis is away: not reached, not a master, or refusing to work.",
        u64::from(zone.is_outage()),
    );
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

/// Bans and captcha passes.
fn write_protection(zone: &Zone, page: &mut Page) {
    let (bans, passes) = (zone.ban_list(), zone.pass_counts());
    let gauges = [
        (
            "bans",
            "Bans mirrored here, those included that have expired within the last minute.",
            bans.entries().saturating_sub(bans.revoked()),
        ),
        (
            "bans_unmirrored",
            "Bans and revoked sessions for which seckill_zone has no room: buyers who cannot be cleared of them are refused.",
            bans.unmirrored(),
        ),
        (
            "bans_skipped",
            "Invalid entries of the lists of bans and of revoked sessions, which are skipped.",
            bans.skipped(),
        ),
        (
            "revoked_sessions",
            "Revoked sessions and tokens mirrored here, a buyer whose are all revoked counted as one.",
            bans.revoked(),
        ),
    ];
    for (name, help, value) in gauges {
        page.one(name, Kind::Gauge, help, value);
    }
    let counters = [
        (
            "captcha_passes_claimed_total",
            "Captcha passes that a request used.",
            passes.claimed(),
        ),
        (
            "captcha_passes_given_back_total",
            "Of those, passes that are valid again because the request was refused.",
            passes.released(),
        ),
        (
            "captcha_passes_full_total",
            "Captcha passes refused as busy because seckill_zone has no room to remember more.",
            passes.full(),
        ),
    ];
    for (name, help, value) in counters {
        page.one(name, Kind::Counter, help, value);
    }
}

/// Entries of each table in the zone, its capacity, and evictions.
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
        "Entries that each table has room for.",
    );
    page.each(family, "table", room);
    let family = (
        "table_evicted_total",
        Kind::Counter,
        "Entries that were evicted for others.",
    );
    page.each(family, "table", [("seen", seen.evicted())]);
    page.one(
        "products_left_out",
        Kind::Gauge,
        "Products for which the zone had no room when the catalogue was last read; they are not sold here.",
        zone.counters().left_out.get(),
    );
}
