//! `seckill_time`: the edge's clock, for countdowns (course §074).

use ngx::ffi::ngx_int_t;
use seckill_core::Verdict;

use super::handler;
use crate::clock;
use crate::ctx::request::Request;
use crate::ctx::respond::{Response, send};

handler!(entry, respond);

fn respond(request: &Request<'_>) -> ngx_int_t {
    if !request.is_read() {
        return send(request, Verdict::BadRequest.into());
    }
    send(
        request,
        Response::json(format!("{{\"now_ms\":{}}}", clock::now_ms())),
    )
}
