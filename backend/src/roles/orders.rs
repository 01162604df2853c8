//! The orders role: places orders, cancels what is not paid in time, redrives dead
//! letters, archives the ledger, has the stock follow the orders, notifies buyers, sends
//! the orders on to the shop's own systems, and reconciles payments.

use std::time::Duration;

use super::running::Running;
use super::{Parts, Role, RoleError, feed, inventory, notify, payments};
use crate::config::QueueKind;
use crate::inspect::heal::Healer;
use crate::orders;
use crate::orders::payments::reconcile;
use crate::outbox::archive;
use crate::queue::DeadLetters;
use crate::stock::following;
use crate::store::Store;

/// Starts its tasks.
///
/// # Errors
/// The settings of the notifications, the feed or the payment providers are wrong.
pub(super) fn start(
    parts: &Parts<'_>,
    store: Store,
    running: &mut Running,
) -> Result<(), RoleError> {
    notify::start(parts, &store, running)?;
    feed::start(parts, &store, running)?;
    inventory::start(parts, &store, running)?;
    let config = parts.config;
    let (kept, zone, providers) = (store.clone(), config.time_zone.clone(), payments(config)?);
    running.spawn(Role::Orders, move |stop| {
        reconcile::run(kept.clone(), providers.clone(), zone.clone(), stop)
    });

    let letters = DeadLetters::new(parts.redis.clone(), parts.segments.clone());

    let (kept, segments) = (store.clone(), parts.segments.clone());
    running.spawn(Role::Orders, move |stop| {
        following::run(kept.clone(), segments.clone(), stop)
    });

    let (kept, redis, segments) = (store.clone(), parts.redis.clone(), parts.segments.clone());
    running.spawn(Role::Orders, move |stop| {
        archive::run(kept.clone(), redis.clone(), segments.clone(), stop)
    });

    let (queue, kept_letters) = (parts.queues.cancels.clone(), letters.clone());
    let (kept, segments) = (store.clone(), parts.segments.clone());
    running.spawn(Role::Orders, move |stop| {
        orders::cancels::run(
            queue.clone(),
            kept_letters.clone(),
            kept.clone(),
            segments.clone(),
            stop,
        )
    });

    let healer = Healer {
        store: store.clone(),
        redis: parts.redis.clone(),
        segments: parts.segments.clone(),
        zone: config.time_zone.clone(),
        queue_is_visible: config.queue == QueueKind::Streams,
    };
    running.spawn(Role::Orders, move |stop| healer.clone().run(stop));

    if config.redrive_minutes > 0 {
        let every = Duration::from_secs(config.redrive_minutes * 60);
        let (redis, queues) = (parts.redis.clone(), parts.queues.clone());
        running.spawn(Role::Orders, move |stop| {
            orders::redrive::run(letters.clone(), redis.clone(), queues.clone(), every, stop)
        });
    }

    let options = orders::Options {
        per_second: config.orders_per_second,
        pay_within: Duration::from_secs(config.pay_within),
        attempts: config.order_attempts,
        backlog_after: Duration::from_secs(config.backlog_after),
        ..orders::Options::default()
    };
    let (redis, segments) = (parts.redis.clone(), parts.segments.clone());
    let queues = parts.queues.clone();
    running.spawn(Role::Orders, move |stop| {
        orders::run(
            queues.clone(),
            store.clone(),
            redis.clone(),
            segments.clone(),
            options,
            stop,
        )
    });
    Ok(())
}
