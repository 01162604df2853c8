//! The flash-sale gate as a dynamic module for nginx.
//!
//! The modules stand in the order of their layers: each may use those above it in
//! this list, never those below; `make check` holds the order. Every layer may name
//! this file's `ngx_http_seckill_module`, by which nginx knows the module. Raw
//! pointers stay in `rt`, `net`, `state`, `ctx`, in the setters of `directives` and
//! in the getter of `variables`; the handlers and all rules are safe code.

/// The clocks: wall time and monotonic time, read from the system. Uses nothing.
mod clock;

/// Random bytes for nonces and hash seeds. Uses nothing.
mod random;

/// Lines in nginx's error log, for what happens outside a request. Uses nothing.
mod error_log;

/// The worker's executor: tasks, timers and time limits on nginx's event loop.
/// Knows nothing of the module's work.
mod rt;

/// Sockets: resolved addresses, and a byte stream over an nginx connection. Knows
/// no protocol.
mod net;

/// The memory that the workers share: the zone's tables, counters and buckets. Holds no
/// configuration and does no I/O.
mod state;

/// The configuration as types, with the zone it named. No directive is read here.
mod conf;

/// The door to nginx's request: reading it, parking it, responding. Decides
/// nothing.
mod ctx;

/// The worker's connection to Redis, and the supervisor that keeps it up. Work on a
/// connection is passed in; no key of the sale is known here.
mod link;

/// Permits: leases taken from Redis and returned, and the queue of parked requests.
mod permits;

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

use std::ffi::c_void;
use std::ptr;

use ngx::ffi::{
    NGX_ERROR, NGX_HTTP_MODULE, NGX_LOG_EMERG, NGX_OK, NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER,
    ngx_array_push, ngx_conf_t, ngx_cycle_t, ngx_http_handler_pt, ngx_http_module_t,
    ngx_http_phases_NGX_HTTP_ACCESS_PHASE, ngx_http_phases_NGX_HTTP_LOG_PHASE, ngx_http_request_t,
    ngx_int_t, ngx_module_t, ngx_process,
};
use ngx::http::{HttpModule, HttpModuleLocationConf, HttpModuleMainConf, NgxHttpCoreModule};
use ngx::ngx_log_error;

use crate::conf::{LocConf, MainConf};

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

/// Checks that the configuration is complete, requests the zone, and puts the gate and
/// the log handler into their phases.
///
/// # Safety
/// `cf` is the configuration that was read.
unsafe fn complete(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: by this function's contract.
    unsafe {
        let Some(main) = Module::main_conf_mut(&*cf) else {
            return NGX_ERROR as ngx_int_t;
        };
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
        let tag = (&raw mut ngx_http_seckill_module).cast();
        if let Err(why) = main.zone.request(cf, tag) {
            let log = (*cf).log;
            ngx_log_error!(NGX_LOG_EMERG, log, "seckill_zone {}", why);
            return NGX_ERROR as ngx_int_t;
        }
        let Some(core) = NgxHttpCoreModule::main_conf_mut(&*cf) else {
            return NGX_ERROR as ngx_int_t;
        };
        let phases: [(
            u32,
            unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t,
        ); 2] = [
            (ngx_http_phases_NGX_HTTP_ACCESS_PHASE, phases::gate::entry),
            (ngx_http_phases_NGX_HTTP_LOG_PHASE, phases::log::entry),
        ];
        for (phase, entry) in phases {
            let handlers = &mut core.phases[phase as usize].handlers;
            let handler: *mut ngx_http_handler_pt = ngx_array_push(handlers).cast();
            if handler.is_null() {
                return NGX_ERROR as ngx_int_t;
            }
            *handler = Some(entry);
        }
    }
    NGX_OK as ngx_int_t
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

unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx calls this with the worker's cycle.
    if let Some(main) = unsafe { main_conf(cycle) }
        && let Some(redis) = &main.redis
        && let Some(edge) = main.edge()
    {
        link::start(redis.clone(), move |link| refresh::run(link, edge.clone()));
    }
    NGX_OK as ngx_int_t
}

unsafe extern "C" fn exit_process(cycle: *mut ngx_cycle_t) {
    // SAFETY: nginx calls this with the worker's cycle.
    if let Some(main) = unsafe { main_conf(cycle) }
        && let Some(zone) = main.zone.ready()
    {
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
    merge_loc_conf: Some(Module::merge_loc_conf),
};

/// The module as nginx sees it.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static mut ngx_http_seckill_module: ngx_module_t = ngx_module_t {
    ctx: ptr::addr_of!(MODULE_CTX) as *mut c_void,
    // SAFETY: only the address is taken.
    commands: unsafe { &raw mut directives::COMMANDS[0] },
    type_: NGX_HTTP_MODULE as usize,
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
