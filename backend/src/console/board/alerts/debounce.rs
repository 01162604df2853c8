//! Leaves out faults that may be a passing moment.
//!
//! Masters are not read at one instant, so that sums may be off for a moment while
//! stock moves. A fault that could be such a moment is shown only if several polls in
//! a row found the same.

use std::collections::HashMap;

use super::{Alert, Code};

/// Polls that must find the same fault before it is shown, if it could be a moment
/// between two reads.
const POLLS: u32 = 3;
/// For how long they must find it, in ms.
const STEADY_MS: u64 = 1_500;

/// Remembers faults from poll to poll.
#[derive(Debug, Default)]
pub(in crate::console::board) struct Debouncer {
    /// Since when, and in how many polls, a fault was seen; by code, subject and difference.
    seen: HashMap<String, (u64, u32)>,
}

impl Debouncer {
    /// Those of `found` that are certain enough to be shown; `now_ms` is a monotonic
    /// time.
    pub(in crate::console::board) fn confirmed(
        &mut self,
        now_ms: u64,
        found: Vec<Alert>,
    ) -> Vec<Alert> {
        let mut seen = HashMap::new();
        let mut confirmed = Vec::new();
        for alert in found {
            let differs = alert.values.get("differs");
            let name = format!("{:?} {} {differs:?}", alert.code, alert.subject);
            let (since, polls) = self.seen.get(&name).copied().unwrap_or((now_ms, 0));
            seen.insert(name, (since, polls + 1));
            if is_certain(alert.code) || (polls + 1 >= POLLS && now_ms - since >= STEADY_MS) {
                confirmed.push(alert);
            }
        }
        self.seen = seen;
        confirmed
    }
}

/// Whether one poll suffices.
fn is_certain(code: Code) -> bool {
    !matches!(
        code,
        Code::StockOff
            | Code::PermitsOver
            | Code::EdgesUnread
            | Code::SegmentAway
            | Code::QueueUnread
    )
}
