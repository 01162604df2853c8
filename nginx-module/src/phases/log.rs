//! After an admitted request: what became of it tells whether its buyer may
//! click again at once.

use ngx::ffi::{NGX_OK, ngx_int_t};

use super::handler;
use crate::conf::Edge;
use crate::ctx::request::Request;
use crate::ctx::{Ctx, Stand};

handler!(entry, look_back);

/// The back end has refused the purchase, and said so.
fn came_to_nothing(status: u16) -> bool {
    // 409: he has one. 499: he left, and nobody knows what became of it.
    status >= 400 && status != 409 && status != 499
}

fn look_back(request: &Request<'_>) -> ngx_int_t {
    if let Some(ctx) = Ctx::find(request)
        && ctx.stand.get() == Stand::Admitted
        && let Some(known) = ctx.known.get()
        && came_to_nothing(request.answered())
        && let Ok(edge) = Edge::of(request)
    {
        known.forget(&edge.zone);
    }
    NGX_OK as ngx_int_t
}
