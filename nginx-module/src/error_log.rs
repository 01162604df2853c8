//! nginx's error log.

use std::cell::RefCell;
use std::collections::HashMap;

use ngx::ffi::{
    NGX_LOG_DEBUG, NGX_LOG_NOTICE, NGX_LOG_WARN, ngx_conf_log_error, ngx_conf_t, ngx_cycle,
    ngx_uint_t,
};
use ngx::ngx_log_error;

use crate::clock;

/// Shortest time between two equal lines of [`warn_rarely`], in ms.
const RARELY_MS: u64 = 10_000;
/// Most lines that are remembered for that.
const MOST_REMEMBERED: usize = 1_000;

thread_local! {
    /// When a line was written last, and how often it was left out since.
    static WRITTEN: RefCell<HashMap<String, (u64, u64)>> = RefCell::default();
}

/// Writes a warning that may be due with every request: an equal one is written again
/// after ten seconds, with how many there were meanwhile.
pub(crate) fn warn_rarely(text: &str) {
    let now_ms = clock::monotonic_ms();
    let left_out = WRITTEN.with_borrow_mut(|written| {
        if written.len() >= MOST_REMEMBERED {
            written.retain(|_, (at_ms, _)| now_ms - *at_ms < RARELY_MS);
        }
        match written.get_mut(text) {
            Some((at_ms, left_out)) if now_ms - *at_ms < RARELY_MS => {
                *left_out += 1;
                None
            }
            Some(line) => Some(std::mem::replace(line, (now_ms, 0)).1),
            None => {
                written.insert(text.to_owned(), (now_ms, 0));
                Some(0)
            }
        }
    });
    match left_out {
        Some(0) => warn(text),
        Some(n) => warn(&format!("{text} ({n} more times since)")),
        None => {}
    }
}

/// Writes a warning about the configuration being read, with file and line where nginx
/// knows them.
///
/// # Safety
/// `cf` is the configuration being read.
pub(crate) unsafe fn warn_at(cf: *mut ngx_conf_t, text: &str) {
    // SAFETY: by this function's contract; the format takes a text with its length.
    unsafe {
        ngx_conf_log_error(
            NGX_LOG_WARN as ngx_uint_t,
            cf,
            0,
            c"%*s".as_ptr(),
            text.len(),
            text.as_ptr(),
        );
    }
}

/// Writes a warning.
pub(crate) fn warn(text: &str) {
    write(NGX_LOG_WARN, text);
}

/// Writes a notice.
pub(crate) fn notice(text: &str) {
    write(NGX_LOG_NOTICE, text);
}

/// Writes a line for whoever looks for a cause, at a level that is off in production.
pub(crate) fn debug(text: &str) {
    write(NGX_LOG_DEBUG, text);
}

fn write(level: u32, text: &str) {
    // SAFETY: the cycle's log lives as long as the worker.
    let log = unsafe { (*ngx_cycle).log };
    ngx_log_error!(level, log, "seckill: {}", text);
}
