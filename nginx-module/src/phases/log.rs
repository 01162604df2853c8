//! After a request: what became of it tells whether its buyer may click again at
//! once, and whether his captcha pass is still good.

use ngx::ffi::{NGX_OK, ngx_int_t};

use super::handler;
use crate::ctx::request::Request;
use crate::ctx::{Ctx, Stand};
use crate::settings::Settings;

handler!(entry, look_back);

/// The back end has refused the purchase, and said so.
fn came_to_nothing(status: u16) -> bool {
    // 409: he has one. 499: he left, and nobody knows what became of it.
    status >= 400 && status != 409 && status != 499
}

fn look_back(request: &Request<'_>) -> ngx_int_t {
    if let Some(ctx) = Ctx::find(request) {
        let status = request.answered();
        let is_admitted = ctx.stand.get() == Stand::Admitted;
        let is_over = is_admitted && came_to_nothing(status);
        // 403 of the back end: the pass was spent at another settings.
        let pass_is_good = !is_admitted || is_over && status != 403;
        let forgotten = ctx.known.get().filter(|_| is_over);
        let given_back = ctx.claimed.get().filter(|_| pass_is_good);
        if (forgotten.is_some() || given_back.is_some())
            && let Ok(settings) = Settings::of(request)
        {
            forgotten.inspect(|known| known.forget(&settings.zone));
            given_back.inspect(|claimed| claimed.give_back(&settings.zone));
            ctx.claimed.set(None);
        }
    }
    NGX_OK as ngx_int_t
}
