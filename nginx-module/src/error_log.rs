//! nginx's error log.

use ngx::ffi::{NGX_LOG_NOTICE, NGX_LOG_WARN, ngx_cycle};
use ngx::ngx_log_error;

/// Writes a warning.
pub(crate) fn warn(text: &str) {
    write(NGX_LOG_WARN, text);
}

/// Writes a notice.
pub(crate) fn notice(text: &str) {
    write(NGX_LOG_NOTICE, text);
}

fn write(level: u32, text: &str) {
    // SAFETY: the cycle's log lives as long as the worker.
    let log = unsafe { (*ngx_cycle).log };
    ngx_log_error!(level, log, "seckill: {}", text);
}
