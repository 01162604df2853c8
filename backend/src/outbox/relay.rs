//! The relay: publishes purchases from the outboxes to the queue, and carries out refunds
//! and releases, each event at least once.
//!
//! Each master's outboxes are read by a loop of their own, so that one that is
//! away does not hold up the others. An event leaves the outbox only after the queue has
//! it, so that a queue that is away makes the outbox longer and loses nothing.

use std::time::Duration;

use redis::streams::StreamId;
use seckill_core::orders::message::OrderMessage;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::edges::regrabs;
use crate::metrics;
use crate::queue::{DeadLetter, DeadLetters, Message, Published, Queue, QueueError};
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::time::{now_us, periodic};
use crate::trace::{Kind, Service, Span};

use super::event::{self, Event, Refund};
use super::reader::{Outbox, OutboxReader, RELAY, ReadError, WAIT};

/// Pause while Redis or the queue is away.
const PAUSE: Duration = Duration::from_millis(200);

/// Relays events until `stop`; returns within a second of it. Several may run: each event
/// is delivered to one of them.
pub async fn run(redis: RedisLink, segments: Segments, queue: impl Queue, stop: CancellationToken) {
    let mut parts = JoinSet::new();
    for part in segments.parts() {
        let relay = Relay {
            redis: redis.clone(),
            segments: segments.clone(),
            queue: queue.clone(),
            reader: OutboxReader::new(RELAY, segments.clone(), part),
            held_up: false,
            next_probe: Instant::now(),
        };
        parts.spawn(run_part(relay, stop.clone()));
    }
    parts.join_all().await;
}

async fn run_part<Q: Queue>(mut relay: Relay<Q>, stop: CancellationToken) {
    let mut failing = false;
    while !stop.is_cancelled() {
        match relay.step().await {
            Ok(()) if failing && !relay.held_up => {
                failing = false;
                tracing::info!("the relay publishes events again");
            }
            Ok(()) => {}
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "the relay waits; events stay in their outboxes");
                }
                failing = true;
                periodic::sleep(&stop, PAUSE).await;
            }
        }
    }
}

/// Why events are not being relayed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("the queue did not store an order message: {0}")]
    NotStored(String),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<redis::RedisError> for RelayError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}

/// The outcome of two steps: the first error, or the sum.
fn both(
    one: Result<usize, RelayError>,
    other: Result<usize, RelayError>,
) -> Result<usize, RelayError> {
    Ok(one? + other?)
}

/// Notes in a traced purchase that it is published now; returns the span of its wait in
/// the outbox with its end, if that is recorded here.
fn outbox_wait(message: &mut OrderMessage) -> Option<(Span, u64)> {
    let parent = message.traceparent.as_deref()?;
    let now_us = now_us();
    message.relayed_us = Some(now_us);
    let span = Span::below(Some(parent), Service::Relay, Kind::Producer, "outbox wait")?
        .since_us(message.at_ms.saturating_mul(1000))
        .with("seckill.round", message.round.as_str())
        .with("seckill.product", message.product.as_str())
        .with("seckill.segment", u64::from(message.segment));
    message.traceparent = Some(span.context().to_string());
    Some((span, now_us))
}

struct Relay<Q> {
    /// The main Redis: permits and catalogue.
    redis: RedisLink,
    segments: Segments,
    queue: Q,
    /// What this loop reads.
    reader: OutboxReader,
    /// The queue stores nothing at the moment.
    held_up: bool,
    /// When to read new events all the same.
    next_probe: Instant,
}

impl<Q: Queue> Relay<Q> {
    async fn step(&mut self) -> Result<(), RelayError> {
        self.reader.follow(&self.redis).await?;
        let due = self.reader.due();
        if due.outboxes.is_empty() {
            tokio::time::sleep(WAIT).await;
            return Ok(());
        }
        let mut outcome = Ok(0);
        if due.claim {
            for outbox in &due.outboxes {
                // What is wrong with one outbox must not hold up the others.
                outcome = both(outcome, self.take_over(outbox).await);
            }
        }
        self.note_queue(&outcome);
        if self.held_up && Instant::now() < self.next_probe {
            tokio::time::sleep(PAUSE).await;
            return outcome.map(|_| ());
        }
        self.next_probe = Instant::now() + RELAY.hold;
        for (outbox, entries) in self.reader.wait_for_new(&due.outboxes).await? {
            outcome = both(outcome, self.relay(&outbox, &entries).await);
        }
        self.note_queue(&outcome);
        outcome.map(|_| ())
    }

