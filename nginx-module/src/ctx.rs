//! The module's context of a request, and the only access to nginx's own request
//! structure: the phases see [`Request`], never a pointer.

mod forward;
pub(crate) mod park;
pub(crate) mod request;
pub(crate) mod respond;
pub(crate) mod upstream;

use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};
use std::rc::Rc;

use ngx::ffi::{ngx_http_request_t, ngx_pool_cleanup_add, ngx_str_t};
use seckill_core::Verdict;
use seckill_core::permits::lease::Spent;
use seckill_core::permits::outcome::Outcome;
use seckill_core::shared::seen::Answer;

use self::park::Parked;
use self::request::Request;
use crate::ngx_http_seckill_module;
use crate::state::{ClaimedPass, SeenClick};

/// The gate's decision about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// None yet.
    Undecided,
    /// This edge has just started: the request waits for the catalogue and the bans, and
    /// nothing of it is verified yet.
    Starting,
    /// The request waits for Redis.
    Waiting,
    /// It may pass.
    Admitted,
    /// It is refused.
    Refused(Verdict),
}

/// The decision of a limit by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limiting {
    /// None yet.
    Undecided,
    /// The request waits for Redis.
    Waiting,
    /// Redis has granted a token.
    Granted,
    /// Redis is away: this edge decides by its own part of the rate.
    Alone,
    /// It may pass, and so may the operator's page in place of a refusal: no other limit
    /// counts the request again.
    Passed,
    /// It is to be refused; ms until there is a token.
    Refused(u64),
}

/// Back ends that a request was sent to before another one, which certainly bought nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cleared {
    /// Servers to which a connection was made.
    pub(crate) connected: usize,
    /// Status of the last one's own response; 0 if there was none.
    pub(crate) status: u16,
}

/// Kept in the request's pool, so that the variables can still be logged after
/// the request itself is over.
pub(crate) struct Ctx {
    /// The gate's decision.
    pub(crate) decision: Cell<Decision>,
    /// The verified buyer; empty before.
    pub(crate) user: Cell<ngx_str_t>,
    /// The round of the purchase.
    pub(crate) round: Cell<ngx_str_t>,
    /// The product of the purchase.
    pub(crate) product: Cell<ngx_str_t>,
    /// The request's id: the client's, or nginx's own.
    pub(crate) request: Cell<ngx_str_t>,
    /// The captcha pass that was verified; empty where none is required.
    pub(crate) captcha: Cell<ngx_str_t>,
    /// The request's place in the order of arrival at this edge, from 1.
    pub(crate) arrival: Cell<u64>,
    /// Number of permits that the request waits for.
    pub(crate) quantity: Cell<u32>,
    /// The click, for the table of seen buyers.
    pub(crate) click: Cell<Option<SeenClick>>,
    /// What that table knew of it.
    pub(crate) known: Cell<Answer>,
    /// The captcha pass, if this request was the first to claim it.
    pub(crate) pass: Cell<Option<ClaimedPass>>,
    /// The permit that admitted the request.
    pub(crate) permit: Cell<Option<Spent>>,
    /// Whether the headers for the back end are set.
    pub(crate) has_headers: Cell<bool>,
    /// Whether nginx came to what serves the location after the gate admitted the request.
    pub(crate) is_handed_over: Cell<bool>,
    /// The back ends that nginx tried before, and that bought nothing.
    pub(crate) cleared: Cell<Cleared>,
    /// The status of [`Request::answered`], once it is final.
    pub(crate) status: Cell<Option<u16>>,
    /// The trace's id, in two halves; zeros where none was begun.
    pub(crate) trace: Cell<[u64; 2]>,
    /// What became of the permit; it was counted if it is known.
    pub(crate) outcome: Cell<Option<Outcome>>,
    /// The handle by which a future resumes the request.
    pub(crate) parked: RefCell<Vec<Rc<Parked>>>,
    /// What `seckill_rate key=…` decided.
    pub(crate) limiting: Cell<Limiting>,
}

