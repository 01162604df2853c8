//! The catalogue in shared memory: an open-addressing table that one worker
//! writes and all read, without locks.
//!
//! Each slot is guarded by a sequence number (a seqlock): odd while it is being
//! written. A reader that meets an odd or a changed number reads again.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use seckill_core::catalogue::Entry;
use seckill_core::hand::Hand;
use seckill_core::ids::MAX_ID;
use seckill_core::window::Window;

/// Words that hold `round::product`: two ids and the separator, zero padded.
const KEY_WORDS: usize = (2 * MAX_ID + 2).div_ceil(8);

type Key = [u64; KEY_WORDS];

/// In place of a count that cannot be read.
const UNKNOWN: u64 = u64::MAX;

/// One product's line.
#[repr(C)]
pub(crate) struct Slot {
    sequence: AtomicU64,
    /// 0: never used, and the end of every search.
    hash: AtomicU64,
    key: [AtomicU64; KEY_WORDS],
    /// 1 while the product is in the catalogue.
    listed: AtomicU64,
    opens_ms: AtomicU64,
    ends_ms: AtomicU64,
    limit: AtomicU64,
    per_buyer: AtomicU64,
    /// Permits out at all edges, as last heard. Not under the sequence number:
    /// it changes with every answer of Redis.
    granted: AtomicU64,
    /// Permits that this edge holds.
    hand: Hand,
}

/// A product as found in the table.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    /// Its line in the catalogue, as far as the edge needs it.
    pub(crate) entry: Entry,
    slot: &'a Slot,
}

impl<'a> Found<'a> {
    /// Names the slot for as long as the zone lives.
    pub(crate) fn id(&self) -> usize {
        std::ptr::from_ref(self.slot).addr()
    }

    /// Permits that this edge holds for it.
    pub(crate) fn hand(&self) -> &'a Hand {
        &self.slot.hand
    }

    /// Permits out at all edges, as Redis last said.
    pub(crate) fn granted(&self) -> u64 {
        self.slot.granted.load(Ordering::Relaxed)
    }

    /// Whether Redis last said that it has no permit left.
    pub(crate) fn is_granted_out(&self) -> bool {
        self.granted() >= self.entry.limit
    }

    /// Whether nobody can be let pass now: Redis has no permit left and neither
    /// has this edge, nor is one on its way here.
    pub(crate) fn is_exhausted(&self, now_ms: u64) -> bool {
        self.is_granted_out() && self.hand().left(now_ms) == 0 && !self.hand().in_flight(now_ms)
    }

    /// Records what Redis said: permits out, and of how many.
    pub(crate) fn set_granted(&self, granted: u64, limit: u64) {
        self.slot.limit.store(limit, Ordering::Relaxed);
        self.slot.granted.store(granted, Ordering::Relaxed);
    }

    /// Records how many permits are out; `None` if the counter in Redis is no
    /// count, so that nobody may pass until it is mended.
    pub(crate) fn set_counted(&self, granted: Option<u64>) {
        self.slot
            .granted
            .store(granted.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Whether the counter in Redis is no count.
    pub(crate) fn is_unknown(&self) -> bool {
        self.granted() == UNKNOWN
    }
}

/// A view of the table.
#[derive(Clone, Copy)]
pub(crate) struct Products<'a> {
    slots: &'a [Slot],
}

fn key_of(round: &str, product: &str) -> Option<Key> {
    let mut bytes = [0u8; KEY_WORDS * 8];
    let length = round.len() + 2 + product.len();
    if length > bytes.len() {
        return None;
    }
    bytes[..round.len()].copy_from_slice(round.as_bytes());
    bytes[round.len()..round.len() + 2].copy_from_slice(b"::");
    bytes[round.len() + 2..length].copy_from_slice(product.as_bytes());
    let mut key = [0; KEY_WORDS];
    for (word, chunk) in key.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = chunk
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    Some(key)
}

fn hash_of(key: &Key) -> u64 {
    let mixed = key.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |hash, word| {
        (hash ^ word)
            .wrapping_mul(0xff51_afd7_ed55_8ccd)
            .rotate_left(31)
    });
    (mixed ^ mixed >> 29).max(1)
}

impl<'a> Products<'a> {
    /// Over slots whose number is a power of two.
    pub(crate) fn new(slots: &'a [Slot]) -> Self {
        Self { slots }
    }

    fn probe(&self, hash: u64) -> impl Iterator<Item = &'a Slot> + use<'a> {
        let (slots, mask) = (self.slots, self.slots.len() - 1);
        (0..slots.len()).map(move |step| &slots[(hash as usize + step) & mask])
    }

