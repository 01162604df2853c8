//! Orders in the database, and accounts: the same cases on SQLite, MariaDB and PostgreSQL.

/// Changes that several processes make at once.
mod at_once;
/// In whose hands an account may be, and which rounds are to retire.
mod hands;
/// Accounts that are linked to persons.
mod identities;
/// Notifications of changes of orders.
mod notifications;
/// Transfers between sites.
mod site_transfers;
/// Orders that are spread over several databases.
mod spread;
/// Texts and records on which databases differ.
mod texts;

use crate::common;
use std::future::Future;
use std::pin::Pin;

use crate::common::item;
use crate::common::mariadb::{self, TestMariadb};
use crate::common::postgres::{self, TestPostgres};
use at_once::{
    a_product_is_in_one_round_at_a_time_however_many_make_one, a_round_is_locked_by_one_at_a_time,
    of_two_overlapping_rounds_one_is_approved, what_was_done_is_found_by_what_it_was_done_to,
};
use hands::{
    rounds_retire_by_their_end_or_their_withdrawal,
    who_gave_an_account_is_followed_back_in_time_up_to_a_command,
};
use identities::a_person_has_one_account_and_a_subject_counts_letter_by_letter;
use notifications::every_change_of_an_order_has_one_notification_for_each_channel;
use seckill::sale::import::import;
use seckill::store::orders::{NewOrder, Placed, StockDue};
use seckill::store::states::Changed;
use seckill::store::{Actor, Store};
use seckill_core::orders::message::OrderMessage;
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::order::{OrderId, State};
use seckill_core::orders::payment;
use seckill_core::orders::payment::{Notice, ProviderName, Reported};
use seckill_core::orders::purchase::Reason;
use site_transfers::{
    a_transfer_between_sites_changes_the_amount_once,
    what_came_is_given_away_only_once_it_is_on_record,
};
use tempfile::TempDir;
use texts::{
    a_text_with_a_zero_byte_is_no_reason_to_refuse_money,
    of_many_who_keep_one_record_at_once_none_fails, texts_are_equal_and_in_order_by_their_bytes,
    the_longest_name_of_a_buyer_is_kept_whole,
};
use tokio::task::JoinSet;

type Case = fn(Store) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Each case is a test on SQLite; all of them together are one on MariaDB and one on
/// PostgreSQL, since their servers take seconds to start.
macro_rules! on_all {
    ($($case:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $case() {
                let folder = super::TempDir::new().unwrap();
                let url = format!("sqlite://{}", folder.path().join("s.db").display());
                super::$case(super::Store::open(&url).await.unwrap()).await;
            })*
        }

        #[tokio::test]
        async fn all_hold_on_mariadb() {
            let server = TestMariadb::start().await;
            let cases: &[(&str, Case)] = &[$((stringify!($case), |it| Box::pin($case(it)))),*];
            // What the server in its place is known not to do (scripts/test-mysql.sh).
            let without = std::env::var("TEST_MARIADB_WITHOUT").unwrap_or_default();
            for (number, (name, case)) in cases.iter().enumerate() {
                println!("on MariaDB: {name}");
                if without.split(',').any(|it| it == *name) {
                    continue;
                }
                case(mariadb::store(&server, &format!("case_{number}")).await).await;
            }
        }

        #[tokio::test]
        async fn all_hold_on_postgres() {
            let server = TestPostgres::start().await;
            let cases: &[(&str, Case)] = &[$((stringify!($case), |it| Box::pin($case(it)))),*];
            for (number, (name, case)) in cases.iter().enumerate() {
                println!("on PostgreSQL: {name}");
                case(postgres::store(&server, &format!("case_{number}")).await).await;
            }
        }
    };
}

