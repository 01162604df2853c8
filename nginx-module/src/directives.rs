//! The directives: setters that turn arguments into types. Which arguments are valid,
//! and the error sentences, are in `seckill_core::gate::directive`.

use std::ffi::{c_char, c_void};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::ptr;

use ngx::core::NGX_CONF_OK;
use ngx::ffi::{
    NGX_CONF_1MORE, NGX_CONF_NOARGS, NGX_CONF_TAKE1, NGX_CONF_TAKE123, NGX_HTTP_LOC_CONF,
    NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF, NGX_HTTP_MAIN_CONF_OFFSET, NGX_HTTP_SRV_CONF,
    NGX_LOG_EMERG, NGX_OK, ngx_command_t, ngx_conf_full_name, ngx_conf_log_error, ngx_conf_t,
    ngx_http_get_variable_index, ngx_int_t, ngx_str_t, ngx_uint_t,
};
use ngx::http::{HttpModuleLocationConf as _, HttpModuleMainConf as _, NgxHttpCoreModule};
use ngx::ngx_string;
use seckill_core::gate::directive;
use seckill_core::gate::directive::Fallback;
use seckill_core::signing::keyring::{Digest, Keyring};

use crate::conf::{LocConf, MainConf, Target};
use crate::net::address::SocketAddress;
use crate::{Module, phases, state};

/// The directive that is being read, for its setter.
struct Reading<'a> {
    cf: *mut ngx_conf_t,
    /// The directive's arguments, without its name.
    args: Vec<&'a str>,
}

impl Reading<'_> {
    /// Lets `change` write to the http block's configuration.
    fn with_main<T>(
        &self,
        change: impl FnOnce(&mut MainConf) -> Result<T, String>,
    ) -> Result<T, String> {
        // SAFETY: setters run one after another with a living configuration.
        let main = unsafe { Module::main_conf_mut(&*self.cf) };
        change(main.ok_or("stands outside of the http block")?)
    }

    /// Records that `directive` needs zone, Redis and keys.
    fn needs_all(&self, directive: &'static str) -> Result<(), String> {
        self.with_main(|main| {
            main.needs_all.get_or_insert(directive);
            Ok(())
        })
    }
}

/// Makes the C entry of a setter: reads the arguments, calls `inner`, and reports an
/// error sentence with directive, file and line.
macro_rules! setter {
    ($name:ident, $conf:ty, $inner:expr) => {
        unsafe extern "C" fn $name(
            cf: *mut ngx_conf_t,
            command: *mut ngx_command_t,
            conf: *mut c_void,
        ) -> *mut c_char {
            let inner: fn(&Reading<'_>, &mut $conf) -> Result<(), String> = $inner;
            // SAFETY: nginx calls a setter with its own configuration, the
            // command that was met, and the structure at the command's offset.
            unsafe {
                let result = arguments(cf)
                    .and_then(|args| inner(&Reading { cf, args }, &mut *conf.cast::<$conf>()));
                report(cf, command, result)
            }
        }
    };
}

/// # Safety
/// `cf` is the configuration being read.
unsafe fn arguments<'a>(cf: *mut ngx_conf_t) -> Result<Vec<&'a str>, String> {
    // SAFETY: by this function's contract the words are an array of ngx_str_t.
    let words = unsafe { (*(*cf).args).as_slice::<ngx_str_t>() };
    words
        .iter()
        .skip(1)
        .map(|word| {
            word.to_str()
                .map_err(|_| "arguments must be UTF-8 text".to_owned())
        })
        .collect()
}

/// # Safety
/// As for the setters.
unsafe fn report(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    result: Result<(), String>,
) -> *mut c_char {
    match result {
        Ok(()) => NGX_CONF_OK,
        Err(why) => {
            // SAFETY: by this function's contract; the format takes a name and
            // a text with its length.
            unsafe {
                ngx_conf_log_error(
                    NGX_LOG_EMERG as ngx_uint_t,
                    cf,
                    0,
                    c"%V: %*s".as_ptr(),
                    &raw mut (*command).name,
                    why.len(),
                    why.as_ptr(),
                );
            }
            ngx::core::NGX_CONF_ERROR
        }
    }
}

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
    let address = SocketAddress::resolve(&spec.address)?;
    once(&mut conf.redis, Target { spec, address })
});

