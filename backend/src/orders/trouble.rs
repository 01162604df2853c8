//! Says once that something is away, and once that it is back; waits longer and
//! longer meanwhile.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// First pause when a part is away, and the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What is wrong at the moment.
pub(super) struct Trouble {
    /// What, and how long the next pause is.
    troubles: HashMap<&'static str, Duration>,
    stop: CancellationToken,
}

impl Trouble {
    /// None; pauses end at `stop`.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            troubles: HashMap::new(),
            stop,
        }
    }

    /// Says it, unless it was said before.
    pub(super) fn say(&mut self, what: &'static str, error: &(impl Display + ?Sized)) {
        if self.troubles.contains_key(what) {
            return tracing::debug!(%error, "{what}");
        }
        tracing::warn!(%error, "{what}; trying again");
        self.troubles.insert(what, PAUSE);
    }

    /// Says it, and pauses.
    pub(super) async fn wait(&mut self, what: &'static str, error: &(impl Display + ?Sized)) {
        self.say(what, error);
        let pause = self.troubles.entry(what).or_insert(PAUSE);
        let this = *pause;
        *pause = (this * 2).min(LONGEST_PAUSE);
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(this) => {}
        }
    }

    /// Takes it back.
    pub(super) fn is_over(&mut self, what: &'static str) {
        if self.troubles.remove(what).is_some() {
            tracing::info!("over: {what}");
        }
    }
}
