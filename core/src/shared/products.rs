//! The catalogue in shared memory: an open-addressing table that one worker
//! writes and all read, without locks.
//!
//! Each slot is guarded by a sequence number (a seqlock): odd while it is being
//! written. A reader that meets an odd or a changed number reads again. A slot
//! that a killed writer left half written is not found, until the next
//! `Products::put` of the same product or the next `Products::retain`; the
//! worker that takes over writes the whole catalogue, so that is a second later.
//!
//! A slot has 256 bytes. 10,000 products in 16,000 slots: 3.9 MiB, and a search
//! that finds reads 1.8 slots on average, one that does not 4.1.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

mod found;

use super::chains::{Occupancy, clear_vacated};
use crate::ids::MAX_ID;
use crate::permits::hand::Hand;
use crate::permits::standby::Standby;
use crate::permits::tally::Tallies;
use crate::sale::catalogue::Entry;
use crate::sale::halt::Halt;
use crate::sale::window::Window;

pub use found::{Counted, Found};

/// Words that hold the ids of round and product, each zero padded.
const KEY_WORDS: usize = 2 * MAX_ID / 8;

type Key = [u64; KEY_WORDS];

/// Set in place of a count of permits when all were granted and spent, and this edge knew
/// all winners; the other bits are then when it asked, monotonic ms.
const SOLD_OUT: u64 = 1 << 63;
/// In place of a count that cannot be read.
const UNKNOWN: u64 = !SOLD_OUT;

/// One product's line. Zero bytes: never used.
#[derive(Default)]
#[repr(C)]
pub struct Slot {
    sequence: AtomicU32,
    /// 0 while the product is not in the catalogue; else 1 and what an operator's stop
    /// switch says ([`Halt::to_word`]).
    listed: AtomicU32,
    /// 0: never used, and the end of every search.
    hash: AtomicU64,
    key: [AtomicU64; KEY_WORDS],
    opens_ms: AtomicU64,
    ends_ms: AtomicU64,
    limit: AtomicU64,
    per_buyer: AtomicU32,
    /// Fingerprints of its winners that this edge's filter knows, from the beginning of
    /// the list in Redis. Not under the sequence number, like what follows.
    winners: AtomicU32,
    /// Permits granted to all edges, as Redis last replied, or that the product was sold out
    /// then ([`SOLD_OUT`]): one word, so that nobody reads one reply's count with another's
    /// time. Not under the sequence number: it changes with every reply of Redis.
    granted: AtomicU64,
    /// Permits that this edge holds.
    hand: Hand,
    /// Permits that it keeps for when Redis is away.
    standby: Standby,
}

// Four cache lines, as the sizes of zones are computed and documented.
const _: () = assert!(size_of::<Slot>() == 256);

/// A view of the table.
#[derive(Clone, Copy)]
pub struct Products<'a> {
    slots: &'a [Slot],
}

fn key_of(round: &str, product: &str) -> Option<Key> {
    if round.len() > MAX_ID || product.len() > MAX_ID {
        return None;
    }
    let mut bytes = [0; 2 * MAX_ID];
    bytes[..round.len()].copy_from_slice(round.as_bytes());
    bytes[MAX_ID..MAX_ID + product.len()].copy_from_slice(product.as_bytes());
    let (words, _) = bytes.as_chunks();
    Some(std::array::from_fn(|index| {
        u64::from_le_bytes(words[index])
    }))
}

fn hash_of(key: &Key) -> u64 {
    let mixed = key.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |hash, word| {
        (hash ^ word)
            .wrapping_mul(0xff51_afd7_ed55_8ccd)
            .rotate_left(31)
    });
    (mixed ^ mixed >> 29).max(1)
}

/// The hash of a product's name, the same in every zone; `None` if there is none of that
/// name.
#[must_use]
pub fn hash(round: &str, product: &str) -> Option<u64> {
    key_of(round, product).as_ref().map(hash_of)
}

/// Bytes of a table for `entries` products: five slots in eight used.
#[must_use]
pub const fn bytes_for(entries: usize) -> usize {
    entries
        .saturating_mul(8)
        .div_ceil(5)
        .saturating_mul(size_of::<Slot>())
}

/// How many products fill a table of `slots` as far as is good for its speed.
/// It takes more, up to `slots`, and becomes slower.
#[must_use]
pub const fn holds(slots: usize) -> usize {
    slots * 5 / 8
}

/// A product's name, and its leases as pairs of number and permits left.
pub type Returns = (String, Vec<(u64, u64)>);

impl<'a> Products<'a> {
    /// Over `slots`, of any number.
    #[must_use]
    pub fn new(slots: &'a [Slot]) -> Self {
        Self { slots }
    }

    /// Index at which the search for `hash` starts: `hash` scaled to the table.
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    fn probe(&self, hash: u64) -> impl Iterator<Item = &'a Slot> + use<'a> {
        let (before, from) = self.slots.split_at(self.home(hash));
        from.iter().chain(before)
    }

