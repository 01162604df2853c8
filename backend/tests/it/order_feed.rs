//! The order feed: what the shop's own systems get, in which order, and how often.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use seckill::orders::feed::{self, Feed, TopicReceiver, WebhookReceiver};
use seckill::queue::rocketmq::TopicType;
use seckill::queue::{Queue as _, StreamsQueue};
use seckill::store::Store;
use seckill::store::feed::ReplayFrom;
use seckill::store::orders::NewOrder;
use seckill_core::orders::message::OrderMessage;
use seckill_core::orders::money::Currency;
use seckill_core::orders::order::OrderId;
use seckill_core::orders::payment;
use seckill_core::orders::purchase::Reason;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::common::receivers::{Call, Inbox, http_server};
use crate::common::rocketmq::TestRocketMq;
use crate::common::shop::Shop;
use crate::common::{DEADLINE, eventually, now_ms, payment_ring};

fn source(store: &Store) -> Feed {
    Feed {
        store: store.clone(),
        currency: Currency::CNY,
        keep: Duration::from_secs(3600),
    }
}

fn send(shop: &mut Shop, url: &str) {
    let receiver = WebhookReceiver::new(url.parse().unwrap(), payment_ring()).unwrap();
    let feed = source(&shop.store);
    shop.roles
        .spawn(feed::run(feed, Arc::new(receiver), 0, shop.stop.clone()));
}

/// The events of all batches that were accepted, as they came.
fn arrived(inbox: &Inbox<Call>) -> Vec<Value> {
    let accepted = inbox.got().into_iter().filter(|(_, _, taken)| *taken);
    let events = accepted.flat_map(|(_, body, _)| {
        let body: Value = serde_json::from_slice(&body).unwrap();
        body["events"].as_array().unwrap().clone()
    });
    events.collect()
}

/// What happened to each order, as it came.
fn by_order(events: &[Value]) -> HashMap<String, Vec<String>> {
    let mut orders: HashMap<String, Vec<String>> = HashMap::new();
    for event in events {
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        orders.entry(text("order")).or_default().push(text("event"));
    }
    orders
}

async fn until(inbox: &Inbox<Call>, count: usize) -> Vec<Value> {
    eventually("the events arrive", || async {
        let events = arrived(inbox);
        (events.len() >= count).then_some(events)
    })
    .await
}

#[tokio::test]
async fn every_change_of_an_order_arrives_in_order_and_once_unless_a_batch_failed() {
    let mut shop = Shop::open_feeding(20).await;
    shop.run_all();
    shop.settle();
    let (url, inbox) = http_server(&["503", "500"]).await;
    send(&mut shop, &url);
    let mut expected = HashMap::new();
    for n in 0..6 {
        let user = format!("u{n}");
        assert_eq!(shop.click(&user, "r").await.0.as_u16(), 202);
        let order = shop.until_ordered(&user).await;
        let (what, happened) = match n % 2 {
            0 => ("pay", "order.paid"),
            _ => ("cancel", "order.cancelled"),
        };
        let path = format!("/api/orders/{order}/{what}");
        assert_eq!(shop.post(&path, &user).await.0.as_u16(), 200);
        expected.insert(order, vec!["order.ordered".to_owned(), happened.to_owned()]);
    }
    let events = until(&inbox, 12).await;
    assert_eq!(by_order(&events), expected);
    let positions: Vec<&str> = events
        .iter()
        .map(|it| it["position"].as_str().unwrap())
        .collect();
    let places: Vec<u64> = positions
        .iter()
        .map(|it| it[2..].parse().unwrap())
        .collect();
    assert!(
        places.is_sorted() && places.windows(2).all(|it| it[0] < it[1]),
        "{places:?}"
    );
    let first = &events[0];
    assert_eq!(
        (
            &first["total_cents"],
            &first["currency"],
            &first["user"],
            &first["quantity"]
        ),
        (&99_900.into(), &"CNY".into(), &"u0".into(), &1.into())
    );
    for (headers, body, _) in inbox.got() {
        let signature = headers["x-seckill-signature"].to_str().unwrap();
        payment::verify(&payment_ring(), signature, &body, now_ms()).unwrap();
    }
    shop.shut().await;
}

