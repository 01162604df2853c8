//! Taking messages. The proxy lets a question wait for at least five seconds, so
//! that questions are asked in tasks of their own: whoever waits for a shorter
//! time leaves them standing for the next one.

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

/// The shortest wait that the proxy allows for.
const POLL: Duration = Duration::from_secs(5);
/// Most messages that a broker hands out at a time.
const AT_ONCE: usize = 32;
/// Most questions that stand at a time, for each broker: together they ask for
/// as many messages as a worker works on.
const QUESTIONS: usize = 4;
/// How long it is believed which brokers there are.
const ROUTE_FRESH: Duration = Duration::from_secs(30);
/// How long to wait before asking again where there was none: a proxy that has
/// just started answers before its broker has told the name server of itself.
const ROUTE_AGAIN: Duration = Duration::from_millis(200);

/// Questions that stand, and what came in reply and was not yet asked for.
#[derive(Default)]
pub(super) struct Receiving {
    questions: JoinSet<Result<Vec<Delivery>, CallError>>,
    came: VecDeque<(Instant, Delivery)>,
    brokers: Vec<String>,
    route_until: Option<Instant>,
    /// Whose turn it is.
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
            if self.came.len() < max {
                self.ask(consumer, max - self.came.len()).await?;
            }
            while let Some(answered) = self.questions.try_join_next() {
                self.take(answered)?;
            }
            if !self.came.is_empty() {
                let count = max.min(self.came.len());
                return Ok(self.came.drain(..count).map(|(_, one)| one).collect());
            }
            if self.questions.is_empty() {
                if Instant::now() + ROUTE_AGAIN >= until {
                    sleep_until(until).await;
                    return Ok(Vec::new());
                }
                sleep(ROUTE_AGAIN).await;
                continue;
            }
            match timeout_at(until, self.questions.join_next()).await {
                Ok(answered) => answered.into_iter().try_for_each(|it| self.take(it))?,
                Err(_) => return Ok(Vec::new()),
            }
        }
    }

    /// What has lain here for long may be handed to somebody else at any moment.
    fn drop_stale(&mut self) {
        let oldest = Instant::now().checked_sub(HOLD / 2);
        self.came.retain(|(came, _)| Some(*came) >= oldest);
    }

    fn take(
        &mut self,
        answered: Result<Result<Vec<Delivery>, CallError>, tokio::task::JoinError>,
    ) -> Result<(), CallError> {
        let Ok(answer) = answered else {
            return Ok(());
        };
        let now = Instant::now();
        match answer {
            Ok(deliveries) => {
                let came = deliveries.into_iter().map(|delivery| (now, delivery));
                self.came.extend(came);
                Ok(())
            }
            Err(error) => {
                // The others wait for a broker that may not be the right one any more.
                self.route_until = None;
                Err(error)
            }
        }
    }

    /// Lets so many questions stand as `wanted` messages take, at least one for
    /// each broker.
    async fn ask(&mut self, consumer: &Consumer, wanted: usize) -> Result<(), CallError> {
        consumer.session.hold(&consumer.proxy).await?;
        self.find_brokers(consumer).await?;
        let enough = wanted.div_ceil(AT_ONCE).min(QUESTIONS * self.brokers.len());
        while self.questions.len() < enough.max(self.brokers.len()) {
            self.turn = (self.turn + 1) % self.brokers.len().max(1);
            let Some(broker) = self.brokers.get(self.turn).cloned() else {
                return Ok(());
            };
            let (consumer, most) = (consumer.clone(), wanted.min(AT_ONCE));
            self.questions
                .spawn(async move { receive(&consumer, broker, most).await });
        }
        Ok(())
    }

    async fn find_brokers(&mut self, consumer: &Consumer) -> Result<(), CallError> {
        if self.route_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let proxy = &consumer.proxy;
        let question = QueryRouteRequest {
            topic: Some(resource(&consumer.topic)),
            endpoints: Some(proxy.address()),
        };
        let route: QueryRouteResponse = proxy.ask(method::QUERY_ROUTE, question).await?;
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

/// Asks `broker` for up to `most` messages of whichever of its queues has some.
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
    let question = ReceiveMessageRequest {
        group: Some(resource(group)),
        message_queue: Some(queue),
        filter_expression: Some(everything()),
        batch_size: i32::try_from(most).unwrap_or(1),
        invisible_duration: span(HOLD),
        auto_renew: false,
        long_polling_timeout: span(POLL),
    };
    let answers: Vec<ReceiveMessageResponse> = proxy
        .ask_for_many(method::RECEIVE, question, POLL + CALL_TIMEOUT)
        .await?;
    let mut deliveries = Vec::new();
    for answer in answers {
        match answer.content {
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
