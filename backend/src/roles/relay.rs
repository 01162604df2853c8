//! The relay role: publishes what was sold, reclaims the permits of dead edges, and
//! finishes transfers of stock, and moves items between sites.

use std::time::Duration;

use super::running::Running;
use super::{Parts, Role, RoleError, sites};
use crate::edges::leases;
use crate::outbox::relay;
use crate::stock::transfer;

/// Starts its tasks.
///
/// # Errors
/// [`RoleError`]: the settings of the other sites are wrong, or their address is taken.
pub(super) fn start(parts: &Parts<'_>, running: &mut Running) -> Result<(), RoleError> {
    let (redis, segments) = (parts.redis.clone(), parts.segments.clone());
    let orders = parts.queues.orders.clone();
    running.spawn(Role::Relay, move |stop| {
        relay::run(redis.clone(), segments.clone(), orders.clone(), stop)
    });

    let (redis, segments) = (parts.redis.clone(), parts.segments.clone());
    let options = leases::Options {
        in_flight: Duration::from_millis(parts.config.in_flight_ms),
        ..leases::Options::default()
    };
    running.spawn(Role::Relay, move |stop| {
        leases::run(redis.clone(), segments.clone(), options, stop)
    });

    let (redis, segments) = (parts.redis.clone(), parts.segments.clone());
    running.spawn(Role::Relay, move |stop| {
        let options = transfer::Options::default();
        transfer::run(redis.clone(), segments.clone(), options, stop)
    });
    sites::start(parts, running)
}