on_all!(
    a_purchase_is_placed_once_and_a_conflicting_order_is_returned,
    a_request_id_may_be_used_again_after_its_purchase_came_to_nothing,
    of_many_who_cancel_at_once_one_does,
    what_failed_is_never_placed_and_what_was_placed_never_fails,
    orders_unpaid_past_their_time_expire_once,
    what_the_stock_has_to_follow_is_kept_until_it_did,
    a_thousand_orders_are_one_batch,
    a_message_that_does_not_fit_is_refused_for_good,
    a_buyer_sees_his_own_orders_newest_first,
    sales_are_kept,
    of_paying_and_cancelling_at_once_one_wins_and_no_money_is_lost,
    a_payment_is_known_by_its_id,
    every_change_of_an_order_has_one_notification_for_each_channel,
    the_longest_name_of_a_buyer_is_kept_whole,
    a_person_has_one_account_and_a_subject_counts_letter_by_letter,
    texts_are_equal_and_in_order_by_their_bytes,
    of_many_who_keep_one_record_at_once_none_fails,
    a_text_with_a_zero_byte_is_no_reason_to_refuse_money,
    a_transfer_between_sites_changes_the_amount_once,
    what_came_is_given_away_only_once_it_is_on_record,
    a_product_is_in_one_round_at_a_time_however_many_make_one,
    of_two_overlapping_rounds_one_is_approved,
    what_was_done_is_found_by_what_it_was_done_to,
    a_round_is_locked_by_one_at_a_time,
    who_gave_an_account_is_followed_back_in_time_up_to_a_command,
    rounds_retire_by_their_end_or_their_withdrawal,
);

fn purchase(user: &str, request: &str, at_ms: u64) -> OrderMessage {
    OrderMessage {
        v: 1,
        request: request.into(),
        round: "1".into(),
        product: "153".into(),
        segment: 1,
        user: user.into(),
        quantity: 2,
        price_cents: 99_900,
        permit: "e.l.1".into(),
        at_ms,
        order: None,
        traceparent: None,
        relayed_us: None,
    }
}

fn order(id: u64, user: &str, request: &str) -> NewOrder {
    NewOrder {
        id: OrderId(id),
        purchase: purchase(user, request, 1),
        pay_by_ms: 100,
    }
}

async fn place(store: &Store, order: NewOrder) -> Placed {
    store.place_batch(&[order], 5).await.unwrap()[0]
}

async fn a_purchase_is_placed_once_and_a_conflicting_order_is_returned(store: Store) {
    let batch = [
        order(1, "li", "r1"),
        order(2, "li", "r1"),
        order(3, "li", "r2"),
        order(4, "wang", "r1"),
    ];
    let (one, four) = (OrderId(1), OrderId(4));
    for first in [true, false] {
        let new = |id| {
            if first {
                Placed::New(id)
            } else {
                Placed::Before(id)
            }
        };
        let placed = store.place_batch(&batch, 5).await.unwrap();
        assert_eq!(
            placed,
            [new(one), Placed::Before(one), Placed::Taken(one), new(four)]
        );
    }
    let error = store
        .place_batch(&[order(4, "zhao", "r9")], 5)
        .await
        .unwrap_err();
    assert!(error.is_passing(), "another number will do: {error}");
    assert_eq!(store.live_orders(&item()).await.unwrap(), 2);
    let found = store.latest_order("li", &item()).await.unwrap().unwrap();
    assert_eq!(
        (found.id, found.request.as_str(), found.created_ms),
        (one, "r1", 5)
    );
    assert_eq!((found.pay_by_ms, found.total_cents()), (100, 199_800));
}

async fn a_request_id_may_be_used_again_after_its_purchase_came_to_nothing(store: Store) {
    assert_eq!(
        place(&store, order(1, "li", "r")).await,
        Placed::New(OrderId(1))
    );
    let cancelled = store
        .cancel("li", OrderId(1), Reason::Cancelled, 6)
        .await
        .unwrap();
    assert!(matches!(cancelled, Changed::Now(_)));
    let again = NewOrder {
        purchase: purchase("li", "r", 2),
        ..order(2, "li", "r")
    };
    assert_eq!(place(&store, again).await, Placed::New(OrderId(2)));
    assert_eq!(
        place(&store, order(3, "li", "r")).await,
        Placed::Before(OrderId(1))
    );
}

