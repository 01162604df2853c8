//! The zone itself: how it is laid out, made and kept over reloads.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ngx::ffi::{
    NGX_ERROR, NGX_LOG_EMERG, NGX_LOG_NOTICE, NGX_OK, kill, ngx_conf_t, ngx_int_t,
    ngx_shared_memory_add, ngx_shm_zone_t, ngx_slab_calloc, ngx_slab_pool_t, ngx_str_t,
};
use ngx::ngx_log_error;
use seckill_core::bucket::{Rate, Take};
use seckill_core::census::Change;
use seckill_core::shared::passes;
use seckill_core::shared::products::{self, Products, Slot};
use seckill_core::shared::seen::{self, Counts, Seen};
use seckill_core::shared::siphash::Seed;
use seckill_core::shared::{Plan, Set, Wanted, plan};

use super::bans::BanList;
use super::counters::Counters;
use crate::{clock, random};

/// How long an edge refuses a buyer's second click by itself, in seconds: as long
/// as the page keeps its button grey (course §076). After that the stock script
/// decides, as it would have anyway.
const SEEN_LIFE_S: u64 = 30;
/// Most `seckill_rate` directives in one configuration.
pub(crate) const MAX_BUCKETS: usize = 16;
/// Changes with every change of the layout: a zone kept over a reload by a
/// newer module is recognised and refused rather than misread.
const LAYOUT: u64 = 0x5ec_c111_0010;
/// How long a worker may refresh before another takes over, in ms.
const CLAIM_MS: u64 = 1_000;
/// Linux process ids have at most 22 bits.
const PID_BITS: u32 = 22;

#[repr(C)]
pub(super) struct Shared {
    layout: u64,
    /// Offsets from here and lengths of the tables.
    products: (usize, usize),
    seen: (usize, usize),
    pub(super) bans: (usize, usize),
    pub(super) passes: (usize, usize),
    /// Size of the whole zone.
    bytes: usize,
    /// Keys the hashes of the tables, so that nobody can craft collisions.
    seed: [u64; 2],
    /// When the zone was made; part of every lease id, so that the numbers of
    /// an earlier life of this edge are not used again.
    born_ms: u64,
    /// Tells this edge from others that were made in the same millisecond.
    maker: u64,
    /// `until_ms << PID_BITS | pid` of the worker that refreshes.
    refresher: AtomicU64,
    /// Whether the catalogue was ever read.
    has_catalogue: AtomicU64,
    /// Living edges, as last heard.
    edges: AtomicU64,
    /// When this edge last said that it is alive, monotonic ms; 0 for never.
    heartbeat_ms: AtomicU64,
    /// How far the stream of buyers who may buy again was read: ms and number.
    regrabs: [AtomicU64; 2],
    buckets: [AtomicU64; MAX_BUCKETS],
    counters: Counters,
    seen_counts: Counts,
    pub(super) ban_list: BanList,
    pub(super) pass_counts: passes::Counts,
}

/// A handle to the zone. Cheap to copy; valid for the life of the worker.
#[derive(Clone)]
pub(crate) struct Zone {
    pub(super) shared: &'static Shared,
    slots: &'static [Slot],
    sets: &'static [Set],
}

impl Zone {
    /// The zone that `add` declared, once nginx has mapped it.
    pub(crate) fn of(zone: *mut ngx_shm_zone_t) -> Option<Self> {
        // SAFETY: the pointer is null or that of a declared zone, whose data is
        // null until `init` has run and then points to the zone's Shared.
        let shared = unsafe { zone.as_ref()?.data.cast::<Shared>().as_ref()? };
        // SAFETY: `init` allocated one piece for Shared and the tables, which
        // begin and end where the plan says; both are made of atomics.
        let (slots, sets) = unsafe {
            let begin = ptr::from_ref(shared).cast::<u8>();
            let ((slots_at, slots), (sets_at, sets)) = (shared.products, shared.seen);
            (
                std::slice::from_raw_parts(begin.add(slots_at).cast::<Slot>(), slots),
                std::slice::from_raw_parts(begin.add(sets_at).cast::<Set>(), sets),
            )
        };
        Some(Self {
            shared,
            slots,
            sets,
        })
    }

