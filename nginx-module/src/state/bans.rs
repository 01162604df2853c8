//! Whom this edge keeps out: the mirrored bans, and how far they can be relied on.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use seckill_core::Verdict;
use seckill_core::shared::bans::{Bans, Index, Standing};

use super::Zone;

/// The list's own share of shared memory. Zero bytes are its first state.
#[derive(Default)]
#[repr(C)]
pub(crate) struct BanList {
    /// Of the table.
    index: Index,
    /// The last pass over Redis that began.
    generation: AtomicU64,
    /// Whether one ever ended.
    was_read: AtomicU64,
    /// Bans of the last pass that found no room.
    unmirrored: AtomicU64,
    /// Entries of the last pass, and changes since, that were no bans.
    skipped: AtomicU64,
}

impl BanList {
    /// Bans in the table.
    pub(crate) fn mirrored(&self) -> u64 {
        self.index.entries()
    }

    /// Bans that found no room.
    pub(crate) fn unmirrored(&self) -> u64 {
        self.unmirrored.load(Ordering::Acquire)
    }

    /// Entries that were no bans.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// The number of a new pass.
    pub(crate) fn next_generation(&self) -> u32 {
        (self.generation.fetch_add(1, Ordering::AcqRel) + 1) as u32
    }

    /// The number of the last pass.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire) as u32
    }

    /// From here on, whoever cannot be cleared has to wait.
    pub(crate) fn set_unmirrored(&self, count: u64) {
        self.unmirrored.store(count, Ordering::Release);
    }

    /// Counts entries that are no bans.
    pub(crate) fn set_skipped(&self, count: u64) {
        self.skipped.store(count, Ordering::Relaxed);
    }

    /// A pass has ended: the bans are known.
    pub(crate) fn set_read(&self) {
        self.was_read.store(1, Ordering::Release);
    }
}

impl Zone {
    /// Who is banned.
    pub(crate) fn bans(&self) -> Bans<'static> {
        let sets = self.sets(self.shared.bans);
        Bans::new(sets, &self.shared.ban_list.index, self.seed())
    }

    /// How far the bans are known.
    pub(crate) fn ban_list(&self) -> &'static BanList {
        &self.shared.ban_list
    }
}

/// Refuses a verified buyer who is banned, or comes from a banned address.
///
/// Nobody passes whose bans are not known: before they were read once, and, where
/// the zone has no room for all of them, whoever the table's filter cannot clear,
/// is told that the shop cannot answer.
pub(crate) fn check(
    zone: &Zone,
    user: &str,
    address: Option<IpAddr>,
    now_ms: u64,
) -> Result<(), Verdict> {
    let list = zone.ban_list();
    if list.was_read.load(Ordering::Acquire) == 0 {
        return Err(Verdict::Unavailable);
    }
    let (bans, now_s) = (zone.bans(), now_ms / 1_000);
    let by_user = bans.standing_of_user(user, now_s);
    let by_address = address.map_or(Standing::Clear, |address| {
        bans.standing_of_address(address, now_s)
    });
    match (by_user, by_address) {
        (Standing::Banned, _) | (_, Standing::Banned) => Err(Verdict::Blocked),
        (Standing::Clear, Standing::Clear) => Ok(()),
        _ if list.unmirrored() > 0 => Err(Verdict::Unavailable),
        _ => Ok(()),
    }
}
