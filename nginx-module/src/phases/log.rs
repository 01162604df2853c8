//! After a request: what became of its permit is counted, the buyer may click again at
//! once, and the captcha pass is valid again.

use ngx::ffi::{NGX_OK, ngx_int_t};
use seckill_core::ids::Item;
use seckill_core::permits::lease::Spent;
use seckill_core::permits::outcome::Outcome;

use super::handler;
use crate::ctx::request::Request;
use crate::ctx::{Ctx, Decision};
use crate::permits::reports;
use crate::settings::Settings;

handler!(entry, conclude);

/// Counts what became of the request's permit, as soon as it is known: when the header of
/// the response goes out, since the client may read the rest slowly.
pub(crate) fn conclude_permit(request: &Request<'_>, ctx: &Ctx) {
    let Some(spent) = ctx.permit.get().filter(|_| ctx.outcome.get().is_none()) else {
        return;
    };
    if let Some(outcome) = request.way(ctx).outcome() {
        ctx.outcome.set(Some(outcome));
        count(request, ctx, spent, Some(outcome));
    }
}

fn count(request: &Request<'_>, ctx: &Ctx, spent: Spent, outcome: Option<Outcome>) {
    let (round, product) = ctx.item();
    if let Ok(settings) = Settings::of(request)
        && let (Some(edge), Some(item)) = (settings.edge(), Item::new(round, product))
    {
        let quantity = u64::from(ctx.quantity.get());
        let buyer = (Ctx::text(&ctx.user), status(request, ctx) == DUPLICATE);
        reports::concluded(&edge, &item, buyer, (spent, quantity), outcome);
    }
}

/// The status that tells what the back end did, as it was when that was first wanted.
fn status(request: &Request<'_>, ctx: &Ctx) -> u16 {
    let status = ctx.status.get().unwrap_or_else(|| request.answered(ctx));
    ctx.status.set(Some(status));
    status
}

/// Before the header of a response is sent.
pub(crate) fn filter(request: &Request<'_>) {
    if let Some(ctx) = Ctx::find(request)
        && ctx.decision.get() == Decision::Admitted
        && request.is_main()
    {
        conclude_permit(request, ctx);
        // What follows, as a post_action, changes it no more.
        status(request, ctx);
        request.hide_outcome();
    }
}

/// The buyer has one already.
const DUPLICATE: u16 = 409;

/// Whether the back end has surely refused the purchase.
fn is_refusal(status: u16) -> bool {
    // 499: the client left, and the outcome is unknown.
    status >= 400 && status != DUPLICATE && status != 499
}

/// With `log_subrequest on` nginx calls it for each part of a page too, which finds the
/// context of the page: only the response to the shopper itself decides.
fn conclude(request: &Request<'_>) -> ngx_int_t {
    if let Some(ctx) = Ctx::find(request).filter(|_| request.is_main()) {
        conclude_permit(request, ctx);
        if let Some(spent) = ctx.permit.get().filter(|_| ctx.outcome.get().is_none()) {
            // It may have bought something.
            count(request, ctx, spent, None);
        }
        let is_handed_over = ctx.is_handed_over.get();
        let status = status(request, ctx);
        let is_admitted = ctx.decision.get() == Decision::Admitted;
        // A duplicate's permit is unused too, and its buyer stays known.
        let is_unused = ctx.outcome.get() == Some(Outcome::Unused) && status != DUPLICATE;
        let has_failed = is_admitted && (!is_handed_over || is_refusal(status) || is_unused);
        // 403 from the back end: the pass was spent at another edge.
        let pass_is_valid = !is_admitted || has_failed && !(is_handed_over && status == 403);
        let forgotten = ctx.click.get().filter(|_| has_failed);
        let released = ctx.pass.get().filter(|_| pass_is_valid);
        if is_admitted
            && !has_failed
            && (200..300).contains(&status)
            && let (Some(click), Ok(settings)) = (ctx.click.get(), Settings::of(request))
        {
            // It may be the buyer's later request that bought.
            click.record(&settings.zone);
        }
        if (forgotten.is_some() || released.is_some())
            && let Ok(settings) = Settings::of(request)
        {
            forgotten.inspect(|click| click.forget(&settings.zone));
            released.inspect(|pass| pass.release(&settings.zone));
            ctx.pass.set(None);
        }
    }
    NGX_OK as ngx_int_t
}
