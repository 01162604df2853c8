//! Sends notifications as e-mails, in the buyer's language.

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, header};
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use seckill_core::ids;
use seckill_core::orders::notification::{Channel, Facts, address, email};

use super::{Attempt, Messenger, Notification};
use crate::http::client::trust;

/// Sends e-mails through one mail server.
#[derive(Debug)]
pub struct Email {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// The recipient's address, where `{user}` stands for the buyer's name.
    to: String,
}

impl Email {
    /// Sends through the server at `url` (`smtp://…`, `smtps://…`), from `from`, to the
    /// address that `to` makes of the buyer's name.
    ///
    /// # Errors
    /// The address of the server is wrong.
    pub fn new(url: &str, from: Mailbox, to: &str) -> Result<Self, smtp::Error> {
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?.build();
        Ok(Self {
            server,
            from,
            to: to.to_owned(),
        })
    }

    fn write(
        &self,
        notification: &Notification,
        to: Mailbox,
    ) -> Result<Message, lettre::error::Error> {
        let order = notification.order.to_string();
        let refund = notification.refund.as_ref().map(|(_, amount)| *amount);
        let letter = email(
            notification.kind,
            notification.lang,
            &Facts {
                order: &order,
                title: &notification.title,
                quantity: notification.quantity,
                amount: refund.unwrap_or(notification.total),
                pay_by: &notification.pay_by,
                reason: notification.reason,
            },
        );
        // The same at every attempt, so that a mail program shows a repetition once.
        let id = format!("<{}@{}>", notification.id, self.from.email.domain());
        let language = HeaderName::new_from_ascii_str("Content-Language");
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .message_id(Some(id))
            .subject(letter.subject)
            .raw_header(HeaderValue::new(
                language,
                notification.lang.as_str().to_owned(),
            ))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .header(header::ContentTransferEncoding::Base64)
            .body(letter.body)
    }
}

impl Messenger for Email {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    async fn send(&self, notification: &Notification) -> Attempt {
        let Some(to) = address(&self.to, &ids::user::name(&notification.user)) else {
            return Attempt::NoRecipient("the buyer's name makes no e-mail address".to_owned());
        };
        let to: Mailbox = match to.parse() {
            Ok(to) => to,
            Err(error) => {
                return Attempt::NoRecipient(format!("\"{to}\" is no e-mail address: {error}"));
            }
        };
        let message = match self.write(notification, to) {
            Ok(message) => message,
            Err(error) => return Attempt::Failed(format!("no letter can be made of it: {error}")),
        };
        match self.server.send(message).await {
            Ok(_) => Attempt::Delivered,
            Err(error) if error.is_permanent() => Attempt::Failed(error.to_string()),
            Err(error) => Attempt::Retry(trust::with_cure(error.to_string())),
        }
    }
}
