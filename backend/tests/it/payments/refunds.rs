//! Returning money and comparing payments, with every provider.

use axum::http::StatusCode;
use seckill::config::RefundStock;
use seckill::orders::payments::reconcile::reconcile;
use seckill::orders::payments::refunds::{RefundError, refund};
use seckill::orders::payments::{Payments, Provider as _, Returned};
use seckill::stock::following::follow;
use seckill_core::orders::money::Currency;
use seckill_core::orders::order::{OrderId, State};
use seckill_core::orders::payment;
use seckill_core::orders::payment::ProviderName;
use seckill_core::orders::purchase;

use super::counterparts::{Counterpart, Says, Status};
use crate::common::shop::Shop;
use crate::common::{eventually, now_ms, record, stock};

const PRICE: u64 = 99_900;

/// A shop with these buyers' orders, and the providers as the commands open them.
async fn shop(users: &[&str]) -> (Shop, Payments, Vec<Counterpart>, Vec<String>) {
    let mut parties = Counterpart::all().await;
    let providers = parties
        .iter_mut()
        .map(|party| party.provider.take().unwrap());
    let payments = Payments::new(Currency::CNY, providers.collect());
    let mut shop = Shop::open_paid_by(50, payments.clone()).await;
    shop.run_all();
    let mut orders = Vec::new();
    for user in users {
        assert_eq!(shop.click(user, "r").await.0, StatusCode::ACCEPTED);
        orders.push(shop.until_ordered(user).await);
    }
    (shop, payments, parties, orders)
}

#[tokio::test]
async fn a_refunded_orders_items_are_for_sale_again_or_stay_sold_as_the_operator_says() {
    let users = ["a1", "a2"];
    let (shop, payments, parties, orders) = shop(&users).await;
    let stripe = parties
        .iter()
        .find(|it| it.name == ProviderName::Stripe)
        .unwrap();
    for (order, id) in orders.iter().zip(["pi_1", "pi_2"]) {
        shop.notify(stripe.notice(&Says::paid(id, order, PRICE)))
            .await;
    }
    assert_eq!(stock(&shop.link).await, (48, 0, 2));
    let release = shop.store.clone().with_refund_stock(RefundStock::Release);
    // In part: the order stays as it is.
    let (_, returned, noted) = refund(&release, &payments, "pi_1", Some(900), "test")
        .await
        .unwrap();
    assert_eq!(returned, Returned::Done);
    let noted = noted.unwrap();
    assert_eq!(
        (noted.payment.refunded_cents, noted.order.unwrap().state),
        (900, State::Paid)
    );
    let (_, _, noted) = refund(&release, &payments, "pi_1", None, "test")
        .await
        .unwrap();
    let order = noted.unwrap().order.unwrap();
    assert_eq!(order.state, State::Cancelled);
    for _ in 0..2 {
        follow(&release, &shop.segments, std::slice::from_ref(&order))
            .await
            .unwrap();
    }
    assert_eq!(stock(&shop.link).await, (49, 0, 1), "for sale again, once");
    let left = record(&shop.link, "a1").await.unwrap();
    assert_eq!(
        (left.state, left.reason.as_deref()),
        (purchase::State::Cancelled, Some("refunded"))
    );
    assert_eq!(shop.click("a1", "again").await.0, StatusCode::ACCEPTED);

    let (_, _, noted) = refund(&shop.store, &payments, "pi_2", None, "test")
        .await
        .unwrap();
    let order = noted.unwrap().order.unwrap();
    assert_eq!((order.state, order.stock_due), (State::Cancelled, None));
    assert_eq!(stock(&shop.link).await, (48, 1, 1), "it stays sold");

    let again = refund(&shop.store, &payments, "pi_2", None, "test")
        .await
        .unwrap_err();
    assert!(
        matches!(
            again,
            RefundError::Nothing {
                state: "refunded",
                ..
            }
        ),
        "{again}"
    );
    let returned = stripe.records.lock().unwrap().refunds.len();
    assert_eq!(returned, 2, "one for each payment at this counterpart");
    eventually("nothing is amiss in the ledger", || async {
        let report = shop.verify().await;
        report.breaches.is_empty().then_some(())
    })
    .await;
    shop.shut().await;
}

#[tokio::test]
async fn money_that_is_due_is_returned_by_every_provider_and_never_more_than_is_left() {
    let users = ["b1", "b2", "b3", "b4"];
    let (shop, payments, parties, orders) = shop(&users).await;
    for (party, order) in parties.iter().zip(&orders) {
        let id = format!("too much at {}", party.name.as_str());
        shop.notify(party.notice(&Says::paid(&id, order, PRICE + 1)))
            .await;
        let more = refund(&shop.store, &payments, &id, Some(PRICE + 2), "test").await;
        assert!(matches!(more, Err(RefundError::TooMuch { .. })));
        let none = refund(&shop.store, &payments, &id, Some(0), "test").await;
        let none = none.unwrap_err().to_string();
        assert!(none.starts_with("nothing of payment"), "{none}");
        let (_, returned, _) = refund(&shop.store, &payments, &id, None, "test")
            .await
            .unwrap();
        if returned == Returned::Pending {
            // Its notice comes later; the same command meanwhile returns nothing twice.
            refund(&shop.store, &payments, &id, None, "test")
                .await
                .unwrap();
            let other = refund(&shop.store, &payments, &id, Some(5), "test").await;
            assert!(matches!(other, Err(RefundError::UnderWay { .. })));
            let done = Says::paid(&id, order, PRICE + 1).but(Status::Refunded(PRICE + 1));
            shop.notify(party.notice(&done)).await;
        }
        let stands = shop.store.payment(&id).await.unwrap().unwrap();
        assert_eq!(stands.state, payment::State::Refunded, "{id}");
        let refunds = party.records.lock().unwrap().refunds.clone();
        assert_eq!((refunds.len(), refunds[0].1), (1, PRICE + 1), "{id}");
    }
    let unknown = refund(&shop.store, &payments, "nothing", None, "test").await;
    assert!(matches!(unknown, Err(RefundError::Unknown(_))));
    shop.shut().await;
}