#[tokio::test]
async fn a_receiver_that_was_away_gets_all_that_happened_and_can_be_sent_back() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder).await;
    place(&store, 1..=450).await;
    let (url, inbox) = http_server(&["502", "502"]).await;
    let stop = CancellationToken::new();
    let receiver = || Arc::new(WebhookReceiver::new(url.parse().unwrap(), payment_ring()).unwrap());
    let sending = tokio::spawn(feed::run(source(&store), receiver(), 0, stop.clone()));
    let state = eventually("its trouble is known", || async {
        let states = store.feed_states().await.unwrap();
        states.into_iter().find(|it| it.trouble.is_some())
    })
    .await;
    assert_eq!((state.position, state.waiting), (0, 450));
    assert!(state.trouble.unwrap().0.contains("502"));
    until(&inbox, 450).await;
    let state = eventually("it has everything", || async {
        let states = store.feed_states().await.unwrap();
        states
            .into_iter()
            .find(|it| it.waiting == 0 && it.trouble.is_none())
    })
    .await;
    assert_eq!(state.position, 450);

    // Back to a position, and once more to a time.
    store
        .replay_feed(0, feed::WEBHOOK, ReplayFrom::Position(440))
        .await
        .unwrap();
    let events = until(&inbox, 460).await;
    assert_eq!(events.len(), 460);
    assert_eq!(events[450]["position"], "0.441");
    store
        .replay_feed(0, feed::WEBHOOK, ReplayFrom::Time(0))
        .await
        .unwrap();
    let events = until(&inbox, 910).await;
    assert_eq!(
        (events.len(), &events[460]["position"]),
        (910, &"0.1".into())
    );

    // Those that everybody has are forgotten, and the others are kept.
    eventually("it has everything again", || async {
        (store.feed_states().await.unwrap()[0].position == 450).then_some(())
    })
    .await;
    stop.cancel();
    sending.await.unwrap();
    place(&store, 451..=452).await;
    assert_eq!(
        store.forget_events(now_ms() + 1_000, 1_000).await.unwrap(),
        450
    );
    let (left, reached) = store.events_after(0, 450, 10, now_ms()).await.unwrap();
    assert_eq!((left.len(), reached), (2, 452));
}

#[tokio::test]
async fn of_several_senders_one_sends_and_another_takes_over_when_it_is_gone() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder).await;
    let key = |sender| (0, "webhook", sender);
    assert_eq!(
        store.claim_feed(key("a"), 1_000, 2_000).await.unwrap(),
        Some(0)
    );
    assert_eq!(
        store.claim_feed(key("b"), 1_999, 3_000).await.unwrap(),
        None
    );
    assert_eq!(
        store.claim_feed(key("a"), 1_999, 2_500).await.unwrap(),
        Some(0)
    );
    store.advance_feed(key("a"), 0, 5).await.unwrap();
    assert_eq!(
        store.claim_feed(key("b"), 2_500, 3_500).await.unwrap(),
        Some(5)
    );
    // The first one comes back from a long pause: what it says counts no more.
    store.advance_feed(key("a"), 5, 9).await.unwrap();
    assert_eq!(
        store.claim_feed(key("b"), 2_600, 3_500).await.unwrap(),
        Some(5)
    );
    // Sent back while a batch was under way: the batch does not bring it forward again.
    store
        .replay_feed(0, "webhook", ReplayFrom::Position(2))
        .await
        .unwrap();
    store.advance_feed(key("b"), 5, 7).await.unwrap();
    assert_eq!(
        store.claim_feed(key("b"), 2_700, 3_500).await.unwrap(),
        Some(2)
    );
}

