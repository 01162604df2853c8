//! The settings that begin with `notify`.

use std::path::PathBuf;

use axum::http::Uri;
use lettre::message::Mailbox;
use seckill_core::orders::notification::{Channel, Lang};

/// How buyers are notified of their orders.
#[derive(Debug, Clone)]
pub struct Notify {
    /// Where notifications are posted; `None` for no webhook.
    pub webhook: Option<Uri>,
    /// Key ring file shared with the webhook's receiver.
    pub keys: PathBuf,
    /// The mail server; `None` for no e-mail.
    pub smtp: Option<String>,
    /// The sender of e-mails.
    pub from: Option<Mailbox>,
    /// The recipient of e-mails: `{user}` stands for the buyer's name.
    pub email: String,
    /// The language of buyers whose language is unknown.
    pub language: Lang,
}

impl Notify {
    /// The channels that are in use.
    #[must_use]
    pub fn channels(&self) -> Vec<Channel> {
        let webhook = self.webhook.as_ref().map(|_| Channel::Webhook);
        let email = self.smtp.as_ref().map(|_| Channel::Email);
        webhook.into_iter().chain(email).collect()
    }
}
