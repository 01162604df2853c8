//! The zones of `seckill_rate key=…`: each a table of buckets by key, in shared memory
//! of its own.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;

use ngx::ffi::{
    NGX_ERROR, NGX_LOG_EMERG, NGX_OK, ngx_conf_t, ngx_int_t, ngx_shared_memory_add, ngx_shm_zone_t,
    ngx_slab_calloc, ngx_slab_pool_t, ngx_str_t, ngx_uint_t,
};
use ngx::ngx_log_error;
use seckill_core::gate::directive::RateLimit;
use seckill_core::shared::limits::{Limit, LimitSet, Limits};
use seckill_core::shared::siphash::Seed;
use seckill_core::shared::usable;

use super::counters::Counter;
use crate::random;

/// Changes with every change of the layout.
const LAYOUT: u64 = 0x5ec_c112_0001;
/// Smallest zone.
const LEAST_BYTES: usize = 256 << 10;

/// What lies at the beginning of such a zone.
#[repr(C, align(128))]
struct Header {
    layout: u64,
    sets: usize,
    seed: [u64; 2],
    counts: LimitCounts,
}

/// Requests by outcome.
#[repr(C)]
#[derive(Default)]
pub(crate) struct LimitCounts {
    /// Requests that passed.
    pub(crate) passed: Counter,
    /// Requests that were refused.
    pub(crate) refused: Counter,
    /// Requests decided by this edge's part of the rate because Redis was away.
    pub(crate) alone: Counter,
}

/// A zone, and the limit that all directives which name it share.
pub(crate) struct LimitZone {
    /// Its name.
    pub(crate) name: String,
    /// The limit of each key.
    pub(crate) limit: RateLimit,
    /// Index of the variable with the key.
    pub(crate) key: ngx_uint_t,
    header: Cell<Option<&'static Header>>,
}

impl LimitZone {
    /// Declares the zone to nginx, which maps it when the whole configuration was read.
    ///
    /// # Errors
    /// A sentence that names the zone.
    ///
    /// # Safety
    /// `cf` is the configuration being read, `tag` the module's own address.
    pub(crate) unsafe fn declare(
        cf: *mut ngx_conf_t,
        tag: *mut c_void,
        (name, bytes): (&str, usize),
        limit: RateLimit,
        key: ngx_uint_t,
    ) -> Result<Rc<Self>, String> {
        if bytes < LEAST_BYTES {
            return Err(format!(
                "zone \"{name}\" of {bytes} bytes is too small; make it at least {}k. 1m holds 35,000 keys",
                LEAST_BYTES >> 10
            ));
        }
        let zone = Rc::new(Self {
            name: name.to_owned(),
            limit,
            key,
            header: Cell::new(None),
        });
        // SAFETY: by this function's contract. The name is copied into the pool, and
        // it stays at its address as long as the configuration lives.
        unsafe {
            let mut shown = ngx_str_t::from_str((*cf).pool, name);
            let Some(declared) = ngx_shared_memory_add(cf, &mut shown, bytes, tag).as_mut() else {
                return Err(format!(
                    "zone \"{name}\" cannot be declared; is the name taken by another zone?"
                ));
            };
            if declared.init.is_some() {
                return Err(format!("zone \"{name}\" is the name of another zone"));
            }
            declared.init = Some(init);
            declared.data = Rc::as_ptr(&zone).cast_mut().cast();
        }
        Ok(zone)
    }

    /// The hash and the entry of a key; `None` before the zone is mapped.
    pub(crate) fn entry(&self, key: &[u8]) -> Option<(u64, Limit<'static>)> {
        let header = self.header.get()?;
        // SAFETY: the sets lie behind the header in the same allocation.
        let sets = unsafe {
            let first = ptr::from_ref(header).add(1).cast::<LimitSet>();
            std::slice::from_raw_parts(first, header.sets)
        };
        let hash = Seed::new(header.seed).hash_bytes(0, key);
        Some((hash, Limits::new(sets).entry(hash)?))
    }

    /// The counts; `None` before the zone is mapped.
    pub(crate) fn counts(&self) -> Option<&'static LimitCounts> {
        self.header.get().map(|header| &header.counts)
    }
}

/// nginx calls this in the master, with the zone mapped, before any worker starts.
extern "C" fn init(zone: *mut ngx_shm_zone_t, old_data: *mut c_void) -> ngx_int_t {
    // SAFETY: as for the other zone (`mapping::init`): the memory begins with nginx's
    // slab pool, whose `data` is ours alone; the zone's own `data` is the LimitZone.
    unsafe {
        let pool = (*zone).shm.addr.cast::<ngx_slab_pool_t>();
        let is_kept = !old_data.is_null() || (*zone).shm.exists != 0;
        if !is_kept {
            let room = usable((*zone).shm.size);
            let sets = room.saturating_sub(size_of::<Header>()) / size_of::<LimitSet>();
            let bytes = size_of::<Header>() + sets * size_of::<LimitSet>();
            let header = ngx_slab_calloc(pool, bytes).cast::<Header>();
            if let Some(header) = header.as_mut() {
                header.layout = LAYOUT;
                header.sets = sets;
                header.seed = [random::word(), random::word()];
                (*pool).data = ptr::from_mut(header).cast();
            }
        }
        let header = (*pool).data.cast::<Header>().as_ref();
        let Some(header) = header.filter(|header| header.layout == LAYOUT) else {
            let log = (*zone).shm.log;
            let name = String::from_utf8_lossy((*zone).shm.name.as_bytes()).into_owned();
            ngx_log_error!(
                NGX_LOG_EMERG,
                log,
                "seckill_rate: zone \"{}\" has no room, or was laid out by another version of the module; make it larger, or restart nginx instead of reloading",
                name
            );
            return NGX_ERROR as ngx_int_t;
        };
        let this = (*zone).data.cast::<LimitZone>();
        (*this).header.set(Some(header));
    }
    NGX_OK as ngx_int_t
}
