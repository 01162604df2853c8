//! `seckill_gate`: admits exactly as many requests as there are permits.
//!
//! Cheap checks come first, and all of them without I/O; only a request that has
//! passed every check may wait for Redis, for its permit. nginx calls the handler again
//! on stray events while a request waits; it acts on the request's [`Decision`] alone.

use std::time::Duration;

use ngx::ffi::{NGX_AGAIN, NGX_DECLINED, ngx_int_t};
use seckill_core::Verdict;
use seckill_core::captcha::pass::Captcha;
use seckill_core::gate;
use seckill_core::gate::admission::{self, Admission};
use seckill_core::gate::{Claim, Click};
use seckill_core::ids::Item;
use seckill_core::permits::lease;
use seckill_core::permits::reopening::Supply;
use seckill_core::shared::products::Found;
use seckill_core::shared::seen::Answer;
use seckill_core::signing::trace::{self, GateSpan, Tracing};

use super::{handler, state};
use crate::ctx::request::Request;
use crate::ctx::{Ctx, Decision, park, respond};
use crate::permits::queue::{self, Waiter};
use crate::permits::winners;
use crate::settings::Settings;
use crate::state::{ClaimedPass, SeenClick, bans, seen};
use crate::{clock, link, permits, random, rt};

/// How much longer than the timeout of a command a request waits for its permit.
const GRACE: Duration = Duration::from_millis(50);

handler!(entry, gate);

fn gate(request: &Request<'_>) -> ngx_int_t {
    if !Settings::guards(request) {
        return NGX_DECLINED as ngx_int_t;
    }
    let Some(ctx) = Ctx::of(request) else {
        return respond::refuse(request, Verdict::Unavailable);
    };
    let decision = match ctx.decision.get() {
        Decision::Undecided => decide(request, ctx, true)
            .or_else(|verdict| answer_known(request, ctx, verdict))
            .unwrap_or_else(|verdict| refused(request, verdict)),
        waiting @ (Decision::Starting | Decision::Waiting) if request.is_delayed() => waiting,
        Decision::Starting => {
            park::give_up(request, ctx);
            decide(request, ctx, false)
                .or_else(|verdict| answer_known(request, ctx, verdict))
                .unwrap_or_else(|verdict| refused(request, verdict))
        }
        Decision::Waiting => {
            // The deadline has passed without a reply.
            park::give_up(request, ctx);
            decide_late(request, ctx)
                .or_else(|verdict| answer_known(request, ctx, verdict))
                .unwrap_or_else(|verdict| refused(request, verdict))
        }
        decided => decided,
    };
    ctx.decision.set(decision);
    match decision {
        Decision::Undecided | Decision::Starting | Decision::Waiting => NGX_AGAIN as ngx_int_t,
        // Not OK: passing the gate must never replace another access check.
        Decision::Admitted if ctx.has_headers.get() => NGX_DECLINED as ngx_int_t,
        Decision::Admitted => match pass_on(request, ctx) {
            Ok(()) => {
                ctx.has_headers.set(true);
                NGX_DECLINED as ngx_int_t
            }
            Err(verdict) => respond::refuse(request, verdict),
        },
        Decision::Refused(verdict) => respond::refuse(request, verdict),
    }
}

/// Sets the headers that the back end reads, and signs them.
fn pass_on(request: &Request<'_>, ctx: &Ctx) -> Result<(), Verdict> {
    let settings = Settings::of(request)?;
    let edge = settings.edge().ok_or(Verdict::Unavailable)?;
    let permit = ctx.permit.get().map(|spent| edge.permit(&spent));
    let permit = permit.unwrap_or_default();
    let (round, product) = ctx.item();
    if Ctx::text(&ctx.request).is_empty() {
        // Only now, since most requests need none.
        ctx.remember_request(request.own_id());
    }
    let admission = Admission {
        user: Ctx::text(&ctx.user),
        round,
        product,
        quantity: ctx.quantity.get(),
        request: Ctx::text(&ctx.request),
        permit: &permit,
        pass: Ctx::text(&ctx.captcha),
    };
    let arrival = ctx.arrival.get().to_string();
    let signature = admission.sign(settings.keyring.first());
    let headers = [
        (admission::PERMIT_HEADER, admission.permit),
        (admission::USER_HEADER, admission.user),
        (admission::REQUEST_HEADER, admission.request),
        (admission::ARRIVAL_HEADER, &arrival),
        (admission::HEADER, &signature),
    ];
    let is_done = request.forward(&headers)
        && settings
            .trace
            .is_none_or(|tracing| pass_trace_on(request, ctx, &settings, tracing));
    is_done.then_some(()).ok_or(Verdict::Unavailable)
}

