//! Which worker of an edge reads from Redis for all of them: one word in shared memory.
//!
//! A worker claims the task for a moment, and again before the moment is over. The claim
//! lapses if it does not, and is void once its worker is dead. One that is leaving may hold
//! it only as long as no other wants it: a slow download keeps it for hours, with the
//! configuration of before. Worked example: worker 7 has claimed until 5,000 ms, and is told
//! to leave at 4,600. Its next claim says so, and at 4,700 worker 8 takes over.

/// How long a worker may refresh before another takes over, in ms.
const CLAIM_MS: u64 = 1_000;
/// Linux process ids have at most 22 bits.
const PID_BITS: u32 = 22;
/// Set in the claim of a worker that is leaving.
const LEAVING: u64 = 1 << PID_BITS;
const TIME_SHIFT: u32 = PID_BITS + 1;

/// Who claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    /// Its process id.
    pub pid: u32,
    /// Whether it is leaving, as soon as its requests have ended.
    pub is_leaving: bool,
}

/// A claim as the word holds it: zero is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claim(pub u64);

impl Claim {
    /// The claim of `worker` at `now_ms` of a monotonic clock; `None` while another one
    /// holds it. `is_alive` says whether a process still exists.
    pub fn next(
        self,
        worker: Worker,
        now_ms: u64,
        is_alive: impl FnOnce(u32) -> bool,
    ) -> Option<Self> {
        let yields = self.0 & LEAVING != 0 && !worker.is_leaving;
        let is_fresh = now_ms < self.0 >> TIME_SHIFT;
        if !self.is_of(worker.pid) && is_fresh && !yields && is_alive(self.pid()) {
            return None;
        }
        let leaving = if worker.is_leaving { LEAVING } else { 0 };
        Some(Self(
            (now_ms + CLAIM_MS) << TIME_SHIFT | leaving | u64::from(worker.pid),
        ))
    }

    /// Whether it is, or was, the claim of this process.
    #[must_use]
    pub fn is_of(self, pid: u32) -> bool {
        self.pid() == pid
    }

    fn pid(self) -> u32 {
        (self.0 & (LEAVING - 1)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAYS: Worker = Worker {
        pid: 4_194_303,
        is_leaving: false,
    };
    const OTHER: Worker = Worker { pid: 8, ..STAYS };

    fn leaving(worker: Worker) -> Worker {
        Worker {
            is_leaving: true,
            ..worker
        }
    }

    #[test]
    fn one_worker_refreshes_until_its_claim_lapses_or_it_dies() {
        let claim = Claim::default().next(STAYS, 5_000, |_| false).unwrap();
        assert!(claim.is_of(STAYS.pid) && !claim.is_of(OTHER.pid));
        assert_eq!(claim.next(OTHER, 5_999, |_| true), None);
        assert!(claim.next(OTHER, 6_000, |_| true).is_some());
        let is_alive = |pid| pid != STAYS.pid;
        assert!(claim.next(OTHER, 5_001, is_alive).is_some());
        // It goes on itself.
        let again = claim.next(STAYS, 5_250, |_| true).unwrap();
        assert_eq!(again.next(OTHER, 6_249, |_| true), None);
    }

    #[test]
    fn one_that_is_leaving_refreshes_only_while_no_other_wants_to() {
        let claim = Claim::default().next(STAYS, 5_000, |_| true).unwrap();
        let claim = claim.next(leaving(STAYS), 5_250, |_| true).unwrap();
        // Of several that are leaving it is still one.
        assert_eq!(claim.next(leaving(OTHER), 5_300, |_| true), None);
        let taken = claim.next(OTHER, 5_300, |_| true).unwrap();
        assert!(taken.is_of(OTHER.pid));
        assert_eq!(taken.next(leaving(STAYS), 5_500, |_| true), None);
    }
}
