//! The zone's layout, and the handle through which workers use it.

use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use seckill_core::gate::directive::{RateLimit, Scope};
use seckill_core::permits::tally::{self, TALLIES, Tallies};
use seckill_core::rate::bucket::{Rate, Take};
use seckill_core::rate::census::Change;
use seckill_core::rate::places::{self, Bucket, Place};
use seckill_core::redis::outage::Logged;
use seckill_core::shared::passes;
use seckill_core::shared::products::{self, Products, Slot};
use seckill_core::shared::seen::{self, Counts, Seen};
use seckill_core::shared::siphash::Seed;
use seckill_core::shared::winners::{self, Winners};
use seckill_core::shared::{Set, ZonePlan};

use super::bans::BanList;
use super::counters::Counters;
use crate::{clock, random};

/// How long an edge itself refuses a buyer's second click, in seconds: as long as
/// the page keeps its button disabled (course §076). After that the stock script
/// decides, as it would have anyway.
const SEEN_LIFE_S: u64 = 30;
/// Most `seckill_rate` directives in one configuration.
pub(crate) const MAX_BUCKETS: usize = 16;
/// Places for buckets: for those of the configuration before, too.
const PLACES: usize = 2 * MAX_BUCKETS;
/// Changes with every change of the layout: after a reload with a newer module, a
/// zone of the old layout is refused rather than misread.
const LAYOUT: u64 = 0x5ec_c111_001c;
/// Bytes of the longest name of an edge.
const NODE_BYTES: usize = 48;

/// A place for the bucket of a `seckill_rate`. Only the master writes what is beside the
/// bucket, once for each configuration.
#[repr(C)]
pub(super) struct BucketPlace {
    /// See [`Rate::take`].
    pub(super) word: AtomicU64,
    /// The limit's rate and burst, and whether it is the site's.
    limit: [AtomicU64; 3],
    /// The last configuration that used it.
    last: AtomicU64,
}

impl BucketPlace {
    fn place(&self) -> Place<[u64; 3]> {
        Place {
            limit: self.limit.each_ref().map(|it| it.load(Ordering::Relaxed)),
            last: self.last.load(Ordering::Relaxed),
        }
    }
}

/// A limit as its place records it.
fn recorded(limit: &RateLimit) -> [u64; 3] {
    let is_of_site = limit.scope == Scope::Site;
    [limit.per_second, limit.burst, u64::from(is_of_site)]
}

#[repr(C)]
pub(super) struct Shared {
    layout: u64,
    /// Offsets from here and lengths of the tables.
    products: (usize, usize),
    seen: (usize, usize),
    winners: (usize, usize),
    pub(super) bans: (usize, usize),
    pub(super) passes: (usize, usize),
    /// Size of the whole zone.
    bytes: usize,
    /// Keys the hashes of the tables, so that nobody can craft collisions.
    seed: [u64; 2],
    /// Random; part of every lease id and of the edge's line among the living ones, so
    /// that no two edges are taken for one, and no lease for that of an earlier zone.
    identity: u64,
    /// The edge's name in its lease ids: that of the first configuration, since leases
    /// outlive a reload with another `seckill_node`. Zero bytes behind it, or before.
    lease_node: [AtomicU8; NODE_BYTES],
    /// The identity of the edge that ran here before and is known to have died, until its
    /// leases have ended; else 0.
    predecessor: AtomicU64,
    /// Counts the configurations that used this zone: a worker that leaves although none
    /// came after its own leaves because the edge ends.
    configurations: AtomicU64,
    /// The worker that refreshes: [`seckill_core::shared::refresher::Claim`].
    pub(super) refresher: AtomicU64,
    /// Whether the catalogue was ever read.
    has_catalogue: AtomicU64,
    /// Living edges, as last read.
    pub(super) edges: AtomicU64,
    /// When this edge sent its last heartbeat, monotonic ms; 0 for never.
    pub(super) heartbeat_ms: AtomicU64,
    /// How far the stream of buyers who may buy again was read: ms and number.
    pub(super) regrabs: [AtomicU64; 2],
    /// Whether Redis is away, and when that was logged: [`Logged`].
    outage: AtomicU64,
    /// Names the Redis of the configuration in force; 0 before the first worker.
    source: AtomicU64,
    /// Other living edges that claim this one's name.
    namesakes: AtomicU64,
    /// How often Sentinels were seen to name another master.
    switches: AtomicU64,
    pub(super) buckets: [BucketPlace; PLACES],
    /// What became of the permits of the latest leases.
    tallies: [tally::Place; TALLIES],
    counters: Counters,
    seen_counts: Counts,
    pub(super) ban_list: BanList,
    pub(super) pass_counts: passes::Counts,
    winners_state: winners::State,
}

