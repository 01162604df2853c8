use super::*;

fn event(seq: u64, text: &str) -> Event {
    let fields = text.split(' ').filter_map(|pair| pair.split_once('='));
    Event {
        id: EntryId { ms: 1, seq },
        fields: fields
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect(),
    }
}

fn history() -> Vec<Event> {
    [
        "kind=preload request=preload quantity=10 sale=10 locked=0 saled=0",
        "kind=purchase user=li request=r at_ms=5 quantity=2 sale=8 locked=2 saled=0",
        "kind=purchase user=wang request=r at_ms=6 quantity=1 sale=7 locked=3 saled=0",
        "kind=refund permit=e.l.1 quantity=1",
        "kind=confirm user=li request=r bought_ms=5 quantity=2 sale=7 locked=1 saled=2",
        "kind=release user=wang request=r bought_ms=6 quantity=1 sale=8 locked=0 saled=2",
        "kind=transfer_out request=t quantity=3 sale=5 locked=0 saled=2",
        "kind=adjust request=a quantity=-1 sale=4 locked=0 saled=2",
    ]
    .iter()
    .zip(0..)
    .map(|(text, seq)| event(seq, text))
    .collect()
}

#[test]
fn a_sound_history_replays_to_its_amounts() {
    let replay = replay(&history());
    assert_eq!(replay.faults, []);
    let (sale, locked, saled) = (4, 0, 2);
    let amounts = Amounts {
        sale,
        locked,
        saled,
    };
    assert_eq!(replay.amounts, amounts);
    assert_eq!(replay.purchases.len(), 2);
    assert!(replay.left.contains_key("t"));
}

#[test]
fn every_event_that_moves_stock_is_missed_when_it_is_gone() {
    let whole = history();
    for gone in (0..whole.len() - 1).filter(|at| *at != 3) {
        let mut events = whole.clone();
        events.remove(gone);
        let faults = replay(&events).faults;
        assert!(!faults.is_empty(), "without event {gone}");
        assert_eq!(faults[0].kind, "event_missing", "without event {gone}");
    }
}

#[test]
fn a_purchase_copied_under_another_time_is_named_and_counts_once() {
    let mut events = history();
    let mut copy = events[1].clone();
    copy.fields.insert("at_ms".into(), "32".into());
    events.insert(2, copy);
    let replayed = replay(&events);
    assert_eq!(replayed.faults.len(), 1, "{:?}", replayed.faults);
    assert_eq!(replayed.faults[0].kind, "event_doubled");
    assert_eq!(replayed.faults[0].events, [1, 2]);
    assert_eq!(replayed.amounts, replay(&history()).amounts);
}

#[test]
fn a_doubled_event_is_named_and_counts_once() {
    for doubled in [0, 1, 4, 5, 6, 7] {
        let mut events = history();
        events.push(events[doubled].clone());
        let replayed = replay(&events);
        assert_eq!(replayed.faults.len(), 1);
        assert_eq!(replayed.faults[0].kind, "event_doubled");
        assert_eq!(replayed.faults[0].events, [doubled, 8]);
        assert_eq!(replayed.amounts, replay(&history()).amounts);
        let copy = events.last_mut().unwrap();
        copy.fields.insert("redriven".into(), "1".into());
        assert_eq!(replay(&events).faults, [], "made on purpose");
    }
}

#[test]
fn nothing_is_confirmed_and_released() {
    let mut events = history();
    let both = "kind=release user=li request=r bought_ms=5 quantity=2 sale=6 locked=-2 saled=2";
    events.push(event(9, both));
    let faults = replay(&events).faults;
    assert_eq!(faults[0].kind, "event_unfounded");
    assert_eq!(faults[0].events, [1, 4, 8]);
}

#[test]
fn a_rebuild_begins_again_and_is_held_to_the_purchases_on_record() {
    let mut events = history();
    // li's purchase was lost, and is entered again behind its confirm.
    let lost = events.remove(1);
    assert!(!replay(&events).faults.is_empty());
    let mut again = lost;
    again.id.seq = 10;
    events.push(again);
    events.push(event(11, "kind=rebuild quantity=0 sale=4 locked=0 saled=2"));
    let replayed = replay(&events);
    assert_eq!(replayed.faults, []);
    assert_eq!((replayed.amounts.saled, replayed.total), (2, 6));
    let wrong = "kind=rebuild quantity=0 sale=5 locked=0 saled=2";
    events.push(event(12, wrong));
    assert_eq!(replay(&events).faults[0].kind, "rebuild_differs");
}

#[test]
fn an_id_reads_back_as_written() {
    let id = EntryId::parse("1700000000000-7").unwrap();
    assert_eq!(id.to_string(), "1700000000000-7");
    assert!(id < EntryId::parse("1700000000000-10").unwrap());
    assert_eq!(EntryId::parse("7"), None);
}

#[test]
fn what_was_sold_may_be_returned_once_and_its_buyer_may_buy_again() {
    let mut events = history();
    let mut push = |text: &str| events.push(event(events.len() as u64, text));
    push("kind=return user=li request=r bought_ms=5 quantity=2 sale=6 locked=0 saled=0");
    push("kind=purchase user=li request=r at_ms=9 quantity=1 sale=5 locked=1 saled=0");
    let sound = replay(&events);
    assert_eq!(sound.faults, []);
    assert_eq!(sound.bound(), (1, 0));
    let mut twice = events.clone();
    let mut again = events[8].clone();
    again.id.seq = 99;
    twice.push(again);
    assert_eq!(replay(&twice).faults[0].kind, "event_doubled");
    events.remove(4);
    let unsold = replay(&events).faults;
    let unfounded = unsold.iter().any(|it| it.what.contains("was not sold"));
    assert!(unfounded, "{unsold:?}");
}