async fn of_many_who_cancel_at_once_one_does(store: Store) {
    const ORDERS: u64 = 40;
    let orders: Vec<_> = (1..=ORDERS)
        .map(|n| order(n, &format!("u{n}"), "r"))
        .collect();
    store.place_batch(&orders, 5).await.unwrap();
    let mut racers = JoinSet::new();
    for n in 1..=ORDERS {
        for reason in [Reason::Cancelled, Reason::Unpaid] {
            let store = store.clone();
            racers.spawn(async move {
                let user = format!("u{n}");
                let changed = store.cancel(&user, OrderId(n), reason, 6).await.unwrap();
                u64::from(matches!(changed, Changed::Now(_)))
            });
        }
    }
    assert_eq!(racers.join_all().await.into_iter().sum::<u64>(), ORDERS);
    assert_eq!(store.stock_due(1_000, 7).await.unwrap().len(), 40);
    let stranger = store
        .cancel("u2", OrderId(1), Reason::Cancelled, 6)
        .await
        .unwrap();
    assert_eq!(stranger, Changed::Missing);
}

async fn what_failed_is_never_placed_and_what_was_placed_never_fails(store: Store) {
    let (li, wang) = (order(1, "li", "r"), order(2, "wang", "r"));
    assert_eq!(place(&store, wang.clone()).await, Placed::New(OrderId(2)));
    let both = [
        li.clone(),
        NewOrder {
            id: OrderId(3),
            ..wang
        },
    ];
    for _ in 0..2 {
        let failed = store.fail_batch(&both, Reason::Backlog, 6).await.unwrap();
        assert_eq!(failed, [Placed::Failed, Placed::Before(OrderId(2))]);
    }
    assert_eq!(
        place(
            &store,
            NewOrder {
                id: OrderId(4),
                ..li
            }
        )
        .await,
        Placed::Failed
    );
    assert_eq!(store.live_orders(&item()).await.unwrap(), 1);
    assert_eq!(
        store.orders_of("li", 0, 10).await.unwrap(),
        [],
        "there never was an order"
    );
    let due = store.stock_due(10, 7).await.unwrap();
    assert_eq!((due.len(), due[0].reason), (1, Some(Reason::Backlog)));
    let latest = store.latest_order("li", &item()).await.unwrap().unwrap();
    assert_eq!(latest.state, State::Failed);
    // They may buy again.
    assert_eq!(
        place(&store, order(5, "li", "r2")).await,
        Placed::New(OrderId(5))
    );
}

async fn orders_unpaid_past_their_time_expire_once(store: Store) {
    let late = NewOrder {
        pay_by_ms: 50,
        ..order(1, "li", "r")
    };
    store
        .place_batch(&[late, order(2, "wang", "r")], 5)
        .await
        .unwrap();
    let early = store.expire("li", OrderId(1), 49).await.unwrap();
    assert!(matches!(early, Changed::Not(order) if order.state == State::Created));
    assert_eq!(store.expire_overdue(10, 49).await.unwrap(), 0);
    assert_eq!(store.expire_overdue(10, 50).await.unwrap(), 1);
    assert_eq!(store.expire_overdue(10, 50).await.unwrap(), 0);
    let again = store.expire("li", OrderId(1), 50).await.unwrap();
    assert!(matches!(again, Changed::Not(order) if order.reason == Some(Reason::Unpaid)));
    let wang = store.expire("wang", OrderId(2), 100).await.unwrap();
    assert!(matches!(wang, Changed::Now(order) if order.state == State::Cancelled));
}

