//! The directive that is being read: its arguments, and the report of what is wrong.

use std::ffi::{c_char, c_void};

use ngx::core::NGX_CONF_OK;
use ngx::ffi::{
    NGX_LOG_EMERG, ngx_command_t, ngx_conf_log_error, ngx_conf_t, ngx_http_conf_ctx_t,
    ngx_http_get_variable_index, ngx_str_t, ngx_uint_t,
};
use ngx::http::HttpModuleMainConf as _;

use crate::conf::MainConf;
use crate::{Module, error_log};

/// The directive that is being read, for its setter.
pub(super) struct Reading<'a> {
    /// The configuration being read.
    pub(super) cf: *mut ngx_conf_t,
    /// The directive's arguments, without its name.
    pub(super) args: Vec<&'a str>,
}

impl Reading<'_> {
    /// Lets `change` write to the http block's configuration.
    pub(super) fn with_main<T>(
        &self,
        change: impl FnOnce(&mut MainConf) -> Result<T, String>,
    ) -> Result<T, String> {
        // SAFETY: setters run one after another with a living configuration.
        let main = unsafe { Module::main_conf_mut(&*self.cf) };
        change(main.ok_or("stands outside of the http block")?)
    }

    /// File and line of the directive.
    pub(super) fn place(&self) -> String {
        // SAFETY: while a directive is read, nginx has a file or, for `-g`, none.
        unsafe {
            match (*self.cf).conf_file.as_ref() {
                Some(file) => {
                    let name = String::from_utf8_lossy(file.file.name.as_bytes());
                    format!("{name}:{}", file.line)
                }
                None => "the command line".to_owned(),
            }
        }
    }

    /// Names the server block in which the directive stands.
    pub(super) fn server(&self) -> *const c_void {
        // SAFETY: within the http block the context is of this type.
        unsafe {
            (*(*self.cf).ctx.cast::<ngx_http_conf_ctx_t>())
                .srv_conf
                .cast()
        }
    }

    /// The index of a variable, by its name without `$`.
    pub(super) fn variable(&self, name: &str) -> Result<ngx_uint_t, String> {
        // SAFETY: the name is copied into the configuration's pool.
        let index = unsafe {
            let mut name = ngx_str_t::from_str((*self.cf).pool, name);
            ngx_http_get_variable_index(self.cf, &mut name)
        };
        ngx_uint_t::try_from(index).map_err(|_| "memory is short".to_owned())
    }

    /// Warns about this directive.
    pub(super) fn warn(&self, text: &str) {
        // SAFETY: the configuration is being read.
        unsafe { error_log::warn_at(self.cf, text) };
    }

    /// Records that `directive` needs zone, Redis and keys.
    pub(super) fn needs_all(&self, directive: &'static str) -> Result<(), String> {
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
                let result = $crate::directives::reading::arguments(cf)
                    .and_then(|args| inner(&Reading { cf, args }, &mut *conf.cast::<$conf>()));
                $crate::directives::reading::report(cf, command, result)
            }
        }
    };
}

pub(super) use setter;

/// # Safety
/// `cf` is the configuration being read.
pub(super) unsafe fn arguments<'a>(cf: *mut ngx_conf_t) -> Result<Vec<&'a str>, String> {
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
pub(super) unsafe fn report(
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
