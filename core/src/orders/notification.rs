//! Notifications to buyers about their orders: which there are, through which channel
//! and in which language they are sent, and when a failed one is retried.

/// What an e-mail says.
mod email;

pub use email::{Email, Facts, email};

/// How often sending is tried before a notification is given up.
pub const ATTEMPTS: u32 = 10;
/// Longest pause between two tries, in ms.
pub const LONGEST_PAUSE_MS: u64 = 3_600_000;

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The order was placed and waits to be paid.
    Ordered,
    /// The order is paid.
    Paid,
    /// The order was cancelled by its buyer, or because it was not paid in time.
    Cancelled,
    /// The purchase did not become an order.
    Failed,
    /// A payment was not needed and will be refunded.
    RefundDue,
}

impl Kind {
    const ALL: [Kind; 5] = [
        Kind::Ordered,
        Kind::Paid,
        Kind::Cancelled,
        Kind::Failed,
        Kind::RefundDue,
    ];

    /// As stored, and as it follows `order.` in the event type of webhooks.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Ordered => "ordered",
            Kind::Paid => "paid",
            Kind::Cancelled => "cancelled",
            Kind::Failed => "failed",
            Kind::RefundDue => "refund_due",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How a notification is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// A signed HTTP call to the shop's own systems.
    Webhook,
    /// An e-mail to the buyer.
    Email,
}

impl Channel {
    /// All of them.
    pub const ALL: [Channel; 2] = [Channel::Webhook, Channel::Email];

    /// The name under which it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Webhook => "webhook",
            Channel::Email => "email",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// A language of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lang {
    /// Chinese, simplified.
    Zh,
    /// English, the other language of e-mails.
    En,
}

impl Lang {
    /// Its tag (BCP 47).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Lang::Zh => "zh-CN",
            Lang::En => "en",
        }
    }

    /// The language of a tag such as `zh-Hans-CN` or `en_GB`.
    #[must_use]
    pub fn parse(tag: &str) -> Option<Self> {
        let first = tag.trim().split(['-', '_']).next().unwrap_or_default();
        match first.to_ascii_lowercase().as_str() {
            "zh" => Some(Lang::Zh),
            "en" => Some(Lang::En),
            _ => None,
        }
    }

    /// The first language of an `Accept-Language` header that the shop speaks.
    /// Browsers send them in the order of preference.
    #[must_use]
    pub fn accepted(header: &str) -> Option<Self> {
        let tags = header
            .split(',')
            .map(|part| part.split(';').next().unwrap_or_default());
        tags.into_iter().find_map(Self::parse)
    }
}

/// How long to wait after the `tried`th try has failed, in ms: 5, 20, 80, 320,
/// 1,280 seconds, then an hour each. `None` if it is given up.
#[must_use]
pub fn pause_ms(tried: u32) -> Option<u64> {
    if tried >= ATTEMPTS {
        return None;
    }
    let pause = 5_000_u64.saturating_mul(4_u64.saturating_pow(tried.saturating_sub(1)));
    Some(pause.min(LONGEST_PAUSE_MS))
}

/// The e-mail address of a user: the template with the user's id for `{user}`, so that
/// `{user}` alone means that ids are addresses. `None` if the result is no address.
#[must_use]
pub fn address(template: &str, user: &str) -> Option<String> {
    let address = template.replace("{user}", user);
    let (name, host) = address.split_once('@')?;
    let is_host = !host.is_empty() && !host.contains('@') && !host.starts_with('.');
    (!name.is_empty() && is_host).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<_> = (1..=ATTEMPTS).map(pause_ms).collect();
        assert_eq!(
            pauses[..6],
            [
                Some(5_000),
                Some(20_000),
                Some(80_000),
                Some(320_000),
                Some(1_280_000),
                Some(3_600_000)
            ]
        );
        assert!(pauses[..9].is_sorted());
        assert_eq!(pauses[9], None);
        assert_eq!(pause_ms(u32::MAX), None);
    }

    #[test]
    fn a_name_that_makes_no_address_gets_no_email() {
        let cases = [
            ("{user}", "li@example.com", Some("li@example.com")),
            ("{user}", "li", None),
            ("{user}@example.com", "li", Some("li@example.com")),
            ("{user}@example.com", "li@else.where", None),
            ("all@example.com", "li", Some("all@example.com")),
            ("{user}", "@example.com", None),
            ("{user}", "li@", None),
        ];
        for (template, user, expected) in cases {
            assert_eq!(
                address(template, user).as_deref(),
                expected,
                "{template} {user}"
            );
        }
    }

    #[test]
    fn the_first_language_of_the_shop_is_taken() {
        assert_eq!(Lang::accepted("fr-FR, en;q=0.8, zh;q=0.5"), Some(Lang::En));
        assert_eq!(Lang::accepted("zh-Hans-CN"), Some(Lang::Zh));
        assert_eq!(Lang::accepted("de"), None);
        assert_eq!(Lang::accepted(""), None);
        assert_eq!(Lang::parse("en_GB"), Some(Lang::En));
    }

    #[test]
    fn stored_forms_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        for channel in Channel::ALL {
            assert_eq!(Channel::parse(channel.as_str()), Some(channel));
        }
        assert_eq!(Kind::parse("shipped"), None);
    }
}
