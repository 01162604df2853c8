//! The flash-sale gate as a dynamic module for nginx.
//!
//! The modules stand in the order of their layers: each may use those above it in
//! this list, never those below; `make check` holds the order. Every layer may name
//! this file's `ngx_http_seckill_module`, by which nginx knows the module. Raw
//! pointers stay in `rt`, `net`, `state`, `ctx`, in the setters of `directives` and
//! in the getter of `variables`; the handlers and all rules are safe code.

/// The clocks: wall time and monotonic time, read from the system. Uses nothing.
mod clock;

/// Random bytes for nonces, identities and hash seeds. Uses the clocks.
mod random;

/// Lines in nginx's error log, for what happens outside a request. Uses the clocks.
mod error_log;

/// The worker's executor: tasks, timers and time limits on nginx's event loop.
/// Knows nothing of the module's work.
mod rt;

/// Sockets: names and addresses, a byte stream over an nginx connection, and TLS over
/// that. Knows no other protocol.
mod net;

/// The memory that the workers share: the zone's tables, counters and buckets. Holds no
/// configuration and does no I/O.
mod state;

/// Tokens of the shop's own login: a worker's keys, and what it has verified.
mod tokens;

/// The configuration as types, with the zone it named. No directive is read here.
mod conf;

/// The door to nginx's request: reading it, parking it, responding. Decides
/// nothing.
mod ctx;

/// Proof that the edge which ran here before has died: a locked file.
mod life;

/// The worker's connection to Redis, and the supervisor that keeps it up. Work on a
/// connection is passed in; no key of the sale is known here.
mod link;

/// Permits: leases taken from Redis and returned, and the queue of parked requests.
mod permits;

/// Tokens of the site's buckets by key, taken from Redis.
mod limiter;

/// The copies of Redis in the zone: catalogue, bans, living edges.
mod refresh;

/// The settings in force for one request.
mod settings;

/// The handlers: thin, safe code; `seckill_core` makes each decision.
mod phases;

/// The variables, for logs and for headers to the back end.
mod variables;

/// The directives: setters that fill the configuration and install the handlers.
mod directives;

use std::cell::Cell;
use std::ffi::{OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::rc::Rc;

use ngx::core::{CoreModuleMainConf, NGX_CONF_ERROR, NGX_CONF_OK, NgxCoreModule};
use ngx::ffi::ngx_http_top_header_filter;
use ngx::ffi::{
    NGX_ERROR, NGX_HTTP_MODULE, NGX_HTTP_SATISFY_ANY, NGX_LOG_EMERG, NGX_LOG_WARN, NGX_OK,
    NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER, ngx_array_push, ngx_array_t, ngx_conf_t, ngx_cycle_t,
    ngx_http_handler_pt, ngx_http_module_t, ngx_http_output_header_filter_pt,
    ngx_http_phases_NGX_HTTP_ACCESS_PHASE, ngx_http_phases_NGX_HTTP_LOG_PHASE,
    ngx_http_phases_NGX_HTTP_PREACCESS_PHASE, ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE,
    ngx_http_request_t, ngx_int_t, ngx_module_t, ngx_process, ngx_test_config, ngx_uint_t,
};
use ngx::http::{HttpModule, HttpModuleLocationConf, HttpModuleMainConf, NgxHttpCoreModule};
use ngx::ngx_log_error;
use seckill_core::gate::directive::Address;

use crate::conf::{LocConf, MainConf};
use crate::ctx::request::Request;
use crate::net::names::Names;

/// The module, for ngx's constructors.
struct Module;

impl HttpModule for Module {
    fn module() -> &'static ngx_module_t {
        // SAFETY: nginx writes to it only while it reads the configuration.
        unsafe { &*ptr::addr_of!(ngx_http_seckill_module) }
    }

    unsafe extern "C" fn preconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
        // SAFETY: nginx calls this with the configuration being read.
        unsafe { variables::add(cf) }
    }

    unsafe extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
        // SAFETY: nginx calls this with the configuration that was read.
        unsafe { complete(cf) }
    }
}

// SAFETY: the types are those that the constructors below make.
unsafe impl HttpModuleMainConf for Module {
    type MainConf = MainConf;
}

// SAFETY: as above.
unsafe impl HttpModuleLocationConf for Module {
    type LocationConf = LocConf;
}

