//! The refresher: the one worker that reads from Redis for all workers of this edge,
//! and what it knows of the other edges.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ngx::ffi::kill;
use seckill_core::rate::bucket::Rate;
use seckill_core::rate::census::Change;
use seckill_core::shared::refresher::{Claim, Worker};

use super::Zone;
use crate::{clock, rt};

impl Zone {
    /// Whether this worker is the refresher; claims the task if no other worker
    /// holds it. Call it again after every wait.
    pub(crate) fn claim_refresh(&self) -> bool {
        if !self.is_current() {
            return false;
        }
        let worker = Worker {
            pid: std::process::id(),
            is_leaving: rt::is_leaving(),
        };
        let refresher = &self.shared.refresher;
        let word = refresher.load(Ordering::Relaxed);
        // Without heartbeats the other edges would take this one for dead, so that a killed
        // worker's claim is void.
        let Some(next) = Claim(word).next(worker, clock::monotonic_ms(), is_process) else {
            return false;
        };
        let (old, new) = (Ordering::Relaxed, Ordering::Relaxed);
        refresher.compare_exchange(word, next.0, old, new).is_ok()
    }

    /// Ends this worker's claim, at the end of the worker.
    pub(crate) fn release_refresh(&self) {
        let refresher = &self.shared.refresher;
        let word = refresher.load(Ordering::Relaxed);
        if Claim(word).is_of(std::process::id()) {
            let (old, new) = (Ordering::Relaxed, Ordering::Relaxed);
            // Another worker may have taken over in this instant, which is as good.
            let _ = refresher.compare_exchange(word, 0, old, new);
        }
    }

    /// Living edges, at least one.
    pub(crate) fn edges(&self) -> u64 {
        self.shared.edges.load(Ordering::Relaxed).max(1)
    }

    /// Living edges as last read; 0 before the first reading.
    pub(crate) fn edges_read(&self) -> u64 {
        self.shared.edges.load(Ordering::Relaxed)
    }

    /// Milliseconds since the last heartbeat (0 for the first) if the next one is due
    /// after `pause`; `None` if it is not. Records the time of a heartbeat that is due.
    pub(crate) fn heartbeat_due(&self, pause: Duration) -> Option<u64> {
        let now = clock::monotonic_ms();
        let last = self.shared.heartbeat_ms.load(Ordering::Relaxed);
        let silent_ms = if last == 0 {
            0
        } else {
            now.saturating_sub(last)
        };
        // Timers of nginx fire up to a millisecond early.
        let due_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) - 1;
        if last != 0 && silent_ms < due_ms {
            return None;
        }
        self.shared.heartbeat_ms.store(now, Ordering::Relaxed);
        Some(silent_ms)
    }

    /// Changes the bucket at this place because the number of edges changed.
    pub(crate) fn apply(&self, place: usize, rate: Rate, change: Change) {
        if change == Change::None {
            return;
        }
        let (bucket, now_ns) = (&self.shared.buckets[place].word, clock::monotonic_ns());
        let (old, new) = (Ordering::Relaxed, Ordering::Relaxed);
        // Never fails, since the closure always has a word.
        let _ = bucket.fetch_update(old, new, |word| Some(rate.apply(word, now_ns, change)));
    }

    /// Records how many edges are alive.
    pub(crate) fn set_edges(&self, edges: u64) {
        self.shared.edges.store(edges, Ordering::Relaxed);
    }

    /// How far the stream of buyers who may buy again was read.
    pub(crate) fn regrabs_read(&self) -> (u64, u64) {
        let [ms, number] = &self.shared.regrabs;
        (ms.load(Ordering::Relaxed), number.load(Ordering::Relaxed))
    }

    /// Records how far that stream was read. One worker at a time does so; should two
    /// do it in the same instant, a mixed pair skips or repeats some names.
    pub(crate) fn set_regrabs_read(&self, (ms, number): (u64, u64)) {
        self.shared.regrabs[0].store(ms, Ordering::Relaxed);
        self.shared.regrabs[1].store(number, Ordering::Relaxed);
    }
}

/// Whether a process of this id exists.
fn is_process(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else {
        return false;
    };
    // SAFETY: signal 0 only checks; nothing is delivered.
    let result = unsafe { kill(pid, 0) };
    result == 0 || std::io::Error::last_os_error().kind() == std::io::ErrorKind::PermissionDenied
}