impl Shared {
    /// Lays out a fresh zone of `bytes` bytes.
    ///
    /// # Safety
    /// `this` is all-zero memory, as large as the plan says.
    pub(super) unsafe fn fill(this: *mut Self, bytes: usize, plan: &ZonePlan) {
        // SAFETY: by this function's contract; all-zero memory is the first state of
        // every atomic in it.
        let this = unsafe { &mut *this };
        this.layout = LAYOUT;
        this.products = (plan.products.offset, plan.products.count);
        this.seen = (plan.seen.offset, plan.seen.count);
        this.winners = (plan.winners.offset, plan.winners.count);
        this.bans = (plan.bans.offset, plan.bans.count);
        this.passes = (plan.passes.offset, plan.passes.count);
        this.bytes = bytes;
        this.seed = [random::word(), random::word()];
        this.identity = random::word();
    }
}

/// A handle to the zone. Cheap to copy; valid for the life of the worker.
#[derive(Clone)]
pub(crate) struct Zone {
    pub(super) shared: &'static Shared,
    slots: &'static [Slot],
    sets: &'static [Set],
    /// Names the Redis of this worker's configuration.
    source: u64,
}

impl Zone {
    /// The zone in a piece of memory that was laid out; `None` if another version of
    /// the module did that.
    ///
    /// # Safety
    /// `shared` was filled by [`Shared::fill`] of some version of the module.
    pub(super) unsafe fn new(shared: &'static Shared) -> Option<Self> {
        if shared.layout != LAYOUT {
            return None;
        }
        // SAFETY: the tables begin and end where the plan says, within the same
        // allocation; both are made of atomics.
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
            source: 0,
        })
    }

    /// The catalogue.
    pub(crate) fn products(&self) -> Products<'static> {
        Products::new(self.slots)
    }

    /// Buyers who were admitted lately.
    pub(crate) fn seen(&self) -> Seen<'static> {
        Seen::new(self.sets, &self.shared.seen_counts, SEEN_LIFE_S)
    }

    /// Who may be among the winners, at whichever edge.
    pub(crate) fn winners(&self) -> Winners<'static> {
        Winners::new(self.sets(self.shared.winners), &self.shared.winners_state)
    }

    /// Counts of that table.
    pub(crate) fn seen_counts(&self) -> &'static Counts {
        &self.shared.seen_counts
    }

    /// Products that the catalogue's table is made for.
    pub(crate) fn room_for_products(&self) -> u64 {
        products::holds(self.slots.len()) as u64
    }

    /// Entries that each table is made for.
    pub(crate) fn room(&self) -> [(&'static str, u64); 2] {
        [
            ("products", products::holds(self.slots.len()) as u64),
            ("seen", seen::holds(self.sets.len()) as u64),
        ]
    }

    /// The table of `count` sets at offset `at`.
    pub(super) fn sets(&self, (at, count): (usize, usize)) -> &'static [Set] {
        // SAFETY: as in `new`: where the plan says, within the same allocation.
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

    /// The counters.
    pub(crate) fn counters(&self) -> &'static Counters {
        &self.shared.counters
    }

    /// What became of the permits of the latest leases.
    pub(crate) fn tallies(&self) -> Tallies<'static> {
        Tallies::new(&self.shared.tallies)
    }

    /// What distinguishes this edge from all others, whatever they are called: unique to
    /// this running nginx, and kept over its reloads, as the leases in the zone are.
    pub(crate) fn identity(&self) -> u64 {
        self.shared.identity
    }

    /// The edge's name in its lease ids: `node` if this is the first configuration of the
    /// zone, else what that one said. To be called in the master before anywhere else.
    pub(crate) fn lease_node(&self, node: &str) -> String {
        let kept = &self.shared.lease_node;
        if kept[0].load(Ordering::Relaxed) == 0 {
            for (place, byte) in kept.iter().zip(node.bytes()) {
                place.store(byte, Ordering::Relaxed);
            }
        }
        let bytes = kept.iter().map(|place| place.load(Ordering::Relaxed));
        bytes
            .take_while(|byte| *byte != 0)
            .map(char::from)
            .collect()
    }

    /// The identity of the edge that ran here before and is known to have died, if its
    /// leases may be on record.
    pub(crate) fn predecessor(&self) -> Option<u64> {
        let identity = self.shared.predecessor.load(Ordering::Relaxed);
        (identity != 0).then_some(identity)
    }

    /// Records it; 0 when its leases have ended.
    pub(crate) fn set_predecessor(&self, identity: u64) {
        self.shared.predecessor.store(identity, Ordering::Relaxed);
    }

    /// Counts a configuration that uses this zone.
    pub(crate) fn count_configuration(&self) {
        self.shared.configurations.fetch_add(1, Ordering::Relaxed);
    }

    /// How many configurations have used this zone.
    pub(crate) fn configurations(&self) -> u64 {
        self.shared.configurations.load(Ordering::Relaxed)
    }

    /// This handle for a worker whose configuration names this Redis.
    pub(crate) fn of_source(mut self, source: u64) -> Self {
        self.source = source;
        self
    }

    /// Whether this worker's Redis is that of the configuration in force. A worker that
    /// is leaving after a reload may have another one, and must no longer write what it
    /// reads there into the zone.
    pub(crate) fn is_current(&self) -> bool {
        self.shared.source.load(Ordering::Relaxed) == self.source
    }

    /// Puts this worker's Redis in force; whether there was another one before.
    pub(crate) fn adopt_source(&self) -> bool {
        let before = self.shared.source.swap(self.source, Ordering::Relaxed);
        before != 0 && before != self.source
    }

    /// Other living edges that claim this one's name.
    pub(crate) fn namesakes(&self) -> &AtomicU64 {
        &self.shared.namesakes
    }

    /// Whether the catalogue was ever read: before that, a product that is not found
    /// may exist.
    pub(crate) fn has_catalogue(&self) -> bool {
        self.shared.has_catalogue.load(Ordering::Acquire) != 0
    }

    /// Records that the catalogue was read.
    pub(crate) fn set_has_catalogue(&self) {
        self.shared.has_catalogue.store(1, Ordering::Release);
    }

    /// Whether catalogue and bans were read: before that nobody can be admitted.
    pub(crate) fn is_ready(&self) -> bool {
        self.has_catalogue() && self.ban_list().was_read()
    }

    /// Whether a change of Redis's state is to be logged by this worker now; then it
    /// counts as logged. See [`Logged::next`].
    pub(crate) fn log_outage(&self, away: bool) -> bool {
        let word = self.shared.outage.load(Ordering::Relaxed);
        let Some(next) = Logged(word).next(away, clock::monotonic_ms()) else {
            return false;
        };
        let (old, new) = (Ordering::Relaxed, Ordering::Relaxed);
        let outage = &self.shared.outage;
        outage.compare_exchange(word, next.0, old, new).is_ok()
    }

    /// Whether Redis was away when its state was logged last.
    pub(crate) fn is_outage(&self) -> bool {
        Logged(self.shared.outage.load(Ordering::Relaxed)).is_away()
    }

    /// How often Sentinels were seen to name another master.
    pub(crate) fn switches(&self) -> u64 {
        self.shared.switches.load(Ordering::Relaxed)
    }

    /// Counts one such change, so that every worker connects anew.
    pub(crate) fn count_switch(&self) {
        self.shared.switches.fetch_add(1, Ordering::Relaxed);
    }

    /// Finds the places of these limits' buckets for the configuration that was counted
    /// last. To be called in the master, once for each.
    pub(crate) fn place_buckets(&self, limits: &[RateLimit]) -> Vec<usize> {
        let buckets = &self.shared.buckets;
        let recorded: Vec<_> = limits.iter().map(recorded).collect();
        let before = buckets.each_ref().map(BucketPlace::place);
        let assigned = places::assign(&before, &recorded);
        for ((at, bucket), (limit, record)) in assigned.iter().zip(limits.iter().zip(recorded)) {
            let (place, now_ns) = (&buckets[*at], clock::monotonic_ns());
            let rate = limit.share(self.edges());
            match bucket {
                Bucket::Kept => {}
                Bucket::Full => place.word.store(0, Ordering::Relaxed),
                Bucket::Empty => {
                    let empty = rate.apply(0, now_ns, Change::Drain);
                    place.word.store(empty, Ordering::Relaxed);
                }
            }
            for (place, word) in place.limit.iter().zip(record) {
                place.store(word, Ordering::Relaxed);
            }
            place.last.store(self.configurations(), Ordering::Relaxed);
        }
        assigned.into_iter().map(|(at, _)| at).collect()
    }

    /// Takes a token from the bucket at this place; whether there was one.
    pub(crate) fn take_token(&self, place: usize, rate: Rate, now_ns: u64) -> bool {
        let bucket = &self.shared.buckets[place].word;
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

    /// Tokens in the bucket at this place.
    pub(crate) fn bucket_level(&self, place: usize, rate: Rate) -> u64 {
        rate.level(
            self.shared.buckets[place].word.load(Ordering::Relaxed),
            clock::monotonic_ns(),
        )
    }
}
