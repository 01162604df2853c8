//! `seckill_gate`: lets exactly as many requests through as there are permits.
//!
//! The verdict comes cheapest first and without I/O, up to the permit; only a
//! request that has passed everything else waits for Redis. The handler is
//! entered again by stray events while a request waits, and decides by the
//! request's [`Stand`] alone.

use std::time::Duration;

use ngx::ffi::{NGX_AGAIN, NGX_DECLINED, ngx_int_t};
use seckill_core::Verdict;
use seckill_core::captcha::pass::Captcha;
use seckill_core::gate::{Claim, Click};
use seckill_core::ids::Item;
use seckill_core::permits::lease;

use super::{handler, state};
use crate::ctx::request::Request;
use crate::ctx::{Ctx, Stand, park, respond};
use crate::permits::queue::{self, Waiting};
use crate::settings::Settings;
use crate::state::{Claimed, Known, bans};
use crate::{clock, link, permits};
use seckill_core::shared::products::Found;

/// How much longer than Redis's time limit a request waits, see [`permit`].
const GRACE: Duration = Duration::from_millis(50);

handler!(entry, pass);

fn pass(request: &Request<'_>) -> ngx_int_t {
    if !Settings::guards(request) {
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
            late(request, ctx).unwrap_or_else(|verdict| refused(request, verdict))
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
    if let Ok(settings) = Settings::of(request) {
        settings.zone.counters().refuse(verdict);
    }
    Stand::Refused(verdict)
}

/// Redis has not answered in time: what is kept for when it is away.
fn late(request: &Request<'_>, ctx: &Ctx) -> Result<Stand, Verdict> {
    let settings = Settings::of(request)?;
    let (round, product) = ctx.item();
    let product = state::lookup(&settings, round, product)?;
    if product.is_unknown() {
        return Err(Verdict::Unavailable);
    }
    pass_over(ctx, &settings, &product, ctx.quantity.get())
}

/// Lets a request pass without Redis, where the operator wants it and this edge's
/// share of what was left lasts.
fn pass_over(
    ctx: &Ctx,
    settings: &Settings<'_>,
    product: &Found<'static>,
    quantity: u32,
) -> Result<Stand, Verdict> {
    let spent = settings
        .passes
        .then(|| product.standby().spend(quantity, clock::monotonic_ms()))
        .flatten()
        .ok_or(Verdict::Unavailable)?;
    settings.zone.counters().fallbacks.add(1);
    queue::admit(&settings.zone, ctx, spent);
    Ok(Stand::Admitted)
}

fn ask(request: &Request<'_>, ctx: &Ctx) -> Result<Stand, Verdict> {
    let settings = Settings::of(request)?;
    let headers = request.headers();
    ctx.arrival.set(settings.zone.counters().arrivals.next());
    let click = Click {
        is_post: request.is_post(),
        has_body: request.has_body(),
        path: request.path(),
        quantity: request.argument("quantity"),
        request: headers.request,
        buyer: settings.buyer(request, &headers),
        captcha: Captcha::new(settings.captcha, headers.captcha),
    };
    let (now_ms, monotonic_ns) = (clock::now_ms(), clock::monotonic_ns());
    let claim = Claim::read(&click, now_ms)?;
    claim.verify_url(settings.keyring, settings.digest)?;
    let known = Known::new(&settings.zone, claim.user(), claim.item(), headers.request);
    // What is looked at last comes from memory while the next digest is computed.
    known.prefetch(&settings.zone);
    claim.verify_buyer(settings.keyring, now_ms)?;
    bans::check(&settings.zone, claim.user(), request.address(), now_ms)?;
    let (round, product) = claim.item();
    let product = state::lookup(&settings, round, product)?;
    let admissible = claim.admit(&product.entry, settings.keyring, now_ms)?;
    ctx.remember(admissible.user, admissible.round, admissible.product);
    let claimed = Claimed::claim(&settings.zone, &admissible, headers.request, now_ms)?;
    ctx.claimed.set(claimed);
    if known.is_second_click(&settings.zone, monotonic_ns) {
        return Err(Verdict::Duplicate);
    }
    ctx.known.set(Some(known));
    if !settings.take_token(monotonic_ns) {
        return Err(Verdict::Busy);
    }
    let wants = (admissible.round, admissible.product, admissible.quantity);
    permit(
        request,
        ctx,
        &settings,
        &product,
        wants,
        monotonic_ns / 1_000_000,
    )
}

/// Spends a permit that is in the hand, or waits for one.
fn permit(
    request: &Request<'_>,
    ctx: &Ctx,
    settings: &Settings<'_>,
    product: &Found<'static>,
    (round, id, quantity): (&str, &str, u32),
    now_ms: u64,
) -> Result<Stand, Verdict> {
    // Nobody overtakes those who wait.
    let in_turn = !queue::is_waiting(product);
    if in_turn && let Some(spent) = product.hand().spend(quantity, now_ms) {
        queue::admit(&settings.zone, ctx, spent);
        if lease::is_low(spent.word.left(), product.hand().block()) {
            refill(settings, product, (round, id), now_ms);
        }
        return Ok(Stand::Admitted);
    }
    if in_turn && product.is_exhausted(now_ms) && !product.is_unknown() {
        return Err(Verdict::SoldOut);
    }
    if product.is_unknown() {
        return Err(Verdict::Unavailable);
    }
    if link::is_away() {
        return pass_over(ctx, settings, product, quantity);
    }
    let item = Item::new(round, id).ok_or(Verdict::BadRequest)?;
    let edge = settings.edge().ok_or(Verdict::Unavailable)?;
    let parked = park::park(request, ctx, edge.timeout + GRACE).ok_or(Verdict::Unavailable)?;
    ctx.quantity.set(quantity);
    let waiting = Waiting {
        parked,
        quantity,
        passes: settings.passes,
    };
    queue::join(&edge, product, item, waiting);
    Ok(Stand::Pending)
}

/// Asks for the next lease if what is in the hand runs low, and nobody asks yet.
fn refill(
    settings: &Settings<'_>,
    product: &Found<'static>,
    (round, id): (&str, &str),
    now_ms: u64,
) {
    let hand = product.hand();
    let enough = !lease::is_low(hand.left(now_ms), hand.block());
    if enough || product.is_granted_out() || link::is_away() {
        return;
    }
    if let (Some(edge), Some(item)) = (settings.edge(), Item::new(round, id))
        && permits::claim_flight(product, edge.timeout)
    {
        queue::prefetch(&edge, item);
    }
}
