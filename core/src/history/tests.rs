use super::record::{Answer, Call, Order, What};
use super::*;
use crate::orders::order::State;
use crate::stock::ledger::{EntryId, Event};

/// A millisecond within which a test's sale happens.
const T: u64 = 1_700_000_000_000;

fn event(ms: u64, seq: u64, fields: &[(&str, &str)], amounts: (i64, i64, i64)) -> Event {
    let mut all: std::collections::BTreeMap<String, String> = fields
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    for (name, items) in [
        ("sale", amounts.0),
        ("locked", amounts.1),
        ("saled", amounts.2),
    ] {
        all.insert(name.to_owned(), items.to_string());
    }
    Event {
        id: EntryId { ms: T + ms, seq },
        fields: all,
    }
}

fn bought(ms: u64, user: &str, request: &str, amounts: (i64, i64, i64)) -> Event {
    let fields = [
        ("kind", "purchase"),
        ("user", user),
        ("request", request),
        ("quantity", "1"),
    ];
    event(ms, 0, &fields, amounts)
}

fn finished(ms: u64, kind: &str, user: &str, made: (&str, u64), amounts: (i64, i64, i64)) -> Event {
    let bought_ms = (T + made.1).to_string();
    let fields = [
        ("kind", kind),
        ("user", user),
        ("request", made.0),
        ("quantity", "1"),
        ("bought_ms", &bought_ms),
        ("state", "cancelled"),
    ];
    event(ms, 0, &fields, amounts)
}

fn call(user: &str, what: What, from: u64, until: u64, answer: Answer) -> Call {
    Call {
        user: user.to_owned(),
        what,
        called_us: (T + from) * 1_000,
        returned_us: (T + until) * 1_000,
        answer,
    }
}

fn buy(user: &str, request: &str, from: u64, until: u64, answer: Answer) -> Call {
    let what = What::Buy {
        request: request.to_owned(),
        quantity: 1,
    };
    call(user, what, from, until, answer)
}

fn told(user: &str, from: u64, until: u64, status: &str, order: Option<&str>) -> Call {
    let answer = Answer::Status {
        status: status.to_owned(),
        order: order.map(str::to_owned),
    };
    call(user, What::Result, from, until, answer)
}

fn refused(code: &str) -> Answer {
    Answer::Refused(code.to_owned())
}

fn order(number: &str, user: &str, request: &str, locked: u64, state: State) -> Order {
    Order {
        number: number.to_owned(),
        user: user.to_owned(),
        request: request.to_owned(),
        locked_ms: T + locked,
        created_ms: T + locked + 20,
        quantity: 1,
        state,
        stock_due: false,
    }
}

/// Three items. Ann buys at 10 and pays, Ben buys at 20 and cancels at 100, Cid buys at
/// 30 and has an order. Dan comes at 40, finds nothing, and buys at 120 what Ben
/// returned. Eve finds nothing either.
fn sale() -> History {
    let events = vec![
        event(0, 0, &[("kind", "preload"), ("quantity", "3")], (3, 0, 0)),
        bought(10, "ann", "a", (2, 1, 0)),
        bought(20, "ben", "b", (1, 2, 0)),
        bought(30, "cid", "c", (0, 3, 0)),
        finished(90, "confirm", "ann", ("a", 10), (0, 2, 1)),
        finished(100, "release", "ben", ("b", 20), (1, 1, 1)),
        bought(120, "dan", "d2", (0, 2, 1)),
    ];
    let pay = What::Pay { order: "1".into() };
    let cancel = What::Cancel { order: "2".into() };
    let calls = vec![
        buy("ann", "a", 5, 12, Answer::Accepted),
        buy("ben", "b", 15, 22, Answer::Accepted),
        buy("cid", "c", 25, 32, Answer::Accepted),
        buy("dan", "d1", 38, 42, refused("sold_out")),
        buy("eve", "e", 60, 62, refused("sold_out")),
        buy("ann", "a2", 65, 66, refused("duplicate")),
        told("eve", 63, 64, "none", None),
        told("ann", 14, 16, "succeeded", None),
        told("ann", 50, 52, "ordered", Some("1")),
        call("ann", pay, 80, 88, Answer::Done),
        told("ann", 95, 96, "paid", Some("1")),
        call("ben", cancel, 91, 99, Answer::Done),
        told("ben", 110, 111, "cancelled", Some("2")),
        buy("dan", "d2", 115, 125, Answer::Accepted),
        told("dan", 130, 131, "succeeded", None),
        told("cid", 140, 141, "ordered", Some("3")),
    ];
    History {
        amount: 3,
        reopens_within_us: 0,
        calls,
        segments: vec![events],
        orders: vec![
            order("1", "ann", "a", 10, State::Paid),
            order("2", "ben", "b", 20, State::Cancelled),
            order("3", "cid", "c", 30, State::Created),
            order("4", "dan", "d2", 120, State::Created),
        ],
        ..History::default()
    }
}

