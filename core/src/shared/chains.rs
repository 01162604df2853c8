//! Housekeeping of an open-addressing table: which vacated slots may be empty
//! again.
//!
//! A search walks from a key's home to the first slot that was never used. A
//! slot that is vacated must therefore stay "used" as long as a key that lies
//! behind it is reached through it. Without clearing the others, every slot
//! would sooner or later have been used, and a search for a product that does
//! not exist would walk the whole table.

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occupancy {
    /// Nothing, and it ends every search.
    Empty,
    /// Nothing any more, but searches go on behind it.
    Vacated,
    /// A key whose search starts at `home`.
    Held {
        /// Index of its first slot.
        home: usize,
    },
}

/// Calls `clear` for every vacated slot that no key is reached through.
///
/// Walks backwards, twice round, with the smallest home of all keys behind: a
/// slot before that home is passed by no search. Takes two steps a slot.
pub(super) fn clear_vacated(
    count: usize,
    occupancy: impl Fn(usize) -> Occupancy,
    clear: impl Fn(usize),
) {
    let mut reached_from = usize::MAX;
    for position in (0..2 * count).rev() {
        let index = position % count;
        match occupancy(index) {
            Occupancy::Held { home } => {
                let displaced = (index + count - home) % count;
                reached_from = reached_from.min(position.saturating_sub(displaced));
            }
            Occupancy::Vacated if position < count && position < reached_from => clear(index),
            Occupancy::Vacated | Occupancy::Empty => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the definition: a vacated slot is kept exactly if it lies
        /// between some key's home and its place.
        #[test]
        fn clears_exactly_what_no_key_is_reached_through(
            slots in prop::collection::vec((0..3_u8, 0..8_usize), 1..40),
        ) {
            let count = slots.len();
            let held: Vec<_> = slots
                .iter()
                .enumerate()
                .map(|(index, (kind, displaced))| match kind {
                    0 => Occupancy::Empty,
                    1 => Occupancy::Vacated,
                    _ => Occupancy::Held { home: (index + count - displaced % count) % count },
                })
                .collect();
            let on_the_way = |slot: usize| {
                held.iter().enumerate().any(|(place, other)| match other {
                    Occupancy::Held { home } => {
                        (slot + count - home) % count < (place + count - home) % count
                    }
                    _ => false,
                })
            };
            let wanted: Vec<_> = (0..count)
                .filter(|&slot| held[slot] == Occupancy::Vacated && !on_the_way(slot))
                .collect();
            let cleared = RefCell::new(Vec::new());
            clear_vacated(count, |index| held[index], |index| cleared.borrow_mut().push(index));
            let mut cleared = cleared.into_inner();
            cleared.sort_unstable();
            prop_assert_eq!(cleared, wanted);
        }
    }
}
