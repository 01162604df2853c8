//! The order feed: a task for each receiver and database, in the orders role.

use std::sync::Arc;
use std::time::Duration;

use super::running::Running;
use super::{Parts, Role, RoleError, read_keyring};
use crate::orders::feed::{self, Feed, Receiver, TopicReceiver, WebhookReceiver};
use crate::queue::RocketMqQueue;
use crate::queue::rocketmq::TopicType;
use crate::store::Store;

/// Starts a task for each receiver that is set up.
///
/// # Errors
/// [`RoleError::Notify`]: a setting of a receiver is missing or wrong.
pub(super) fn start(
    parts: &Parts<'_>,
    store: &Store,
    running: &mut Running,
) -> Result<(), RoleError> {
    let config = parts.config;
    let feed = Feed {
        store: store.clone(),
        currency: config.currency,
        keep: Duration::from_secs(config.feed.keep_days * 86_400),
    };
    if let Some(to) = &config.feed.webhook {
        let keys = read_keyring(&config.notify.keys).map_err(|error| match error {
            RoleError::NoKeys { path, source } => RoleError::Notify(format!(
                "orders_webhook is set, but its keys {} cannot be read: {source}; write one \
                 line \"kid secret\" that its receiver has too, and see notify_keys",
                path.display()
            )),
            other => other,
        })?;
        let receiver = WebhookReceiver::new(to.clone(), Arc::new(keys)).map_err(|error| {
            RoleError::Notify(format!("orders_webhook needs this machine's certificates, which cannot be read: {error}; install ca-certificates, or name a file with authorities to trust in SSL_CERT_FILE"))
        })?;
        spawn(&feed, Arc::new(receiver), running);
    }
    if let Some(topic) = &config.feed.topic {
        let endpoint = &config.rocketmq_endpoint;
        let group = format!("{topic}-workers");
        let queue = RocketMqQueue::new(endpoint, topic, TopicType::Fifo, &group);
        let queue = queue.map_err(|reason| {
            RoleError::Queue(format!(
                "rocketmq_endpoint = \"{endpoint}\" is wrong: {reason}; rocketmq_feed_topic needs it"
            ))
        })?;
        spawn(&feed, Arc::new(TopicReceiver::new(queue)), running);
    }
    Ok(())
}

fn spawn<R: Receiver>(feed: &Feed, receiver: Arc<R>, running: &mut Running) {
    for shard in 0..feed.store.feeds() {
        let (feed, receiver) = (feed.clone(), Arc::clone(&receiver));
        running.spawn(Role::Orders, move |stop| {
            feed::run(feed.clone(), Arc::clone(&receiver), shard, stop)
        });
    }
}