/// Begins or continues the trace of a request that was admitted: what is refused has none
/// and costs nothing. False if memory is short.
fn pass_trace_on(
    request: &Request<'_>,
    ctx: &Ctx,
    settings: &Settings<'_>,
    tracing: Tracing,
) -> bool {
    let given = tracing.trusted.then(|| request.traceparent()).flatten();
    let bits = [random::word(), random::word(), random::word()];
    let (context, parent) = tracing.enter(given, bits);
    ctx.trace
        .set([(context.trace_id >> 64) as u64, context.trace_id as u64]);
    let written = context.to_string();
    if !context.sampled {
        return request.forward(&[(trace::TRACEPARENT, &written)]);
    }
    let end_us = clock::now_us();
    let span = GateSpan {
        begin_us: request.began_us().min(end_us),
        end_us,
        parent,
    };
    let key = settings.keyring.first();
    let report = span.sign(&context, Ctx::text(&ctx.request), key);
    request.forward(&[(trace::TRACEPARENT, &written), (trace::HEADER, &report)])
}

/// Lets a request pass without a permit that was admitted before, when there is none to
/// be had: the back end only answers it again.
fn answer_known(request: &Request<'_>, ctx: &Ctx, verdict: Verdict) -> Result<Decision, Verdict> {
    gate::answer_known(verdict, ctx.known.get())?;
    queue::repeat(&Settings::of(request)?.zone, ctx);
    Ok(Decision::Admitted)
}

/// Counts a refusal. It is counted once, since a decision is final.
fn refused(request: &Request<'_>, verdict: Verdict) -> Decision {
    if let Ok(settings) = Settings::of(request) {
        settings.zone.counters().refuse(verdict);
    }
    Decision::Refused(verdict)
}

/// Decides about a request to which Redis has not replied in time.
fn decide_late(request: &Request<'_>, ctx: &Ctx) -> Result<Decision, Verdict> {
    let settings = Settings::of(request)?;
    let (round, product) = ctx.item();
    let product = state::lookup(&settings, round, product)?;
    if product.is_unknown() {
        return Err(Verdict::Unavailable);
    }
    admit_from_share(ctx, &settings, &product, ctx.quantity.get())
}

/// Admits a request without Redis, where the location has `seckill_fallback pass` and
/// this edge's share suffices.
fn admit_from_share(
    ctx: &Ctx,
    settings: &Settings<'_>,
    product: &Found<'static>,
    quantity: u32,
) -> Result<Decision, Verdict> {
    let spent = settings
        .has_fallback
        .then(|| product.standby().spend(quantity, clock::monotonic_ms()))
        .flatten()
        .ok_or(Verdict::Unavailable)?;
    settings.zone.counters().fallbacks.add(1);
    queue::admit(&settings.zone, ctx, spent);
    Ok(Decision::Admitted)
}

/// Decides about a request; one that comes while the edge starts waits if it `may_wait`.
fn decide(request: &Request<'_>, ctx: &Ctx, may_wait: bool) -> Result<Decision, Verdict> {
    let settings = Settings::of(request)?;
    let headers = request.headers();
    if may_wait {
        ctx.arrival.set(settings.zone.counters().arrivals.next());
    }
    if headers.is_ambiguous || !request.is_path_plain() || !request.is_query_plain() {
        // Another reader of this request, such as the back end, may read it otherwise.
        return Err(Verdict::BadRequest);
    }
    let buyer = settings.buyer(request, &headers)?;
    let click = Click {
        is_post: request.is_post(),
        has_body: request.has_body(),
        path: request.path(),
        quantity: request.argument("quantity"),
        request: headers.request,
        buyer: buyer.credential(),
        captcha: Captcha::new(settings.captcha, headers.captcha),
    };
    let (now_ms, monotonic_ns) = (clock::now_ms(), clock::monotonic_ns());
    let claim = Claim::read(&click, now_ms)?;
    let (round, product) = claim.item();
    ctx.remember("", round, product);
    if may_wait && !settings.zone.is_ready() && !link::is_away() {
        return wait_for_start(request, ctx, &settings);
    }
    let product = state::lookup(&settings, round, product);
    let closed = product.as_ref().ok().and_then(|product| {
        let supply = match product.supply(monotonic_ns / 1_000_000) {
            // Whoever wants a permit asks, and all hear the reply.
            Supply::WasSoldOut if !link::is_away() => Supply::Perhaps,
            supply => supply,
        };
        gate::closed(&product.entry, now_ms, supply)
    });
    let is_winner = |user: &str| {
        let product = product.as_ref().ok();
        product.is_some_and(|product| winners::may_be_one(&settings.zone, product, user))
    };
    // Those who lose are most of all clicks: for them the table of seen buyers is not read.
    let of_sold_out = |user: &str| {
        let product = product.as_ref().ok();
        let product = product.filter(|_| closed == Some(Verdict::SoldOut))?;
        winners::of_sold_out(&settings.zone, product, user)
    };
    let is_known = |user: &str| {
        of_sold_out(user).unwrap_or_else(|| {
            seen::is_known(&settings.zone, user, claim.item()) || is_winner(user)
        })
    };
    gate::refuse_late(
        closed,
        closed.is_some() && claim.user().is_some_and(is_known),
    )?;
    let verification = settings.verification(&claim);
    let user = verification.url()?;
    let seen = SeenClick::new(&settings.zone, user, claim.item(), headers.request);
    // The memory for the last check is fetched while the next digest is computed.
    seen.prefetch(&settings.zone);
    verification.buyer(now_ms)?;
    settings.refuse_revoked(&buyer, user, now_ms)?;
    bans::check(&settings.zone, user, request.address(), now_ms)?;
    ctx.remember(user, claim.item().0, claim.item().1);
    ctx.remember_request(headers.request.unwrap_or_default());
    ctx.quantity.set(claim.quantity());
    if let Some(verdict) = closed {
        let known = known(seen.recall(&settings.zone), || is_winner(user));
        if gate::answer_known(verdict, known).is_ok() && !settings.take_token(monotonic_ns) {
            return Err(Verdict::Busy);
        }
        ctx.known.set(known);
        return Err(verdict);
    }
    let product = product?;
    let admissible = claim.admit(&product.entry, settings.keyring, now_ms)?;
    if admissible.pass.is_some() {
        ctx.remember_pass(headers.captcha.unwrap_or_default());
    }
    let pass = ClaimedPass::claim(&settings.zone, &admissible, headers.request, now_ms)?;
    ctx.pass.set(pass);
    if seen.is_second_click(&settings.zone, monotonic_ns) {
        return Err(Verdict::Duplicate);
    }
    if !settings.take_token(monotonic_ns) {
        return Err(Verdict::Busy);
    }
    ctx.known
        .set(known(seen.recall(&settings.zone), || is_winner(user)));
    ctx.click.set(Some(seen));
    let wants = (admissible.round, admissible.product, admissible.quantity);
    take_permit(
        request,
        ctx,
        &settings,
        &product,
        wants,
        monotonic_ns / 1_000_000,
    )
}

