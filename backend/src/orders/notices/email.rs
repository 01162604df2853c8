//! Notices as e-mails, in the buyer's language.

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, header};
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use seckill_core::orders::notification::{Channel, Facts, address, email};

use super::{Messenger, Notice, Told};
use crate::http::client::trust;

/// Writes e-mails through one mail server.
#[derive(Debug)]
pub struct Email {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// Whom to write to: `{user}` stands for the buyer's name.
    to: String,
}

impl Email {
    /// Writes through the server at `url` (`smtp://…`, `smtps://…`) in the name
    /// of `from`, to what `to` says.
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

    fn write(&self, notice: &Notice, to: Mailbox) -> Result<Message, lettre::error::Error> {
        let order = notice.order.to_string();
        let cents = notice.refund.as_ref().map(|(_, cents)| *cents);
        let letter = email(
            notice.kind,
            notice.lang,
            &Facts {
                order: &order,
                title: &notice.title,
                quantity: notice.quantity,
                cents: cents.unwrap_or(notice.total_cents),
                pay_by: &notice.pay_by,
                reason: notice.reason,
            },
        );
        // The same at every try, so that a mail program shows a double once.
        let id = format!("<{}@{}>", notice.id, self.from.email.domain());
        let language = HeaderName::new_from_ascii_str("Content-Language");
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .message_id(Some(id))
            .subject(letter.subject)
            .raw_header(HeaderValue::new(language, notice.lang.as_str().to_owned()))
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

    async fn tell(&self, notice: &Notice) -> Told {
        let Some(to) = address(&self.to, &notice.user) else {
            return Told::Nobody("the buyer's name makes no e-mail address".to_owned());
        };
        let to: Mailbox = match to.parse() {
            Ok(to) => to,
            Err(error) => return Told::Nobody(format!("\"{to}\" is no e-mail address: {error}")),
        };
        let message = match self.write(notice, to) {
            Ok(message) => message,
            Err(error) => return Told::Never(format!("no letter can be made of it: {error}")),
        };
        match self.server.send(message).await {
            Ok(_) => Told::Yes,
            Err(error) if error.is_permanent() => Told::Never(error.to_string()),
            Err(error) => Told::NotNow(trust::with_cure(error.to_string())),
        }
    }
}