#[test]
fn a_true_history_has_no_lie_in_it() {
    assert_eq!(check(&sale()), []);
}

/// Finds a lie of this kind in the sale once it is planted there.
fn finds(kind: &str, plant: impl FnOnce(&mut History)) {
    let mut history = sale();
    plant(&mut history);
    let lies = check(&history);
    assert!(lies.iter().any(|lie| lie.kind == kind), "{kind}: {lies:?}");
}

#[test]
fn what_was_sold_twice_or_came_from_nowhere_is_found() {
    finds("event_missing", |h| drop(h.segments[0].remove(2)));
    finds("event_doubled", |h| {
        let again = h.segments[0][1].clone();
        h.segments[0].insert(2, again);
    });
    finds("oversold", |h| {
        h.segments[0].push(bought(150, "fay", "f", (-1, 3, 1)));
    });
    finds("oversold", |h| {
        h.orders.push(order("5", "fay", "f", 150, State::Paid));
    });
    finds("items_from_nowhere", |h| h.amount = 2);
    finds("bought_twice", |h| {
        h.segments[0].push(bought(150, "ann", "again", (-1, 3, 1)));
    });
    finds("items_sold_twice", |h| h.orders[1].state = State::Created);
}

#[test]
fn orders_that_do_not_fit_their_purchases_are_found() {
    finds("order_without_purchase", |h| {
        h.orders[2].request = "other".into();
    });
    finds("purchase_without_order", |h| drop(h.orders.remove(2)));
    finds("two_orders_for_a_purchase", |h| {
        h.orders.push(order("9", "cid", "c", 30, State::Failed));
    });
    finds("two_live_orders", |h| {
        h.orders
            .push(order("9", "cid", "other", 31, State::Created));
    });
    finds("another_quantity", |h| h.orders[2].quantity = 2);
    finds("paid_not_counted", |h| h.orders[2].state = State::Paid);
    finds("items_not_returned", |h| {
        h.orders[2].state = State::Cancelled;
    });
}

#[test]
fn clicks_that_were_answered_wrongly_are_found() {
    finds("answer_before_call", |h| h.calls[0].returned_us = 1);
    // All three are free until 5, when Ann's click may have taken the first permit.
    finds("sold_out_with_stock", |h| {
        h.calls.push(buy("fay", "f", 1, 2, refused("sold_out")));
    });
    // Ben's item is for sale from 100 on, and Dan comes at 115.
    finds("sold_out_with_stock", |h| {
        h.calls.push(buy("fay", "f", 103, 110, refused("sold_out")));
    });
    finds("duplicate_without_purchase", |h| {
        h.calls.push(buy("fay", "f", 50, 52, refused("duplicate")));
    });
    finds("refused_and_bought", |h| {
        h.calls[0].answer = refused("unavailable");
    });
    finds("accepted_and_vanished", |h| {
        h.calls.push(buy("fay", "f", 50, 52, Answer::Accepted));
        h.calls.push(told("fay", 60, 61, "processing", None));
    });
}