setter!(cmd_keys, MainConf, |reading, conf| {
    // SAFETY: the name is copied into the pool; nginx makes it absolute there.
    let path = unsafe {
        let mut name = ngx_str_t::from_str((*reading.cf).pool, reading.args[0]);
        if ngx_conf_full_name((*reading.cf).cycle, &mut name, 1) != NGX_OK as ngx_int_t {
            return Err("memory is short".to_owned());
        }
        name.to_str().unwrap_or_default().to_owned()
    };
    let unreadable = |error| format!("file \"{path}\" cannot be read: {error}");
    let mode = fs::metadata(&path)
        .map_err(unreadable)?
        .permissions()
        .mode();
    if mode & 0o007 != 0 {
        return Err(format!(
            "file \"{path}\" is open to others; run: chmod o= {path}"
        ));
    }
    let text = fs::read_to_string(&path).map_err(unreadable)?;
    let ring = Keyring::parse(&text).map_err(|error| format!("file \"{path}\": {error}"))?;
    once(&mut conf.keyring, ring)
});

setter!(cmd_node, MainConf, |reading, conf| {
    once(&mut conf.node, directive::node(reading.args[0])?.to_owned())
});

setter!(cmd_rate, LocConf, |reading, conf| {
    let limit = directive::rate(&reading.args)?;
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
    once(&mut conf.rate, index)
});

setter!(cmd_user, LocConf, |reading, conf| {
    let name = reading.args[0]
        .strip_prefix('$')
        .filter(|name| !name.is_empty())
        .ok_or_else(|| {
            format!(
                "\"{}\" must be a variable, as in $remote_user",
                reading.args[0]
            )
        })?;
    // SAFETY: the name is copied into the configuration's pool.
    let index = unsafe {
        let mut name = ngx_str_t::from_str((*reading.cf).pool, name);
        ngx_http_get_variable_index(reading.cf, &mut name)
    };
    let index = ngx_uint_t::try_from(index).map_err(|_| "memory is short".to_owned())?;
    once(&mut conf.user, index)
});

setter!(cmd_digest, LocConf, |reading, conf| {
    let digest = match reading.args[0] {
        "hmac-sha256" => Digest::HmacSha256,
        "md5" => Digest::Md5,
        other => return Err(format!("\"{other}\" must be hmac-sha256 or md5")),
    };
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
    }
    once(&mut conf.gate, on)
});

setter!(cmd_captcha, LocConf, |reading, conf| {
    once(&mut conf.captcha, switch(reading.args[0])?)
});

/// A directive that installs a content handler in its location.
macro_rules! content {
    ($name:ident, $directive:literal, $needs:literal, $handler:path) => {
        setter!($name, LocConf, |reading, _conf| {
            // SAFETY: setters of a location run with that location's core
            // configuration in place.
            let core = unsafe { NgxHttpCoreModule::location_conf_mut(&*reading.cf) };
            let core = core.ok_or("memory is short")?;
            core.handler = Some($handler);
            if $needs {
                reading.needs_all($directive)?;
            }
            Ok(())
        });
    };
}

content!(cmd_time, "seckill_time", false, phases::time::entry);
content!(cmd_path, "seckill_path", true, phases::path::entry);
content!(cmd_state, "seckill_state", true, phases::state::entry);
content!(cmd_status, "seckill_status", true, phases::status::entry);

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
pub(crate) static mut COMMANDS: [ngx_command_t; 15] = [
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
        ANY | NGX_CONF_TAKE123,
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
