//! Receiving messages by long polls. The proxy holds a long poll for at least five
//! seconds, so that each runs in a task of its own: a caller that waits for a shorter
//! time leaves it running for the next call.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::proxy::{CALL_TIMEOUT, CallError};
use super::wire::{
    Broker, MessageQueue, Permission, QueryRouteRequest, QueryRouteResponse, ReceiveMessageRequest,
    ReceiveMessageResponse, Received, WireMessage, code,
};
use super::{Consumer, HOLD, everything, method, receipt, resource, span};
use crate::queue::Delivery;

/// The shortest long poll that the proxy allows.
const POLL: Duration = Duration::from_secs(5);
/// Most messages that a broker returns for one long poll.
const BATCH: usize = 32;
/// Most long polls at a time, for each broker: together they request as many messages
/// as a worker works on.
const POLLS: usize = 4;
/// How long the list of brokers is taken to be right.
const ROUTE_FRESH: Duration = Duration::from_secs(30);
/// The pause before the next query if no broker was found: a proxy that has just
/// started replies before its broker has registered with the name server.
const ROUTE_RETRY: Duration = Duration::from_millis(200);

/// Long polls under way, and messages that came and were not yet returned.
#[derive(Default)]
pub(super) struct Receiving {
    polls: JoinSet<Result<Vec<Delivery>, CallError>>,
    received: VecDeque<(Instant, Delivery)>,
    brokers: Vec<String>,
    route_until: Option<Instant>,
    /// The index of the broker that was polled last.
    turn: usize,
}

impl Receiving {
    /// Up to `max` messages; waits up to `wait` for the first.
    pub(super) async fn next(
        &mut self,
        consumer: &Consumer,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, CallError> {
        let until = Instant::now() + wait;
        loop {
            self.drop_stale();
            if self.received.len() < max {
                self.poll(consumer, max - self.received.len()).await?;
            }
            while let Some(ended) = self.polls.try_join_next() {
                self.take(ended)?;
            }
            if !self.received.is_empty() {
                let count = max.min(self.received.len());
                return Ok(self.received.drain(..count).map(|(_, one)| one).collect());
            }
            if self.polls.is_empty() {
                if Instant::now() + ROUTE_RETRY >= until {
                    sleep_until(until).await;
                    return Ok(Vec::new());
                }
                sleep(ROUTE_RETRY).await;
                continue;
            }
            match timeout_at(until, self.polls.join_next()).await {
                Ok(ended) => ended.into_iter().try_for_each(|it| self.take(it))?,
                Err(_) => return Ok(Vec::new()),
            }
        }
    }

    /// Drops messages that waited here for so long that another worker may soon get
    /// them.
    fn drop_stale(&mut self) {
        let oldest = Instant::now().checked_sub(HOLD / 2);
        self.received.retain(|(at, _)| Some(*at) >= oldest);
    }

    fn take(
        &mut self,
        ended: Result<Result<Vec<Delivery>, CallError>, tokio::task::JoinError>,
    ) -> Result<(), CallError> {
        let Ok(outcome) = ended else {
            return Ok(());
        };
        let now = Instant::now();
        match outcome {
            Ok(deliveries) => {
                let received = deliveries.into_iter().map(|delivery| (now, delivery));
                self.received.extend(received);
                Ok(())
            }
            Err(error) => {
                // Query the brokers again: they may have changed.
                self.route_until = None;
                Err(error)
            }
        }
    }

    /// Starts long polls until `wanted` messages are requested, at least one poll for
    /// each broker.
    async fn poll(&mut self, consumer: &Consumer, wanted: usize) -> Result<(), CallError> {
        consumer.session.hold(&consumer.proxy).await?;
        self.find_brokers(consumer).await?;
        let enough = wanted.div_ceil(BATCH).min(POLLS * self.brokers.len());
        while self.polls.len() < enough.max(self.brokers.len()) {
            self.turn = (self.turn + 1) % self.brokers.len().max(1);
            let Some(broker) = self.brokers.get(self.turn).cloned() else {
                return Ok(());
            };
            let (consumer, most) = (consumer.clone(), wanted.min(BATCH));
            self.polls
                .spawn(async move { receive(&consumer, broker, most).await });
        }
        Ok(())
    }

    async fn find_brokers(&mut self, consumer: &Consumer) -> Result<(), CallError> {
        if self.route_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let proxy = &consumer.proxy;
        let request = QueryRouteRequest {
            topic: Some(resource(&consumer.topic)),
            endpoints: Some(proxy.address()),
        };
        let route: QueryRouteResponse = proxy.call(method::QUERY_ROUTE, request).await?;
        proxy.accept(route.status, &[])?;
        let readable = |queue: &MessageQueue| {
            queue.permission() == Permission::Read || queue.permission() == Permission::ReadWrite
        };
        let queues = route.message_queues.into_iter().filter(readable);
        self.brokers = queues
            .filter_map(|queue| Some(queue.broker?.name))
            .collect();
        self.brokers.sort_unstable();
        self.brokers.dedup();
        let is_known = !self.brokers.is_empty();
        self.route_until = is_known.then(|| Instant::now() + ROUTE_FRESH);
        Ok(())
    }
}

/// Requests up to `most` messages from any queue of `broker`.
async fn receive(
    consumer: &Consumer,
    broker: String,
    most: usize,
) -> Result<Vec<Delivery>, CallError> {
    let Consumer {
        proxy,
        topic,
        group,
        ..
    } = consumer;
    let queue = MessageQueue {
        topic: Some(resource(topic)),
        id: -1,
        broker: Some(Broker {
            name: broker,
            ..Broker::default()
        }),
        ..MessageQueue::default()
    };
    let request = ReceiveMessageRequest {
        group: Some(resource(group)),
        message_queue: Some(queue),
        filter_expression: Some(everything()),
        batch_size: i32::try_from(most).unwrap_or(1),
        invisible_duration: span(HOLD),
        auto_renew: false,
        long_polling_timeout: span(POLL),
    };
    let responses: Vec<ReceiveMessageResponse> = proxy
        .call_streaming(method::RECEIVE, request, POLL + CALL_TIMEOUT)
        .await?;
    let mut deliveries = Vec::new();
    for response in responses {
        match response.content {
            Some(Received::Status(status)) => {
                let none = [code::MESSAGE_NOT_FOUND, code::TOO_MANY_REQUESTS];
                proxy.accept(Some(status), &none)?;
            }
            Some(Received::Message(message)) => deliveries.extend(delivery(message)),
            Some(Received::DeliveryTimestamp(_)) | None => {}
        }
    }
    Ok(deliveries)
}

fn delivery(message: WireMessage) -> Option<Delivery> {
    let properties = message.system_properties?;
    let attempt = properties.delivery_attempt.unwrap_or(1);
    Some(Delivery {
        receipt: receipt(
            &properties.message_id,
            properties.receipt_handle.as_deref()?,
        ),
        body: message.body,
        key: properties.keys.into_iter().next().unwrap_or_default(),
        attempt: u32::try_from(attempt).unwrap_or(1).max(1),
    })
}
