//! Four eyes: who decides about a round is somebody else than who made it.

use crate::console::auth::Operator;
use crate::console::error::ConsoleError;
use crate::now_ms;
use crate::store::hands::Hands;
use crate::store::round::StoredRound;
use crate::store::{Store, StoreError};

/// For how long accounts that one hand gave count as that hand's, in ms.
const FRESH_MS: u64 = 86_400_000;

/// Supervisors cannot approve rounds that they made, changed or submitted, whoever changed
/// them later.
pub(super) async fn refuse_own(
    store: &Store,
    stored: &StoredRound,
    me: &Operator,
) -> Result<(), ConsoleError> {
    let trail = &stored.trail;
    let did = [
        (trail.created_by == me.name, "made"),
        (trail.edited_by == me.name, "last changed"),
        (trail.submitted_by.as_ref() == Some(&me.name), "submitted"),
    ];
    let did = match did.into_iter().find(|(mine, _)| *mine) {
        Some((_, did)) => did,
        None if store.has_worked_on(&stored.round.id, &me.name).await? => "changed",
        None => return Ok(()),
    };
    Err(ConsoleError::Forbidden {
        code: "own_round",
        message: format!("You {did} this round yourself, so another supervisor has to approve it."),
    })
}

/// For a day, an account is no second pair of eyes on what was done with another one, if one
/// person gave both of them their password, role or state at the console, or the one to the
/// other: they might hold both.
pub(super) async fn refuse_fresh(
    store: &Store,
    me: &Operator,
    round: &str,
) -> Result<(), ConsoleError> {
    let Some(hand) = common_hand(store, me, round).await? else {
        return Ok(());
    };
    Err(ConsoleError::Forbidden {
        code: "account_too_new",
        message: format!(
            "{hand} may hold both this account and one that worked on this: less than a day ago \
             they gave it its password, role or state, directly or by way of other accounts. So \
             another supervisor has to approve it, or you tomorrow."
        ),
    })
}

/// Who may hold both my account and another that worked on the round.
async fn common_hand(
    store: &Store,
    me: &Operator,
    round: &str,
) -> Result<Option<String>, StoreError> {
    let since_ms = now_ms().saturating_sub(FRESH_MS);
    let mut others = store.workers(round).await?;
    // What I did myself is not refused here: of a change that somebody else proposed, I may
    // be the second pair of eyes.
    others.remove(&me.name);
    let theirs = store.hands(others, since_ms).await?;
    let myself = Hands::from([(me.name.clone(), u64::MAX)]);
    let mine = store.hands(myself, since_ms).await?;
    Ok(mine.into_keys().find(|hand| theirs.contains_key(hand)))
}