#[tokio::test]
async fn orders_that_expire_together_and_refunds_due_are_in_the_feed_once() {
    let folder = TempDir::new().unwrap();
    let store = store(&folder).await;
    place(&store, 1..=3).await;
    store
        .cancel("u2", OrderId(2), Reason::Cancelled, 150)
        .await
        .unwrap();
    for _ in 0..2 {
        store.expire_overdue(10, 200).await.unwrap();
    }
    let late = payment::Notice {
        provider: payment::ProviderName::Stripe,
        payment: "pi_1".to_owned(),
        order: "1".to_owned(),
        amount: seckill_core::orders::money::Money::new(99_900, Currency::CNY),
        reported: payment::Reported::Paid,
    };
    for _ in 0..2 {
        store.note_payment(&late, Currency::CNY, 300).await.unwrap();
    }
    let (events, _) = store.events_after(0, 3, 10, 400).await.unwrap();
    let happened: Vec<(u64, &str)> = events
        .iter()
        .map(|it| (it.order.id.0, it.kind.as_str()))
        .collect();
    assert_eq!(
        happened,
        [
            (2, "cancelled"),
            (1, "cancelled"),
            (3, "cancelled"),
            (1, "refund_due")
        ]
    );
    assert_eq!(events[3].payment.as_ref().unwrap().id, "pi_1");
}