    /// While the queue stores nothing, new events are read only now and then, to try: an
    /// event that was read and not published has to wait for the end of its hold.
    fn note_queue(&mut self, outcome: &Result<usize, RelayError>) {
        match outcome {
            Err(RelayError::NotStored(_)) => self.held_up = true,
            Ok(stored) if *stored > 0 => self.held_up = false,
            _ => {}
        }
    }

    /// Takes over all events that were held too long, which may be many after the queue was
    /// away; returns how many purchases were published.
    async fn take_over(&mut self, outbox: &Outbox) -> Result<usize, RelayError> {
        let mut stored = 0;
        loop {
            let held = self.reader.abandoned(outbox).await?;
            stored += self.relay(outbox, &held).await?;
            if held.len() < RELAY.batch {
                return Ok(stored);
            }
        }
    }

    /// Relays the events of one outbox, and acknowledges those that are done; returns how
    /// many purchases there were, all of which the queue has.
    async fn relay(&self, outbox: &Outbox, entries: &[StreamId]) -> Result<usize, RelayError> {
        let mut done = Vec::with_capacity(entries.len());
        let mut messages = Vec::new();
        let (mut purchases, mut spans) = (Vec::new(), Vec::new());
        for entry in entries {
            match Event::read(entry) {
                Ok(Event::Purchase(mut message)) => {
                    spans.push(outbox_wait(&mut message));
                    messages.push(Message::new(message.to_json(), &message.request));
                    purchases.push(entry);
                }
                Ok(Event::Refund(refund)) => {
                    self.refund(&refund).await?;
                    done.push(entry.id.as_str());
                }
                Ok(Event::Release { user, refund }) => {
                    self.refund(&refund).await?;
                    regrabs::allow(&mut self.redis.conn().await?, &refund.item, &user).await?;
                    done.push(entry.id.as_str());
                }
                Ok(Event::Movement) => done.push(entry.id.as_str()),
                Err(reason) => {
                    self.bury(outbox, event::as_json(entry), reason).await?;
                    done.push(entry.id.as_str());
                }
            }
        }
        let (mut not_stored, count) = (None, purchases.len());
        let outcomes = self.queue.publish(&messages).await;
        let published = purchases.into_iter().zip(messages).zip(outcomes);
        for (((entry, message), outcome), span) in published.zip(spans) {
            match outcome {
                Published::Stored => {
                    metrics::RELAYED.count();
                    // It ended when the queue's wait began, as the message says.
                    if let Some((span, relayed_us)) = span {
                        span.end_at(relayed_us);
                    }
                    done.push(entry.id.as_str());
                }
                Published::Rejected(reason) => {
                    self.bury(outbox, message.body, reason).await?;
                    done.push(entry.id.as_str());
                }
                // Stays pending, and is published again when its hold is over.
                Published::NotStored(reason) | Published::Unknown(reason) => {
                    not_stored = Some(reason);
                }
            }
        }
        self.reader.acknowledge(outbox, &done).await?;
        not_stored.map_or(Ok(count), |reason| Err(RelayError::NotStored(reason)))
    }

    async fn refund(&self, refund: &Refund) -> Result<(), RelayError> {
        let mut conn = self.redis.conn().await?;
        let Refund {
            item,
            id,
            what,
            quantity,
            reason,
        } = refund;
        let call = scripts::permits::refund(item, id, what, *quantity);
        let back = call.run(&mut conn).await?;
        tracing::debug!(%item, refund = id, reason, back, "permits returned");
        Ok(())
    }

    async fn bury(&self, outbox: &Outbox, body: Vec<u8>, reason: String) -> Result<(), RelayError> {
        tracing::error!(
            outbox = outbox.key,
            reason,
            "an event becomes a dead letter"
        );
        let letter = DeadLetter {
            body,
            reason,
            source: outbox.key.clone(),
            attempts: 1,
        };
        let letters = DeadLetters::new(self.redis.clone(), self.segments.clone());
        Ok(letters.bury(letter).await?)
    }
}
