//! Banned addresses, networks and users, and revoked sessions, mirrored from Redis by one
//! worker while all others read. A revocation is a ban of one session or token, or, as a
//! *cut*, of all that a user was issued before an instant.
//!
//! # What an entry holds
//! 16 bytes: the 64-bit SipHash of the ban under the zone's random `Seed`, and
//! one word of expiry (epoch seconds, 32 bits), generation (24 bits) and *kind*
//! (8 bits): a user, an address family with a prefix length, a session, or a cut. A cut
//! has its instant instead of the expiry, in ms as far as 32 bits go (49 days): it is in
//! force for 30 days, so that both are known from it. A stranger is
//! refused wrongly with probability `k · n · 2⁻⁶⁴` for `n` bans and `k` look-ups:
//! with 1,000,000 bans of five lengths and 100 million different visitors,
//! 3·10⁻⁵ for one of them at any time. Nobody can raise it by choosing addresses.
//!
//! # Cost
//! One look-up for a user, and for an address one for each prefix length *in
//! use* in its family, whatever the number of bans. A look-up without a hit
//! computes one hash and, 19 times in 20, reads one word of a filter that stays in
//! the processor's cache; otherwise it reads two cache lines of the table, side by
//! side. Without any ban of a family, only the list of lengths is read.
//!
//! # Size and what happens when it is full
//! `bytes_for` gives half the slots to be used: 1,000,000 bans in 32.4 MiB. The
//! chance that one of them finds no slot is 2·10⁻¹⁶; the reserve up to some
//! 1,300,000 is for a time when old and new entries are both there. A ban that
//! finds no slot is an error (`Full`) and never drops another. The filter knows
//! it all the same: `Standing::Unclear` are all whom the filter cannot clear, so
//! that an edge that mirrors more bans than fit can keep out those who may be banned.
//!
//! # Mirroring
//! *As a whole*: choose the next generation, `Bans::put` every ban that Redis
//! names, then `Bans::sweep` with that generation, which removes what was not
//! confirmed. If a `put` failed for want of room, sweep, and go through Redis
//! once more: what was lifted has made room by then. If the pass over Redis was
//! broken off, do not sweep.
//! *Changes*: `Bans::put` with the generation of the moment, `Bans::remove`.
//!
//! A ban that is confirmed stays in force throughout: entries are never moved,
//! and an edit is one store. A writer that is killed leaves at worst a tag
//! without a value, which bans nobody and is completed by the next `put`.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

use super::filter::{self, Filter, Turn};
use super::prefix;
use super::sets::{self, Set, Slot, WAYS};
use super::siphash::Seed;
use crate::signing::revocation::{Mark, Marks};

mod ban;
mod entry;
mod kind;
/// Bans as Redis lists them.
pub mod listed;
mod sweep;

pub use ban::{BadBan, Ban};
use entry::Value;
use kind::{Kind, Kinds};
pub use sweep::{Sweep, Swept};

/// Domains of the seed: hashes for one purpose say nothing about the other's.
const ADDRESS: u64 = 0x6261_6e73_0001;
const USER: u64 = 0x6261_6e73_0002;
const SESSION: u64 = 0x6261_6e73_0003;
const CUT: u64 = 0x6261_6e73_0004;

/// What the table knows of an address or a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Certainly not banned.
    Clear,
    /// The filter cannot clear them, and no entry bans them: one in twenty of those
    /// who are not banned, if the table holds what it was made for.
    Unclear,
    /// An entry bans them.
    Banned,
}

/// The filter cannot clear somebody of whom there is no entry.
struct Unlisted;

/// A ban that found no room, and is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "no room for ban {ban}: the table holds {held} and was made for {made_for}; {needed_bytes} bytes hold {needed}, so make seckill_zone larger"
)]
pub struct Full {
    /// The ban.
    pub ban: String,
    /// Bans in the table.
    pub held: u64,
    /// Bans that it was made for.
    pub made_for: usize,
    /// Bans that a table of `needed_bytes` is made for: a quarter more than are here.
    pub needed: usize,
    /// Size of such a table, see [`bytes_for`].
    pub needed_bytes: usize,
}

/// Bytes of a table for `entries` bans: four of the eight slots of a set used,
/// and a byte for each of the two filters.
#[must_use]
pub const fn bytes_for(entries: usize) -> usize {
    let sets = entries.div_ceil(WAYS / 2);
    sets.saturating_add(filter::sets_for(sets))
        .saturating_mul(size_of::<Set>())
}

