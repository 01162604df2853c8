//! After a request: by its outcome, the buyer may click again at once, and the captcha
//! pass is valid again.

use ngx::ffi::{NGX_OK, ngx_int_t};

use super::handler;
use crate::ctx::request::Request;
use crate::ctx::{Ctx, Decision};
use crate::settings::Settings;

handler!(entry, conclude);

/// Whether the back end has surely refused the purchase.
fn is_refusal(status: u16) -> bool {
    // 409: the buyer has one already. 499: the client left, and the outcome is unknown.
    status >= 400 && status != 409 && status != 499
}

fn conclude(request: &Request<'_>) -> ngx_int_t {
    if let Some(ctx) = Ctx::find(request) {
        let status = request.status();
        let is_admitted = ctx.decision.get() == Decision::Admitted;
        let has_failed = is_admitted && is_refusal(status);
        // 403 from the back end: the pass was spent at another edge.
        let pass_is_valid = !is_admitted || has_failed && status != 403;
        let forgotten = ctx.click.get().filter(|_| has_failed);
        let released = ctx.pass.get().filter(|_| pass_is_valid);
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
