//! `seckill_path`: hands out the hidden URL from one minute before the start.

use ngx::ffi::ngx_int_t;
use seckill_core::sale::window::Phase;
use seckill_core::signing::hidden_path;
use seckill_core::{Verdict, gate};

use super::{handler, state};
use crate::clock;
use crate::ctx::request::Request;
use crate::ctx::respond::{Response, send};
use crate::random;
use crate::settings::Settings;
use crate::state::bans;

handler!(entry, respond);

fn respond(request: &Request<'_>) -> ngx_int_t {
    match hand_out(request) {
        Ok(body) => send(request, Response::json(body)),
        Err(verdict) => send(request, verdict.into()),
    }
}

fn hand_out(request: &Request<'_>) -> Result<String, Verdict> {
    let settings = Settings::of(request)?;
    let ids = state::ids(request, "/path").ok_or(Verdict::BadRequest)?;
    let now_ms = clock::now_ms();
    let buyer = settings.buyer(request, &request.headers())?;
    let user = gate::identify(buyer.credential(), settings.keyring, now_ms)?;
    settings.refuse_revoked(&buyer, user, now_ms)?;
    bans::check(&settings.zone, user, request.address(), now_ms)?;
    let found = state::lookup(&settings, ids.0, ids.1)?;
    let window = found.entry.window;
    gate::refuse_stopped(&found.entry, now_ms)?;
    if window.phase(now_ms) == Phase::Scheduled {
        return Err(Verdict::TooEarly);
    }
    let expires_ms = hidden_path::expiry(&window, now_ms);
    let key = settings.keyring.first();
    let path = hidden_path::sign(key, settings.digest, ids, user, expires_ms, random::bytes());
    settings.zone.counters().paths.add(1);
    Ok(format!(
        "{{\"path\":\"{path}\",\"opens_ms\":{}}}",
        window.opens_ms
    ))
}