    /// The catalogue.
    pub(crate) fn products(&self) -> Products<'static> {
        Products::new(self.slots)
    }

    /// Buyers who were let pass lately.
    pub(crate) fn seen(&self) -> Seen<'static> {
        Seen::new(self.sets, &self.shared.seen_counts, SEEN_LIFE_S)
    }

    /// What that table has been through.
    pub(crate) fn seen_counts(&self) -> &'static Counts {
        &self.shared.seen_counts
    }

    /// Entries that each table is made for.
    pub(crate) fn room(&self) -> [(&'static str, u64); 2] {
        [
            ("products", products::holds(self.slots.len()) as u64),
            ("seen", seen::holds(self.sets.len()) as u64),
        ]
    }

    /// A table of sets.
    pub(super) fn sets(&self, (at, count): (usize, usize)) -> &'static [Set] {
        // SAFETY: as in `of`: where the plan says, within the same allocation.
        unsafe {
            let begin = ptr::from_ref(self.shared).cast::<u8>();
            std::slice::from_raw_parts(begin.add(at).cast::<Set>(), count)
        }
    }

    /// Size of the zone in MiB, as configured.
    pub(crate) fn mib(&self) -> usize {
        self.shared.bytes >> 20
    }

    /// Keys the hashes of the tables.
    pub(crate) fn seed(&self) -> Seed {
        Seed::new(self.shared.seed)
    }

    /// What has happened.
    pub(crate) fn counters(&self) -> &'static Counters {
        &self.shared.counters
    }

    /// When the zone was made, epoch milliseconds.
    pub(crate) fn born_ms(&self) -> u64 {
        self.shared.born_ms
    }

    /// A name for this edge where the operator gave none: unique to this running
    /// nginx, and kept over its reloads, as the leases in the zone are.
    pub(crate) fn name(&self) -> String {
        format!("edge-{:x}-{:x}", self.shared.born_ms, self.shared.maker)
    }

    /// Whether the catalogue was ever read: before that nothing can be said of
    /// any product.
    pub(crate) fn has_catalogue(&self) -> bool {
        self.shared.has_catalogue.load(Ordering::Acquire) != 0
    }

    /// The catalogue has been read.
    pub(crate) fn set_has_catalogue(&self) {
        self.shared.has_catalogue.store(1, Ordering::Release);
    }

    /// Living edges, at least one.
    pub(crate) fn edges(&self) -> u64 {
        self.shared.edges.load(Ordering::Relaxed).max(1)
    }

    /// Living edges as last heard; 0 before the first time.
    pub(crate) fn edges_heard(&self) -> u64 {
        self.shared.edges.load(Ordering::Relaxed)
    }

    /// Whether it is time for a heartbeat: how many ms passed since the one
    /// before (0 for the first). Notes the time.
    pub(crate) fn heartbeat_due(&self, pause: Duration) -> Option<u64> {
        let now = clock::monotonic_ms();
        let last = self.shared.heartbeat_ms.load(Ordering::Relaxed);
        let silent_ms = if last == 0 {
            0
        } else {
            now.saturating_sub(last)
        };
        // Timers of nginx fire up to a millisecond early.
        let due_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) - 1;
        if last != 0 && silent_ms < due_ms {
            return None;
        }
        self.shared.heartbeat_ms.store(now, Ordering::Relaxed);
        Some(silent_ms)
    }

    /// Changes bucket `index` because the number of edges changed.
    pub(crate) fn apply(&self, index: usize, rate: Rate, change: Change) {
        if change == Change::None {
            return;
        }
        let (bucket, now_ns) = (&self.shared.buckets[index], clock::monotonic_ns());
        let (old, new) = (Ordering::Relaxed, Ordering::Relaxed);
        // Never fails, since the closure always has a word.
        let _ = bucket.fetch_update(old, new, |word| Some(rate.apply(word, now_ns, change)));
    }

    /// Records how many edges are alive.
    pub(crate) fn set_edges(&self, edges: u64) {
        self.shared.edges.store(edges, Ordering::Relaxed);
    }

    /// How far the stream of buyers who may buy again was read.
    pub(crate) fn regrabs_read(&self) -> (u64, u64) {
        let [ms, number] = &self.shared.regrabs;
        (ms.load(Ordering::Relaxed), number.load(Ordering::Relaxed))
    }

    /// It was read up to here. One worker at a time does so; a mixed pair, should
    /// two take turns at that instant, only skips or repeats some names.
    pub(crate) fn set_regrabs_read(&self, (ms, number): (u64, u64)) {
        self.shared.regrabs[0].store(ms, Ordering::Relaxed);
        self.shared.regrabs[1].store(number, Ordering::Relaxed);
    }

    /// Takes a token from bucket `index`; whether there was one.
    pub(crate) fn take_token(&self, index: usize, rate: Rate, now_ns: u64) -> bool {
        let bucket = &self.shared.buckets[index];
        let mut word = bucket.load(Ordering::Relaxed);
        loop {
            let Take::Granted(next) = rate.take(word, now_ns) else {
                return false;
            };
            match bucket.compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(current) => word = current,
            }
        }
    }

    /// Tokens in bucket `index`.
    pub(crate) fn bucket_level(&self, index: usize, rate: Rate) -> u64 {
        rate.level(
            self.shared.buckets[index].load(Ordering::Relaxed),
            clock::monotonic_ns(),
        )
    }

    /// Whether this worker is the one that refreshes; claims the task if nobody
    /// else holds it. To be asked again after every wait.
    pub(crate) fn claim_refresh(&self) -> bool {
        let now = clock::monotonic_ms();
        let word = self.shared.refresher.load(Ordering::Relaxed);
        let (until, holder) = (word >> PID_BITS, word & ((1 << PID_BITS) - 1));
        let me = u64::from(std::process::id());
        // A killed worker's claim does not hold: without heartbeats the other edges
        // would take this one for dead.
        if holder != me && now < until && is_process(holder) {
            return false;
        }
        let next = (now + CLAIM_MS) << PID_BITS | me;
        let (old, new) = (Ordering::Relaxed, Ordering::Relaxed);
        self.shared
            .refresher
            .compare_exchange(word, next, old, new)
            .is_ok()
    }

    /// Gives the task up, at the end of a worker.
    pub(crate) fn release_refresh(&self) {
        let word = self.shared.refresher.load(Ordering::Relaxed);
        if word & ((1 << PID_BITS) - 1) == u64::from(std::process::id()) {
            let (old, new) = (Ordering::Relaxed, Ordering::Relaxed);
            // Another worker may have taken over in this instant, which is as good.
            let _ = self.shared.refresher.compare_exchange(word, 0, old, new);
        }
    }
}