/// Checks that the configuration is complete, requests the zone, and puts the handlers
/// into their phases.
///
/// # Safety
/// `cf` is the configuration that was read.
unsafe fn complete(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: by this function's contract.
    unsafe {
        let Some(main) = Module::main_conf_mut(&*cf) else {
            return NGX_ERROR as ngx_int_t;
        };
        if let Err(why) = complete_without_sale(main) {
            let log = (*cf).log;
            ngx_log_error!(NGX_LOG_EMERG, log, "{} in the http block", why);
            return NGX_ERROR as ngx_int_t;
        }
        if let Some(directive) = main.needs_all {
            let missing = [
                (
                    "seckill_zone, as in: seckill_zone seckill:64m;",
                    main.zone.is_unset(),
                ),
                (
                    "seckill_redis, as in: seckill_redis 127.0.0.1:6379;",
                    main.redis.is_none(),
                ),
                (
                    "seckill_keys, as in: seckill_keys /etc/seckill/keys;",
                    main.keyring.is_none(),
                ),
            ];
            if let Some((what, _)) = missing.iter().find(|(_, missing)| *missing) {
                let log = (*cf).log;
                ngx_log_error!(
                    NGX_LOG_EMERG,
                    log,
                    "{} needs {} in the http block",
                    directive,
                    what
                );
                return NGX_ERROR as ngx_int_t;
            }
        }
        if let Err(why) = find_names(cf, main) {
            let log = (*cf).log;
            ngx_log_error!(NGX_LOG_EMERG, log, "seckill_redis: {}", why);
            return NGX_ERROR as ngx_int_t;
        }
        directives::warn_of_mistakes(cf, main);
        let tag = (&raw mut ngx_http_seckill_module).cast();
        if let Err(why) = main.zone.request(cf, tag) {
            let log = (*cf).log;
            ngx_log_error!(NGX_LOG_EMERG, log, "seckill_zone {}", why);
            return NGX_ERROR as ngx_int_t;
        }
        let Some(core) = NgxHttpCoreModule::main_conf_mut(&*cf) else {
            return NGX_ERROR as ngx_int_t;
        };
        let phases: [(u32, PhaseHandler); 4] = [
            (
                ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
                phases::limit::entry,
            ),
            (ngx_http_phases_NGX_HTTP_ACCESS_PHASE, phases::gate::entry),
            (
                ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE,
                phases::hand_over::entry,
            ),
            (ngx_http_phases_NGX_HTTP_LOG_PHASE, phases::log::entry),
        ];
        for (phase, entry) in phases {
            if !run_last(&mut core.phases[phase as usize].handlers, entry) {
                return NGX_ERROR as ngx_int_t;
            }
        }
        // nginx makes the chain of filters anew with each configuration.
        NEXT_HEADER_FILTER = ngx_http_top_header_filter;
        ngx_http_top_header_filter = Some(header_filter);
    }
    NGX_OK as ngx_int_t
}

/// Checks what directives need that have nothing to do with a sale.
///
/// # Errors
/// A sentence without its end: which directive needs what.
fn complete_without_sale(main: &MainConf) -> Result<(), String> {
    let by_site = main.needs_redis.then_some("seckill_rate with scope=site");
    if let Some(directive) = main.needs_zone.or(by_site)
        && main.zone.is_unset()
    {
        return Err(format!(
            "{directive} needs seckill_zone, as in: seckill_zone seckill:64m;"
        ));
    }
    match by_site {
        Some(directive) if main.redis.is_none() => Err(format!(
            "{directive} needs seckill_redis, as in: seckill_redis 127.0.0.1:6379;"
        )),
        _ => Ok(()),
    }
}