/// The call that returns money fails, though the provider has done it, and its notice comes
/// before whoever called it repeats that.
#[tokio::test]
async fn a_refund_whose_reply_was_lost_is_not_made_again_once_its_notice_is_here() {
    let users = ["d1", "d2", "d3", "d4"];
    let (shop, payments, parties, orders) = shop(&users).await;
    let away = Payments::new(Currency::CNY, Counterpart::all_away().await);
    for (party, order) in parties.iter().zip(&orders) {
        let id = format!("in part at {}", party.name.as_str());
        let paid = Says::paid(&id, order, PRICE);
        shop.notify(party.notice(&paid)).await;
        let lost = refund(&shop.store, &away, &id, Some(400), "test").await;
        assert!(matches!(lost, Err(RefundError::Provider(_))), "{id}");
        shop.notify(party.notice(&paid.but(Status::Refunded(400))))
            .await;

        let again = refund(&shop.store, &payments, &id, Some(400), "test").await;
        assert_eq!(again.unwrap().1, Returned::Done, "{id}");
        let calls = || party.records.lock().unwrap().refunds.len();
        assert_eq!(calls(), 0, "{id}: nothing was returned a second time");

        // Whoever repeats it with another amount is told before more is returned.
        let lost = refund(&shop.store, &away, &id, Some(300), "test").await;
        assert!(matches!(lost, Err(RefundError::Provider(_))), "{id}");
        shop.notify(party.notice(&paid.but(Status::Refunded(700))))
            .await;
        let other = refund(&shop.store, &payments, &id, None, "test").await;
        let other = other.unwrap_err();
        assert!(matches!(other, RefundError::Made { .. }), "{id}: {other}");
        assert!(other.to_string().contains("3.00 CNY"), "{other}");
        assert_eq!(calls(), 0, "{id}");
        refund(&shop.store, &payments, &id, None, "test")
            .await
            .unwrap();
        let refunds = party.records.lock().unwrap().refunds.clone();
        assert_eq!((refunds.len(), refunds[0].1), (1, PRICE - 700), "{id}");
    }
    shop.shut().await;
}

#[tokio::test]
async fn what_never_arrived_is_recorded_and_what_contradicts_itself_is_named() {
    let users = ["c1", "c2", "c3", "c4"];
    let (shop, payments, parties, orders) = shop(&users).await;
    let span = (now_ms() - 3_600_000, now_ms() + 3_600_000);
    for ((party, order), user) in parties.iter().zip(&orders).zip(users) {
        let provider = payments.named(party.name).unwrap();
        let body = format!(r#"{{"provider":"{}"}}"#, party.name.as_str());
        let request = axum::http::Request::post(format!("/api/orders/{order}/pay"))
            .header("cookie", crate::common::cookie(user))
            .body(body.into())
            .unwrap();
        assert_eq!(shop.send(request).await.0, StatusCode::OK);
        // The buyer paid, and the notice was lost.
        party.knows(&Says::paid("lost", order, PRICE));
        let look = reconcile(&shop.store, &payments, provider, span, false)
            .await
            .unwrap();
        assert_eq!((look.theirs, look.ours, look.open()), (1, 0, 1), "{user}");
        let mended = reconcile(&shop.store, &payments, provider, span, true)
            .await
            .unwrap();
        assert_eq!((mended.differences.len(), mended.open()), (1, 0), "{user}");
        let id = OrderId(order.parse().unwrap());
        let paid = shop.store.order(user, id).await.unwrap().unwrap();
        assert_eq!(paid.state, State::Paid, "{user}");
        let again = reconcile(&shop.store, &payments, provider, span, true)
            .await
            .unwrap();
        assert_eq!((again.ours, again.differences.len()), (1, 0), "{user}");

        // Money on record here of which the provider knows nothing.
        shop.notify(party.notice(&Says::paid("only here", order, PRICE)))
            .await;
        let open = reconcile(&shop.store, &payments, provider, span, true)
            .await
            .unwrap();
        let kinds: Vec<&str> = open.differences.iter().map(|(it, _)| it.kind()).collect();
        assert_eq!((kinds, open.open()), (vec!["not_there"], 1), "{user}");
        assert_eq!(provider.name(), party.name);
    }
    shop.shut().await;
}