/// How often a request that came while the edge starts looks whether it has.
const START_TURN: Duration = Duration::from_millis(5);

/// Parks a request until this edge has read what it decides by: after a reload with a zone
/// of another size, and after an upgrade of the binary, that takes some milliseconds.
fn wait_for_start(
    request: &Request<'_>,
    ctx: &Ctx,
    settings: &Settings<'_>,
) -> Result<Decision, Verdict> {
    let edge = settings.edge().ok_or(Verdict::Unavailable)?;
    let parked = park::park(request, ctx, edge.timeout + GRACE).ok_or(Verdict::Unavailable)?;
    rt::spawn(async move {
        while parked.is_waiting() && !edge.zone.is_ready() && !link::is_away() {
            rt::sleep(START_TURN).await;
        }
        parked.resume(|_| ());
    })
    .detach();
    Ok(Decision::Starting)
}

/// What is known of a click by this edge, or else by the others.
fn known(here: Answer, is_winner: impl FnOnce() -> bool) -> Answer {
    match here {
        Answer::Unseen if is_winner() => Answer::PerhapsElsewhere,
        here => here,
    }
}

/// Spends a permit that is in the hand, or parks the request until there is one.
fn take_permit(
    request: &Request<'_>,
    ctx: &Ctx,
    settings: &Settings<'_>,
    product: &Found<'static>,
    (round, id, quantity): (&str, &str, u32),
    now_ms: u64,
) -> Result<Decision, Verdict> {
    // No request overtakes those that wait.
    let in_turn = !queue::is_waiting(round, id);
    if in_turn && let Some(spent) = product.hand().spend(quantity, now_ms) {
        queue::admit(&settings.zone, ctx, spent);
        if lease::is_low(spent.word.left(), product.hand().block()) {
            refill(settings, product, (round, id), now_ms);
        }
        return Ok(Decision::Admitted);
    }
    if product.is_unknown() {
        return Err(Verdict::Unavailable);
    }
    if link::is_away() {
        return admit_from_share(ctx, settings, product, quantity);
    }
    if in_turn && product.is_granted_out() && queue::is_none_free(round, id, now_ms) {
        // Not sold out: some are granted and not spent, and may come back.
        return Err(Verdict::Busy);
    }
    let item = Item::new(round, id).ok_or(Verdict::BadRequest)?;
    let edge = settings.edge().ok_or(Verdict::Unavailable)?;
    let parked = park::park(request, ctx, edge.timeout + GRACE).ok_or(Verdict::Unavailable)?;
    let waiter = Waiter {
        parked,
        quantity,
        has_fallback: settings.has_fallback,
    };
    queue::join(&edge, item, waiter);
    Ok(Decision::Waiting)
}

/// Requests the next lease if the hand runs low and no request for one is in flight.
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
        && let Some(flight) = permits::claim_flight(product, edge.timeout)
    {
        queue::prefetch(&edge, item, flight);
    }
}
