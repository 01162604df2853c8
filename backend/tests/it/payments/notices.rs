//! Buyers are notified of their orders, by a webhook and by e-mail.

use axum::http::{Method, Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::TimeZone;
use seckill::orders::notifications;
use seckill::orders::notifications::Notifier;
use seckill::orders::notifications::email::Email;
use seckill::orders::notifications::webhook::Webhook;
use seckill::shop::Options;
use seckill::store::notifications::{NotificationKey, SendOutcome, StoredNotification};
use seckill_core::orders::money::{Currency, Money};
use seckill_core::orders::notification::{Channel, Kind, Lang};
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment;
use seckill_core::orders::payment::{Notice, ProviderName, Reported};
use serde_json::Value;

use crate::common::receivers::{Call, Inbox, http_server, mail_server};
use crate::common::shop::{Shop, click};
use crate::common::{eventually, now_ms, payment_ring};

/// A shop that notifies by these channels, all roles running.
async fn shop(channels: &[Channel]) -> Shop {
    let options = Options {
        remember_language: true,
        ..Options::default()
    };
    let mut shop = Shop::open_notifying(10, options, channels).await;
    shop.run_all();
    shop.settle();
    shop
}

fn notifier(shop: &Shop) -> Notifier {
    Notifier {
        store: shop.store.clone(),
        redis: shop.link.clone(),
        language: Lang::Zh,
        zone: TimeZone::UTC,
        currency: Currency::CNY,
    }
}

fn tell_by_webhook(shop: &mut Shop, url: &str) {
    let messenger = Webhook::new(url.parse().unwrap(), payment_ring()).unwrap();
    shop.roles.spawn(notifications::run(
        notifier(shop),
        messenger,
        shop.stop.clone(),
    ));
}

fn tell_by_email(shop: &mut Shop, url: &str, template: &str) {
    let from = "Shop <shop@example.com>".parse().unwrap();
    let messenger = Email::new(url, from, template).unwrap();
    shop.roles.spawn(notifications::run(
        notifier(shop),
        messenger,
        shop.stop.clone(),
    ));
}

async fn order(shop: &Shop, user: &str) -> String {
    assert_eq!(shop.click(user, "r").await.0, StatusCode::ACCEPTED);
    shop.until_ordered(user).await
}

/// What a letter says, behind its headers.
fn text_of(letter: &str) -> String {
    let (_, body) = letter.split_once("\r\n\r\n").unwrap();
    let lines = body.trim_end_matches("\r\n.\r\n").replace("\r\n", "");
    String::from_utf8(STANDARD.decode(lines).unwrap()).unwrap()
}

/// Waits until this many calls were accepted; returns their bodies.
async fn taken(inbox: &Inbox<Call>, count: usize) -> Vec<Value> {
    eventually("the webhook is called", || async {
        let taken: Vec<Value> = inbox
            .got()
            .iter()
            .filter(|(_, _, taken)| *taken)
            .map(|(_, body, _)| serde_json::from_slice(body).unwrap())
            .collect();
        (taken.len() >= count).then_some(taken)
    })
    .await
}

#[tokio::test]
async fn a_webhook_that_fails_at_first_is_called_once_for_every_change_and_can_verify_it() {
    let mut shop = shop(&[Channel::Webhook]).await;
    let (url, inbox) = http_server(&["503"]).await;
    tell_by_webhook(&mut shop, &url);

    let paid = order(&shop, "li").await;
    taken(&inbox, 1).await;
    let (status, _) = shop.post(&format!("/api/orders/{paid}/pay"), "li").await;
    assert_eq!(status, StatusCode::OK);
    let cancelled = order(&shop, "wang").await;
    let path = format!("/api/orders/{cancelled}/cancel");
    assert_eq!(shop.post(&path, "wang").await.0, StatusCode::OK);

    let mut events: Vec<(String, String)> = taken(&inbox, 4)
        .await
        .iter()
        .map(|it| {
            let text = |key: &str| it[key].as_str().unwrap().to_owned();
            (text("order"), text("event"))
        })
        .collect();
    events.sort();
    let mut expected = [
        (paid.clone(), "order.ordered"),
        (paid, "order.paid"),
        (cancelled.clone(), "order.cancelled"),
        (cancelled, "order.ordered"),
    ]
    .map(|(order, event)| (order, event.to_owned()));
    expected.sort();
    assert_eq!(events, expected);

    let calls = inbox.got();
    assert_eq!(
        calls.len(),
        5,
        "the one that failed was made again, no other"
    );
    let (first, second) = (&calls[0], &calls[1]);
    assert_eq!(first.0["idempotency-key"], second.0["idempotency-key"]);
    for (headers, body, _) in &calls {
        let signature = headers["x-seckill-signature"].to_str().unwrap();
        payment::verify(&payment_ring(), signature, body, now_ms()).unwrap();
    }
    // Sent, and a moment later recorded as sent.
    let count = eventually("none waits any more", || async {
        let count = shop.store.count_notifications().await.ok()?;
        (count.waiting == 0).then_some(count)
    })
    .await;
    assert_eq!(count.dead, 0);
    shop.shut().await;
}

#[tokio::test]
async fn cancelled_orders_and_refunds_due_are_notified() {
    let mut shop = shop(&[Channel::Webhook]).await;
    let (url, inbox) = http_server(&[]).await;
    let id = order(&shop, "li").await;
    let id: OrderId = OrderId(id.parse().unwrap());
    let long_after = now_ms() + 700_000;
    shop.store.expire_overdue(10, long_after).await.unwrap();
    let late = Notice {
        provider: ProviderName::Signed,
        payment: "late".to_owned(),
        order: id.to_string(),
        amount: Money::new(99_900, Currency::CNY),
        reported: Reported::Paid,
    };
    shop.store
        .note_payment(&late, Currency::CNY, now_ms())
        .await
        .unwrap();
    // Both happen once, however often they are heard of.
    shop.store.expire_overdue(10, long_after).await.unwrap();
    shop.store
        .note_payment(&late, Currency::CNY, now_ms())
        .await
        .unwrap();
    // What happened "long after" is due then; all is due by now if taken so.
    let due = shop
        .store
        .claim_notifications(Channel::Webhook, 10, long_after, 0)
        .await
        .unwrap();
    assert_eq!(due.len(), 3);

    tell_by_webhook(&mut shop, &url);
    let calls = taken(&inbox, 3).await;
    let of = |event: &str| calls.iter().find(|it| it["event"] == event).unwrap();
    assert_eq!(of("order.cancelled")["reason"], "unpaid");
    let refund = of("payment.refund_due");
    assert_eq!(
        (&refund["payment"], &refund["refund_cents"]),
        (&"late".into(), &99_900.into())
    );
    shop.shut().await;
}

#[tokio::test]
async fn a_refund_is_notified_in_the_currency_in_which_the_money_came() {
    let mut shop = shop(&[Channel::Webhook, Channel::Email]).await;
    let (mail, letters) = mail_server(&[]).await;
    let (url, calls) = http_server(&[]).await;
    let order = order(&shop, "li").await;
    let foreign = Notice {
        provider: ProviderName::Signed,
        payment: "dollars".to_owned(),
        order,
        amount: Money::new(99_900, Currency::parse("USD").unwrap()),
        reported: Reported::Paid,
    };
    shop.store
        .note_payment(&foreign, Currency::CNY, now_ms())
        .await
        .unwrap();
    tell_by_email(&mut shop, &mail, "{user}@example.org");
    tell_by_webhook(&mut shop, &url);

    let calls = taken(&calls, 2).await;
    let of = |event: &str| calls.iter().find(|it| it["event"] == event).unwrap();
    assert_eq!(of("order.ordered")["currency"], "CNY");
    let refund = of("payment.refund_due");
    assert_eq!(refund["currency"], "CNY");
    let money = (&refund["refund_cents"], &refund["refund_currency"]);
    assert_eq!(money, (&99_900.into(), &"USD".into()));
    let letters = eventually("both letters arrive", || async {
        let got: Vec<_> = letters.got().iter().map(|it| text_of(&it.1)).collect();
        (got.len() >= 2).then_some(got)
    })
    .await;
    let with = |amount: &str| letters.iter().filter(|it| it.contains(amount)).count();
    assert_eq!((with("¥999.00"), with("$999.00")), (1, 1), "{letters:#?}");
    shop.shut().await;
}

#[tokio::test]
async fn letters_are_written_in_the_language_in_which_the_buyer_bought() {
    let mut shop = shop(&[Channel::Email]).await;
    let (url, inbox) = mail_server(&["451 greylisted, come back"]).await;
    tell_by_email(&mut shop, &url, "{user}@example.org");
    for (user, language) in [("ann", "en-GB,en;q=0.9"), ("lin", "zh-CN")] {
        let (mut parts, body) = click(user, "r", None).into_parts();
        parts
            .headers
            .insert(header::ACCEPT_LANGUAGE, language.parse().unwrap());
        let request = Request::from_parts(parts, body);
        assert_eq!(request.method(), Method::POST);
        assert_eq!(shop.send(request).await.0, StatusCode::ACCEPTED);
    }
    let letters = eventually("both are written to", || async {
        let got = inbox.got();
        (got.len() >= 2).then_some(got)
    })
    .await;
    assert_eq!(letters.len(), 2, "the one that was refused came once");
    for (user, subject, tag) in [
        ("ann", "Subject: It is yours:", "Content-Language: en"),
        ("lin", "Subject: =?utf-8?b?", "Content-Language: zh-CN"),
    ] {
        let (_, letter) = letters
            .iter()
            .find(|(to, _)| to.contains(&format!("<{user}@example.org>")))
            .unwrap();
        assert!(letter.contains(subject), "{letter}");
        assert!(letter.contains(tag), "{letter}");
        assert!(letter.contains("From: Shop <shop@example.com>"), "{letter}");
    }
    shop.shut().await;
}

#[tokio::test]
async fn a_letter_that_can_never_arrive_is_given_up_and_one_without_an_address_is_not_written() {
    let mut shop = shop(&[Channel::Email]).await;
    let (url, inbox) = mail_server(&["550 no such box here"]).await;
    // Names are addresses here: "li" is none.
    tell_by_email(&mut shop, &url, "{user}");
    order(&shop, "li").await;
    order(&shop, "wang@example.org").await;
    let dead = eventually("one is given up", || async {
        let dead = shop.store.dead_notifications(10).await.unwrap();
        (!dead.is_empty()).then_some(dead)
    })
    .await;
    assert_eq!((dead.len(), dead[0].attempts), (1, 1));
    assert!(dead[0].reason.contains("no such box here"), "{:?}", dead[0]);
    eventually("nothing waits", || async {
        let count = shop.store.count_notifications().await.unwrap();
        (count.waiting == 0 && count.dead == 1).then_some(())
    })
    .await;

    // The box is there now, and somebody has it tried again.
    assert_eq!(
        shop.store.retry_dead_notifications(now_ms()).await.unwrap(),
        1
    );
    eventually("the letter arrives", || async {
        let got = inbox.got();
        (got.len() == 1 && got[0].0.contains("wang@example.org")).then_some(())
    })
    .await;
    shop.shut().await;
}

#[tokio::test]
async fn a_worker_that_dies_while_telling_leaves_its_notices_to_another() {
    let shop = shop(&[Channel::Webhook, Channel::Email]).await;
    let id = order(&shop, "li").await;
    let key = NotificationKey {
        order: OrderId(id.parse().unwrap()),
        kind: Kind::Ordered,
        payment: String::new(),
        channel: Channel::Webhook,
    };
    let now = now_ms();
    let take = |now, until| {
        shop.store
            .claim_notifications(Channel::Webhook, 10, now, until)
    };
    let first = take(now, now + 1_000).await.unwrap();
    assert_eq!(first.iter().map(|it| &it.key).collect::<Vec<_>>(), [&key]);
    assert!(
        take(now, now + 1_000).await.unwrap().is_empty(),
        "it is taken"
    );
    let second: Vec<StoredNotification> = take(now + 1_000, now + 2_000).await.unwrap();
    assert_eq!((second.len(), second[0].attempts), (1, 2));

    let sent: Vec<_> = second
        .into_iter()
        .map(|it| (it, SendOutcome::Sent))
        .collect();
    shop.store.record_outcomes(&sent, now).await.unwrap();
    // The dead one wakes up: what is done stays done.
    let late = SendOutcome::Retry {
        due_ms: now,
        reason: "late".to_owned(),
    };
    let late: Vec<_> = first.into_iter().map(|it| (it, late.clone())).collect();
    shop.store.record_outcomes(&late, now).await.unwrap();
    assert!(take(now + 9_000, now + 9_999).await.unwrap().is_empty());
    let count = shop.store.count_notifications().await.unwrap();
    assert_eq!(count.waiting, 1, "the letter of the other channel");
    shop.shut().await;
}

#[tokio::test]
async fn without_channels_no_notification_is_written() {
    let shop = shop(&[]).await;
    order(&shop, "li").await;
    assert_eq!(
        shop.store.count_notifications().await.unwrap(),
        Default::default()
    );
    shop.shut().await;
}
