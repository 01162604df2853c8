//! `seckill_gate`: lets exactly as many requests through as there are permits.
//!
//! The verdict comes cheapest first and without I/O, up to the permit; only a
//! request that has passed everything else waits for Redis. The handler is
//! entered again by stray events while a request waits, and decides by the
//! request's [`Stand`] alone.

use std::time::Duration;

use ngx::ffi::{NGX_AGAIN, NGX_DECLINED, ngx_int_t};
use seckill_core::Verdict;
use seckill_core::gate::{Click, screen};
use seckill_core::ids::Item;

use super::{handler, state};
use crate::conf::Edge;
use crate::ctx::request::Request;
use crate::ctx::{Ctx, Stand, park, respond};
use crate::net::link;
use crate::net::permits::{self, Outcome};
use crate::state::Zone;
use crate::{clock, rt};

/// How much longer than Redis's time limit a request waits, see [`wait_for_permit`].
const GRACE: Duration = Duration::from_millis(50);

handler!(entry, pass);

fn pass(request: &Request<'_>) -> ngx_int_t {
    if !Edge::guards(request) {
        return NGX_DECLINED as ngx_int_t;
    }
    let Some(ctx) = Ctx::of(request) else {
        return respond::refuse(request, Verdict::Unavailable);
    };
    let stand = match ctx.stand.get() {
        Stand::Open => ask(request, ctx).unwrap_or_else(|verdict| refused(request, verdict)),
        Stand::Pending if request.is_delayed() => Stand::Pending,
        Stand::Pending => {
            // The deadline has passed without an answer.
            park::give_up(request, ctx);
            refused(request, Verdict::Unavailable)
        }
        decided => decided,
    };
    ctx.stand.set(stand);
    match stand {
        Stand::Open | Stand::Pending => NGX_AGAIN as ngx_int_t,
        // Not OK: passing the gate must not stand in for other access checks
        // where the operator wrote `satisfy any`.
        Stand::Admitted => NGX_DECLINED as ngx_int_t,
        Stand::Refused(verdict) => respond::refuse(request, verdict),
    }
}

/// Counts a refusal, once: a decided request is not decided again.
fn refused(request: &Request<'_>, verdict: Verdict) -> Stand {
    if let Ok(edge) = Edge::of(request) {
        edge.zone.counters().refuse(verdict);
    }
    Stand::Refused(verdict)
}

fn ask(request: &Request<'_>, ctx: &Ctx) -> Result<Stand, Verdict> {
    let edge = Edge::of(request)?;
    let headers = request.headers();
    ctx.arrival.set(edge.zone.counters().arrivals.next());
    let click = Click {
        is_post: request.is_post(),
        has_body: request.has_body(),
        path: request.path(),
        quantity: request.argument("quantity"),
        request: headers.request,
        buyer: edge.buyer(request, &headers),
    };
    let mut found = None;
    let mut missing = Verdict::NotFound;
    let screened = screen(
        &click,
        edge.keyring,
        edge.digest,
        clock::now_ms(),
        |round, product| match state::lookup(&edge, round, product) {
            Ok(product) => {
                found = Some(product);
                Some(product.entry)
            }
            Err(verdict) => {
                missing = verdict;
                None
            }
        },
    );
    let admissible = match screened {
        Err(Verdict::NotFound) => return Err(missing),
        other => other?,
    };
    ctx.remember(admissible.user, admissible.round, admissible.product);
    if !edge.take_token() {
        return Err(Verdict::Busy);
    }
    if found.is_none_or(|product| product.is_exhausted()) {
        return Err(Verdict::SoldOut);
    }
    let item = Item::new(admissible.round, admissible.product).ok_or(Verdict::BadRequest)?;
    wait_for_permit(request, ctx, &edge, item, admissible.quantity)
}

fn wait_for_permit(
    request: &Request<'_>,
    ctx: &Ctx,
    edge: &Edge<'_>,
    item: Item,
    quantity: u32,
) -> Result<Stand, Verdict> {
    if link::is_away() {
        return Err(Verdict::Unavailable);
    }
    let limit = edge.redis_timeout;
    // A little longer than the command's own limit, which then decides.
    let parked = park::park(request, ctx, limit + GRACE).ok_or(Verdict::Unavailable)?;
    let zone = edge.zone.clone();
    zone.counters().parked.add(1);
    let node = edge.node.to_owned();
    let lease = format!("{:x}-{:x}", zone.born_ms(), zone.counters().leases.next());
    rt::spawn(async move {
        let names = (node.as_str(), lease.as_str());
        let outcome = permits::take(&zone, &item, names, quantity, limit).await;
        zone.counters().unparked.add(1);
        let waits = parked.resume(|ctx| ctx.stand.set(settle(&zone, &outcome, ctx)));
        if !waits && let Outcome::Granted(permit) = outcome {
            permits::give_back(&zone, &item, permit).await;
        }
    })
    .detach();
    Ok(Stand::Pending)
}

/// What the answer of Redis means for the request that waited for it.
fn settle(zone: &Zone, outcome: &Outcome, ctx: &Ctx) -> Stand {
    let verdict = match outcome {
        Outcome::Granted(permit) => {
            zone.counters().admitted.add(1);
            *ctx.permit.borrow_mut() = Some(permit.clone());
            return Stand::Admitted;
        }
        Outcome::NoneLeft => Verdict::SoldOut,
        Outcome::Unknown => Verdict::Unavailable,
    };
    zone.counters().refuse(verdict);
    Stand::Refused(verdict)
}
