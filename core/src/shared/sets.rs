//! Sets of eight slots, of which `super::seen`, `super::bans` and `super::passes` are
//! made.
//!
//! A slot is a *tag*, the 64-bit hash of the key, and a *value*. Eight tags fill
//! one cache line and their values the next, so that a search without a hit,
//! the usual case, touches nothing but tags. Each key may lie in two sets and is
//! put into the emptier one: filling 11 of 16 slots that way leaves less than
//! one key in ten million without a place (two choices, Azar et al. 1994; the
//! figures here come from the differential equation of the fluid limit), where
//! a single choice would turn away one in thirty.

use std::sync::atomic::{AtomicU64, Ordering};

/// Slots in a set.
pub const WAYS: usize = 8;

/// Eight slots: two cache lines. Zero bytes: all empty.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Set {
    tags: [AtomicU64; WAYS],
    values: [AtomicU64; WAYS],
}

/// One slot of a set.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    /// Hash of the key that lies here; 0: none.
    pub(super) tag: &'a AtomicU64,
    /// What the table knows of that key.
    pub(super) value: &'a AtomicU64,
}

impl Slot<'_> {
    /// Puts `tag` in the place of `old`; false if another worker was faster.
    pub(super) fn claim(&self, old: u64, tag: u64) -> bool {
        self.tag
            .compare_exchange(old, tag, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

impl Set {
    fn slots(&self) -> impl Iterator<Item = Slot<'_>> {
        let slots = self.tags.iter().zip(&self.values);
        slots.map(|(tag, value)| Slot { tag, value })
    }

    /// One bit for each slot that bears `tag`.
    #[inline]
    fn hits(&self, tag: u64) -> u32 {
        let mut hits = 0;
        for (index, own) in self.tags.iter().enumerate() {
            hits |= u32::from(own.load(Ordering::Acquire) == tag) << index;
        }
        hits
    }

    fn slot(&self, index: usize) -> Slot<'_> {
        Slot {
            tag: &self.tags[index],
            value: &self.values[index],
        }
    }

    /// Empties it, whatever it was used for.
    pub(super) fn clear(&self) {
        for word in self.tags.iter().chain(&self.values) {
            word.store(0, Ordering::Relaxed);
        }
    }

    fn vacant(&self) -> usize {
        let tags = self.tags.iter();
        tags.filter(|tag| tag.load(Ordering::Relaxed) == 0).count()
    }
}

/// A hash that may be a tag: not zero.
pub(super) fn tag_of(hash: u64) -> u64 {
    hash.max(1)
}

/// `hash`, of 32 bits, scaled to `0..n`.
fn scale(hash: u64, n: usize) -> usize {
    (((hash & 0xffff_ffff) * n as u64) >> 32) as usize
}

/// The two sets in which `tag` may lie: the same one twice only if there are no
/// two, `None` if there is none.
#[inline]
fn pair(sets: &[Set], tag: u64) -> Option<[&Set; 2]> {
    let first = scale(tag >> 32, sets.len());
    let step = 1 + scale(tag, sets.len().saturating_sub(1));
    let second = first + step;
    let second = second.checked_sub(sets.len()).unwrap_or(second);
    Some([sets.get(first)?, sets.get(second)?])
}

/// These sets, each once.
pub(super) fn choices(sets: &[Set], tag: u64) -> impl Iterator<Item = &Set> {
    let chosen = pair(sets, tag);
    let distinct = chosen.map_or(0, |[first, second]| {
        1 + usize::from(!std::ptr::eq(first, second))
    });
    chosen.into_iter().flatten().take(distinct)
}

/// One word of sets that are used as plain memory, chosen by the lower half of `tag`.
pub(super) fn word(sets: &[Set], tag: u64) -> Option<&AtomicU64> {
    let index = scale(tag, sets.len() * 2 * WAYS);
    let set = sets.get(index / (2 * WAYS))?;
    let half = if (index / WAYS).is_multiple_of(2) {
        &set.tags
    } else {
        &set.values
    };
    half.get(index % WAYS)
}

/// The slots that bear `tag`. More than one if two workers wrote at once.
///
/// All sixteen tags are compared without a branch between: both cache lines are
/// on their way at once, and there is nothing to mispredict.
#[inline]
pub(super) fn matching(sets: &[Set], tag: u64) -> impl Iterator<Item = Slot<'_>> {
    let chosen = pair(sets, tag);
    let mut hits = chosen.map_or(0, |[first, second]| {
        let second_hits = if std::ptr::eq(first, second) {
            0
        } else {
            second.hits(tag)
        };
        first.hits(tag) | second_hits << WAYS
    });
    std::iter::from_fn(move || {
        let [first, second] = chosen.filter(|_| hits != 0)?;
        let index = hits.trailing_zeros() as usize;
        hits &= hits - 1;
        let set = if index < WAYS { first } else { second };
        Some(set.slot(index % WAYS))
    })
}

/// Every slot in which `tag` may lie.
pub(super) fn candidates(sets: &[Set], tag: u64) -> impl Iterator<Item = Slot<'_>> {
    choices(sets, tag).flat_map(Set::slots)
}

/// An empty slot for `tag`, in the emptier of its two sets.
pub(super) fn vacancy(sets: &[Set], tag: u64) -> Option<Slot<'_>> {
    // Of two equal ones max_by_key takes the last, which is as good.
    let set = choices(sets, tag).max_by_key(|set| set.vacant())?;
    set.slots()
        .find(|slot| slot.tag.load(Ordering::Relaxed) == 0)
}

/// The slots of the sets from `from` on, `count` sets of them.
pub(super) fn run(sets: &[Set], from: usize, count: usize) -> impl Iterator<Item = Slot<'_>> {
    sets.iter().skip(from).take(count).flat_map(Set::slots)
}

/// Empty sets, as freshly mapped memory holds them.
#[cfg(test)]
pub(super) fn zeroed(count: usize) -> Vec<Set> {
    (0..count).map(|_| Set::default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_fills_two_cache_lines() {
        assert_eq!((size_of::<Set>(), align_of::<Set>()), (128, 64));
    }

    #[test]
    fn every_tag_has_two_different_sets_if_there_are_two() {
        for count in [2, 3, 8, 1_000] {
            let sets = zeroed(count);
            for tag in (0..2_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
                let chosen: Vec<_> = choices(&sets, tag).map(std::ptr::from_ref).collect();
                assert_eq!(chosen.len(), 2);
                assert_ne!(chosen[0], chosen[1]);
            }
            for tag in [1, u64::MAX, u64::MAX << 32, 0xffff_ffff] {
                assert_eq!(choices(&sets, tag).count(), 2);
            }
        }
        assert_eq!(choices(&zeroed(1), u64::MAX).count(), 1);
        assert_eq!(choices(&[], 7).count(), 0);
    }
}
