//! `seckill_state`: a product's state, from shared memory, for pages that wait.

use ngx::ffi::ngx_int_t;
use seckill_core::Verdict;
use seckill_core::permits::reopening::Supply;
use seckill_core::shared::products::Found;

use super::handler;
use crate::clock;
use crate::ctx::request::Request;
use crate::ctx::respond::{Response, send};
use crate::settings::Settings;

handler!(entry, respond);

fn respond(request: &Request<'_>) -> ngx_int_t {
    let body = Settings::of(request).and_then(|settings| find(request, &settings, "/state"));
    match body {
        Ok(found) => {
            let now_ms = clock::now_ms();
            let window = found.entry.window;
            let supply = found.supply(clock::monotonic_ms());
            let state = found.entry.state(now_ms, supply == Supply::SoldOut);
            send(
                request,
                Response::json(format!(
                    "{{\"state\":\"{}\",\"now_ms\":{now_ms},\"opens_ms\":{},\"ends_ms\":{}}}",
                    state.as_str(),
                    window.opens_ms,
                    window.ends_ms
                )),
            )
        }
        Err(verdict) => send(request, verdict.into()),
    }
}

/// The product that `/api/rounds/{round}/products/{product}{suffix}` names.
pub(super) fn find(
    request: &Request<'_>,
    settings: &Settings<'_>,
    suffix: &str,
) -> Result<Found<'static>, Verdict> {
    let (round, product) = ids(request, suffix).ok_or(Verdict::BadRequest)?;
    lookup(settings, round, product)
}

/// The ids in such a path, if they are well formed and the method is right.
pub(super) fn ids<'r>(request: &Request<'r>, suffix: &str) -> Option<(&'r str, &'r str)> {
    let rest = request
        .path()
        .strip_prefix("/api/rounds/")?
        .strip_suffix(suffix)?;
    let (round, product) = rest.split_once("/products/")?;
    let well_formed = seckill_core::ids::is_id(round) && seckill_core::ids::is_id(product);
    (well_formed && request.is_read()).then_some((round, product))
}

/// Looks a product up.
///
/// # Errors
/// [`Verdict::NotFound`]; before the catalogue was first read, when an unknown product
/// may exist, [`Verdict::Unavailable`].
pub(super) fn lookup(
    settings: &Settings<'_>,
    round: &str,
    product: &str,
) -> Result<Found<'static>, Verdict> {
    match settings.zone.products().find(round, product) {
        Some(found) => Ok(found),
        None if settings.zone.has_catalogue() => Err(Verdict::NotFound),
        None => Err(Verdict::Unavailable),
    }
}
