//! Which queue, and where it is.

use super::Values;
use crate::config::{ConfigError, QueueKind};

impl Values {
    pub(in crate::config) fn queue(&mut self) -> Result<QueueKind, ConfigError> {
        let has_endpoint = self.is_given("rocketmq_endpoint");
        let parse = |text: &str| match text {
            "streams" => Some((QueueKind::Streams, text.to_owned())),
            "rocketmq" if has_endpoint => Some((QueueKind::RocketMq, text.to_owned())),
            _ => None,
        };
        let right = "write streams or rocketmq; rocketmq wants rocketmq_endpoint too";
        let fallback = || (QueueKind::Streams, "streams".to_owned());
        self.read("queue", right, fallback, parse)
    }

    /// `HOST:PORT`; empty if it is not set.
    pub(in crate::config) fn rocketmq_endpoint(&mut self) -> Result<String, ConfigError> {
        let parse = |text: &str| {
            let (host, port) = text.rsplit_once(':')?;
            let port: u16 = port.parse().ok()?;
            let plain = !host.is_empty() && !host.contains(['/', '@', ' ', ';', ',']);
            (plain && port > 0).then(|| (text.to_owned(), text.to_owned()))
        };
        let right = "write the HOST:PORT where RocketMQ's proxy listens for gRPC, such as \
                     127.0.0.1:8081";
        let fallback = || (String::new(), "none".to_owned());
        self.read("rocketmq_endpoint", right, fallback, parse)
    }

    /// A name of a topic, by RocketMQ's rule; room is left for its readers' group.
    pub(in crate::config) fn topic(
        &mut self,
        key: &'static str,
        default: &str,
    ) -> Result<String, ConfigError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-%|".contains(c);
        let parse = |text: &str| {
            let good = (1..=100).contains(&text.len()) && text.chars().all(is_plain);
            good.then(|| (text.to_owned(), text.to_owned()))
        };
        let right = "write a topic's name: up to 100 of A-Z a-z 0-9 _ - % |";
        let fallback = || (default.to_owned(), default.to_owned());
        self.read(key, right, fallback, parse)
    }
}
