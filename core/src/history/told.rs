//! Answers about what became of a click, and to paying and cancelling.

use std::collections::HashMap;

use super::Lie;
use super::facts::{Facts, Purchase};
use super::record::{Answer, Call, History, What};
use crate::orders::order::State;

pub(super) fn check(history: &History, facts: &Facts<'_>, lies: &mut Vec<Lie>) {
    for call in &history.calls {
        match (&call.what, &call.answer) {
            (What::Result, Answer::Status { status, order }) => {
                status_of(call, status, order.as_deref(), facts, lies);
            }
            (What::Pay { order }, Answer::Done) => {
                decided(call, order, State::Paid, "paid_and_lost", facts, lies);
            }
            (What::Cancel { order }, Answer::Done) => {
                decided(
                    call,
                    order,
                    State::Cancelled,
                    "cancelled_and_lost",
                    facts,
                    lies,
                );
            }
            _ => {}
        }
    }
    vanished(history, facts, lies);
}

/// Who was told `processing` by `…/result` has a request in a journal, on a disk: it ends as
/// a purchase, or on record with the reason why it bought nothing. The same word in answer to
/// the click itself promises less: an edge says it of what it has lost sight of. And only the
/// last answer counts: of several purchase roles each knows its own journal alone, and may
/// say `none` before it is replayed.
fn vanished(history: &History, facts: &Facts<'_>, lies: &mut Vec<Lie>) {
    let mut told: HashMap<&str, (bool, u64, &str)> = HashMap::new();
    for call in &history.calls {
        if let Answer::Status { status, .. } = &call.answer {
            let (waited, last_us, last) = told.entry(&call.user).or_default();
            *waited |= status == "processing";
            if call.returned_us >= *last_us {
                (*last_us, *last) = (call.returned_us, status);
            }
        }
    }
    for (user, (waited, _, last)) in told {
        let came_to_something = !facts.of_buyer(user).is_empty() || history.refused.contains(user);
        if waited && last == "none" && !came_to_something {
            let what =
                format!("{user} was told \"processing\", then \"none\", and nothing says why");
            lies.push(Lie::new("processing_and_vanished", what));
        }
    }
}

/// What was decided must stay decided.
fn decided(
    call: &Call,
    number: &str,
    state: State,
    kind: &'static str,
    facts: &Facts<'_>,
    lies: &mut Vec<Lie>,
) {
    let mut orders = facts.orders_of(&call.user).iter();
    let stands = orders
        .find(|order| order.number == number)
        .map(|order| order.state);
    if stands != Some(state) {
        let what = format!(
            "{} was told that order {number} is {}, and it is {}",
            call.user,
            state.as_str(),
            stands.map_or("nowhere", State::as_str)
        );
        lies.push(Lie::new(kind, what));
    }
}

fn status_of(
    call: &Call,
    status: &str,
    order: Option<&str>,
    facts: &Facts<'_>,
    lies: &mut Vec<Lie>,
) {
    let purchases = facts.of_buyer(&call.user);
    let any = |holds: &dyn Fn(&Purchase) -> bool| purchases.iter().any(holds);
    let has_throughout = any(&|it| it.lives_throughout(call));
    let made = any(&|it| it.from_us <= call.returned_us);
    let kind = match status {
        "none" if has_throughout => "told_none_and_has_it",
        "failed" if has_throughout => "told_failed_and_has_it",
        "cancelled" if has_throughout && !facts.was_deciding(call, State::Cancelled) => {
            "told_cancelled_and_has_it"
        }
        "cancelled"
            if !any(&|it| it.released_us.is_some_and(|at| at <= call.returned_us))
                && !facts.was_deciding(call, State::Cancelled) =>
        {
            "told_cancelled_and_was_not"
        }
        "succeeded" if !any(&|it| it.lives_within(call)) && !is_made_again(call, facts) => {
            "told_succeeded_and_was_not"
        }
        "ordered" if !has_order(call, order, facts) => "told_ordered_and_was_not",
        "paid"
            if !any(&|it| it.paid_us.is_some_and(|at| at <= call.returned_us))
                && !facts.was_deciding(call, State::Paid) =>
        {
            "told_paid_and_was_not"
        }
        "processing" if !made && !facts.was_clicking(call) => "told_processing_and_was_not",
        _ => return,
    };
    let what = format!("{} was told \"{status}\"", call.user);
    lies.push(Lie::new(kind, what));
}

/// Whether what the buyer clicked for stands in the ledger with a later time: its Redis has
/// forgotten it, and it was made again.
fn is_made_again(call: &Call, facts: &Facts<'_>) -> bool {
    let mut purchases = facts.of_buyer(&call.user).iter();
    facts.was_clicking(call) && purchases.any(|it| it.from_us > call.returned_us)
}

fn has_order(call: &Call, number: Option<&str>, facts: &Facts<'_>) -> bool {
    let lives = facts
        .of_buyer(&call.user)
        .iter()
        .any(|it| it.lives_within(call));
    let mut orders = facts.orders_of(&call.user).iter();
    let placed = orders.any(|order| {
        number == Some(order.number.as_str()) && order.created_ms * 1_000 <= call.returned_us
    });
    lives && placed
}
