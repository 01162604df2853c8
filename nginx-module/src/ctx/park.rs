//! Waiting for Redis without holding the worker.
//!
//! A parked request stays in its phase. Its deadline is a timer on the
//! connection's write event (which, unlike a cancelable one, also keeps a
//! worker that is being replaced alive until the request is served). The
//! future that waits for Redis holds only [`Parked`], whose pointer nginx's
//! cleanup nulls when the request goes: a future never touches a request that
//! is gone, and it never runs phases itself; it posts the event that does.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::time::Duration;

use ngx::ffi::{
    NGX_OK, ngx_add_timer, ngx_del_timer, ngx_handle_read_event, ngx_http_block_reading,
    ngx_http_cleanup_add, ngx_http_core_run_phases, ngx_http_request_t, ngx_http_test_reading,
    ngx_int_t, ngx_post_event, ngx_posted_events,
};

use super::Ctx;
use super::request::Request;

/// A parked request, in the hands of the future that it waits for.
pub(crate) struct Parked {
    request: Cell<*mut ngx_http_request_t>,
}

/// Parks a request until [`Parked::resume`] or until `limit` has passed. `None`
/// when memory is short.
pub(crate) fn park(request: &Request<'_>, ctx: &Ctx, limit: Duration) -> Option<Rc<Parked>> {
    let raw = request.as_ptr();
    let parked = Rc::new(Parked {
        request: Cell::new(raw),
    });
    // SAFETY: the request is alive. Its cleanup handlers run before it is
    // freed, and so null the pointer in time; the data is the address of the
    // Parked that `ctx` keeps alive until the pool goes, which is later still.
    unsafe {
        let cleanup = NonNull::new(ngx_http_cleanup_add(raw, 0))?.as_ptr();
        (*cleanup).handler = Some(detach);
        (*cleanup).data = Rc::as_ptr(&parked).cast_mut().cast();
        // From here on the cleanup writes to it, whatever fails below.
        ctx.parked.borrow_mut().push(Rc::clone(&parked));

        // A client that leaves meanwhile is noticed, and one that has left already: its
        // event has come, and will not come again.
        (*raw).read_event_handler = Some(ngx_http_test_reading);
        let (read, write) = ((*(*raw).connection).read, (*(*raw).connection).write);
        if (*read).ready() != 0 {
            ngx_post_event(read, &raw mut ngx_posted_events);
        } else if ngx_handle_read_event(read, 0) != NGX_OK as ngx_int_t {
            return None;
        }
        (*write).set_delayed(1);
        ngx_add_timer(write, limit.as_millis() as _);
    }
    Some(parked)
}

unsafe extern "C" fn detach(data: *mut std::ffi::c_void) {
    // SAFETY: see `park`.
    unsafe { (*data.cast::<Parked>()).request.set(ptr::null_mut()) };
}

/// Unparks a request whose deadline has passed: a later reply from Redis does not
/// reach it.
pub(crate) fn give_up(request: &Request<'_>, ctx: &Ctx) {
    if let Some(parked) = ctx.parked.borrow().last() {
        parked.request.set(ptr::null_mut());
    }
    // SAFETY: the request is alive.
    unsafe { (*request.as_ptr()).read_event_handler = Some(ngx_http_block_reading) };
}

impl Parked {
    /// Whether the request still exists and waits.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.request.get().is_null()
    }

    /// Lets `decide` record the outcome, and has nginx continue with the request in
    /// the next turn of its event loop. Does nothing if the request is gone.
    pub(crate) fn resume(&self, decide: impl FnOnce(&Ctx)) {
        let raw = self.request.replace(ptr::null_mut());
        if raw.is_null() {
            return;
        }
        // SAFETY: the pointer is nulled before the request goes, so it is alive.
        unsafe {
            let request = Request::new(raw);
            let Some(ctx) = Ctx::find(&request) else {
                return;
            };
            decide(ctx);
            (*raw).read_event_handler = Some(ngx_http_block_reading);
            (*raw).write_event_handler = Some(ngx_http_core_run_phases);
            let write = (*(*raw).connection).write;
            (*write).set_delayed(0);
            if (*write).timer_set() != 0 {
                ngx_del_timer(write);
            }
            ngx_post_event(write, &raw mut ngx_posted_events);
        }
    }
}