/// Prepares the look-up of Redis's hosts, and tries it where it may block. With a
/// `resolver` in the `http` block names are looked up by the workers alone.
///
/// # Errors
/// A sentence that names the hosts: none of them has an address.
///
/// # Safety
/// `cf` is the configuration that was read.
unsafe fn find_names(cf: *mut ngx_conf_t, main: &mut MainConf) -> Result<(), String> {
    let Some(target) = &mut main.redis else {
        return Ok(());
    };
    // SAFETY: by this function's contract; nginx has merged the configuration, so that
    // there is a resolver, which may have no servers.
    let (names, is_configured) = unsafe {
        let core = NgxHttpCoreModule::location_conf(&*cf);
        let resolver = core.map_or(ptr::null_mut(), |core| core.resolver);
        let is_configured = !resolver.is_null() && (*resolver).connections.nelts > 0;
        let resolver = if is_configured {
            resolver
        } else {
            ptr::null_mut()
        };
        (Names::new(cf, resolver), is_configured)
    };
    if !is_configured {
        let is_lost = |address: &&Address| match address {
            Address::Tcp { host, .. } => !names.resolve_now(host),
            Address::Unix(_) => false,
        };
        let addresses = &target.spec.addresses;
        let lost: Vec<String> = addresses
            .iter()
            .filter(is_lost)
            .map(Address::to_string)
            .collect();
        let shown = lost.join("\", \"");
        if lost.len() == addresses.len() {
            return Err(format!(
                "host of \"{shown}\" cannot be resolved; write its IP address, or mend the name service"
            ));
        }
        if !lost.is_empty() {
            let line = format!(
                "seckill_redis: host of \"{shown}\" cannot be resolved now; the others are used until it can"
            );
            // SAFETY: by this function's contract.
            unsafe { error_log::warn_at(cf, &line) };
        }
    }
    target.names = Some(Rc::new(names));
    Ok(())
}

/// The filter behind ours; written while the configuration is read, before any request.
static mut NEXT_HEADER_FILTER: ngx_http_output_header_filter_pt = None;

/// Sees the header of every response before it is sent.
unsafe extern "C" fn header_filter(raw: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx calls filters with a living request, after the configuration was read.
    unsafe {
        phases::log::filter(&Request::new(raw));
        NEXT_HEADER_FILTER.map_or(NGX_OK as ngx_int_t, |next| next(raw))
    }
}

type PhaseHandler = unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t;

/// Puts a handler into its phase so that it runs last. nginx runs a phase's handlers
/// from the end of the array to its front: whoever may not pass (`deny`,
/// `auth_request`) is refused before a permit is spent, and the variables that they
/// set are there. Only lua-nginx-module runs later, where it says so to nginx at its first
/// request: see [`phases::hand_over`]. False if memory is short.
///
/// # Safety
/// `handlers` is the array of a phase, while the configuration is read.
unsafe fn run_last(handlers: *mut ngx_array_t, handler: PhaseHandler) -> bool {
    // SAFETY: by this function's contract, and after the push the array holds one more.
    unsafe {
        let added: *mut ngx_http_handler_pt = ngx_array_push(handlers).cast();
        if added.is_null() {
            return false;
        }
        let first: *mut ngx_http_handler_pt = (*handlers).elts.cast();
        ptr::copy(first, first.add(1), (*handlers).nelts - 1);
        *first = Some(handler);
    }
    true
}

/// Merges a location's configuration with what it inherits, and refuses a gate under
/// `satisfy any`: there any `allow` would replace the gate.
///
/// # Safety
/// nginx calls it with the configuration being read, and with two of our structures.
unsafe extern "C" fn merge_location(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    // SAFETY: by this function's contract. The core module comes before ours, so that
    // its structure of this location is merged already.
    unsafe {
        let merged = Module::merge_loc_conf(cf, outer, inner);
        let is_gated = (*inner.cast::<LocConf>()).gate == Some(true);
        let any = NgxHttpCoreModule::location_conf(&*cf)
            .is_some_and(|core| core.satisfy == NGX_HTTP_SATISFY_ANY as ngx_uint_t);
        if merged == NGX_CONF_OK && is_gated && any {
            let log = (*cf).log;
            ngx_log_error!(
                NGX_LOG_EMERG,
                log,
                "seckill_gate and \"satisfy any\" are in force in the same location, where another access check could let pass whom the gate refuses; write \"satisfy all;\" there"
            );
            return NGX_CONF_ERROR;
        }
        merged
    }
}

/// The configuration, in a process that serves requests.
///
/// # Safety
/// `cycle` is the worker's.
unsafe fn main_conf(cycle: *mut ngx_cycle_t) -> Option<&'static MainConf> {
    // SAFETY: by this function's contract.
    unsafe {
        let main = Module::main_conf(&*cycle)?;
        let serves = ngx_process == NGX_PROCESS_WORKER as usize
            || ngx_process == NGX_PROCESS_SINGLE as usize;
        serves.then_some(main)
    }
}

