//! `seckill_rate key=…`: limits requests to any location by any key.
//!
//! It runs where nginx's own `limit_req` does, before the access checks.

use std::borrow::Cow;
use std::time::Duration;

use ngx::ffi::{NGX_AGAIN, NGX_DECLINED, ngx_int_t};
use seckill_core::Verdict;
use seckill_core::gate::directive::Scope;
use seckill_core::shared::limits::Known;

use super::handler;
use crate::conf::MainConf;
use crate::ctx::request::Request;
use crate::ctx::respond::{self, Response};
use crate::ctx::{Ctx, Limiting, park};
use crate::settings::confs;
use crate::{clock, limiter, link};

/// How much longer than the timeout of a command a request waits for its token.
const GRACE: Duration = Duration::from_millis(5);

handler!(entry, limit);

fn limit(request: &Request<'_>) -> ngx_int_t {
    let (main, location) = confs(request);
    let Some(index) = location.limit.flatten().filter(|_| request.is_main()) else {
        return NGX_DECLINED as ngx_int_t;
    };
    let Some(ctx) = Ctx::of(request) else {
        return respond::refuse(request, Verdict::Unavailable);
    };
    let outcome = match ctx.limiting.get() {
        Limiting::Undecided => begin(request, ctx, index),
        Limiting::Waiting if request.is_delayed() => Limiting::Waiting,
        Limiting::Waiting => {
            // The deadline has passed without a reply.
            park::give_up(request, ctx);
            alone(request, main, index)
        }
        Limiting::Alone => alone(request, main, index),
        Limiting::Granted => count(main, index, Limiting::Passed),
        Limiting::Refused(wait_ms) => count(main, index, Limiting::Refused(wait_ms)),
        Limiting::Passed => Limiting::Passed,
    };
    ctx.limiting.set(match outcome {
        // Set before it is refused: nginx may serve an error page within that call.
        Limiting::Refused(_) => Limiting::Passed,
        other => other,
    });
    match outcome {
        Limiting::Refused(wait_ms) => refuse(request, wait_ms),
        Limiting::Undecided | Limiting::Passed => NGX_DECLINED as ngx_int_t,
        Limiting::Waiting | Limiting::Granted | Limiting::Alone => NGX_AGAIN as ngx_int_t,
    }
}

fn refuse(request: &Request<'_>, wait_ms: u64) -> ngx_int_t {
    let seconds = u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(1).max(1);
    let response = Response {
        status: Verdict::Busy.status(),
        content_type: "application/json",
        body: Cow::Borrowed(
            r#"{"code":"busy","message":"Too many requests; try again in a moment."}"#,
        ),
        retry_after_s: Some(seconds),
    };
    respond::refuse_with(request, response)
}

/// The first look at a request: by what is known here, or by asking Redis. Undecided where
/// it has no key: another location, to which nginx sends it on, may have a limit too.
fn begin(request: &Request<'_>, ctx: &Ctx, index: usize) -> Limiting {
    let main = confs(request).0;
    let zone = &main.limits[index];
    let key = request.variable_bytes(zone.key);
    // As with limit_req: what has no key is not limited.
    if key.is_empty() {
        return Limiting::Undecided;
    }
    let Some((hash, entry)) = zone.entry(key) else {
        return Limiting::Undecided;
    };
    if zone.limit.scope == Scope::Edge {
        let taken = entry.take(zone.limit.share(1), clock::monotonic_ns());
        return count(main, index, outcome(taken));
    }
    match entry.use_hand(clock::monotonic_ms()) {
        Known::Passed => return count(main, index, Limiting::Passed),
        Known::Refused(wait_ms) => return count(main, index, Limiting::Refused(wait_ms)),
        Known::Unknown if link::is_away() => return alone(request, main, index),
        Known::Unknown => {}
    }
    let Some(edge) = main.edge() else {
        return alone(request, main, index);
    };
    let Some(parked) = park::park(request, ctx, edge.timeout + GRACE) else {
        return alone(request, main, index);
    };
    limiter::join(&edge, zone, (key, hash), parked);
    Limiting::Waiting
}

/// Decides without Redis: by this edge's part of the rate.
fn alone(request: &Request<'_>, main: &MainConf, index: usize) -> Limiting {
    let zone = &main.limits[index];
    let edges = main.zone.ready().map_or(1, |zone| zone.edges());
    let Some((_, entry)) = zone.entry(request.variable_bytes(zone.key)) else {
        return Limiting::Undecided;
    };
    if let Some(counts) = zone.counts() {
        counts.alone.add(1);
    }
    let taken = entry.take(zone.limit.share(edges), clock::monotonic_ns());
    count(main, index, outcome(taken))
}

fn outcome(taken: Result<(), u64>) -> Limiting {
    taken.map_or_else(Limiting::Refused, |()| Limiting::Passed)
}

/// Counts an outcome, once.
fn count(main: &MainConf, index: usize, outcome: Limiting) -> Limiting {
    if let Some(counts) = main.limits[index].counts() {
        match outcome {
            Limiting::Refused(_) => counts.refused.add(1),
            _ => counts.passed.add(1),
        }
    }
    outcome
}
