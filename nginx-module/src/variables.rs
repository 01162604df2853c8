//! The variables, for logs and for headers to the back end.

use std::borrow::Cow;
use std::fmt::Write as _;

use ngx::ffi::{
    NGX_ERROR, NGX_HTTP_VAR_CHANGEABLE, NGX_HTTP_VAR_NOCACHEABLE, NGX_OK, ngx_conf_t,
    ngx_http_add_variable, ngx_http_request_t, ngx_http_variable_value_t, ngx_int_t, ngx_str_t,
    ngx_uint_t,
};
use seckill_core::signing::identity;
use seckill_core::{Verdict, gate};

use crate::clock;
use crate::ctx::request::{Request, find_variables};
use crate::ctx::{Ctx, Decision};
use crate::settings::{Settings, confs};

/// The variable with the request's id.
const REQUEST: &str = "seckill_request";

/// A variable's text for one request, empty where it does not apply.
type Text = fn(&Request<'_>, Option<&Ctx>, &mut String);

const VARIABLES: [(&str, Text); 9] = [
    ("seckill_verdict", |_, ctx, out| {
        out.push_str(match ctx.map(|ctx| ctx.decision.get()) {
            Some(Decision::Admitted) => "admitted",
            Some(Decision::Refused(verdict)) => Verdict::code(verdict),
            Some(Decision::Undecided | Decision::Starting | Decision::Waiting) | None => "",
        });
    }),
    ("seckill_user", |request, ctx, out| {
        match ctx.map(|ctx| ctx.user.get()).filter(|user| user.len > 0) {
            Some(user) => push(user, out),
            None => out.push_str(visitor(request).unwrap_or_default()),
        }
    }),
    ("seckill_identity", |request, _, out| {
        out.push_str(&identity(request).unwrap_or_default());
    }),
    ("seckill_round", |_, ctx, out| {
        if let Some(ctx) = ctx {
            push(ctx.round.get(), out);
        }
    }),
    ("seckill_product", |_, ctx, out| {
        if let Some(ctx) = ctx {
            push(ctx.product.get(), out);
        }
    }),
    (REQUEST, |request, ctx, out| {
        // The client's own id, so that a repeated request is recognised, or nginx's.
        match ctx
            .map(|ctx| ctx.request.get())
            .filter(|request| request.len > 0)
        {
            Some(id) => push(id, out),
            None => {
                let given = request.headers().request.filter(|id| !id.is_empty());
                out.push_str(given.unwrap_or_else(|| request.own_id()));
            }
        }
    }),
    ("seckill_arrival", |_, ctx, out| {
        if let Some(arrival) = ctx.map(|ctx| ctx.arrival.get()).filter(|it| *it > 0) {
            // Writing to a String does not fail.
            let _ = write!(out, "{arrival}");
        }
    }),
    ("seckill_permit", |request, ctx, out| {
        let edge = confs(request).0.edge();
        let permit = edge
            .zip(ctx.and_then(|ctx| ctx.permit.get()))
            .map(|(edge, spent)| edge.permit(&spent));
        out.push_str(&permit.unwrap_or_default());
    }),
    ("seckill_trace_id", |_, ctx, out| {
        if let Some([high, low]) = ctx.map(|ctx| ctx.trace.get()).filter(|it| *it != [0, 0]) {
            let _ = write!(out, "{high:016x}{low:016x}");
        }
    }),
];

/// The logged-in user of a request that the gate has not identified: the log names who
/// viewed a page, and who was refused.
fn visitor<'r>(request: &Request<'r>) -> Option<&'r str> {
    let settings = Settings::of(request).ok()?;
    let buyer = settings.buyer(request, &request.headers()).ok()?;
    let now_ms = clock::now_ms();
    let user = gate::identify(buyer.credential(), settings.keyring, now_ms).ok()?;
    let is_revoked = settings.is_revoked(&buyer, user, now_ms);
    (!is_revoked).then(|| request.keep(Cow::Owned(user.to_owned())))
}

/// What the back end reads: the buyer for whom this nginx vouches, or whose token it has
/// verified, signed. The session cookie needs no such header, since the back end
/// verifies it itself.
fn identity(request: &Request<'_>) -> Option<String> {
    let settings = Settings::of(request).ok()?;
    let user = settings.told(request)?;
    Some(identity::sign(
        settings.keyring.first(),
        user,
        clock::now_ms(),
    ))
}

fn push(text: ngx_str_t, out: &mut String) {
    out.push_str(text.to_str().unwrap_or_default());
}

/// Registers all variables.
///
/// # Safety
/// `cf` is the configuration being read.
pub(crate) unsafe fn add(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: by this function's contract.
    if !unsafe { find_variables(cf) } {
        return NGX_ERROR as ngx_int_t;
    }
    for (index, (own, _)) in VARIABLES.iter().enumerate() {
        // SAFETY: by this function's contract; the name is copied.
        unsafe {
            let mut name = ngx_str_t::from_str((*cf).pool, own);
            let mut flags = NGX_HTTP_VAR_NOCACHEABLE;
            if *own == REQUEST {
                // A configuration of an earlier version makes it with a map.
                flags |= NGX_HTTP_VAR_CHANGEABLE;
            }
            let variable = ngx_http_add_variable(cf, &mut name, flags as ngx_uint_t);
            let Some(variable) = variable.as_mut() else {
                return NGX_ERROR as ngx_int_t;
            };
            variable.get_handler = Some(get);
            variable.data = index;
        }
    }
    NGX_OK as ngx_int_t
}

unsafe extern "C" fn get(
    raw: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    index: usize,
) -> ngx_int_t {
    // SAFETY: nginx calls this with a living request and a value to fill.
    unsafe {
        let request = Request::new(raw);
        let mut text = String::new();
        VARIABLES[index].1(&request, Ctx::find(&request), &mut text);
        let value = &mut *value;
        if text.is_empty() {
            value.set_not_found(1);
            return NGX_OK as ngx_int_t;
        }
        let copy = ngx_str_t::from_str((*raw).pool, &text);
        value.data = copy.data;
        value.set_len(copy.len as u32);
        value.set_valid(1);
        value.set_no_cacheable(0);
        value.set_not_found(0);
    }
    NGX_OK as ngx_int_t
}