async fn what_the_stock_has_to_follow_is_kept_until_it_did(store: Store) {
    let orders: Vec<_> = (1..=3).map(|n| order(n, &format!("u{n}"), "r")).collect();
    store.place_batch(&orders, 5).await.unwrap();
    for (n, now_ms) in [(1, 10), (2, 20), (3, 30)] {
        store
            .cancel(&format!("u{n}"), OrderId(n), Reason::Cancelled, now_ms)
            .await
            .unwrap();
    }
    assert_eq!(
        store.stock_due(10, 20).await.unwrap().len(),
        1,
        "the others are too fresh"
    );
    let due = store.stock_due(10, 100).await.unwrap();
    let ids: Vec<u64> = due.iter().map(|order| order.id.0).collect();
    assert_eq!(ids, [1, 2, 3]);
    store.postpone_stock(&[&due[0]], 40).await.unwrap();
    store.stock_followed(&[&due[1]], None).await.unwrap();
    let due = store.stock_due(10, 100).await.unwrap();
    let ids: Vec<u64> = due.iter().map(|order| order.id.0).collect();
    assert_eq!(ids, [3, 1]);
    store
        .stock_followed(&[&due[0]], Some(StockDue::Lost))
        .await
        .unwrap();
    assert_eq!(store.stock_due(10, 100).await.unwrap().len(), 1);
    let lost = store.order("u3", OrderId(3)).await.unwrap().unwrap();
    assert_eq!(lost.stock_due, Some(StockDue::Lost), "it stays visible");
}

async fn a_thousand_orders_are_one_batch(store: Store) {
    let orders: Vec<_> = (1..=1_100)
        .map(|n| order(n, &format!("u{n}"), "r"))
        .collect();
    let placed = store.place_batch(&orders, 5).await.unwrap();
    assert!(placed.iter().all(|one| matches!(one, Placed::New(_))));
    assert_eq!(store.live_orders(&item()).await.unwrap(), 1_100);
    let counts = store.order_counts().await.unwrap();
    assert_eq!(counts[&("1".to_owned(), "153".to_owned())].items, 2_200);
}

async fn a_message_that_does_not_fit_is_refused_for_good(store: Store) {
    let mut wrong = order(1, "li", "r");
    wrong.purchase.quantity = 0;
    let error = store
        .place_batch(&[wrong, order(2, "wang", "r")], 5)
        .await
        .unwrap_err();
    assert!(!error.is_passing(), "{error}");
    assert_eq!(
        store.live_orders(&item()).await.unwrap(),
        0,
        "nothing was placed"
    );
}

async fn a_buyer_sees_his_own_orders_newest_first(store: Store) {
    for n in 1..=5 {
        let mut next = order(n, "Li", "r");
        next.purchase.product = format!("p{n}");
        store.place_batch(&[next], 5).await.unwrap();
    }
    let page = store.orders_of("Li", 1, 2).await.unwrap();
    let ids: Vec<u64> = page.iter().map(|order| order.id.0).collect();
    assert_eq!(ids, [4, 3]);
    assert_eq!(
        store.orders_of("li", 0, 9).await.unwrap(),
        [],
        "names differ by case"
    );
    assert_eq!(store.order("wang", OrderId(1)).await.unwrap(), None);
}

async fn sales_are_kept(store: Store) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sale.toml");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/sale.toml");
    std::fs::copy(example, &path).unwrap();
    let rounds = seckill::sale::file::read(&path, common::now_ms()).unwrap();
    for change in ["imported", "unchanged"] {
        let outcomes = import(&store, &rounds, &Actor::system(), 5).await.unwrap();
        assert!(!outcomes.is_empty(), "{change}");
    }
    let stored = store.rounds().await.unwrap();
    assert_eq!(stored.len(), rounds.len());
    let id = stored[0].round.id.clone();
    for _ in 0..2 {
        let by = Actor::system();
        store.approve_round(&id, None, &by, 6).await.unwrap();
        store.mark_published(&id, 7).await.unwrap();
    }
    let round = store.round(&id).await.unwrap().unwrap();
    assert_eq!(round.published_ms, Some(7));
    assert_eq!(round.round.products, stored[0].round.products);
}

