//! Between the access checks and what serves the location: an admitted request that never
//! comes here has bought nothing.
//!
//! The gate cannot know. Checks may run behind it (lua-nginx-module moves its own to the end
//! of the phase when it serves its first request), and a client may leave.

use ngx::ffi::{NGX_DECLINED, ngx_int_t};

use super::handler;
use crate::ctx::request::Request;
use crate::ctx::{Ctx, Decision};

handler!(entry, hand_over);

fn hand_over(request: &Request<'_>) -> ngx_int_t {
    // A subrequest, such as a mirror's, decides nothing.
    if let Some(ctx) = Ctx::find(request).filter(|_| request.is_main())
        && ctx.decision.get() == Decision::Admitted
    {
        ctx.is_handed_over.set(true);
    }
    NGX_DECLINED as ngx_int_t
}
