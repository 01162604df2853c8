//! Between the access checks and what serves the location: an admitted request that never
//! comes here has bought nothing.
//!
//! The gate cannot know. Checks may run behind it (lua-nginx-module moves its own to the end
//! of the phase when it serves its first request), and a client may leave.
//!
//! An error page may send the request to a second back end. What the first one said is at
//! hand for the last time here, before nginx puts the second in its place.

use ngx::ffi::{NGX_DECLINED, ngx_int_t};
use seckill_core::permits::outcome::Outcome;

use super::{handler, log};
use crate::ctx::request::Request;
use crate::ctx::{Cleared, Ctx, Decision};

handler!(entry, hand_over);

fn hand_over(request: &Request<'_>) -> ngx_int_t {
    // A subrequest, such as a mirror's, decides nothing.
    if let Some(ctx) = Ctx::find(request).filter(|_| request.is_main())
        && ctx.decision.get() == Decision::Admitted
        && ctx.is_handed_over.replace(true)
    {
        note_answer(request, ctx);
    }
    NGX_DECLINED as ngx_int_t
}

/// Notes what became of the permit at the back end before, if that is certain.
fn note_answer(request: &Request<'_>, ctx: &Ctx) {
    let way = request.way(ctx);
    match way.outcome() {
        Some(Outcome::Used) => log::conclude_permit(request, ctx),
        Some(Outcome::Unused) => {
            let before = ctx.cleared.get();
            ctx.cleared.set(Cleared {
                connected: before.connected + way.connected,
                status: way.status,
            });
        }
        None => {}
    }
}
