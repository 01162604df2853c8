//! One suite for every payment provider: what they report, and how often, in which order,
//! for whom and for how much, must come to the same.

use std::time::Duration;

use axum::http::StatusCode;
use seckill::orders::payments::{Bill, Payments, Provider as _, Refund, Returned};
use seckill::store::Store;
use seckill::store::checkouts::Checkout;
use seckill::store::orders::{NewOrder, Placed};
use seckill_core::orders::message::OrderMessage;
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment::{ProviderName, Reported, State};
use serde_json::Value;

use super::counterparts::{Counterpart, Says, Status};
use crate::common::shop::Shop;
use crate::common::{now_ms, stock};

const PRICE: u64 = 99_900;

/// A shop that all providers serve, in which these users have an order each.
async fn shop(users: &[&str]) -> (Shop, Vec<Counterpart>, Vec<String>) {
    let mut parties = Counterpart::all().await;
    let providers = parties
        .iter_mut()
        .map(|party| party.provider.take().unwrap());
    let payments = Payments::new(Currency::CNY, providers.collect());
    let mut shop = Shop::open_paid_by(50, payments).await;
    shop.run_all();
    let mut orders = Vec::new();
    for user in users {
        assert_eq!(shop.click(user, "r").await.0, StatusCode::ACCEPTED);
        orders.push(shop.until_ordered(user).await);
    }
    (shop, parties, orders)
}

/// The order's state, and of each payment its id, state and reason.
async fn stands(shop: &Shop, order: &str, user: &str) -> (String, Vec<(String, State, String)>) {
    let id = OrderId(order.parse().unwrap());
    let order = shop.store.order(user, id).await.unwrap().unwrap();
    let payments = shop.store.payments_of(&order).await.unwrap();
    let of = payments
        .into_iter()
        .map(|it| (it.id, it.state, it.reason.unwrap_or_default()));
    (order.state.as_str().to_owned(), of.collect())
}

