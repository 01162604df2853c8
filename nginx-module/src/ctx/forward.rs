//! The headers that the module itself sets for the back end.

use std::ptr;

use ngx::ffi::{ngx_list_push, ngx_str_t, ngx_table_elt_t};

use super::request::{Request, bytes};
use super::upstream::elements;

/// In place of a header that a client sent twice, and that only the module may set.
const IGNORED: &str = "x-seckill-ignored";

impl Request<'_> {
    /// Sets headers for the back end, given in lower case with their values, in place of
    /// those that the client sent. False if memory is short.
    pub(crate) fn forward<const N: usize>(&self, headers: &[(&'static str, &str); N]) -> bool {
        let raw = self.as_ptr();
        // SAFETY: the request is alive, and its list holds elements of this type. Elements
        // are changed in place, since other parts of nginx hold their addresses.
        unsafe {
            let list = &raw mut (*raw).headers_in.headers;
            let mut is_set = [false; N];
            for element in elements(&*list) {
                let key = bytes((*element).key);
                let own = headers
                    .iter()
                    .position(|(name, _)| is_read_as(key, name.as_bytes()));
                let Some(index) = own else { continue };
                let (name, value) = match std::mem::replace(&mut is_set[index], true) {
                    false => headers[index],
                    true => (IGNORED, ""),
                };
                self.write(element, name, value);
            }
            for ((name, value), is_set) in headers.iter().zip(is_set) {
                if is_set {
                    continue;
                }
                let element = ngx_list_push(list).cast::<ngx_table_elt_t>();
                if element.is_null() {
                    return false;
                }
                ptr::write_bytes(element, 0, 1);
                self.write(element, name, value);
            }
        }
        true
    }

    /// # Safety
    /// The element is one of the request's.
    unsafe fn write(&self, element: *mut ngx_table_elt_t, name: &'static str, value: &str) {
        let constant = ngx_str_t {
            len: name.len(),
            data: name.as_ptr().cast_mut(),
        };
        // SAFETY: by this function's contract; nginx only reads names, and the value is
        // copied into the request's pool.
        unsafe {
            (*element).hash = hash(name);
            (*element).key = constant;
            (*element).lowcase_key = constant.data;
            (*element).value = ngx_str_t::from_str((*self.as_ptr()).pool, value);
        }
    }
}

/// Whether a back end may take the client's header for the one of this name, in lower case:
/// one that gets headers as variables (FastCGI, uwsgi, SCGI) knows none of its punctuation.
fn is_read_as(key: &[u8], name: &[u8]) -> bool {
    let is_same = |(key, name): (&u8, &u8)| match name {
        b'-' => !key.is_ascii_alphanumeric(),
        _ => key.eq_ignore_ascii_case(name),
    };
    key.len() == name.len() && key.iter().zip(name).all(is_same)
}

/// nginx's hash of a header's name, by which `proxy_set_header` finds it.
fn hash(name: &str) -> usize {
    name.bytes().fold(0_usize, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(usize::from(byte))
    })
}