#[test]
fn what_buyers_were_told_falsely_is_found() {
    let tells = |user: &'static str, at: u64, status: &'static str, order: Option<&'static str>| {
        move |h: &mut History| h.calls.push(told(user, at, at + 1, status, order))
    };
    finds("told_none_and_has_it", tells("cid", 50, "none", None));
    finds("told_failed_and_has_it", tells("cid", 50, "failed", None));
    finds(
        "told_cancelled_and_has_it",
        tells("cid", 50, "cancelled", None),
    );
    finds(
        "told_cancelled_and_was_not",
        tells("eve", 70, "cancelled", None),
    );
    finds(
        "told_succeeded_and_was_not",
        tells("eve", 70, "succeeded", None),
    );
    finds(
        "told_succeeded_and_was_not",
        tells("ann", 2, "succeeded", None),
    );
    finds(
        "told_ordered_and_was_not",
        tells("cid", 33, "ordered", Some("3")),
    );
    finds(
        "told_ordered_and_was_not",
        tells("cid", 80, "ordered", Some("1")),
    );
    finds("told_paid_and_was_not", tells("cid", 80, "paid", Some("3")));
    // Before the buyer paid.
    finds("told_paid_and_was_not", tells("ann", 70, "paid", Some("1")));
    finds(
        "told_cancelled_and_has_it",
        tells("ben", 70, "cancelled", Some("2")),
    );
    finds(
        "told_processing_and_was_not",
        tells("fay", 80, "processing", None),
    );
    finds("processing_and_vanished", |h| {
        h.calls.push(buy("fay", "f", 50, 52, Answer::Accepted));
        h.calls.push(told("fay", 60, 61, "processing", None));
        h.calls.push(told("fay", 62, 63, "none", None));
    });
    finds("paid_and_lost", |h| h.orders[0].state = State::Created);
    finds("cancelled_and_lost", |h| h.orders[1].state = State::Paid);
}

#[test]
fn answers_that_may_be_true_are_no_lies() {
    let mut history = sale();
    history.calls.extend([
        // Asked before, answered after.
        told("cid", 28, 31, "none", None),
        told("cid", 28, 31, "succeeded", None),
        told("ann", 1, 2, "unknown", None),
        // Redis forgot it, and it was made again.
        told("dan", 117, 118, "succeeded", None),
        // The database decided, and the ledger follows.
        told("ann", 81, 82, "paid", Some("1")),
        told("ben", 92, 93, "cancelled", Some("2")),
        // The last item is taken at 30, within this call.
        buy("fay", "f", 29, 31, refused("sold_out")),
        buy("fay", "g", 33, 34, refused("busy")),
        // It came to nothing, and its buyer was told so.
        buy("gus", "g", 50, 52, Answer::Accepted),
        told("gus", 53, 54, "processing", None),
        told("gus", 55, 56, "failed", None),
        buy("hal", "h", 50, 52, Answer::Lost),
        // Accepted by an edge that had lost sight of it: nothing was journalled.
        buy("ida", "i", 50, 52, Answer::Accepted),
        told("ida", 53, 54, "none", None),
        // Another purchase role has it in its journal, and replays it at 120.
        told("dan", 116, 117, "processing", None),
        told("dan", 117, 118, "none", None),
        // Replayed and refused, between two answers of a role that does not know.
        buy("joe", "j", 50, 52, Answer::Accepted),
        told("joe", 53, 54, "processing", None),
        told("joe", 55, 56, "none", None),
    ]);
    history.refused.insert("joe".into());
    assert_eq!(check(&history), []);
}

#[test]
fn a_returned_item_is_for_sale_again_when_its_permit_is() {
    let mut history = sale();
    history.reopens_within_us = 6_000;
    // Ben's item is for sale again at 100, and its permit returns by 106.
    history
        .calls
        .push(buy("fay", "f", 103, 104, refused("sold_out")));
    assert_eq!(check(&history), []);
    history
        .calls
        .push(buy("gus", "g", 108, 110, refused("sold_out")));
    assert_eq!(check(&history).len(), 1);
}

/// Half a million clicks on ten thousand items.
#[test]
fn a_large_history_is_checked_in_one_go() {
    let items = 10_000_u64;
    let mut events = vec![event(
        0,
        0,
        &[("kind", "preload"), ("quantity", "10000")],
        (10_000, 0, 0),
    )];
    let mut history = History {
        amount: items,
        ..History::default()
    };
    for n in 0..50_000_u64 {
        let (user, at) = (format!("u{n}"), 10 + n);
        let answer = match n < items {
            true => {
                let left = i64::try_from(items - n - 1).unwrap();
                events.push(bought(at, &user, "r", (left, 10_000 - left, 0)));
                history
                    .orders
                    .push(order(&n.to_string(), &user, "r", at, State::Created));
                Answer::Accepted
            }
            false => refused("sold_out"),
        };
        history.calls.push(buy(&user, "r", at - 1, at + 2, answer));
    }
    history.segments = vec![events];
    assert_eq!(check(&history), []);
}
