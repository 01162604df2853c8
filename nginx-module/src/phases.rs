//! The handlers: thin code over the rules of `seckill_core`.

pub(crate) mod gate;
pub(crate) mod hand_over;
pub(crate) mod limit;
pub(crate) mod log;
pub(crate) mod path;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod time;

/// Wraps `fn(&Request) -> ngx_int_t` as a handler for nginx.
macro_rules! handler {
    ($name:ident, $inner:path) => {
        /// Entry point for nginx.
        pub(crate) unsafe extern "C" fn $name(
            raw: *mut ngx::ffi::ngx_http_request_t,
        ) -> ngx::ffi::ngx_int_t {
            // SAFETY: nginx calls handlers with a living request.
            let request = unsafe { $crate::ctx::request::Request::new(raw) };
            $inner(&request)
        }
    };
}
pub(crate) use handler;
