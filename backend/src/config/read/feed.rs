//! Which of the shop's own systems follow the orders, and which holds the items.

use axum::http::Uri;

use super::Values;
use crate::config::{ConfigError, FeedSettings};

impl Values {
    pub(in crate::config) fn feed(&mut self) -> Result<FeedSettings, ConfigError> {
        Ok(FeedSettings {
            webhook: self.web_hook("orders_webhook")?,
            topic: self.feed_topic()?,
            keep_days: self.number("feed_keep_days", 90, 1..=36_500)?,
        })
    }

    pub(in crate::config) fn inventory_url(&mut self) -> Result<Option<Uri>, ConfigError> {
        self.web_hook("inventory_url")
    }

    fn feed_topic(&mut self) -> Result<Option<String>, ConfigError> {
        let topic = self.topic("rocketmq_feed_topic", "none")?;
        Ok(Some(topic).filter(|topic| topic != "none"))
    }
}