/// Whether there is a process of this id.
fn is_process(pid: u64) -> bool {
    let Ok(pid) = i32::try_from(pid) else {
        return false;
    };
    // SAFETY: signal 0 asks only; it reaches nobody.
    let asked = unsafe { kill(pid, 0) };
    asked == 0 || std::io::Error::last_os_error().kind() == std::io::ErrorKind::PermissionDenied
}

/// Declares the zone; nginx maps it after the configuration was read.
///
/// # Safety
/// `cf` is the configuration being read and `tag` the module's own address.
pub(crate) unsafe fn add(
    cf: *mut ngx_conf_t,
    name: &mut ngx_str_t,
    size: usize,
    tag: *mut c_void,
) -> *mut ngx_shm_zone_t {
    // SAFETY: by this function's contract.
    unsafe {
        let zone = ngx_shared_memory_add(cf, name, size, tag);
        if let Some(zone) = zone.as_mut() {
            zone.init = Some(init);
        }
        zone
    }
}

/// What a zone should hold.
pub(crate) fn wanted() -> Wanted {
    Wanted {
        reserved_bytes: size_of::<Shared>(),
        ..Wanted::default()
    }
}

/// How a zone of this size is divided.
///
/// # Errors
/// A sentence that says how large it must be.
pub(crate) fn divide(zone_bytes: usize) -> Result<Plan, String> {
    plan(zone_bytes, &wanted()).map_err(|error| error.to_string())
}