/// How many bans a table of `sets` is made for.
#[must_use]
pub const fn holds(sets: usize) -> usize {
    (sets - filter::sets_of(sets)) * (WAYS / 2)
}

/// What is known of the table as a whole. Zero bytes are its first state.
#[derive(Default)]
#[repr(C)]
pub struct Index {
    /// Kinds of which there may be entries.
    in_use: Kinds,
    /// The same as far as a sweep under way has seen.
    seen_by_sweep: Kinds,
    turn: Turn,
    entries: AtomicU64,
    /// How many of the entries are revoked sessions and cuts.
    sessions: AtomicU64,
}

impl Index {
    /// Bans in the table, expired ones too. A writer that was killed may have
    /// left it one off until the next sweep.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// How many of the entries are revoked sessions and cuts.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    fn count(&self, kind: Option<Kind>) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        if kind.is_some_and(Kind::is_session) {
            self.sessions.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn uncount(&self, kind: Option<Kind>) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        if kind.is_some_and(Kind::is_session) {
            self.sessions.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A view of the table.
#[derive(Clone, Copy)]
pub struct Bans<'a> {
    sets: &'a [Set],
    filter: Filter<'a>,
    index: &'a Index,
    seed: Seed,
}

impl<'a> Bans<'a> {
    /// Over `sets`, of any number.
    #[must_use]
    pub fn new(sets: &'a [Set], index: &'a Index, seed: Seed) -> Self {
        let (filter, sets) = sets.split_at(filter::sets_of(sets.len()));
        let filter = Filter::new(filter, &index.turn);
        Self {
            sets,
            filter,
            index,
            seed,
        }
    }

    /// Whether this address, or a network that it belongs to, is banned at `now_s`.
    #[must_use]
    pub fn contains_address(&self, address: IpAddr, now_s: u64) -> bool {
        self.standing_of_address(address, now_s) == Standing::Banned
    }

    /// The same, and whether the filter could clear them.
    #[must_use]
    pub fn standing_of_address(&self, address: IpAddr, now_s: u64) -> Standing {
        let (bits, is_v4) = prefix::bits_of(address);
        let mut standing = Standing::Clear;
        for kind in self.index.in_use.of_family(is_v4) {
            let tag = self.address_tag(kind, prefix::cut(bits, kind.length()));
            match self.standing(kind, tag, now_s) {
                Standing::Banned => return Standing::Banned,
                Standing::Unclear => standing = Standing::Unclear,
                Standing::Clear => {}
            }
        }
        standing
    }

    /// Whether this user is banned at `now_s`.
    #[must_use]
    pub fn contains_user(&self, user: &str, now_s: u64) -> bool {
        self.standing_of_user(user, now_s) == Standing::Banned
    }

    /// The same, and whether the filter could clear them.
    #[must_use]
    pub fn standing_of_user(&self, user: &str, now_s: u64) -> Standing {
        if self.index.in_use.has(Kind::USER) {
            self.standing(Kind::USER, self.user_tag(user), now_s)
        } else {
            Standing::Clear
        }
    }

    /// What is known of a session or token of this user's at `now_ms`, which has these
    /// marks; they are computed only if anything is revoked.
    #[must_use]
    pub fn standing_of_session(
        &self,
        user: &str,
        marks: impl FnOnce() -> Marks,
        now_ms: u64,
    ) -> Standing {
        let in_use = &self.index.in_use;
        let (sessions, cuts) = (in_use.has(Kind::SESSION), in_use.has(Kind::CUT));
        if !sessions && !cuts {
            return Standing::Clear;
        }
        let marks = marks();
        let mut standing = Standing::Clear;
        if sessions {
            for mark in marks.each() {
                match self.standing(Kind::SESSION, self.session_tag(mark), now_ms / 1_000) {
                    Standing::Banned => return Standing::Banned,
                    Standing::Unclear => standing = Standing::Unclear,
                    Standing::Clear => {}
                }
            }
        }
        if cuts {
            match self.cut_of(user, now_ms) {
                Ok(Some(cut_ms)) if marks.is_before(cut_ms) => return Standing::Banned,
                Ok(_) => {}
                Err(Unlisted) => standing = Standing::Unclear,
            }
        }
        standing
    }

    /// The latest cut of a user; `Err` if the filter knows of one that has no entry.
    fn cut_of(&self, user: &str, now_ms: u64) -> Result<Option<u64>, Unlisted> {
        let tag = self.cut_tag(user);
        if !self.filter.may_hold(tag) {
            return Ok(None);
        }
        let cuts = sets::matching(self.sets, tag)
            .map(Value::of)
            .filter(|value| value.kind() == Some(Kind::CUT))
            .filter_map(|value| value.cut_ms(now_ms));
        cuts.max().map(Some).ok_or(Unlisted)
    }

