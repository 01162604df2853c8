//! Responses that the module itself sends.

use std::borrow::Cow;
use std::ptr;

use ngx::core::Pool;
use ngx::ffi::{
    NGX_DONE, NGX_ERROR, NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_OK, ngx_buf_t, ngx_chain_t,
    ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_http_discard_request_body,
    ngx_http_err_page_t, ngx_http_finalize_request, ngx_http_output_filter, ngx_http_request_t,
    ngx_http_send_header, ngx_int_t, ngx_list_push, ngx_str_t, ngx_table_elt_t,
};
use seckill_core::Verdict;

use super::request::Request;

/// A response.
pub(crate) struct Response {
    /// HTTP status.
    pub(crate) status: u16,
    /// Content type.
    pub(crate) content_type: &'static str,
    /// Body; a constant is sent without a copy.
    pub(crate) body: Cow<'static, str>,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after_s: Option<u32>,
}

impl Response {
    /// 200 with a JSON body.
    pub(crate) fn json(body: String) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            body: Cow::Owned(body),
            retry_after_s: None,
        }
    }
}

impl From<Verdict> for Response {
    fn from(verdict: Verdict) -> Self {
        Self {
            status: verdict.status(),
            content_type: "application/json",
            body: Cow::Borrowed(verdict.json()),
            retry_after_s: verdict.retry_after_s(),
        }
    }
}

/// Sends a response from a content handler. Returns nginx's return code.
pub(crate) fn send(request: &Request<'_>, response: Response) -> ngx_int_t {
    let raw = request.as_ptr();
    // SAFETY: the request is alive.
    unsafe {
        // A subrequest reads no body.
        if ngx_http_discard_request_body(raw) != NGX_OK as ngx_int_t {
            // What follows on the connection cannot be told from the body: it is
            // closed behind this response, which says more than nginx's own page.
            (*raw).set_keepalive(0);
        }
        write_out(raw, response)
    }
}

/// Refuses a request from the access phase, and finalizes it, so that nothing that
/// comes later can let it pass. Returns nginx's return code.
///
/// Where the operator has an `error_page` for the status, nginx serves that.
pub(crate) fn refuse(request: &Request<'_>, verdict: Verdict) -> ngx_int_t {
    refuse_with(request, verdict.into())
}

/// The same with another response.
pub(crate) fn refuse_with(request: &Request<'_>, response: Response) -> ngx_int_t {
    let raw = request.as_ptr();
    // SAFETY: the request is alive until it is finalized, which is the last step.
    unsafe {
        let rc = if has_error_page(raw, response.status) {
            response.status as ngx_int_t
        } else {
            send(request, response)
        };
        ngx_http_finalize_request(raw, rc);
    }
    NGX_DONE as ngx_int_t
}

/// # Safety
/// The request is alive.
unsafe fn has_error_page(raw: *mut ngx_http_request_t, status: u16) -> bool {
    // SAFETY: by this function's contract; the core module's configuration is
    // at its index, and its error pages are an array of ngx_http_err_page_t.
    unsafe {
        let index = ngx_http_core_module.ctx_index;
        let core = *(*raw)
            .loc_conf
            .add(index)
            .cast::<*mut ngx_http_core_loc_conf_t>();
        // nginx marks an array that was never set with all ones.
        match (*core).error_pages {
            pages if pages.is_null() || pages as isize == -1 => false,
            pages => {
                let pages = (*pages).as_slice::<ngx_http_err_page_t>();
                pages.iter().any(|page| page.status == status as ngx_int_t)
            }
        }
    }
}

/// # Safety
/// The request is alive and nothing was sent for it yet.
unsafe fn write_out(raw: *mut ngx_http_request_t, response: Response) -> ngx_int_t {
    // SAFETY: by this function's contract; what is handed to nginx is either
    // static or allocated in the request's pool.
    unsafe {
        let pool = Pool::from_ngx_pool((*raw).pool);
        let body: &[u8] = match &response.body {
            Cow::Borrowed(text) => text.as_bytes(),
            Cow::Owned(text) => {
                let copy = pool.alloc_unaligned(text.len()).cast::<u8>();
                if copy.is_null() {
                    return NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;
                }
                ptr::copy_nonoverlapping(text.as_ptr(), copy, text.len());
                std::slice::from_raw_parts(copy, text.len())
            }
        };
        let out = &mut (*raw).headers_out;
        out.status = response.status.into();
        if response.status == 425 {
            // nginx has no reason phrase for it.
            out.status_line = constant("425 Too Early");
        }
        out.content_length_n = body.len() as i64;
        out.content_type = constant(response.content_type);
        out.content_type_len = response.content_type.len();
        out.content_type_lowcase = ptr::null_mut();
        push_header(raw, "Cache-Control", constant("no-store"));
        match response.retry_after_s {
            None => {}
            Some(1) => push_header(raw, "Retry-After", constant("1")),
            Some(seconds) => {
                let text = seconds.to_string();
                push_header(raw, "Retry-After", ngx_str_t::from_str((*raw).pool, &text));
            }
        }
        let rc = ngx_http_send_header(raw);
        if rc == NGX_ERROR as ngx_int_t || rc > NGX_OK as ngx_int_t || (*raw).header_only() != 0 {
            return rc;
        }
        let buffer = pool.calloc_type::<ngx_buf_t>();
        if buffer.is_null() {
            return NGX_ERROR as ngx_int_t;
        }
        (*buffer).pos = body.as_ptr().cast_mut();
        (*buffer).last = (*buffer).pos.add(body.len());
        (*buffer).set_memory(1);
        // In a subrequest it is a part of the page, which goes on behind it.
        (*buffer).set_last_buf(u32::from(ptr::eq(raw, (*raw).main)));
        (*buffer).set_last_in_chain(1);
        let mut chain = ngx_chain_t {
            buf: buffer,
            next: ptr::null_mut(),
        };
        ngx_http_output_filter(raw, &mut chain)
    }
}

/// A constant in nginx's form; nginx only reads it.
fn constant(text: &'static str) -> ngx_str_t {
    ngx_str_t {
        len: text.len(),
        data: text.as_ptr().cast_mut(),
    }
}

/// # Safety
/// The request is alive, its header was not sent, and `value` lives as long.
unsafe fn push_header(raw: *mut ngx_http_request_t, name: &'static str, value: ngx_str_t) {
    // SAFETY: by this function's contract. A header that finds no memory is
    // left out; the response is sent without it.
    unsafe {
        let header = ngx_list_push(&mut (*raw).headers_out.headers).cast::<ngx_table_elt_t>();
        if let Some(header) = header.as_mut() {
            *header = std::mem::zeroed();
            header.hash = 1;
            header.key = constant(name);
            header.value = value;
        }
    }
}