extern "C" fn init(zone: *mut ngx_shm_zone_t, old_data: *mut c_void) -> ngx_int_t {
    // SAFETY: nginx calls this with a mapped zone, before any worker starts.
    unsafe {
        if !old_data.is_null() {
            // A reload: the zone is kept, with all that is in it.
            return adopt(zone, old_data.cast());
        }
        let pool = (*zone).shm.addr.cast::<ngx_slab_pool_t>();
        if (*zone).shm.exists != 0 {
            return adopt(zone, (*pool).data.cast());
        }
        let plan = match divide((*zone).shm.size) {
            Ok(plan) => plan,
            Err(why) => return refuse(zone, &why),
        };
        let shared = ngx_slab_calloc(pool, plan.bytes).cast::<Shared>();
        if shared.is_null() {
            return refuse(zone, "cannot be allocated; make it larger");
        }
        // All-zero memory is the first state of every atomic in it.
        (*shared).layout = LAYOUT;
        (*shared).products = (plan.products.offset, plan.products.count);
        (*shared).seen = (plan.seen.offset, plan.seen.count);
        (*shared).bans = (plan.bans.offset, plan.bans.count);
        (*shared).passes = (plan.passes.offset, plan.passes.count);
        (*shared).bytes = (*zone).shm.size;
        (*shared).seed = [random::word(), random::word()];
        (*shared).born_ms = clock::now_ms();
        (*shared).maker = u64::from(std::process::id());
        (*pool).data = shared.cast();
        (*zone).data = shared.cast();
        if let Some(shortfall) = plan.shortfall() {
            let name = name_of(zone);
            let log = (*zone).shm.log;
            ngx_log_error!(
                NGX_LOG_NOTICE,
                log,
                "seckill_zone \"{}\": {}",
                name,
                shortfall
            );
        }
    }
    NGX_OK as ngx_int_t
}

/// # Safety
/// `zone` is a declared zone.
unsafe fn name_of(zone: *mut ngx_shm_zone_t) -> String {
    // SAFETY: by this function's contract.
    unsafe { String::from_utf8_lossy((*zone).shm.name.as_bytes()).into_owned() }
}

/// # Safety
/// `shared` is what `init` stored for this zone at an earlier time.
unsafe fn adopt(zone: *mut ngx_shm_zone_t, shared: *mut Shared) -> ngx_int_t {
    // SAFETY: by this function's contract.
    unsafe {
        if shared.is_null() || (*shared).layout != LAYOUT {
            return refuse(
                zone,
                "was laid out by another version of the module; restart nginx instead of reloading",
            );
        }
        (*zone).data = shared.cast();
    }
    NGX_OK as ngx_int_t
}

/// # Safety
/// `zone` is a declared zone.
unsafe fn refuse(zone: *mut ngx_shm_zone_t, why: &str) -> ngx_int_t {
    // SAFETY: by this function's contract.
    unsafe {
        let name = name_of(zone);
        ngx_log_error!(
            NGX_LOG_EMERG,
            (*zone).shm.log,
            "seckill_zone \"{}\" {}",
            name,
            why
        );
    }
    NGX_ERROR as ngx_int_t
}
