//! What `nginx -t` warns of when the whole configuration was read: it is valid, and
//! hardly meant.

use std::ptr;

use ngx::ffi::{NGX_LOG_WARN, ngx_conf_t};
use ngx::ngx_log_error;
use seckill_core::signing::keyring::Digest;

use super::HANDLERS;
use crate::conf::{MainConf, Place};

/// That a location has two directives that respond.
pub(super) fn clash(directive: &str) -> String {
    format!(
        "{directive}: this location has another directive that responds, such as proxy_pass; only the one that stands last takes effect: give each a location of its own"
    )
}

/// Warns of what is hardly meant.
///
/// # Safety
/// `cf` is the configuration that was read, and merged.
pub(crate) unsafe fn warn_of_mistakes(cf: *mut ngx_conf_t, main: &MainConf) {
    for (at, text) in clashes(main).chain(digests(main)) {
        // SAFETY: by this function's contract.
        let log = unsafe { (*cf).log };
        ngx_log_error!(NGX_LOG_WARN, log, "{} in {}", text, at);
    }
}

/// Directives whose handler another directive has replaced.
fn clashes(main: &MainConf) -> impl Iterator<Item = (&str, String)> {
    let is_replaced = |place: &&Place| {
        // SAFETY: a place's configurations live as long as the main one.
        let handler = unsafe { place.core.as_ref() }.and_then(|core| core.handler);
        let own = HANDLERS.iter().find(|(name, _)| *name == place.directive);
        match (handler, own) {
            (Some(handler), Some((_, own))) => !ptr::fn_addr_eq(handler, *own),
            _ => false,
        }
    };
    let replaced = main.places.iter().filter(is_replaced);
    replaced.map(|place| (&*place.at, clash(place.directive)))
}

/// Gates that no hidden URL of this nginx can pass, and hidden URLs for no gate.
fn digests(main: &MainConf) -> impl Iterator<Item = (&str, String)> {
    let of = |directive: &'static str| {
        let places = main.places.iter();
        places.filter(move |place| place.directive == directive)
    };
    let pair = [
        ("seckill_gate", "seckill_path"),
        ("seckill_path", "seckill_gate"),
    ];
    pair.into_iter().flat_map(move |(here, there)| {
        of(here).filter_map(move |place| {
            let digest = digest(place);
            let mut others = of(there).filter(|other| other.server == place.server).peekable();
            let lacks = others.peek().is_some() && others.all(|other| self::digest(other) != digest);
            let name = match digest {
                Digest::HmacSha256 => "hmac-sha256",
                Digest::Md5 => "md5",
            };
            lacks.then(|| {
                (
                    &*place.at,
                    format!(
                        "{here}: seckill_digest is {name} here and another for every {there} of this server, so that no hidden URL passes; write the same seckill_digest for both, best in the server block"
                    ),
                )
            })
        })
    })
}

fn digest(place: &Place) -> Digest {
    // SAFETY: a place's configurations live as long as the main one.
    unsafe { place.location.as_ref() }
        .and_then(|location| location.digest)
        .unwrap_or_default()
}