/// An order in the database, placed for this buyer at this price.
async fn new_order(store: &Store, user: &str, price_cents: u64) -> String {
    let now = now_ms();
    let number = user.bytes().map(u64::from).sum::<u64>();
    let order = NewOrder {
        id: OrderId(OrderId::first_of(now).0 + number),
        purchase: OrderMessage {
            v: 1,
            request: "direct".to_owned(),
            round: "1".to_owned(),
            product: "153".to_owned(),
            segment: 1,
            user: user.to_owned(),
            quantity: 1,
            price_cents,
            permit: String::new(),
            at_ms: now,
            order: None,
            traceparent: None,
            relayed_us: None,
        },
        pay_by_ms: now + 600_000,
    };
    let placed = store.place_batch(&[order], now).await.unwrap();
    match placed[0] {
        Placed::New(id) => id.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn send(shop: &Shop, party: &Counterpart, says: &Says) {
    let answer = shop.notify(party.notice(says)).await;
    if party.name == ProviderName::Alipay {
        assert_eq!(answer.1, "success", "which is what Alipay reads");
    }
    assert!(
        answer.0 == StatusCode::OK,
        "{:?} {says:?}: {answer:?}",
        party.name
    );
}

#[tokio::test]
async fn a_notice_that_is_doubled_replayed_or_out_of_order_pays_once() {
    let users = ["a1", "a2", "a3", "a4"];
    let (shop, parties, orders) = shop(&users).await;
    for ((party, order), user) in parties.iter().zip(&orders).zip(users) {
        let paid = Says::paid("p-1", order, PRICE);
        // A first attempt failed; the notice of that comes again after the payment's.
        for status in [
            Status::Failed,
            Status::Paid,
            Status::Failed,
            Status::Paid,
            Status::Paid,
        ] {
            send(&shop, party, &paid.but(status)).await;
        }
        let expected = vec![("p-1".to_owned(), State::Paid, String::new())];
        assert_eq!(
            stands(&shop, order, user).await,
            ("paid".to_owned(), expected),
            "{user}"
        );
        send(&shop, party, &Says::paid("p-2", order, PRICE)).await;
        let second = stands(&shop, order, user)
            .await
            .1
            .into_iter()
            .find(|it| it.0 == "p-2");
        let (_, state, reason) = second.unwrap();
        assert_eq!(
            (state, reason.as_str()),
            (State::RefundDue, "already_paid"),
            "{user}"
        );
    }
    assert_eq!(stock(&shop.link).await, (46, 0, 4), "each was sold once");
    assert_eq!(shop.store.refunds_due().await.unwrap().len(), 4);
    shop.shut().await;
}

#[tokio::test]
async fn money_of_the_wrong_amount_currency_or_order_pays_nothing_and_is_on_record() {
    let users = ["b1", "b2", "b3", "b4"];
    let (shop, parties, orders) = shop(&users).await;
    for ((party, order), user) in parties.iter().zip(&orders).zip(users) {
        send(&shop, party, &Says::paid("half", order, PRICE / 2)).await;
        send(&shop, party, &Says::paid("more", order, PRICE + 1)).await;
        let mut expected = vec![("half", "wrong_amount"), ("more", "wrong_amount")];
        if party.names_currency {
            let mut dollars = Says::paid("usd", order, PRICE);
            dollars.amount.currency = Currency::parse("USD").unwrap();
            send(&shop, party, &dollars).await;
            expected.push(("usd", "wrong_currency"));
        }
        let (state, mut payments) = stands(&shop, order, user).await;
        assert_eq!(state, "created", "{user}");
        payments.sort_by(|a, b| a.0.cmp(&b.0));
        let found: Vec<(&str, &str)> = payments
            .iter()
            .map(|(id, state, reason)| {
                assert_eq!(*state, State::RefundDue);
                (id.as_str(), reason.as_str())
            })
            .collect();
        assert_eq!(found, expected, "{user}");
        for unknown in ["7", "shop-7", "订单 7", "", "18446744073709551616"] {
            send(
                &shop,
                party,
                &Says::paid(&format!("for {unknown}"), unknown, 5),
            )
            .await;
        }
    }
    let due = shop.store.refunds_due().await.unwrap();
    for party in &parties {
        let unknown = due
            .iter()
            .filter(|it| it.provider == party.name && it.amount_cents == 5);
        let mut named: Vec<&str> = unknown.map(|it| it.order.as_str()).collect();
        named.sort_unstable();
        assert_eq!(named, ["", "18446744073709551616", "7", "shop-7", "订单 7"]);
    }
    assert_eq!(stock(&shop.link).await, (46, 4, 0));
    shop.shut().await;
}

#[tokio::test]
async fn money_that_comes_after_the_cancel_or_the_refund_is_returned_and_counted_exactly() {
    let users = ["c1", "c2", "c3", "c4"];
    let (shop, parties, orders) = shop(&users).await;
    for ((party, order), user) in parties.iter().zip(&orders).zip(users) {
        let (status, _) = shop
            .post(&format!("/api/orders/{order}/cancel"), user)
            .await;
        assert_eq!(status, StatusCode::OK);
        let late = Says::paid("late", order, PRICE);
        send(&shop, party, &late).await;
        let refund_due = |reason: &str| ("late".to_owned(), State::RefundDue, reason.to_owned());
        let expected = ("cancelled".to_owned(), vec![refund_due("cancelled")]);
        assert_eq!(stands(&shop, order, user).await, expected, "{user}");
        // In part, then in full; and the first of them once more.
        for part in [900, PRICE, 900] {
            send(&shop, party, &late.but(Status::Refunded(part))).await;
        }
        // Heard of only after it was refunded.
        let lost = Says::paid("lost", order, PRICE);
        send(&shop, party, &lost.but(Status::Refunded(PRICE))).await;
        send(&shop, party, &lost).await;
        let id = OrderId(order.parse().unwrap());
        let order = shop.store.order(user, id).await.unwrap().unwrap();
        for payment in shop.store.payments_of(&order).await.unwrap() {
            assert_eq!(
                (payment.state, payment.refunded_cents),
                (State::Refunded, PRICE),
                "{user}"
            );
        }
    }
    assert_eq!(
        stock(&shop.link).await,
        (50, 0, 0),
        "the stock went back once"
    );
    assert!(shop.store.refunds_due().await.unwrap().is_empty());
    shop.shut().await;
}

#[tokio::test]
async fn a_payments_id_is_kept_as_it_came_whatever_its_length_and_charset() {
    let users = ["d1", "d2", "d3", "d4"];
    let (shop, parties, orders) = shop(&users).await;
    let long = "x".repeat(66);
    let longest = "支付".repeat(4_000);
    let ids = [
        "p 1", "p 1 ", "P 1", "é", "e\u{301}", "\"'\\;--", "🧧", "a\u{0}b", "p\r\n", &long,
        &longest,
    ];
    for ((party, order), user) in parties.iter().zip(&orders).zip(users) {
        for id in ids {
            send(&shop, party, &Says::paid(id, order, PRICE)).await;
            send(&shop, party, &Says::paid(id, order, PRICE)).await;
        }
        let (state, payments) = stands(&shop, order, user).await;
        assert_eq!(
            (state.as_str(), payments.len()),
            ("paid", ids.len()),
            "{user}"
        );
        for id in ids {
            // PostgreSQL has no zero byte.
            let kept = [id.to_owned(), id.replace('\0', "\u{fffd}")];
            assert!(
                payments.iter().any(|it| kept.contains(&it.0)),
                "{user}: {id:?}"
            );
        }
    }
    shop.shut().await;
}

#[tokio::test]
async fn a_notice_is_refused_if_it_is_forged_old_or_for_another_merchant() {
    let users = ["e1", "e2", "e3", "e4"];
    let (shop, parties, orders) = shop(&users).await;
    for ((party, order), user) in parties.iter().zip(&orders).zip(users) {
        let paid = Says::paid("p", order, PRICE);
        let (parts, body) = party.notice(&paid).into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        // Every part of the body is signed: change a byte here and there.
        for at in (0..body.len()).step_by(body.len() / 7) {
            let mut forged = body.to_vec();
            forged[at] = if forged[at] == b'7' { b'8' } else { b'7' };
            let request = axum::http::Request::from_parts(parts.clone(), forged.into());
            let answer = shop.send(request).await;
            assert_eq!(answer.0, StatusCode::FORBIDDEN, "{user}: {at}");
            assert_eq!(answer.1["code"], "bad_signature");
        }
        if party.expires {
            for signed_ms in [now_ms() - 400_000, now_ms() + 400_000] {
                let old = Says {
                    signed_ms,
                    ..paid.clone()
                };
                assert_eq!(
                    shop.send(party.notice(&old)).await.1["code"],
                    "expired",
                    "{user}"
                );
            }
        }
        if party.names_merchant {
            let foreign = Says {
                for_us: false,
                ..paid.clone()
            };
            let (status, answer) = shop.send(party.notice(&foreign)).await;
            assert_eq!(
                (status, &answer["code"]),
                (StatusCode::BAD_REQUEST, &"wrong_merchant".into())
            );
        }
        assert_eq!(
            stands(&shop, order, user).await,
            ("created".to_owned(), vec![]),
            "{user}"
        );
        // One provider's notice is nothing to another.
        let (mut parts, body) = party.notice(&paid).into_parts();
        parts.uri = if party.name == ProviderName::Stripe {
            "/api/payments/wechat"
        } else {
            "/api/payments/stripe"
        }
        .parse()
        .unwrap();
        let misdirected = axum::http::Request::from_parts(parts, body);
        assert_eq!(shop.send(misdirected).await.0, StatusCode::FORBIDDEN);
    }
    shop.shut().await;
}

#[tokio::test]
async fn a_buyer_is_sent_to_one_payment_for_an_order_and_the_provider_knows_it() {
    let (shop, parties, orders) = shop(&["f1"]).await;
    let order = &orders[0];
    let path = format!("/api/orders/{order}");
    let shown = shop.get(&path, "f1").await.1;
    let pages: Vec<&str> = parties.iter().map(|party| party.name.as_str()).collect();
    assert_eq!(shown["pay_with"], serde_json::json!(pages));
    assert_eq!(shown["can_pay_here"], false);
    let first = shown["pay_url"].as_str().unwrap().to_owned();
    assert!(first.contains(&format!("o={order}&a=999.00")), "{first}");
    for party in &parties {
        let body = format!(
            r#"{{"provider":"{}","amount_cents":{PRICE}}}"#,
            party.name.as_str()
        );
        let mut urls = Vec::new();
        for _ in 0..2 {
            let request = axum::http::Request::post(format!("{path}/pay"))
                .header("cookie", crate::common::cookie("f1"))
                .header("x-real-ip", "198.51.100.7");
            let request = request.body(body.clone().into()).unwrap();
            let (status, answer) = shop.send(request).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            urls.push(answer["pay_url"].as_str().unwrap().to_owned());
        }
        assert_eq!(
            urls[0], urls[1],
            "one payment, however often it is asked for"
        );
        assert!(urls[0].contains(order.as_str()), "{}", urls[0]);
        let calls = &party.records.lock().unwrap().calls;
        let created = matches!(party.name, ProviderName::Stripe | ProviderName::WeChat);
        assert_eq!(calls.len(), usize::from(created), "{:?}", party.name);
        if let Some((_, _, body)) = calls.first() {
            assert!(
                body.contains(order.as_str()) && body.contains("99900"),
                "{body}"
            );
        }
    }
    send(&shop, &parties[1], &Says::paid("p", order, PRICE)).await;
    let shown = shop.get(&path, "f1").await.1;
    assert_eq!(
        (&shown["status"], &shown["pay_url"]),
        (&"paid".into(), &Value::Null)
    );
    shop.shut().await;
}

#[tokio::test]
async fn a_provider_is_queried_and_listed_and_returns_money_once() {
    for mut party in Counterpart::all().await {
        let provider = party.provider.take().unwrap();
        let name = party.name;
        let order = OrderId(7_777);
        let amount = Money::new(PRICE, Currency::CNY);
        let bill = Bill {
            order,
            title: "手机 A&B",
            amount,
            until_ms: now_ms() + 600_000,
            client: None,
            now_ms: now_ms(),
        };
        let opened = provider.create(&bill).await.unwrap();
        let checkout = Checkout {
            order,
            provider: name,
            user: "li".to_owned(),
            pay_url: opened.pay_url,
            provider_id: opened.provider_id,
            amount,
            created_ms: now_ms(),
        };
        assert_eq!(provider.query(&checkout).await.unwrap(), None, "{name:?}");
        party.knows(&Says::paid("p-1", "7777", PRICE));
        party.knows(&Says::paid("p-2", "7778", 1));
        let found = provider.query(&checkout).await.unwrap().unwrap();
        assert_eq!(
            (found.payment.as_str(), found.order.as_str()),
            ("p-1", "7777")
        );
        assert_eq!((found.amount, found.reported), (amount, Reported::Paid));
        if let Some(mut all) = provider.list(0, now_ms()).await.unwrap() {
            all.sort_by(|a, b| a.payment.cmp(&b.payment));
            let ids: Vec<&str> = all.iter().map(|it| it.payment.as_str()).collect();
            assert_eq!(ids, ["p-1", "p-2"], "{name:?}");
        }
        let refund = Refund {
            key: "refund-1",
            payment: "p-1",
            order: "7777",
            part: Money::new(900, Currency::CNY),
            whole: amount,
        };
        for _ in 0..2 {
            let returned = provider.refund(&refund).await.unwrap();
            let expected = if name == ProviderName::WeChat {
                Returned::Pending
            } else {
                Returned::Done
            };
            assert_eq!(returned, expected);
        }
        let refunds = party.records.lock().unwrap().refunds.clone();
        assert_eq!(refunds.len(), 1, "{name:?}");
        assert_eq!(refunds[0].1, 900);
    }
}

#[tokio::test]
async fn an_order_that_costs_nothing_completes_outside_the_demo() {
    let (shop, _, _) = shop(&[]).await;
    let free = new_order(&shop.store, "g1", 0).await;
    let path = format!("/api/orders/{free}");
    let shown = shop.get(&path, "g1").await.1;
    assert_eq!(
        (&shown["can_pay_here"], &shown["pay_url"]),
        (&true.into(), &Value::Null)
    );
    let (status, paid) = shop.post(&format!("{path}/pay"), "g1").await;
    assert_eq!((status, &paid["status"]), (StatusCode::OK, &"paid".into()));
    let costly = new_order(&shop.store, "g2", PRICE).await;
    let (status, answer) = shop.post(&format!("/api/orders/{costly}/pay"), "g2").await;
    assert_eq!(
        (status, &answer["status"]),
        (StatusCode::OK, &"created".into())
    );
    assert!(
        answer["pay_url"].is_string(),
        "money has to be paid elsewhere"
    );
    shop.shut().await;
}

#[tokio::test]
async fn money_on_its_way_when_the_clock_ran_out_pays_within_the_grace_only() {
    let (shop, parties, _) = shop(&[]).await;
    let store = shop.store.clone().with_pay_grace(Duration::from_secs(30));
    let order = new_order(&store, "h1", PRICE).await;
    let id = OrderId(order.parse().unwrap());
    let deadline = store.order("h1", id).await.unwrap().unwrap().pay_by_ms;
    assert_eq!(
        store.expire_overdue(10, deadline + 29_999).await.unwrap(),
        0
    );
    store.expire("h1", id, deadline + 29_999).await.unwrap();
    send(&shop, &parties[0], &Says::paid("late", &order, PRICE)).await;
    assert_eq!(stands(&shop, &order, "h1").await.0, "paid");
    let unpaid = new_order(&store, "h2", PRICE).await;
    let id = OrderId(unpaid.parse().unwrap());
    let deadline = store.order("h2", id).await.unwrap().unwrap().pay_by_ms;
    assert_eq!(
        store.expire_overdue(10, deadline + 30_000).await.unwrap(),
        1
    );
    shop.shut().await;
}
