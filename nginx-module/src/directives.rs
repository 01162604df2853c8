//! The directives: setters that turn arguments into types. Which arguments are valid,
//! and the error sentences, are in `seckill_core::gate::directive`.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::rc::Rc;

use ngx::ffi::{
    NGX_CONF_1MORE, NGX_CONF_NOARGS, NGX_CONF_TAKE1, NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET,
    NGX_HTTP_MAIN_CONF, NGX_HTTP_MAIN_CONF_OFFSET, NGX_HTTP_SRV_CONF, ngx_command_t, ngx_conf_t,
    ngx_http_request_t, ngx_int_t, ngx_str_t, ngx_uint_t,
};
use ngx::http::{HttpModuleLocationConf as _, NgxHttpCoreModule};
use ngx::ngx_string;
use seckill_core::gate::directive;
use seckill_core::gate::directive::jwt::{self, Jwks};
use seckill_core::gate::directive::{Address, Fallback, Keyed, RateLimit, Scope};
use seckill_core::permits::lease;
use seckill_core::signing::keyring::{Digest, Keyring};

mod checks;
mod files;
mod reading;

pub(crate) use checks::warn_of_mistakes;
use files::{read_key_set, read_secret};
use reading::{Reading, setter};

use crate::conf::{LocConf, MainConf, Place, Target};
use crate::net::address::SocketAddress;
use crate::state::LimitZone;
use crate::tokens::Jwt;
use crate::{ngx_http_seckill_module, phases, state};

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err("is given twice here; remove one".to_owned()),
    }
}

setter!(cmd_zone, MainConf, |reading, conf| {
    let (name, bytes) = directive::zone(reading.args[0])?;
    // SAFETY: the name is copied into the configuration's pool.
    let name = unsafe { ngx_str_t::from_str((*reading.cf).pool, name) };
    conf.zone.configure(name, bytes)
});

setter!(cmd_redis, MainConf, |reading, conf| {
    let spec = directive::redis(&reading.args)?;
    for address in &spec.addresses {
        if let Address::Unix(path) = address {
            SocketAddress::unix(path)?;
        }
    }
    let spec_timeout_ms = spec.timeout.as_millis() as u64;
    let target = Target {
        login: reading.login(&spec.login)?,
        sentinel_login: reading.login(&spec.sentinel_login)?,
        tls: spec.tls.as_ref().map(|tls| reading.tls(tls)).transpose()?,
        names: None,
        spec,
    };
    if spec_timeout_ms > lease::LIFE_MS / 2 {
        reading.warn(&format!(
            "seckill_redis: timeout={spec_timeout_ms}ms is near the {} ms for which an edge spends a lease: permits that arrive late return unspent; 50ms to 500ms is usual",
            lease::LIFE_MS
        ));
    }
    once(&mut conf.redis, target)
});

setter!(cmd_keys, MainConf, |reading, conf| {
    let path = reading.full_name(reading.args[0])?;
    let text = read_secret(&path)?;
    let ring = Keyring::parse(&text).map_err(|error| format!("file \"{path}\": {error}"))?;
    once(&mut conf.keyring, ring)
});

setter!(cmd_node, MainConf, |reading, conf| {
    once(&mut conf.node, directive::node(reading.args[0])?.to_owned())
});

setter!(cmd_rate, LocConf, |reading, conf| {
    if reading.args == ["off"] {
        return once(&mut conf.rate, None).and_then(|()| once(&mut conf.limit, None));
    }
    let directive::RateArguments { limit, keyed } = directive::rate(&reading.args)?;
    if let Some(keyed) = keyed {
        let index = limit_by_key(reading, limit, &keyed)?;
        return once(&mut conf.limit, Some(index));
    }
    reading.needs_all("seckill_rate")?;
    let index = reading.with_main(|main| {
        if main.rates.len() == state::MAX_BUCKETS {
            return Err(format!(
                "is used more than {} times, which is the most",
                state::MAX_BUCKETS
            ));
        }
        main.rates.push(limit);
        Ok(main.rates.len() - 1)
    })?;
    once(&mut conf.rate, Some(index))
});

