//! Changes that the round's state does not allow, as refusals for the editor.

use super::form;
use super::view::RoundView;
use crate::console::ConsoleState;
use crate::console::error::{ConsoleError, FieldMistake};
use crate::now_ms;
use crate::sale::alone::AloneError;
use crate::stock::adjust::AdjustError;
use crate::store::difference::Difference;
use crate::store::round::{RoundState, StoredRound};
use crate::store::round_changes::ChangeError;
use crate::store::stop::{Stop, StopKind};

/// There is no round of this id.
pub(super) fn no_round(id: &str) -> ConsoleError {
    ConsoleError::NotFound(format!(
        "There is no round \"{id}\"; it may have been deleted. The list shows which there are."
    ))
}

/// The refusal of a change that the store did not make.
pub(super) fn refused(error: ChangeError, state: &ConsoleState) -> ConsoleError {
    match error {
        ChangeError::Store(error) => error.into(),
        ChangeError::NoSuchRound(id) => no_round(&id),
        ChangeError::NotAsSeen(stored) => not_as_seen(&stored, state),
        ChangeError::Exists(id) => ConsoleError::Mistakes(vec![FieldMistake {
            field: "id".to_owned(),
            code: "id_taken",
            message: format!("There is a round \"{id}\" already; choose another id."),
            values: vec![id],
            place: None,
        }]),
        ChangeError::Overlap(overlap) => {
            let zone = &state.config.time_zone;
            let opens = form::shown_time(overlap.opens_ms, zone);
            let ends = form::shown_time(overlap.ends_ms, zone);
            ConsoleError::Mistakes(vec![FieldMistake {
                field: "starts_ms".to_owned(),
                code: "overlap",
                message: format!(
                    "Product {} is also in round {} ({}), which runs from {opens} to {ends}. \
                     Choose a time that does not overlap, or take the product out of one of the \
                     two.",
                    overlap.product, overlap.other, overlap.name
                ),
                values: vec![overlap.product, overlap.other, overlap.name, opens, ends],
                place: None,
            }])
        }
    }
}

/// Refuses changes of what was withdrawn, but those that lower an amount: it never sells
/// again, and two people would decide on nothing.
pub(super) fn refuse_withdrawn(
    stored: &StoredRound,
    changes: &[Difference],
) -> Result<(), ConsoleError> {
    let is_withdrawn = |stop: Option<&Stop>| stop.is_some_and(|it| it.kind == StopKind::Withdrawn);
    let (id, stops) = (&stored.round.id, &stored.stops);
    let refused = changes.iter().filter(|it| !it.lowers_an_amount());
    for change in refused {
        let product = change.field.split_once('.').map(|(product, _)| product);
        let what = if is_withdrawn(stops.round.as_ref()) {
            format!("Round {id}")
        } else if let Some(product) = product.filter(|it| is_withdrawn(stops.products.get(*it))) {
            format!("Product {product} of round {id}")
        } else {
            continue;
        };
        return Err(ConsoleError::Conflict {
            code: "round_withdrawn",
            message: format!(
                "{what} was withdrawn, which is for good, so only its amounts can be lowered. \
                 Copy the round to sell it again."
            ),
            current: None,
        });
    }
    Ok(())
}

/// Other sites sell with this one, and this process does not know its own.
pub(in crate::console) fn alone(error: AloneError) -> ConsoleError {
    match error {
        AloneError::Link(error) => error.into(),
        error @ AloneError::OneOfSeveral { .. } => ConsoleError::Conflict {
            code: "site_unset",
            message: format!("Nothing was put on sale: {error}."),
            current: None,
        },
    }
}

/// Stock that cannot be counted at this moment, and can be in a minute at most.
pub(in crate::console) fn stock_moves(error: &AdjustError) -> ConsoleError {
    ConsoleError::Conflict {
        code: "stock_moves",
        message: format!("Nothing was changed: {error}."),
        current: None,
    }
}

/// Another operator was first: who, when, and the present state.
pub(super) fn not_as_seen(stored: &StoredRound, state: &ConsoleState) -> ConsoleError {
    let trail = &stored.trail;
    let time = |ms| form::shown_time(ms, &state.config.time_zone);
    let decided = trail.decided_by.as_deref().unwrap_or("somebody");
    let decided_at = time(trail.decided_ms.unwrap_or_default());
    let (code, message) = match stored.state {
        // An edit of what is approved, behind which there was another one.
        RoundState::Approved if Some(trail.edited_ms) > trail.decided_ms => {
            return edited_meanwhile(stored, state);
        }
        RoundState::Approved => (
            "already_approved",
            format!("{decided} approved this round at {decided_at}, so nothing else was done."),
        ),
        RoundState::Rejected => (
            "already_rejected",
            format!("{decided} rejected this round at {decided_at}. Read the reason."),
        ),
        RoundState::Submitted => (
            "waits_for_approval",
            "This round was submitted and waits for its approval. Withdraw it to change it."
                .to_owned(),
        ),
        RoundState::Draft => return edited_meanwhile(stored, state),
    };
    conflict(code, message, stored)
}

/// Another edit was first: whose, when, and the present state.
pub(super) fn edited_meanwhile(stored: &StoredRound, state: &ConsoleState) -> ConsoleError {
    let trail = &stored.trail;
    let who = if trail.edited_by.is_empty() {
        "Somebody"
    } else {
        &trail.edited_by
    };
    let when = form::shown_time(trail.edited_ms, &state.config.time_zone);
    let message = format!(
        "{who} changed this round at {when}, after you had opened it, so your edit was not saved. \
         Compare it with what is there now, then decide."
    );
    conflict("changed_meanwhile", message, stored)
}

fn conflict(code: &'static str, message: String, stored: &StoredRound) -> ConsoleError {
    let current = serde_json::to_value(RoundView::of(stored, now_ms())).ok();
    ConsoleError::Conflict {
        code,
        message,
        current: current.map(Box::new),
    }
}

/// The refusal of a step that needs a submitted round: a draft as it was seen was never
/// submitted; anything else was changed by somebody.
pub(super) fn not_submitted(stored: &StoredRound, seen: u64, state: &ConsoleState) -> ConsoleError {
    if stored.state != RoundState::Draft || stored.trail.version != seen {
        return not_as_seen(stored, state);
    }
    ConsoleError::Conflict {
        code: "not_submitted",
        message: format!(
            "Round {} is a draft that was not submitted, so nothing was done. Submit it first.",
            stored.round.id
        ),
        current: serde_json::to_value(RoundView::of(stored, now_ms()))
            .ok()
            .map(Box::new),
    }
}

/// A round that waits for its approval cannot be edited.
pub(super) fn waits(stored: &StoredRound) -> ConsoleError {
    ConsoleError::Conflict {
        code: "waits_for_approval",
        message: "This round waits for its approval. Withdraw it to change it.".to_owned(),
        current: serde_json::to_value(RoundView::of(stored, now_ms()))
            .ok()
            .map(Box::new),
    }
}
