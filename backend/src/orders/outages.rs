//! Reports once that something fails, and once that it works again; the pauses between
//! attempts grow meanwhile.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::time::periodic;

/// First and longest pause while something fails.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What fails at the moment.
pub(super) struct Outages {
    /// What fails, and the next pause because of it.
    pauses: HashMap<&'static str, Duration>,
    stop: CancellationToken,
}

impl Outages {
    /// Nothing fails yet; pauses end at `stop`.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            pauses: HashMap::new(),
            stop,
        }
    }

    /// Reports a failure, unless it was reported before.
    pub(super) fn report(&mut self, what: &'static str, error: &(impl Display + ?Sized)) {
        if self.pauses.contains_key(what) {
            return tracing::debug!(%error, "{what}");
        }
        tracing::warn!(%error, "{what}; trying again");
        self.pauses.insert(what, PAUSE);
    }

    /// Reports a failure, and pauses.
    pub(super) async fn report_and_pause(
        &mut self,
        what: &'static str,
        error: &(impl Display + ?Sized),
    ) {
        self.report(what, error);
        let pause = self.pauses.entry(what).or_insert(PAUSE);
        let this = *pause;
        *pause = (this * 2).min(LONGEST_PAUSE);
        periodic::sleep(&self.stop, this).await;
    }

    /// Reports that it works again, if it failed.
    pub(super) fn over(&mut self, what: &'static str) {
        if self.pauses.remove(what).is_some() {
            tracing::info!("over: {what}");
        }
    }
}