/// The index of the zone of a limit by key, made where the directive gives its size.
fn limit_by_key(
    reading: &Reading<'_>,
    limit: RateLimit,
    keyed: &Keyed<'_>,
) -> Result<usize, String> {
    let key = reading.variable(keyed.variable)?;
    let name = keyed.zone;
    reading.with_main(|main| {
        main.needs_redis |= limit.scope == Scope::Site;
        let known = main.limits.iter().position(|zone| zone.name == name);
        match (known, keyed.bytes) {
            (Some(index), None) => {
                let zone = &main.limits[index];
                if (zone.limit, zone.key) != (limit, key) {
                    return Err(format!(
                        "zone \"{name}\" has another key, rate, burst or scope; write the same, or take another zone"
                    ));
                }
                Ok(index)
            }
            (None, Some(bytes)) => {
                let tag = (&raw mut ngx_http_seckill_module).cast();
                // SAFETY: the configuration is being read.
                let zone = unsafe { LimitZone::declare(reading.cf, tag, (name, bytes), limit, key) };
                main.limits.push(zone?);
                Ok(main.limits.len() - 1)
            }
            (Some(_), Some(_)) => Err(format!(
                "zone \"{name}\" is declared twice; give its size once, and zone={name} elsewhere"
            )),
            (None, None) => Err(format!(
                "zone \"{name}\" is not declared; give its size at its first use, as in zone={name}:1m"
            )),
        }
    })
}

/// That a block says in two ways who is buying.
fn two_buyers(other: &str) -> Result<(), String> {
    Err(format!(
        "stands beside {other}, and both say who is buying; remove one"
    ))
}

setter!(cmd_user, LocConf, |reading, conf| {
    if reading.args == ["off"] {
        return once(&mut conf.user, None);
    }
    if conf.jwt.flatten().is_some() {
        return two_buyers("seckill_jwt");
    }
    let name = directive::variable(reading.args[0]).ok_or_else(|| {
        format!(
            "\"{}\" must be a variable, and one alone, as in $remote_user; a map joins several",
            reading.args[0]
        )
    })?;
    if directive::is_chosen_by_client(name) {
        reading.warn(&format!(
            "seckill_user: ${name} holds what the client sends, so that anybody can buy as anybody, unless a proxy before this nginx sets it; take a variable that nginx vouches for, as of auth_request_set"
        ));
    }
    let index = reading.variable(name)?;
    once(&mut conf.user, Some(index))
});

setter!(cmd_jwt, LocConf, |reading, conf| {
    if reading.args == ["off"] {
        return once(&mut conf.jwt, None);
    }
    if conf.user.flatten().is_some() {
        return two_buyers("seckill_user");
    }
    let read = jwt::jwt(&reading.args)?;
    let from_file = match &read.jwks {
        Jwks::File(name) => Some(Rc::new(read_key_set(&reading.full_name(name)?)?)),
        Jwks::Url(_) => None,
    };
    let index = reading.with_main(|main| {
        let index = main.jwts.len();
        main.jwts.push(Jwt {
            index,
            policy: read.policy,
            cookie: read.cookie,
            jwks: read.jwks,
            from_file,
        });
        Ok(index)
    })?;
    reading.needs_all("seckill_jwt")?;
    once(&mut conf.jwt, Some(index))
});

setter!(cmd_digest, LocConf, |reading, conf| {
    let digest = Digest::parse(reading.args[0])
        .ok_or_else(|| format!("\"{}\" must be hmac-sha256 or md5", reading.args[0]))?;
    once(&mut conf.digest, digest)
});

setter!(cmd_fallback, LocConf, |reading, conf| {
    let fallback = directive::fallback(reading.args[0])?;
    reading.needs_all("seckill_fallback")?;
    if fallback == Fallback::Pass {
        reading.with_main(|main| {
            main.keeps_share = true;
            Ok(())
        })?;
    }
    once(&mut conf.fallback, fallback)
});

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("\"{other}\" must be on or off")),
    }
}

setter!(cmd_gate, LocConf, |reading, conf| {
    let on = switch(reading.args[0])?;
    if on {
        reading.needs_all("seckill_gate")?;
        let location = ptr::from_ref(conf);
        reading.with_main(|main| {
            main.places.push(Place {
                directive: "seckill_gate",
                at: reading.place(),
                location,
                server: reading.server(),
                core: ptr::null(),
            });
            Ok(())
        })?;
    }
    once(&mut conf.gate, on)
});

setter!(cmd_captcha, LocConf, |reading, conf| {
    once(&mut conf.captcha, switch(reading.args[0])?)
});

setter!(cmd_trace, LocConf, |reading, conf| {
    once(&mut conf.trace, directive::trace(&reading.args)?)
});

