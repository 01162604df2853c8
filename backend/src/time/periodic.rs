//! Work that is done pass by pass until the program stops.

use std::fmt::Display;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The loop around a pass: what it logs of a failure, and how it pauses.
///
/// ```text
/// let mut passes = Passes::new(stop, "stock waits to follow its orders", EVERY);
/// while passes.go_on() {
///     let outcome = pass().await;
///     passes.pause_after(outcome).await;
/// }
/// ```
#[derive(Debug)]
pub struct Passes {
    stop: CancellationToken,
    waiting: &'static str,
    retry: Duration,
    failing: bool,
}

impl Passes {
    /// Passes until `stop`; one that fails is repeated after `retry`. `waiting` says what
    /// waits meanwhile.
    #[must_use]
    pub fn new(stop: CancellationToken, waiting: &'static str, retry: Duration) -> Self {
        Self {
            stop,
            waiting,
            retry,
            failing: false,
        }
    }

    /// Whether to make another pass.
    #[must_use]
    pub fn go_on(&self) -> bool {
        !self.stop.is_cancelled()
    }

    /// Pauses for as long as the pass says, not at all if there is more to do.
    ///
    /// The first failure of a row is logged as a warning, the others for debugging, and
    /// the success that ends the row once.
    pub async fn pause_after<E: Display>(&mut self, outcome: Result<Duration, E>) {
        let waiting = self.waiting;
        let pause = match outcome {
            Ok(pause) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("over: {waiting}");
                }
                pause
            }
            Err(error) => {
                if std::mem::replace(&mut self.failing, true) {
                    tracing::debug!(%error, "{waiting}");
                } else {
                    tracing::warn!(%error, "{waiting}; trying again");
                }
                self.retry
            }
        };
        sleep(&self.stop, pause).await;
    }
}

/// Sleeps for `pause`, or until `stop`.
pub async fn sleep(stop: &CancellationToken, pause: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passes_go_on_after_a_failure_and_end_at_once_at_the_stop() {
        let stop = CancellationToken::new();
        let mut passes = Passes::new(stop.clone(), "a test waits", Duration::ZERO);
        let mut made = 0;
        while passes.go_on() {
            made += 1;
            let outcome = match made {
                1 => Ok(Duration::ZERO),
                2 => Err("away"),
                _ => {
                    stop.cancel();
                    Ok(Duration::from_secs(1_000_000))
                }
            };
            passes.pause_after(outcome).await;
        }
        assert_eq!(made, 3);
    }
}
