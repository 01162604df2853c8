//! The bans and revoked sessions that this edge has mirrored, and how complete they are.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use seckill_core::Verdict;
use seckill_core::shared::bans::{Bans, Index, Standing};
use seckill_core::signing::revocation::Marks;

use super::Zone;

/// The state of the mirror, in shared memory. Zero bytes are its first state.
#[derive(Default)]
#[repr(C)]
pub(crate) struct BanList {
    /// Entries and filter of the table.
    index: Index,
    /// Number of the last pass over the list in Redis.
    generation: AtomicU64,
    /// 1 once a pass has ended.
    was_read: AtomicU64,
    /// Bans of the last pass for which the table had no room.
    unmirrored: AtomicU64,
    /// Invalid entries of the last pass, and of the changes since.
    skipped: AtomicU64,
}

impl BanList {
    /// Entries in the table.
    pub(crate) fn entries(&self) -> u64 {
        self.index.entries()
    }

    /// Revoked sessions in the table, a buyer whose are all revoked counted as one.
    pub(crate) fn revoked(&self) -> u64 {
        self.index.sessions()
    }

    /// Bans and revoked sessions for which the table had no room.
    pub(crate) fn unmirrored(&self) -> u64 {
        self.unmirrored.load(Ordering::Acquire)
    }

    /// Entries that are no valid bans.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Whether a pass has ended.
    pub(crate) fn was_read(&self) -> bool {
        self.was_read.load(Ordering::Acquire) != 0
    }

    /// Begins a pass: its number.
    pub(crate) fn next_generation(&self) -> u32 {
        (self.generation.fetch_add(1, Ordering::AcqRel) + 1) as u32
    }

    /// The number of the last pass.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire) as u32
    }

    /// Sets the number of bans without room. While it is above zero, a buyer whom the
    /// filter cannot clear is refused.
    pub(crate) fn set_unmirrored(&self, count: u64) {
        self.unmirrored.store(count, Ordering::Release);
    }

    /// Sets the number of entries that are no valid bans.
    pub(crate) fn set_skipped(&self, count: u64) {
        self.skipped.store(count, Ordering::Relaxed);
    }

    /// Records that a pass has ended: the bans are known.
    pub(crate) fn set_read(&self) {
        self.was_read.store(1, Ordering::Release);
    }
}

impl Zone {
    /// The table of bans.
    pub(crate) fn bans(&self) -> Bans<'static> {
        let sets = self.sets(self.shared.bans);
        Bans::new(sets, &self.shared.ban_list.index, self.seed())
    }

    /// The state of the mirror.
    pub(crate) fn ban_list(&self) -> &'static BanList {
        &self.shared.ban_list
    }
}

/// Refuses a verified session or token of this user's that is revoked.
///
/// # Errors
/// [`Verdict::LoginRequired`] if it is. [`Verdict::Unavailable`] where that is not known,
/// as in [`check`].
pub(crate) fn check_session(
    zone: &Zone,
    user: &str,
    marks: impl FnOnce() -> Marks,
    now_ms: u64,
) -> Result<(), Verdict> {
    let list = zone.ban_list();
    if !list.was_read() {
        return Err(Verdict::Unavailable);
    }
    match zone.bans().standing_of_session(user, marks, now_ms) {
        Standing::Clear => Ok(()),
        Standing::Unclear if list.unmirrored() == 0 => Ok(()),
        Standing::Unclear => Err(Verdict::Unavailable),
        Standing::Banned => Err(Verdict::LoginRequired),
    }
}

/// Refuses a verified buyer who is banned, or comes from a banned address.
///
/// # Errors
/// [`Verdict::Blocked`] for a ban. [`Verdict::Unavailable`] where it is not known
/// whether there is one: before the bans were first read and, while the zone has no
/// room for all of them, for a buyer whom the table's filter cannot clear.
pub(crate) fn check(
    zone: &Zone,
    user: &str,
    address: Option<IpAddr>,
    now_ms: u64,
) -> Result<(), Verdict> {
    let list = zone.ban_list();
    if !list.was_read() {
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
