//! What nginx knows of an admitted request's way to the back end.

use ngx::ffi::{ngx_http_upstream_state_t, ngx_list_t, ngx_msec_t, ngx_table_elt_t};
use seckill_core::permits::outcome::{HEADER, Outcome, Way};

use super::Ctx;
use super::request::{Request, bytes};

impl Request<'_> {
    /// How far the request came, as far as nginx knows by now.
    pub(crate) fn way(&self, ctx: &Ctx) -> Way {
        // SAFETY: the request is alive, and so are its lists and arrays, which hold
        // elements of these types.
        unsafe {
            let raw = &*self.as_ptr();
            let states = match raw.upstream_states.as_ref() {
                Some(states) => states.as_slice::<ngx_http_upstream_state_t>(),
                None => &[],
            };
            // Between two locations nginx writes an element without a server.
            let is_connected = |state: &&ngx_http_upstream_state_t| {
                !state.peer.is_null() && state.connect_time != ngx_msec_t::MAX
            };
            let connected = states.iter().filter(is_connected).count();
            let mut told = outcome(&raw.headers_out.headers);
            if let Some(upstream) = raw.upstream.as_ref() {
                // An operator may hide the header from clients.
                told = told.or_else(|| outcome(&upstream.headers_in.headers));
            }
            Way {
                is_handed_over: ctx.is_handed_over.get(),
                has_upstream: !raw.upstream.is_null(),
                connected: connected.saturating_sub(ctx.cleared.get().connected),
                status: self.back_end_status(),
                told,
            }
        }
    }

    /// Status of the last back end's own response; 0 if there was none.
    fn back_end_status(&self) -> u16 {
        // SAFETY: as above.
        let upstream = unsafe { (*self.as_ptr()).upstream.as_ref() };
        upstream.map_or(0, |upstream| {
            u16::try_from(upstream.headers_in.status_n).unwrap_or(0)
        })
    }

    /// The status that tells what a back end did, whatever page is served in its place: its
    /// own, or else that of the response.
    pub(crate) fn answered(&self, ctx: &Ctx) -> u16 {
        let own = [self.back_end_status(), ctx.cleared.get().status];
        let own = own.into_iter().find(|status| *status != 0);
        own.unwrap_or_else(|| self.status())
    }

    /// Keeps the header that says what became of the permit from the client.
    pub(crate) fn hide_outcome(&self) {
        // SAFETY: as above; an element without a hash is not sent.
        unsafe {
            for element in elements(&(*self.as_ptr()).headers_out.headers) {
                if is_outcome(&*element) {
                    (*element).hash = 0;
                }
            }
        }
    }
}

/// What a list of headers says.
///
/// # Safety
/// The list is one of nginx's lists of headers, or all zero.
unsafe fn outcome(list: &ngx_list_t) -> Option<Outcome> {
    // SAFETY: by this function's contract.
    unsafe {
        elements(list)
            .find(|element| is_outcome(&**element))
            .and_then(|element| Outcome::parse(bytes((*element).value)))
    }
}

/// # Safety
/// The element's key is a string of nginx's, or empty.
unsafe fn is_outcome(element: &ngx_table_elt_t) -> bool {
    // SAFETY: by this function's contract.
    unsafe { bytes(element.key).eq_ignore_ascii_case(HEADER.as_bytes()) }
}

/// The elements of a list of headers.
///
/// # Safety
/// As for [`outcome`]; the list lives, and does not grow, as long as the iterator.
pub(super) unsafe fn elements(list: &ngx_list_t) -> impl Iterator<Item = *mut ngx_table_elt_t> {
    let mut part: *const _ = &raw const list.part;
    let mut index = 0;
    std::iter::from_fn(move || {
        // SAFETY: the parts are linked, and each holds `nelts` elements.
        unsafe {
            while let Some(here) = part.as_ref() {
                if !here.elts.is_null() && index < here.nelts {
                    index += 1;
                    return Some(here.elts.cast::<ngx_table_elt_t>().add(index - 1));
                }
                (part, index) = (here.next, 0);
            }
            None
        }
    })
}