    /// Puts a ban that is in force until `expires_s` (`None`: for good), or confirms and edits
    /// the one that is there. Only one worker may write at a time.
    ///
    /// # Errors
    /// [`Full`]: the ban is not in force.
    pub fn put(&self, ban: Ban<'_>, expires_s: Option<u64>, generation: u32) -> Result<(), Full> {
        let (kind, tag) = self.key(ban);
        let value = match ban {
            Ban::SessionsOf { before_ms, .. } => Value::cut(before_ms, generation),
            _ => Value::new(kind, expires_s, generation),
        };
        // First: an entry that is not looked for would ban nobody. The
        // other way round costs a needless look-up until the next sweep.
        self.index.in_use.add(kind);
        self.index.seen_by_sweep.add(kind);
        self.filter.add(tag);
        let mut is_there = false;
        for slot in sets::matching(self.sets, tag) {
            slot.value.store(value.0, Ordering::Release);
            is_there = true;
        }
        // Lost only to a second writer, which there is while one that was stopped
        // for a while has not noticed that another took over.
        while !is_there {
            let Some(slot) = sets::vacancy(self.sets, tag) else {
                return Err(self.full(ban));
            };
            if slot.claim(0, tag) {
                slot.value.store(value.0, Ordering::Release);
                self.index.count(Some(kind));
                is_there = true;
            }
        }
        Ok(())
    }

    /// Lifts a ban. Returns whether it was there. Only one worker may write at a time.
    pub fn remove(&self, ban: Ban<'_>) -> bool {
        let (_, tag) = self.key(ban);
        let mut was_there = false;
        for slot in sets::matching(self.sets, tag) {
            was_there |= self.vacate(slot, tag);
        }
        was_there
    }

    /// Empties a slot: the value first, so that the next tag there does not meet it.
    fn vacate(&self, slot: Slot<'_>, tag: u64) -> bool {
        let kind = Value(slot.value.swap(0, Ordering::AcqRel)).kind();
        let was_there = slot.claim(tag, 0);
        if was_there {
            self.index.uncount(kind);
        }
        was_there
    }

    fn standing(&self, kind: Kind, tag: u64, now_s: u64) -> Standing {
        if !self.filter.may_hold(tag) {
            return Standing::Clear;
        }
        let is_banned = sets::matching(self.sets, tag).any(|slot| {
            let value = Value::of(slot);
            value.kind() == Some(kind) && !value.has_expired(now_s)
        });
        if is_banned {
            Standing::Banned
        } else {
            Standing::Unclear
        }
    }

    fn key(&self, ban: Ban<'_>) -> (Kind, u64) {
        match ban {
            Ban::User(user) => (Kind::USER, self.user_tag(user)),
            Ban::Session(mark) => (Kind::SESSION, self.session_tag(mark)),
            Ban::SessionsOf { user, .. } => (Kind::CUT, self.cut_tag(user)),
            Ban::Address(prefix) => {
                let kind = Kind::of_network(prefix.is_v4(), prefix.length());
                (kind, self.address_tag(kind, prefix.bits()))
            }
        }
    }

    fn address_tag(&self, kind: Kind, bits: u128) -> u64 {
        let words = [
            ADDRESS << 8 | kind.number(),
            (bits >> 64) as u64,
            bits as u64,
        ];
        sets::tag_of(self.seed.hash_words(words))
    }

    fn user_tag(&self, user: &str) -> u64 {
        sets::tag_of(self.seed.hash_texts(USER, [user]))
    }

    fn session_tag(&self, mark: Mark) -> u64 {
        let [first, second] = mark.words();
        sets::tag_of(self.seed.hash_words([SESSION, first, second]))
    }

    fn cut_tag(&self, user: &str) -> u64 {
        sets::tag_of(self.seed.hash_texts(CUT, [user]))
    }

    fn full(&self, ban: Ban<'_>) -> Full {
        let made_for = self.sets.len() * (WAYS / 2);
        let held = self.index.entries();
        let needed = made_for.max(usize::try_from(held).unwrap_or(made_for)) / 4 * 5 + 8;
        Full {
            ban: ban.to_string(),
            held,
            made_for,
            needed,
            needed_bytes: bytes_for(needed),
        }
    }
}

#[cfg(test)]
mod tests;