    /// Looks a product up.
    pub(crate) fn find(&self, round: &str, product: &str) -> Option<Found<'a>> {
        let key = key_of(round, product)?;
        let hash = hash_of(&key);
        for slot in self.probe(hash) {
            match slot.hash.load(Ordering::Acquire) {
                0 => return None,
                other if other == hash => {
                    if let Some(entry) = slot.read(&key) {
                        return Some(Found { entry, slot });
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Writes a product's line; false if the table is full. Only one worker may
    /// write at a time.
    pub(crate) fn put(&self, round: &str, product: &str, entry: &Entry) -> bool {
        let Some(key) = key_of(round, product) else {
            return false;
        };
        let hash = hash_of(&key);
        let mut vacant = None;
        for slot in self.probe(hash) {
            let other = slot.hash.load(Ordering::Relaxed);
            if other == hash && slot.holds(&key) {
                slot.write(hash, &key, Some(entry));
                return true;
            }
            if other == 0 || slot.listed.load(Ordering::Relaxed) == 0 {
                vacant = vacant.or(Some(slot));
            }
            if other == 0 {
                break;
            }
        }
        let Some(slot) = vacant else { return false };
        slot.granted.store(0, Ordering::Relaxed);
        slot.write(hash, &key, Some(entry));
        true
    }

    /// Takes every product out for which `keep` says no. The slots stay in
    /// their chains, to be used again.
    pub(crate) fn retain(&self, keep: impl Fn(&str) -> bool) {
        for slot in self.slots {
            if slot.listed.load(Ordering::Relaxed) != 0 {
                let key = slot.key_words();
                if !keep(&text_of(&key)) {
                    slot.write(slot.hash.load(Ordering::Relaxed), &key, None);
                }
            }
        }
    }
}

fn text_of(key: &Key) -> String {
    let bytes: Vec<u8> = key.iter().flat_map(|word| word.to_le_bytes()).collect();
    String::from_utf8_lossy(&bytes)
        .trim_end_matches('\0')
        .to_owned()
}

impl Slot {
    fn key_words(&self) -> Key {
        std::array::from_fn(|index| self.key[index].load(Ordering::Relaxed))
    }

    fn holds(&self, key: &Key) -> bool {
        self.key
            .iter()
            .zip(key)
            .all(|(a, b)| a.load(Ordering::Relaxed) == *b)
    }

    fn read(&self, key: &Key) -> Option<Entry> {
        // A writer needs well under a microsecond. One that was killed half way
        // leaves the number odd until the next refresh, a second later; until
        // then the product is not found rather than half read.
        for _ in 0..1_000 {
            let before = self.sequence.load(Ordering::Acquire);
            if before % 2 == 1 {
                std::hint::spin_loop();
                continue;
            }
            let listed = self.holds(key) && self.listed.load(Ordering::Relaxed) != 0;
            let entry = Entry {
                window: Window {
                    opens_ms: self.opens_ms.load(Ordering::Relaxed),
                    ends_ms: self.ends_ms.load(Ordering::Relaxed),
                },
                limit: self.limit.load(Ordering::Relaxed),
                per_buyer: self.per_buyer.load(Ordering::Relaxed) as u32,
                // The edge knows nothing of segments and prices.
                segments: 0,
                price_cents: 0,
            };
            fence(Ordering::Acquire);
            if self.sequence.load(Ordering::Relaxed) == before {
                return listed.then_some(entry);
            }
        }
        None
    }

    fn write(&self, hash: u64, key: &Key, entry: Option<&Entry>) {
        let odd = self.sequence.load(Ordering::Relaxed) | 1;
        self.sequence.store(odd, Ordering::Relaxed);
        fence(Ordering::Release);
        for (to, from) in self.key.iter().zip(key) {
            to.store(*from, Ordering::Relaxed);
        }
        self.listed
            .store(u64::from(entry.is_some()), Ordering::Relaxed);
        if let Some(entry) = entry {
            self.opens_ms
                .store(entry.window.opens_ms, Ordering::Relaxed);
            self.ends_ms.store(entry.window.ends_ms, Ordering::Relaxed);
            self.limit.store(entry.limit, Ordering::Relaxed);
            self.per_buyer
                .store(u64::from(entry.per_buyer), Ordering::Relaxed);
        }
        self.sequence.store(odd + 1, Ordering::Release);
        // Last: a reader that meets the hash meets a finished slot.
        self.hash.store(hash, Ordering::Release);
    }
}