/// What does not work without a master process: nginx itself, which reads the configuration
/// again in the process that serves, takes no connection from then on.
///
/// # Safety
/// To be called on nginx's one thread.
unsafe fn without_master(is_off: bool) -> Option<&'static str> {
    // SAFETY: by this function's contract; nginx sets it when it starts to serve.
    let serves = unsafe { ngx_process == NGX_PROCESS_SINGLE as usize } && HAS_STARTED.get();
    match (serves, is_off) {
        (true, _) => Some(
            "without a master process (master_process off) nginx takes no new connections after a reload, and sells nothing: stop it and start it again, and remove \"master_process off\" if it is to be reloaded",
        ),
        (false, true) => Some(
            "\"master_process off\": this nginx sells, but must never be reloaded, after which nginx takes no new connections without a master process; remove the line, or restart instead of reloading",
        ),
        (false, false) => None,
    }
}

/// Once a configuration is in force, in the master.
unsafe extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx calls this with the new cycle, on the master's one thread.
    let (is_test, conf, core) = unsafe {
        let conf = Module::main_conf(&*cycle);
        let core = NgxCoreModule::main_conf(&*cycle);
        (ngx_test_config != 0, conf, core)
    };
    // SAFETY: as above.
    if let Some(line) = unsafe { without_master(core.is_some_and(|core| core.master == 0)) } {
        // SAFETY: as above; the new cycle has its log.
        let log = unsafe { (*cycle).log };
        ngx_log_error!(NGX_LOG_WARN, log, "{}", line);
    }
    if let (false, Some(main), Some(core)) = (is_test, conf, core)
        && let Some(zone) = main.zone.ready()
    {
        zone.count_configuration();
        main.place_buckets(zone);
        // The first of all to make it settles the name of its leases.
        main.edge();
        if main.keeps_share {
            let pid_file = OsStr::from_bytes(core.pid.as_bytes());
            if let Err(why) = life::begin(&life::path(Path::new(pid_file)), zone) {
                error_log::warn(&format!("{why}; {}", life::COST));
            }
        }
    }
    NGX_OK as ngx_int_t
}

unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    HAS_STARTED.set(true);
    // SAFETY: nginx calls this with the worker's cycle.
    if let Some(main) = unsafe { main_conf(cycle) }
        && let Some(redis) = &main.redis
        && let Some(edge) = main.edge()
    {
        let zone = edge.zone.clone();
        // Permits of another Redis are not to be spent: here nobody counts them.
        let leases = if zone.adopt_source() {
            zone.products().forget_counts();
            zone.products().take_back(|_| true, zone.tallies())
        } else {
            Vec::new()
        };
        let leases = Cell::new(leases);
        link::start(redis.clone(), zone, move |link| {
            refresh::run(link, edge.clone(), leases.take())
        });
    }
    NGX_OK as ngx_int_t
}

thread_local! {
    /// Whether this process serves requests already.
    static HAS_STARTED: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C" fn exit_process(cycle: *mut ngx_cycle_t) {
    // SAFETY: nginx calls this with the worker's cycle.
    if let Some(main) = unsafe { main_conf(cycle) }
        && let Some(zone) = main.zone.ready()
    {
        // No other configuration is in force: the whole edge ends, or is started anew by its
        // master, which takes what it needs.
        if let Some(edge) = main.edge()
            && edge.is_latest()
        {
            permits::leave(&edge);
        }
        link::stop();
        zone.release_refresh();
    }
}

static MODULE_CTX: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(Module::preconfiguration),
    postconfiguration: Some(Module::postconfiguration),
    create_main_conf: Some(Module::create_main_conf),
    init_main_conf: Some(Module::init_main_conf),
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(Module::create_loc_conf),
    merge_loc_conf: Some(merge_location),
};

/// The module as nginx sees it.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static mut ngx_http_seckill_module: ngx_module_t = ngx_module_t {
    ctx: ptr::addr_of!(MODULE_CTX) as *mut c_void,
    // SAFETY: only the address is taken.
    commands: unsafe { &raw mut directives::COMMANDS[0] },
    type_: NGX_HTTP_MODULE as usize,
    init_module: Some(init_module),
    init_process: Some(init_process),
    exit_process: Some(exit_process),
    ..ngx_module_t::default()
};

/// The table that nginx reads from a dynamic module.
#[cfg(feature = "export-modules")]
#[allow(missing_docs)]
mod export {
    use super::ngx_http_seckill_module;

    ngx::ngx_modules!(ngx_http_seckill_module);
}
