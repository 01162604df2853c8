//! Answers to clicks: accepted, refused, sold out.

use std::collections::HashMap;

use super::Lie;
use super::facts::Facts;
use super::record::{Answer, Call, History, What};

pub(super) fn check(history: &History, facts: &Facts<'_>, lies: &mut Vec<Lie>) {
    let mut clicks: HashMap<(&str, &str), Vec<&Call>> = HashMap::new();
    for call in &history.calls {
        if call.returned_us < call.called_us {
            let what = format!("an answer to {} came before the call", call.user);
            lies.push(Lie::new("answer_before_call", what));
        }
        if let What::Buy { request, quantity } = &call.what {
            clicks.entry((&call.user, request)).or_default().push(call);
            if let Answer::Refused(code) = &call.answer {
                refusal(call, code, *quantity, facts, lies);
            }
        }
    }
    for ((user, request), clicks) in clicks {
        click(user, request, &clicks, history, facts, lies);
    }
}

/// A refusal must be true at some instant of its call.
fn refusal(call: &Call, code: &str, quantity: u32, facts: &Facts<'_>, lies: &mut Vec<Lie>) {
    match code {
        "sold_out" if !facts.was_short_within(call, quantity) => {
            let what = format!("{} was told \"sold out\" while there was stock", call.user);
            lies.push(Lie::new("sold_out_with_stock", what));
        }
        "duplicate" => {
            let has = facts
                .of_buyer(&call.user)
                .iter()
                .any(|it| it.lives_within(call));
            // The edge refuses a second click while the first is under way.
            if !has && !facts.was_clicking(call) {
                let what = format!(
                    "{} was told \"duplicate\" and has bought nothing",
                    call.user
                );
                lies.push(Lie::new("duplicate_without_purchase", what));
            }
        }
        _ => {}
    }
}

/// All clicks of one request together must end as the ledger says.
fn click(
    user: &str,
    request: &str,
    clicks: &[&Call],
    history: &History,
    facts: &Facts<'_>,
    lies: &mut Vec<Lie>,
) {
    let bought = facts
        .of_buyer(user)
        .iter()
        .any(|it| it.id.request == request);
    let is_open = |call: &&&Call| matches!(call.answer, Answer::Accepted | Answer::Lost);
    let open = clicks.iter().find(is_open);
    match open {
        // Every click was refused.
        None if bought => {
            let what = format!("{user} was refused each time, and has bought by {request}");
            lies.push(Lie::new("refused_and_bought", what));
        }
        Some(call) if !bought && call.answer == Answer::Accepted => {
            let last = last_told(history, user, call.called_us);
            // Somebody who has it by another request, or was told in the end that it
            // came to nothing, was told the truth.
            let other = facts.of_buyer(user).iter().any(|it| it.lives_within(call));
            if !other && !matches!(last, Some("failed" | "cancelled" | "none")) {
                let what = format!("the request {request} of {user} was accepted and has vanished");
                lies.push(Lie::new("accepted_and_vanished", what));
            }
        }
        _ => {}
    }
}

/// What a buyer was last told of their click after `from_us`.
fn last_told<'a>(history: &'a History, user: &str, from_us: u64) -> Option<&'a str> {
    let calls = history.calls.iter();
    let of_them = calls.filter(|call| call.user == user && call.called_us >= from_us);
    let told = of_them.filter_map(|call| match &call.answer {
        Answer::Status { status, .. } => Some((call.returned_us, status.as_str())),
        _ => None,
    });
    told.max_by_key(|(at, _)| *at).map(|(_, status)| status)
}
