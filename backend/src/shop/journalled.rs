//! Takes a purchase into the journal while Redis does not answer: its buyer is told that
//! it is in progress, and `…/result` says later what became of it.

use seckill_core::Verdict;
use seckill_core::journal::request::Request;

use super::state::ShopState;
use crate::redis::RedisLinkError;
use crate::redis::segments::Segment;
use crate::stock::journal::AppendError;

/// What a request may do while earlier ones for the same segment wait in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// None waits: it is made.
    Now,
    /// It waits behind them, so that who came first is served first.
    BehindOthers,
    /// It is refused: they wait until the segment is healed, for which a person may be
    /// needed. It does not go ahead of them either, since some of their buyers were told
    /// that they have an item.
    Refused,
}

/// The turn of a request whose buyer's segment this is.
pub(super) fn turn(state: &ShopState, home: &Segment) -> Turn {
    let journals = state.journals.as_ref();
    if !journals.is_some_and(|journals| journals.holds(home)) {
        return Turn::Now;
    }
    match state.fence.as_ref().is_some_and(|it| it.is_halted(home)) {
        true => Turn::Refused,
        false => Turn::BehindOthers,
    }
}

/// Whether a purchase that met this error was certainly not made, and will be possible
/// once its Redis is as it should be.
pub(super) fn is_outage(error: &RedisLinkError) -> bool {
    match error {
        RedisLinkError::Away { .. } => true,
        RedisLinkError::Refused(error) => error.code().is_some_and(is_passing),
        _ => false,
    }
}

/// Whether Redis refuses a write for a reason of its own, and not of the command's: it is
/// a replica, full, cannot save, still loading, or without its Cluster or replicas.
fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "READONLY"
            | "OOM"
            | "MISCONF"
            | "LOADING"
            | "BUSY"
            | "MASTERDOWN"
            | "NOREPLICAS"
            | "CLUSTERDOWN"
            | "TRYAGAIN"
            | "MOVED"
            | "ASK"
    )
}

/// Journals a request. Its buyer's click is answered as if it were made.
///
/// # Errors
/// `unavailable`: it is certainly not in the journal.
pub(super) async fn append(state: &ShopState, request: Request) -> Result<(), Verdict> {
    let journals = state.journals.as_ref().ok_or(Verdict::Unavailable)?;
    let id = request.request.clone();
    match journals.own.append(request).await {
        Ok(()) => Ok(()),
        Err(error @ AppendError::Unknown(_)) => {
            tracing::error!(%error, request = id, "the outcome of a purchase is not known");
            Ok(())
        }
        Err(error) => {
            tracing::error!(%error, request = id, "a purchase was not made");
            Err(Verdict::Unavailable)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_by_itself_is_journalled() {
        for code in ["READONLY", "OOM", "MISCONF", "LOADING", "CLUSTERDOWN"] {
            assert!(is_passing(code), "{code}");
        }
        for code in ["NOSTOCK", "BADSTOCK", "WRONGTYPE", "NOPERM", "ERR"] {
            assert!(!is_passing(code), "{code}");
        }
        let lost = RedisLinkError::NoStock("1::153::01".to_owned());
        assert!(!is_outage(&lost));
    }
}
