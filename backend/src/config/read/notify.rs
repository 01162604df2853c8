//! How buyers are notified of their orders.

use axum::http::Uri;
use lettre::message::Mailbox;
use seckill_core::orders::notification::Lang;

use super::Values;
use crate::config::{ConfigError, Notify, masked_url};

impl Values {
    pub(in crate::config) fn notify(
        &mut self,
        keys: &std::path::Path,
    ) -> Result<Notify, ConfigError> {
        Ok(Notify {
            webhook: self.web_hook("notify_webhook")?,
            keys: self.path("notify_keys", keys)?,
            smtp: self.smtp()?,
            from: self.mailbox()?,
            email: self.email_template()?,
            language: self.language()?,
        })
    }

    /// Where something is posted; none by default.
    pub(in crate::config) fn web_hook(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Uri>, ConfigError> {
        let parse = |text: &str| {
            if text == "none" {
                return Some((None, text.to_owned()));
            }
            let uri: Uri = text.parse().ok()?;
            let known = matches!(uri.scheme_str(), Some("http" | "https"));
            (known && uri.host().is_some()).then(|| (Some(uri), masked_url(text)))
        };
        let right = "write http://HOST:PORT/PATH or https://HOST/PATH";
        self.read(key, right, || (None, "none".to_owned()), parse)
    }

    fn smtp(&mut self) -> Result<Option<String>, ConfigError> {
        let parse = |text: &str| {
            if text == "none" {
                return Some((None, text.to_owned()));
            }
            let transport =
                lettre::AsyncSmtpTransport::<lettre::Tokio1Executor>::from_url(text).ok()?;
            drop(transport);
            Some((Some(text.to_owned()), masked_url(text)))
        };
        let right = "write smtp://HOST:25 for a server nearby, or \
                     smtp://USER:PASSWORD@HOST:587?tls=required, or smtps://USER:PASSWORD@HOST";
        self.read("notify_smtp", right, || (None, "none".to_owned()), parse)
    }

    fn mailbox(&mut self) -> Result<Option<Mailbox>, ConfigError> {
        let parse = |text: &str| {
            if text == "none" {
                return Some((None, text.to_owned()));
            }
            let mailbox: Mailbox = text.parse().ok()?;
            Some((Some(mailbox), text.to_owned()))
        };
        let right = "write an address such as \"Shop <shop@example.com>\"";
        self.read("notify_from", right, || (None, "none".to_owned()), parse)
    }

    fn email_template(&mut self) -> Result<String, ConfigError> {
        let parse = |text: &str| {
            text.contains("{user}")
                .then(|| (text.to_owned(), text.to_owned()))
        };
        let right = "write {user} if user names are addresses, or what makes one of them, such as \
                     {user}@example.com";
        let default = || ("{user}".to_owned(), "{user}".to_owned());
        self.read("notify_email", right, default, parse)
    }

    fn language(&mut self) -> Result<Lang, ConfigError> {
        let parse = |text: &str| Lang::parse(text).map(|lang| (lang, lang.as_str().to_owned()));
        let default = || (Lang::Zh, Lang::Zh.as_str().to_owned());
        self.read("notify_language", "write zh-CN or en", default, parse)
    }
}