fn notice(payment: &str, order: u64, amount_cents: u64, reported: Reported) -> Notice {
    Notice {
        provider: ProviderName::Signed,
        payment: payment.into(),
        order: order.to_string(),
        amount: Money::new(amount_cents, Currency::CNY),
        reported,
    }
}

async fn of_paying_and_cancelling_at_once_one_wins_and_no_money_is_lost(store: Store) {
    const ORDERS: u64 = 60;
    let orders: Vec<_> = (1..=ORDERS)
        .map(|n| order(n, &format!("u{n}"), "r"))
        .collect();
    store.place_batch(&orders, 5).await.unwrap();
    let mut racers = JoinSet::new();
    for n in 1..=ORDERS {
        // Each notice comes twice.
        for _ in 0..2 {
            let store = store.clone();
            racers.spawn(async move {
                let paid = notice(&format!("p{n}"), n, 199_800, Reported::Paid);
                store.note_payment(&paid, Currency::CNY, 6).await.unwrap();
            });
        }
        let store = store.clone();
        racers.spawn(async move {
            let user = format!("u{n}");
            store
                .cancel(&user, OrderId(n), Reason::Cancelled, 6)
                .await
                .unwrap();
        });
    }
    racers.join_all().await;
    let (mut paid, mut cancelled) = (0, 0);
    for n in 1..=ORDERS {
        let order = store.order(&format!("u{n}"), OrderId(n)).await.unwrap();
        let order = order.unwrap();
        let payments = store.payments_of(&order).await.unwrap();
        assert_eq!(payments.len(), 1);
        let stands = (order.state, order.stock_due, payments[0].state);
        match order.state {
            State::Paid => paid += 1,
            _ => cancelled += 1,
        }
        let confirmed = (State::Paid, Some(StockDue::Confirm), payment::State::Paid);
        let released = (
            State::Cancelled,
            Some(StockDue::Release),
            payment::State::RefundDue,
        );
        assert!(stands == confirmed || stands == released, "{stands:?}");
    }
    assert_eq!(paid + cancelled, ORDERS);
    assert_eq!(store.refunds_due().await.unwrap().len(), cancelled as usize);
}

async fn a_payment_is_known_by_its_id(store: Store) {
    store
        .place_batch(&[order(1, "li", "r"), order(2, "wang", "r")], 5)
        .await
        .unwrap();
    use payment::State::{Failed, Paid, RefundDue, Refunded};
    for (payment, to, amount, reported, state, reason) in [
        ("a", 1, 199_800, Reported::Failed, Failed, None),
        ("a", 1, 199_800, Reported::Paid, Paid, None),
        ("a", 1, 199_800, Reported::Failed, Paid, None),
        (
            "b",
            1,
            199_800,
            Reported::Paid,
            RefundDue,
            Some("already_paid"),
        ),
        ("c", 2, 1, Reported::Paid, RefundDue, Some("wrong_amount")),
        ("c", 2, 1, Reported::Refunded(1), Refunded, None),
        ("d", 2, 199_800, Reported::Refunded(199_800), Refunded, None),
        ("d", 2, 199_800, Reported::Paid, Refunded, None),
        ("e", 99, 5, Reported::Paid, RefundDue, Some("unknown_order")),
    ] {
        let noted = store
            .note_payment(&notice(payment, to, amount, reported), Currency::CNY, 6)
            .await
            .unwrap();
        let stands = (noted.payment.state, noted.payment.reason.as_deref());
        assert_eq!(stands, (state, reason), "{payment} {reported:?}");
    }
    let due = store.refunds_due().await.unwrap();
    let ids: Vec<&str> = due.iter().map(|payment| payment.id.as_str()).collect();
    assert_eq!(ids, ["b", "e"]);
    let wang = store.order("wang", OrderId(2)).await.unwrap().unwrap();
    assert_eq!(wang.state, State::Created);
}
