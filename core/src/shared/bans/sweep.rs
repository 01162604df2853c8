//! Removing what Redis no longer names.

use std::sync::atomic::Ordering;

use super::super::filter::Number;
use super::Bans;
use super::entry::{GENERATION_MASK, Value};
use crate::shared::sets;

/// A sweep in parts, so that a worker can serve requests in between: a million
/// bans take some 40 ms as a whole (`make bench-core`). Between the parts, bans may be put and removed.
#[derive(Debug)]
pub struct Sweep {
    generation: u32,
    number: Number,
    next: usize,
    entries_before: u64,
    sessions_kept: u64,
    result: Swept,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Bans that were removed: not confirmed, or expired.
    pub removed: u64,
    /// Bans that are left.
    pub kept: u64,
}

impl Bans<'_> {
    /// Removes every ban that was not confirmed in `generation`, and those that
    /// have expired at `now_s`. Only one worker may write at a time.
    pub fn sweep(&self, generation: u32, now_s: u64) -> Swept {
        let mut sweep = self.begin_sweep(generation);
        loop {
            if let Some(swept) = self.sweep_part(&mut sweep, usize::MAX, now_s) {
                return swept;
            }
        }
    }

    /// Begins a sweep in parts. One that was begun before, by whichever worker,
    /// ends with its next part and removes no more: its generation is over.
    #[must_use = "nothing is removed before its first part"]
    pub fn begin_sweep(&self, generation: u32) -> Sweep {
        let number = self.index.turn.begin();
        self.index.seen_by_sweep.clear();
        self.filter.clear_spare(number);
        Sweep {
            generation: generation & GENERATION_MASK,
            number,
            next: 0,
            entries_before: self.index.entries(),
            sessions_kept: 0,
            result: Swept::default(),
        }
    }

    /// Goes on for `count` sets, of eight slots each; `Some` at the end.
    pub fn sweep_part(&self, sweep: &mut Sweep, count: usize, now_s: u64) -> Option<Swept> {
        let is_done = self.sweep_out(sweep, count, now_s);
        is_done.then(|| self.end_sweep(sweep))
    }

    /// As [`Self::sweep_part`], but does not end the sweep: whether every set was
    /// gone through. A ban that finds no room is remembered by the filters alone
    /// ([`Bans::standing_of_user`]), and what is put between this and
    /// [`Self::end_sweep`] is in the filter that the end puts into use.
    pub fn sweep_out(&self, sweep: &mut Sweep, count: usize, now_s: u64) -> bool {
        if !self.index.turn.is_last(sweep.number) {
            return true;
        }
        for slot in sets::run(self.sets, sweep.next, count) {
            let tag = slot.tag.load(Ordering::Acquire);
            if tag == 0 {
                continue;
            }
            let value = Value::of(slot);
            match value.kind() {
                Some(kind)
                    if value.generation() == sweep.generation && !value.has_expired(now_s) =>
                {
                    self.index.seen_by_sweep.add(kind);
                    self.filter.keep(tag, sweep.number);
                    sweep.result.kept += 1;
                    sweep.sessions_kept += u64::from(kind.is_session());
                }
                _ => sweep.result.removed += u64::from(self.vacate(slot, tag)),
            }
        }
        sweep.next = sweep.next.saturating_add(count);
        sweep.next >= self.sets.len()
    }

    /// Ends a sweep whose sets were all gone through.
    pub fn end_sweep(&self, sweep: &Sweep) -> Swept {
        if !self.index.turn.finish(sweep.number) {
            // Another worker has taken over meanwhile, and sweeps again.
            return sweep.result;
        }
        // From here on, lengths of which nothing is left are not looked for.
        self.index.in_use.copy_from(&self.index.seen_by_sweep);
        let undisturbed = sweep.entries_before.wrapping_sub(sweep.result.removed);
        if self.index.entries() == undisturbed {
            let kept = sweep.result.kept;
            self.index.entries.store(kept, Ordering::Relaxed);
            let sessions = sweep.sessions_kept;
            self.index.sessions.store(sessions, Ordering::Relaxed);
        }
        sweep.result
    }
}