/// A directive that installs a content handler in its location.
macro_rules! content {
    ($name:ident, $directive:literal, $needs:literal, $handler:path) => {
        setter!($name, LocConf, |reading, conf| {
            // SAFETY: setters of a location run with that location's core
            // configuration in place.
            let core = unsafe { NgxHttpCoreModule::location_conf_mut(&*reading.cf) };
            let core = core.ok_or("memory is short")?;
            if core.handler.is_some() {
                reading.warn(&checks::clash($directive));
            }
            core.handler = Some($handler);
            let (location, core) = (ptr::from_ref(conf), ptr::from_ref(core));
            reading.with_main(|main| {
                if $directive == "seckill_status" {
                    main.needs_zone.get_or_insert($directive);
                }
                main.places.push(Place {
                    directive: $directive,
                    at: reading.place(),
                    location,
                    server: reading.server(),
                    core,
                });
                Ok(())
            })?;
            if $needs {
                reading.needs_all($directive)?;
            }
            Ok(())
        });
    };
}

/// The handlers that the module puts into locations.
const HANDLERS: [(&str, Handler); 4] = [
    ("seckill_time", phases::time::entry),
    ("seckill_path", phases::path::entry),
    ("seckill_state", phases::state::entry),
    ("seckill_status", phases::status::entry),
];

type Handler = unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t;

content!(cmd_time, "seckill_time", false, phases::time::entry);
content!(cmd_path, "seckill_path", true, phases::path::entry);
content!(cmd_state, "seckill_state", true, phases::state::entry);
content!(cmd_status, "seckill_status", false, phases::status::entry);

type Setter = unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

const fn command(name: ngx_str_t, context: u32, offset: usize, set: Setter) -> ngx_command_t {
    ngx_command_t {
        name,
        type_: context as ngx_uint_t,
        set: Some(set),
        conf: offset,
        offset: 0,
        post: ptr::null_mut(),
    }
}

const MAIN: u32 = NGX_HTTP_MAIN_CONF;
const ANY: u32 = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;
const LOCATION: u32 = NGX_HTTP_LOC_CONF;
const IN_MAIN: usize = NGX_HTTP_MAIN_CONF_OFFSET;
const IN_LOCATION: usize = NGX_HTTP_LOC_CONF_OFFSET;

/// All directives, for nginx.
pub(crate) static mut COMMANDS: [ngx_command_t; 17] = [
    command(
        ngx_string!("seckill_zone"),
        MAIN | NGX_CONF_TAKE1,
        IN_MAIN,
        cmd_zone,
    ),
    command(
        ngx_string!("seckill_redis"),
        MAIN | NGX_CONF_1MORE,
        IN_MAIN,
        cmd_redis,
    ),
    command(
        ngx_string!("seckill_keys"),
        MAIN | NGX_CONF_TAKE1,
        IN_MAIN,
        cmd_keys,
    ),
    command(
        ngx_string!("seckill_node"),
        MAIN | NGX_CONF_TAKE1,
        IN_MAIN,
        cmd_node,
    ),
    command(
        ngx_string!("seckill_rate"),
        ANY | NGX_CONF_1MORE,
        IN_LOCATION,
        cmd_rate,
    ),
    command(
        ngx_string!("seckill_user"),
        ANY | NGX_CONF_TAKE1,
        IN_LOCATION,
        cmd_user,
    ),
    command(
        ngx_string!("seckill_jwt"),
        ANY | NGX_CONF_1MORE,
        IN_LOCATION,
        cmd_jwt,
    ),
    command(
        ngx_string!("seckill_digest"),
        ANY | NGX_CONF_TAKE1,
        IN_LOCATION,
        cmd_digest,
    ),
    command(
        ngx_string!("seckill_gate"),
        LOCATION | NGX_CONF_TAKE1,
        IN_LOCATION,
        cmd_gate,
    ),
    command(
        ngx_string!("seckill_fallback"),
        LOCATION | NGX_CONF_TAKE1,
        IN_LOCATION,
        cmd_fallback,
    ),
    command(
        ngx_string!("seckill_captcha"),
        ANY | NGX_CONF_TAKE1,
        IN_LOCATION,
        cmd_captcha,
    ),
    command(
        ngx_string!("seckill_trace"),
        ANY | NGX_CONF_1MORE,
        IN_LOCATION,
        cmd_trace,
    ),
    command(
        ngx_string!("seckill_time"),
        LOCATION | NGX_CONF_NOARGS,
        IN_LOCATION,
        cmd_time,
    ),
    command(
        ngx_string!("seckill_path"),
        LOCATION | NGX_CONF_NOARGS,
        IN_LOCATION,
        cmd_path,
    ),
    command(
        ngx_string!("seckill_state"),
        LOCATION | NGX_CONF_NOARGS,
        IN_LOCATION,
        cmd_state,
    ),
    command(
        ngx_string!("seckill_status"),
        LOCATION | NGX_CONF_NOARGS,
        IN_LOCATION,
        cmd_status,
    ),
    ngx_command_t::empty(),
];