    /// Looks a product up.
    #[must_use]
    pub fn find(&self, round: &str, product: &str) -> Option<Found<'a>> {
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
    #[must_use = "a product that was not written is not sold"]
    pub fn put(&self, round: &str, product: &str, entry: &Entry) -> bool {
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
            if other == 0 || slot.is_free() {
                vacant = vacant.or(Some(slot));
            }
            if other == 0 {
                break;
            }
        }
        let Some(slot) = vacant else { return false };
        slot.granted.store(0, Ordering::Relaxed);
        slot.winners.store(0, Ordering::Relaxed);
        // Permits for another product are not for this one; the back end reclaims
        // their leases.
        slot.hand.lapse(0, true);
        slot.standby.take_out(u64::MAX);
        slot.write(hash, &key, Some(entry));
        true
    }

    /// Permits that this edge holds of all products: in hand and may be spent
    /// now, and kept for when Redis is away.
    #[must_use]
    pub fn held(&self, now_ms: u64) -> (u64, u64) {
        let of = |slot: &Slot| (slot.hand.left(now_ms), slot.standby.held());
        let add = |sum: (u64, u64), one: (u64, u64)| (sum.0 + one.0, sum.1 + one.1);
        self.slots.iter().map(of).fold((0, 0), add)
    }

    /// How many products may be written: seven slots in eight, so that a search for a
    /// product that does not exist stays short.
    #[must_use]
    pub fn most(&self) -> usize {
        self.slots.len() / 8 * 7
    }

    /// Takes the permits out of the hands of the products for which `which`, given
    /// `round::product`, returns true: they are to be returned, and `latest` has their
    /// tallies. Only one worker may do so at a time.
    pub fn take_back(&self, which: impl Fn(&str) -> bool, latest: Tallies<'_>) -> Vec<Returns> {
        let listed = self.slots.iter().filter(|slot| !slot.is_free());
        listed
            .filter_map(|slot| {
                let name = name_of(&slot.key_words());
                let mut leases = Vec::new();
                if which(&name) {
                    leases = slot.hand.lapse(0, true);
                    leases.extend(slot.standby.take_out(u64::MAX));
                    slot.standby.hand_over(latest);
                }
                (!leases.is_empty()).then_some((name, leases))
            })
            .collect()
    }

    /// Forgets what Redis counted: it was another Redis. Only one worker may do so at a
    /// time.
    pub fn forget_counts(&self) {
        for slot in self.slots {
            slot.granted.store(0, Ordering::Relaxed);
        }
    }

    /// How many products are in the table.
    #[must_use]
    pub fn count(&self) -> usize {
        let listed = |slot: &&Slot| slot.listed.load(Ordering::Relaxed) != 0;
        self.slots.iter().filter(listed).count()
    }

    /// Removes every product for which `keep`, given `round::product`, returns false,
    /// and slots that a killed writer left half written. Slots that no search passes
    /// any more become empty; the others stay in their chains, to be used again. Only
    /// one worker may write at a time.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        for slot in self.slots {
            let key = slot.key_words();
            let hash = slot.hash.load(Ordering::Relaxed);
            // A writer was killed before its last store.
            let is_torn = !slot.is_whole() || hash != hash_of(&key);
            let is_listed = slot.listed.load(Ordering::Relaxed) != 0;
            if is_listed && (is_torn || !is_kept(&key, &keep)) {
                slot.write(hash, &key, None);
            }
        }
        clear_vacated(
            self.slots.len(),
            |index| self.slots[index].occupancy(|hash| self.home(hash)),
            |index| self.slots[index].hash.store(0, Ordering::Release),
        );
    }
}

fn is_kept(key: &Key, keep: impl Fn(&str) -> bool) -> bool {
    keep(&name_of(key))
}

/// The name that a key holds; empty if it is torn.
fn name_of(key: &Key) -> String {
    let bytes: Vec<u8> = key.iter().flat_map(|word| word.to_le_bytes()).collect();
    let (round, product) = bytes.split_at(MAX_ID);
    let id = |bytes| std::str::from_utf8(bytes).map(|id| id.trim_end_matches('\0'));
    match (id(round), id(product)) {
        (Ok(round), Ok(product)) => format!("{round}::{product}"),
        _ => String::new(),
    }
}

impl Slot {
    /// Whether no writer was killed here half way.
    fn is_whole(&self) -> bool {
        self.sequence.load(Ordering::Relaxed).is_multiple_of(2)
    }

    /// Whether the writer may put another product here.
    fn is_free(&self) -> bool {
        !self.is_whole() || self.listed.load(Ordering::Relaxed) == 0
    }

    fn occupancy(&self, home: impl Fn(u64) -> usize) -> Occupancy {
        match self.hash.load(Ordering::Relaxed) {
            0 => Occupancy::Empty,
            _ if self.is_free() => Occupancy::Vacated,
            hash => Occupancy::Held { home: home(hash) },
        }
    }

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
            let listed = self.listed.load(Ordering::Relaxed);
            let is_found = self.holds(key) && listed != 0;
            let entry = Entry {
                window: Window {
                    opens_ms: self.opens_ms.load(Ordering::Relaxed),
                    ends_ms: self.ends_ms.load(Ordering::Relaxed),
                },
                limit: self.limit.load(Ordering::Relaxed),
                per_buyer: self.per_buyer.load(Ordering::Relaxed),
                // The edge knows nothing of segments and prices.
                segments: 0,
                price_cents: 0,
                halt: Halt::from_word(listed.saturating_sub(1)),
                priced_ms: 0,
            };
            fence(Ordering::Acquire);
            if self.sequence.load(Ordering::Relaxed) == before {
                return is_found.then_some(entry);
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
        let listed = entry.map_or(0, |entry| 1 + Halt::to_word(entry.halt));
        self.listed.store(listed, Ordering::Relaxed);
        if let Some(entry) = entry {
            self.opens_ms
                .store(entry.window.opens_ms, Ordering::Relaxed);
            self.ends_ms.store(entry.window.ends_ms, Ordering::Relaxed);
            self.limit.store(entry.limit, Ordering::Relaxed);
            self.per_buyer.store(entry.per_buyer, Ordering::Relaxed);
        }
        self.sequence.store(odd + 1, Ordering::Release);
        // Last: a reader that meets the hash meets a finished slot.
        self.hash.store(hash, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