impl Ctx {
    /// The context of a request, made at the first call.
    ///
    /// An internal redirect (`error_page`) clears nginx's own pointer to it but
    /// keeps the pool, so that it is found there again: one click must not take
    /// two permits. `None` only when memory is short.
    pub(crate) fn of<'a>(request: &Request<'a>) -> Option<&'a Self> {
        if let Some(ctx) = Self::find(request) {
            return Some(ctx);
        }
        let raw = request.as_ptr();
        // SAFETY: the request is alive. The cleanup's data is fresh memory of
        // the right size and alignment (pools align to 16 for large, to the
        // word for small blocks; Ctx holds nothing wider than a word).
        unsafe {
            let cleanup =
                NonNull::new(ngx_pool_cleanup_add((*raw).pool, size_of::<Self>()))?.as_ptr();
            let ctx = (*cleanup).data.cast::<Self>();
            ctx.write(Self::new());
            (*cleanup).handler = Some(drop_ctx);
            attach(raw, ctx);
            Some(&*ctx)
        }
    }

    /// The context of a request, if the gate has seen it.
    pub(crate) fn find<'a>(request: &Request<'a>) -> Option<&'a Self> {
        let raw = request.as_ptr();
        // SAFETY: the request is alive; the slot of our index holds what `of`
        // put there, or null.
        unsafe {
            let known = *(*raw).ctx.add(module_index());
            if let Some(ctx) = known.cast::<Self>().as_ref() {
                return Some(ctx);
            }
            if (*raw).internal() == 0 {
                return None;
            }
            let mut cleanup = (*(*raw).pool).cleanup;
            while let Some(entry) = cleanup.as_ref() {
                if entry
                    .handler
                    .is_some_and(|handler| ptr::fn_addr_eq(handler, drop_ctx as Handler))
                {
                    attach(raw, entry.data.cast());
                    return Some(&*entry.data.cast::<Self>());
                }
                cleanup = entry.next;
            }
        }
        None
    }

    /// Records buyer, round and product, for the variables. The texts live in the
    /// request's own buffers, as long as the context.
    pub(crate) fn remember(&self, user: &str, round: &str, product: &str) {
        self.user.set(string(user));
        self.round.set(string(round));
        self.product.set(string(product));
    }

    /// Records the request's id, for the back end. It lives as long as the context, as above.
    pub(crate) fn remember_request(&self, request: &str) {
        self.request.set(string(request));
    }

    /// The same for its captcha pass.
    pub(crate) fn remember_pass(&self, captcha: &str) {
        self.captcha.set(string(captcha));
    }

    /// The recorded round and product; empty before.
    pub(crate) fn item(&self) -> (&str, &str) {
        (Self::text(&self.round), Self::text(&self.product))
    }

    /// The text that was recorded in one of these fields; empty before.
    pub(crate) fn text(cell: &Cell<ngx_str_t>) -> &str {
        // SAFETY: `remember` and its like stored text that lives as long as the context.
        unsafe { std::str::from_utf8_unchecked(request::bytes(cell.get())) }
    }

    fn new() -> Self {
        Self {
            decision: Cell::new(Decision::Undecided),
            user: Cell::new(ngx_str_t::default()),
            round: Cell::new(ngx_str_t::default()),
            product: Cell::new(ngx_str_t::default()),
            request: Cell::new(ngx_str_t::default()),
            captcha: Cell::new(ngx_str_t::default()),
            arrival: Cell::new(0),
            quantity: Cell::new(0),
            click: Cell::new(None),
            known: Cell::new(Answer::Unseen),
            pass: Cell::new(None),
            permit: Cell::new(None),
            has_headers: Cell::new(false),
            is_handed_over: Cell::new(false),
            cleared: Cell::default(),
            status: Cell::new(None),
            trace: Cell::new([0, 0]),
            outcome: Cell::new(None),
            parked: RefCell::default(),
            limiting: Cell::new(Limiting::Undecided),
        }
    }
}

fn string(text: &str) -> ngx_str_t {
    ngx_str_t {
        len: text.len(),
        data: text.as_ptr().cast_mut(),
    }
}

type Handler = unsafe extern "C" fn(*mut std::ffi::c_void);

fn module_index() -> usize {
    // SAFETY: nginx writes the index once, before any request.
    unsafe { ngx_http_seckill_module.ctx_index }
}

/// # Safety
/// The request is alive and `ctx` lives in its pool.
unsafe fn attach(raw: *mut ngx_http_request_t, ctx: *mut Ctx) {
    // SAFETY: by this function's contract.
    unsafe { *(*raw).ctx.add(module_index()) = ctx.cast() };
}

/// Runs when the pool goes, after the access log was written.
unsafe extern "C" fn drop_ctx(data: *mut std::ffi::c_void) {
    // SAFETY: written by `of`, dropped only here.
    unsafe { ptr::drop_in_place(data.cast::<Ctx>()) };
}
