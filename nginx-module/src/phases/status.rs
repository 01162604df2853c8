//! `seckill_status`: what this edge has done, in Prometheus's text form.

use std::borrow::Cow;
use std::fmt::Write as _;

use ngx::ffi::ngx_int_t;
use seckill_core::Verdict;

use super::handler;
use crate::conf::{Edge, confs};
use crate::ctx::request::Request;
use crate::ctx::respond::{Answer, send};

handler!(entry, answer);

fn answer(request: &Request<'_>) -> ngx_int_t {
    if !request.is_read() {
        return send(request, Verdict::BadRequest.into());
    }
    let edge = match Edge::of(request) {
        Ok(edge) => edge,
        Err(verdict) => return send(request, verdict.into()),
    };
    let mut body = String::with_capacity(4096);
    edge.zone.counters().write_prometheus(&mut body);
    let edges = edge.zone.edges();
    // Writing to a String does not fail.
    let _ = write!(
        body,
        "# HELP seckill_edges Edges alive, this one included.\n\
         # TYPE seckill_edges gauge\nseckill_edges {edges}\n\
         # HELP seckill_bucket_level Tokens in the bucket of each seckill_rate, in the order of the file.\n\
         # TYPE seckill_bucket_level gauge\n"
    );
    let seen = edge.zone.seen_counts();
    let bans = edge.zone.ban_list();
    let passes = edge.zone.pass_counts();
    let gauges = [
        (
            "bans",
            "gauge",
            "Bans mirrored here, those included that have expired within the last minute.",
            bans.mirrored(),
        ),
        (
            "bans_unmirrored",
            "gauge",
            "Bans for which seckill_zone has no room: buyers who cannot be cleared of them are refused.",
            bans.unmirrored(),
        ),
        (
            "bans_skipped",
            "gauge",
            "Entries of the list of bans that are none, and are skipped.",
            bans.skipped(),
        ),
        (
            "captcha_passes_claimed_total",
            "counter",
            "Captcha passes that a request used.",
            passes.claimed(),
        ),
        (
            "captcha_passes_given_back_total",
            "counter",
            "Of those, how many are good again because the request was refused.",
            passes.given_back(),
        ),
        (
            "captcha_passes_full_total",
            "counter",
            "Captcha passes refused as busy because seckill_zone has no room to remember more.",
            passes.full(),
        ),
        (
            "seen_buyers",
            "gauge",
            "Buyers remembered for their second click.",
            seen.entries(),
        ),
        (
            "seen_evicted_total",
            "counter",
            "Of those, how many gave way to others.",
            seen.evicted(),
        ),
    ];
    for (index, limit) in confs(request).0.rates.iter().enumerate() {
        let level = edge.zone.bucket_level(index, limit.share(edges));
        let _ = writeln!(body, "seckill_bucket_level{{bucket=\"{index}\"}} {level}");
    }
    for (name, kind, help, value) in gauges {
        let _ = write!(
            body,
            "# HELP seckill_{name} {help}\n# TYPE seckill_{name} {kind}\nseckill_{name} {value}\n"
        );
    }
    send(
        request,
        Answer {
            status: 200,
            content_type: "text/plain; version=0.0.4",
            body: Cow::Owned(body),
            retry_after_s: None,
        },
    )
}