#[tokio::test]
async fn a_topic_gets_a_message_for_each_event_under_its_orders_number() {
    let shop = Shop::open_feeding(1).await;
    let folder = TempDir::new().unwrap();
    let store = store(&folder).await;
    place(&store, 1..=40).await;
    let queue = StreamsQueue::orders(shop.link.clone());
    let stop = CancellationToken::new();
    let receiver = Arc::new(TopicReceiver::new(queue.clone()));
    let sending = tokio::spawn(feed::run(source(&store), receiver, 0, stop.clone()));
    let mut keys = BTreeSet::new();
    while keys.len() < 40 {
        let batch = queue.next(100, Duration::from_millis(500)).await.unwrap();
        for delivery in &batch {
            let body: Value = serde_json::from_slice(&delivery.body).unwrap();
            assert_eq!(body["event"], "order.ordered");
            keys.insert(body["order"].as_str().unwrap().to_owned());
        }
    }
    stop.cancel();
    sending.await.unwrap();
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_away_gets_what_happened_in_the_order_in_which_it_did() {
    let topic = "seckill-order-events";
    let Some(mq) = TestRocketMq::start(&[&format!("{topic}:FIFO")]) else {
        return;
    };
    let mut shop = Shop::open_feeding(20).await;
    shop.run_all();
    shop.settle();
    let queue = mq.queue(topic, TopicType::Fifo);
    let receiver = Arc::new(TopicReceiver::new(queue.clone()));
    let sending = feed::run(source(&shop.store), receiver, 0, shop.stop.clone());
    shop.roles.spawn(sending);
    let mut expected = HashMap::new();
    let mut lives = async |shop: &Shop, buyers: std::ops::Range<usize>| {
        for n in buyers {
            let user = format!("u{n}");
            assert_eq!(shop.click(&user, "r").await.0.as_u16(), 202);
            let order = shop.until_ordered(&user).await;
            let path = format!("/api/orders/{order}/cancel");
            assert_eq!(shop.post(&path, &user).await.0.as_u16(), 200);
            let happened = ["order.ordered", "order.cancelled"].map(str::to_owned);
            expected.insert(order, happened.to_vec());
        }
    };
    lives(&shop, 0..3).await;
    mq.kill();
    // Both events of an order wait, and go out in one batch.
    lives(&shop, 3..9).await;
    eventually("its trouble is known", || async {
        let states = shop.store.feed_states().await.unwrap();
        states.into_iter().find(|it| it.trouble.is_some())
    })
    .await;
    mq.start_again();
    lives(&shop, 9..10).await;

    // What was on its way when it died may come twice.
    let mut arrived: Vec<Value> = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    while by_order(&arrived) != expected {
        assert!(
            Instant::now() < deadline,
            "{:?}, not {expected:?}",
            by_order(&arrived)
        );
        for delivery in queue
            .next(32, Duration::from_secs(5))
            .await
            .unwrap_or_default()
        {
            let event: Value = serde_json::from_slice(&delivery.body).unwrap();
            if !arrived.iter().any(|it| it["position"] == event["position"]) {
                arrived.push(event);
            }
            queue.ack(&[delivery.receipt]).await.unwrap();
        }
    }
    shop.shut().await;
}

async fn store(folder: &TempDir) -> Store {
    let url = crate::common::database::place(folder.path()).await;
    Store::open(&url).await.unwrap().feeding(true)
}

/// Places an order for each of these numbers.
async fn place(store: &Store, numbers: std::ops::RangeInclusive<u64>) {
    let order = |number: u64| NewOrder {
        id: OrderId(number),
        purchase: OrderMessage {
            v: 1,
            request: "r".to_owned(),
            round: "1".to_owned(),
            product: "153".to_owned(),
            segment: 1,
            user: format!("u{number}"),
            quantity: 1,
            price_cents: 99_900,
            permit: String::new(),
            at_ms: 1,
            order: None,
            traceparent: None,
            relayed_us: None,
        },
        pay_by_ms: 100,
    };
    let orders: Vec<NewOrder> = numbers.map(order).collect();
    // Now: what happened long ago is forgotten as soon as every receiver has it.
    store.place_batch(&orders, now_ms()).await.unwrap();
}

#[tokio::test]
async fn what_an_order_needs_from_its_buyer_goes_on_with_it_until_it_is_paid() {
    let mut shop = Shop::open_feeding(5).await;
    shop.run_all();
    let (url, inbox) = http_server(&[]).await;
    assert_eq!(shop.click("li", "r").await.0.as_u16(), 202);
    let order = shop.until_ordered("li").await;
    let path = format!("/api/orders/{order}/details");
    let keep = async |user: &str, body: String| {
        let request = axum::http::Request::put(&path).header("cookie", crate::common::cookie(user));
        shop.send(request.body(body.into()).unwrap()).await
    };
    let address = r#"{"sku":"red/XL","address":{"street":"长安街 1","zip":"100000"}}"#;
    assert_eq!(
        keep("li", r#"{"sku":"blue"}"#.to_owned()).await.0.as_u16(),
        200
    );
    assert_eq!(keep("li", address.to_owned()).await.0.as_u16(), 200);
    assert_eq!(keep("wang", address.to_owned()).await.0.as_u16(), 404);
    let large = format!(r#"{{"note":"{}"}}"#, "x".repeat(5_000));
    for bad in ["", "nonsense", "[1]", "\"text\"", "null", &large] {
        assert_eq!(
            keep("li", bad.to_owned()).await.0.as_u16(),
            400,
            "{bad:.20}"
        );
    }
    assert_eq!(
        shop.post(&format!("/api/orders/{order}/pay"), "li")
            .await
            .0
            .as_u16(),
        200
    );
    let (status, late) = keep("li", r#"{"sku":"green"}"#.to_owned()).await;
    assert_eq!(
        (status.as_u16(), &late["code"]),
        (409, &"order_paid".into())
    );
    let shown = shop.get(&format!("/api/orders/{order}"), "li").await.1;
    let expected: Value = serde_json::from_str(address).unwrap();
    assert_eq!(shown["details"], expected);
    send(&mut shop, &url);
    let events = until(&inbox, 2).await;
    assert_eq!(
        (&events[1]["event"], &events[1]["details"]),
        (&"order.paid".into(), &expected)
    );
    shop.shut().await;
}
