use super::*;
use crate::stock::ledger::replay;

fn event(seq: u64, text: &str) -> Event {
    let fields = text.split(' ').filter_map(|pair| pair.split_once('='));
    Event {
        id: EntryId { ms: 1, seq },
        fields: fields
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect(),
    }
}

fn order(user: &str, quantity: u32, stands: order::State) -> OrderRecord {
    OrderRecord {
        segment: 1,
        purchase: PurchaseId {
            user: user.to_owned(),
            request: "r".to_owned(),
            at_ms: 5,
        },
        quantity,
        price_cents: 100,
        permit: String::new(),
        order: format!("7{user}"),
        stands,
        reason: "unpaid".to_owned(),
    }
}

/// What the archive has of the worked example.
fn archived() -> Vec<Event> {
    [
        "kind=preload request=preload user= quantity=10 sale=10 locked=0 saled=0",
        "kind=purchase user=li request=r at_ms=5 quantity=2 permit=e.l.1 sale=8 locked=2 saled=0",
        "kind=purchase user=wang request=r at_ms=5 quantity=1 permit=e.l.2 sale=7 locked=3 saled=0",
    ]
    .iter()
    .zip(0..)
    .map(|(text, seq)| event(seq, text))
    .collect()
}

fn known<'a>(
    events: Vec<&'a [Event]>,
    orders: &'a [OrderRecord],
    under_way: &'a HashSet<PurchaseId>,
) -> Known<'a> {
    Known {
        round: "1",
        product: "153",
        amount: 10,
        preloaded: &[10],
        events,
        orders,
        under_way,
    }
}

/// What the ledger is once a plan was carried out.
fn carried_out(before: &[Event], plan: &Plan) -> Replay {
    let mut events = before.to_vec();
    for fields in &plan.missing {
        events.push(Event {
            id: EntryId {
                ms: 2,
                seq: events.len() as u64,
            },
            fields: fields.iter().cloned().collect(),
        });
    }
    replay(&events)
}

#[test]
fn orders_and_archive_together_are_what_was_sold() {
    let archived = archived();
    let orders = [
        order("li", 2, order::State::Paid),
        order("zhao", 1, order::State::Created),
    ];
    let nobody = HashSet::new();
    let (plans, oversold) = plan(&known(vec![&archived], &orders, &nobody));
    let plan = &plans[0];
    assert_eq!(oversold, 0);
    assert_eq!(plan.amounts.to_string(), "6 for sale, 2 locked, 2 sold");
    assert_eq!(plan.buyers["li"], "paid|r|2|e.l.1|7li|5");
    assert_eq!(plan.buyers["wang"], "succeeded|r|1|e.l.2||5");
    assert_eq!(plan.buyers["zhao"], "ordered|r|1||7zhao|5");
    assert_eq!(plan.spent["e.l"], 3);
    assert_eq!((plan.adopted, plan.redriven.len()), (1, 1));
    let after = carried_out(&archived, plan);
    assert_eq!((after.faults, after.amounts), (vec![], plan.amounts));
}

#[test]
fn a_record_is_of_the_purchase_that_lives_though_another_is_adopted_after_it() {
    let mut archived = archived();
    let text = "kind=purchase user=zhao request=r2 at_ms=9 quantity=1 sale=6 locked=4 saled=0";
    archived.push(event(3, text));
    let nobody = HashSet::new();
    let orders = [order("zhao", 1, order::State::Cancelled)];
    let (plans, _) = plan(&known(vec![&archived], &orders, &nobody));
    assert_eq!(plans[0].adopted, 1);
    assert_eq!(plans[0].buyers["zhao"], "succeeded|r2|1|||9");
}

#[test]
fn no_permit_goes_back_for_a_released_purchase_that_had_none() {
    let orders = [order("zhao", 1, order::State::Cancelled)];
    let nobody = HashSet::new();
    let archived = archived();
    let (plans, _) = plan(&known(vec![&archived], &orders, &nobody));
    assert_eq!(plans[0].returned, 0);
    let refund = refund_id("zhao", "r", 5);
    let expected = [refund_without_permit(&refund, 0), refund];
    assert!(expected.iter().all(|it| plans[0].refunds.contains(it)));
}

#[test]
fn what_was_carried_out_needs_nothing_more() {
    let archived = archived();
    let orders = [order("li", 2, order::State::Cancelled)];
    let nobody = HashSet::new();
    let (first, _) = plan(&known(vec![&archived], &orders, &nobody));
    assert_eq!(first[0].refunds.len(), 1);
    assert_eq!(first[0].returned, 2);
    let mut events = archived;
    for fields in &first[0].missing {
        events.push(Event {
            id: EntryId {
                ms: 2,
                seq: events.len() as u64,
            },
            fields: fields.iter().cloned().collect(),
        });
    }
    let wang = HashSet::from([order("wang", 1, order::State::Created).purchase]);
    let (second, _) = plan(&known(vec![&events], &orders, &wang));
    assert_eq!(second[0].missing.len(), 1, "only a rebuild");
    assert_eq!(second[0].amounts, first[0].amounts);
    assert_eq!(second[0].buyers, first[0].buyers);
    assert!(second[0].redriven.is_empty());
}

#[test]
fn a_transfer_that_was_cut_in_half_arrives() {
    let source = [
        event(
            0,
            "kind=preload request=preload quantity=6 sale=6 locked=0 saled=0",
        ),
        event(
            1,
            "kind=transfer_out request=t quantity=2 other=2 sale=4 locked=0 saled=0",
        ),
    ];
    let nobody = HashSet::new();
    let known = Known {
        preloaded: &[6, 4],
        ..known(vec![&source, &[]], &[], &nobody)
    };
    let (plans, _) = plan(&known);
    assert_eq!((plans[0].amounts.sale, plans[1].amounts.sale), (4, 6));
    assert_eq!(plans[0].transfers["t"], "out|2|2");
    assert_eq!(plans[1].transfers["t"], "in|2|1");
}

#[test]
fn nothing_is_oversold_further() {
    let archived = archived();
    let nobody = HashSet::new();
    let orders = [order("zhao", 9, order::State::Paid)];
    let (plans, oversold) = plan(&known(vec![&archived], &orders, &nobody));
    assert_eq!(oversold, 2);
    assert_eq!(plans[0].amounts.to_string(), "0 for sale, 3 locked, 9 sold");
    assert_eq!(carried_out(&archived, &plans[0]).faults, []);
}
