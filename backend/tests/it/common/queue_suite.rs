//! What every queue keeps, whichever adapter it is. Each test gets a queue of
//! its own that nothing was ever published to.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use seckill::queue::{Delivery, Message, Published, Queue, Receipt};

use super::{DEADLINE, eventually};

const SECOND: Duration = Duration::from_secs(1);

/// Publishes, and repeats what was not stored.
pub async fn publish(queue: &impl Queue, messages: &[Message]) {
    for message in messages {
        let one = std::slice::from_ref(message);
        eventually("it is stored", || async {
            matches!(queue.publish(one).await[..], [Published::Stored]).then_some(())
        })
        .await;
    }
}

pub fn message(body: &str) -> Message {
    Message::new(body, "a-key")
}

pub fn receipts(deliveries: &[Delivery]) -> Vec<Receipt> {
    deliveries.iter().map(|one| one.receipt.clone()).collect()
}

/// The next message, whenever it comes.
pub async fn one(queue: &impl Queue) -> Delivery {
    eventually("a message comes", || async {
        queue.next(1, SECOND).await.ok()?.pop()
    })
    .await
}

async fn nothing_comes_for(queue: &impl Queue, time: Duration) {
    let got = queue.next(10, time).await.unwrap();
    assert_eq!(got, [], "nothing is to come yet");
}

pub async fn every_message_comes_and_once_if_it_is_acknowledged(queue: impl Queue) {
    let bodies: BTreeSet<String> = (0..100).map(|n| format!("message {n}")).collect();
    let batch: Vec<Message> = bodies.iter().map(|body| message(body)).collect();
    let outcome = queue.publish(&batch).await;
    assert!(
        outcome.iter().all(|one| *one == Published::Stored),
        "{outcome:?}"
    );
    let (mut seen, started) = (BTreeSet::new(), Instant::now());
    while seen.len() < bodies.len() {
        assert!(started.elapsed() < DEADLINE, "only {} came", seen.len());
        let got = queue.next(40, SECOND).await.unwrap();
        assert!(got.len() <= 40, "no more than requested: {}", got.len());
        for one in &got {
            assert_eq!(one.attempt, 1);
            assert!(seen.insert(text(one)), "{} came twice", text(one));
        }
        queue.ack(&receipts(&got)).await.unwrap();
        // Acknowledging again does no harm.
        let _ = queue.ack(&receipts(&got)).await;
    }
    assert_eq!(seen, bodies);
    nothing_comes_for(&queue, SECOND).await;
}

pub async fn a_released_message_comes_again_after_its_time_and_counts(queue: impl Queue) {
    publish(&queue, &[message("a")]).await;
    for attempt in 1..=3 {
        let got = one(&queue).await;
        assert_eq!((got.attempt, text(&got).as_str()), (attempt, "a"));
        let released = Instant::now();
        queue.requeue(&[got.receipt], 2 * SECOND).await.unwrap();
        nothing_comes_for(&queue, SECOND).await;
        assert!(released.elapsed() >= SECOND);
    }
    let got = one(&queue).await;
    queue.ack(&[got.receipt]).await.unwrap();
}

pub async fn a_message_is_taken_over_when_its_hold_ends_but_not_while_it_is_extended(
    queue: impl Queue,
) {
    let hold = queue.capabilities().hold;
    publish(&queue, &[message("a")]).await;
    let mut held = [one(&queue).await.receipt];
    let until = Instant::now() + hold + hold / 2;
    while Instant::now() < until {
        queue.extend(&mut held).await.unwrap();
        nothing_comes_for(&queue, hold / 4).await;
    }
    let taken = one(&queue).await;
    assert_eq!(text(&taken), "a");
    // Whoever held it first may still finish; that must not disturb its new holder.
    let _ = queue.ack(&held).await;
    queue.ack(&[taken.receipt]).await.unwrap();
    nothing_comes_for(&queue, SECOND).await;
}

pub async fn a_delayed_message_comes_when_it_is_due(queue: impl Queue) {
    let sent = Instant::now();
    let after = 3 * SECOND;
    publish(&queue, &[message("later").after(after)]).await;
    let got = one(&queue).await;
    let waited = sent.elapsed();
    // Queues keep time by the second.
    assert!(waited > after - SECOND, "it came after {waited:?}");
    assert_eq!((text(&got).as_str(), got.attempt), ("later", 1));
    queue.ack(&[got.receipt]).await.unwrap();
}

pub async fn a_message_that_is_too_large_is_rejected_with_the_reason(queue: impl Queue) {
    let most = queue.capabilities().max_body;
    let batch = [
        message("small"),
        Message::new(vec![b'x'; most + 1], "a-key"),
    ];
    let outcome = queue.publish(&batch).await;
    assert_eq!(outcome[0], Published::Stored);
    let named = most.to_string();
    assert!(matches!(&outcome[1], Published::Rejected(reason) if reason.contains(&named)));
    let got = one(&queue).await;
    queue.ack(&[got.receipt]).await.unwrap();
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.body.clone()).unwrap()
}
