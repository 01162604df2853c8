//! The settings of the order feed.

use axum::http::Uri;

/// Which of the shop's own systems follow the orders.
#[derive(Debug, Clone)]
pub struct FeedSettings {
    /// Where batches of events are posted; `None` for no webhook.
    pub webhook: Option<Uri>,
    /// The topic of RocketMQ to which events are published; `None` for none.
    pub topic: Option<String>,
    /// How long events are kept that every receiver has, in days.
    pub keep_days: u64,
}

impl FeedSettings {
    /// Whether there is a receiver.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.webhook.is_some() || self.topic.is_some()
    }
}
