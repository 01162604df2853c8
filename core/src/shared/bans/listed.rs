//! Bans and revocations as Redis lists them: one field of a hash each, written by the back
//! end, mirrored by every edge.
//!
//! A ban's field is `address:203.0.113.0/24` or `user:li`, the value
//! `expires_ms|at_ms|by|reason`, with 0 for a ban that does not end by itself. Revocations
//! have a list of their own, with the fields `session:{fingerprint}` of one session or
//! token and `sessions:li` of all that a buyer was issued before `at_ms`.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use crate::ids::user;
use crate::sale::label::check_label;
use crate::shared::bans::{BadBan, Ban};
use crate::signing::revocation::{CUT_LIFE_MS, Mark};

/// Longest reason, and longest name of the operator who banned, in characters.
pub const MAX_TEXT: usize = 200;
/// What the field of an address or a network begins with.
const ADDRESS: &str = "address";
/// What the field of a user begins with.
const USER: &str = "user";
/// What the field of a revoked session or token begins with.
const SESSION: &str = "session";
/// What the field of a buyer whose sessions are revoked begins with.
const SESSIONS: &str = "sessions";

/// What can be banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An address or a network.
    Address,
    /// A user.
    User,
}

impl Kind {
    /// As written before the colon of a field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Address => ADDRESS,
            Kind::User => USER,
        }
    }

    /// Reads [`Kind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Kind::Address, Kind::User]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// The text of a ban of this kind as [`Kind::read`] takes it: a user may be named
    /// by a person as the shop's login names them ([`user::given`]).
    #[must_use]
    pub fn written(self, text: &str) -> Cow<'_, str> {
        match self {
            Kind::Address => Cow::Borrowed(text),
            Kind::User => user::given(text).unwrap_or(Cow::Borrowed(text)),
        }
    }

    /// Reads a ban of this kind.
    ///
    /// # Errors
    /// If the text is neither address nor network, or no user id.
    pub fn read(self, text: &str) -> Result<Ban<'_>, BadBan> {
        match self {
            Kind::Address => Ban::address(text),
            Kind::User => Ban::user(text),
        }
    }
}

impl Kind {
    /// Reads a ban of this kind that is to be added: see [`Ban::new_address`].
    ///
    /// # Errors
    /// If the text is neither address nor network, no user id, or a network that is too wide.
    pub fn read_new(self, text: &str) -> Result<Ban<'_>, BadBan> {
        match self {
            Kind::Address => Ban::new_address(text),
            Kind::User => Ban::user(text),
        }
    }
}

/// An entry of the list that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadEntry {
    /// The field does not say what is banned.
    #[error(
        "\"{0}\" does not begin with \"address:\" or \"user:\", and is no revoked session; lift it and ban again with \"seckill bans\""
    )]
    Kind(String),
    /// The field names nothing that can be banned.
    #[error(transparent)]
    Ban(#[from] BadBan),
    /// The value does not say until when.
    #[error(
        "ban \"{field}\" has the value \"{value}\", which does not begin with an expiry in milliseconds and \"|\"; ban it again with \"seckill bans\""
    )]
    Expiry {
        /// The field.
        field: String,
        /// The value, cut after 100 characters.
        value: String,
    },
    /// A buyer's sessions are revoked for another time than all are.
    #[error(
        "\"{0}\" does not end 30 days after its instant; revoke them again with \"seckill session revoke --user\""
    )]
    Cut(String),
}

/// At most 100 characters of a text.
fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The field under which a ban is listed: the same for each way of writing it.
#[must_use]
pub fn field(ban: &Ban<'_>) -> String {
    match ban {
        Ban::Address(prefix) => format!("{ADDRESS}:{prefix}"),
        Ban::User(user) => format!("{USER}:{user}"),
        Ban::Session(mark) => format!("{SESSION}:{mark}"),
        Ban::SessionsOf { user, .. } => format!("{SESSIONS}:{user}"),
    }
}

/// Reads a field. The instant of [`Ban::SessionsOf`] is in the value.
///
/// # Errors
/// [`BadEntry`], with the text.
pub fn parse_field(field: &str) -> Result<Ban<'_>, BadEntry> {
    match field.split_once(':') {
        Some((SESSION, mark)) => {
            let mark = Mark::parse(mark).ok_or_else(|| BadEntry::Kind(cut(field)))?;
            return Ok(Ban::Session(mark));
        }
        Some((SESSIONS, user)) => {
            let Ban::User(user) = Ban::user(user)? else {
                return Err(BadEntry::Kind(cut(field)));
            };
            let before_ms = 0;
            return Ok(Ban::SessionsOf { user, before_ms });
        }
        _ => {}
    }
    let (kind, name) = field
        .split_once(':')
        .and_then(|(kind, name)| Some((Kind::parse(kind)?, name)))
        .ok_or_else(|| BadEntry::Kind(cut(field)))?;
    Ok(kind.read(name)?)
}

/// Until when a ban is in force, epoch milliseconds; `None`: for good.
pub type Expiry = Option<u64>;

/// Reads one entry as an edge needs it.
///
/// # Errors
/// [`BadEntry`], with the text.
pub fn parse<'a>(field: &'a str, value: &str) -> Result<(Ban<'a>, Expiry), BadEntry> {
    let mut ban = parse_field(field)?;
    let bad = || BadEntry::Expiry {
        field: cut(field),
        value: cut(value),
    };
    let (expires, rest) = value.split_once('|').ok_or_else(bad)?;
    let expires_ms: u64 = expires.parse().map_err(|_| bad())?;
    if let Ban::SessionsOf { before_ms, .. } = &mut ban {
        let at = rest.split('|').next().unwrap_or_default();
        *before_ms = at.parse().map_err(|_| bad())?;
        // Readers keep the instant alone, and know the expiry from it.
        if expires_ms.checked_sub(*before_ms) != Some(CUT_LIFE_MS) {
            return Err(BadEntry::Cut(cut(field)));
        }
    }
    Ok((ban, (expires_ms > 0).then_some(expires_ms)))
}

/// The value of a ban in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Until when, epoch milliseconds; `None`: for good.
    pub expires_ms: Expiry,
    /// When it was put into force, epoch milliseconds.
    pub at_ms: u64,
    /// The operator or the role that banned.
    pub by: String,
    /// The reason, for people.
    pub reason: String,
}

impl Record {
    /// Reads the stored form; `None` if it is none.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut parts = value.splitn(4, '|');
        let expires_ms: u64 = parts.next()?.parse().ok()?;
        Some(Self {
            expires_ms: (expires_ms > 0).then_some(expires_ms),
            at_ms: parts.next()?.parse().ok()?,
            by: parts.next()?.to_owned(),
            reason: parts.next()?.to_owned(),
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expires_ms = self.expires_ms.unwrap_or(0);
        write!(f, "{expires_ms}|{}|{}|{}", self.at_ms, self.by, self.reason)
    }
}

/// Whether a text may stand as reason or name: no bar would end it early, no
/// line break would forge a line of a list, no character would hide or turn it.
#[must_use]
pub fn is_text(text: &str) -> bool {
    text.chars().count() <= MAX_TEXT
        && !text.contains('|')
        && (text.is_empty() || check_label(text).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_as_written() {
        for (kind, text, listed) in [
            (Kind::Address, "203.0.113.7", "address:203.0.113.7/32"),
            (Kind::Address, "203.0.113.7/24", "address:203.0.113.0/24"),
            (Kind::Address, "2001:DB8::/32", "address:2001:db8::/32"),
            (Kind::User, "li@example.com", "user:li@example.com"),
        ] {
            let ban = kind.read(text).unwrap();
            assert_eq!(field(&ban), listed);
            assert_eq!(parse(listed, "0|1|ops|bot").unwrap(), (ban, None));
        }
        let record = Record {
            expires_ms: Some(5),
            at_ms: 4,
            by: "ops".into(),
            reason: "too fast".into(),
        };
        let text = record.to_string();
        assert_eq!(Record::parse(&text), Some(record));
        assert_eq!(parse("user:li", &text).unwrap().1, Some(5));
    }

    #[test]
    fn a_revocation_reads_back_as_written() {
        let mark = Mark::of_jti("1");
        let one = Ban::Session(mark);
        assert_eq!(field(&one), format!("session:{mark}"));
        assert_eq!(parse(&field(&one), "5|1|shop|").unwrap(), (one, Some(5)));
        let all = Ban::SessionsOf {
            user: "a%3Ab%7Cc",
            before_ms: 4,
        };
        let until_ms = CUT_LIFE_MS + 4;
        let value = format!("{until_ms}|4|shop|");
        assert_eq!(field(&all), "sessions:a%3Ab%7Cc");
        assert_eq!(parse(&field(&all), &value).unwrap(), (all, Some(until_ms)));
        for value in ["5|x|shop|", "5|4|shop|", "0|4|shop|"] {
            assert!(parse("sessions:li", value).is_err(), "{value}");
        }
        for wrong in ["session:", "session:0F", "sessions:", "sessions:a b"] {
            assert!(parse_field(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_user_may_be_named_as_the_login_names_them() {
        for text in ["auth0|5f7c", "auth0%7C5f7c"] {
            let written = Kind::User.written(text);
            let ban = Kind::User.read(&written).unwrap();
            assert_eq!(field(&ban), "user:auth0%7C5f7c");
        }
        assert_eq!(Kind::Address.written("::1"), "::1");
    }

    #[test]
    fn a_network_that_is_too_wide_is_not_banned_anew_and_stays_in_force_where_it_is_listed() {
        let new = |text: &str| Kind::Address.read_new(text).map(|ban| field(&ban));
        for (text, listed) in [
            ("203.0.113.7", "address:203.0.113.7/32"),
            ("203.0.113.7/32", "address:203.0.113.7/32"),
            ("10.0.0.0/8", "address:10.0.0.0/8"),
            ("2001:db8::/32", "address:2001:db8::/32"),
            ("2a00::/19", "address:2a00::/19"),
            ("::ffff:10.0.0.0/104", "address:10.0.0.0/8"),
        ] {
            assert_eq!(new(text).as_deref(), Ok(listed), "{text}");
        }
        for (text, words) in [
            ("10.0.0.1/8", "write 10.0.0.0/8 if"),
            ("2001:db8::1/32", "write 2001:db8::/32 if"),
            ("::ffff:10.0.0.1/104", "write 10.0.0.0/8 if"),
            ("0.0.0.0/0", "too many addresses"),
            ("10.0.0.0/7", "too many addresses"),
            ("::/0", "too many addresses"),
            ("2a00::/18", "too many addresses"),
            ("1.2.3", "is neither"),
        ] {
            let refusal = new(text).unwrap_err().to_string();
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
        for listed in ["address:0.0.0.0/0", "address:::/0"] {
            assert_eq!(field(&parse(listed, "0|1|ops|slip").unwrap().0), listed);
        }
    }

    #[test]
    fn garbage_is_refused_with_its_text() {
        for (field, value, said) in [
            ("", "0|", "\"\" does not begin"),
            ("li", "0|", "\"li\" does not begin"),
            ("users:li", "0|", "\"users:li\" does not begin"),
            ("user:a b", "0|", "\"a b\" is no user"),
            ("address:1.2.3", "0|", "\"1.2.3\" is neither"),
            ("user:li", "", "value \"\""),
            ("user:li", "soon|", "value \"soon|\""),
            ("user:li", "-1|1|a|b", "value \"-1|1|a|b\""),
            ("user:li", "17", "value \"17\""),
        ] {
            let error = parse(field, value).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let long = "x".repeat(100_000);
        assert!(parse(&long, "0|").unwrap_err().to_string().len() < 300);
        assert!(parse("user:li", &long).unwrap_err().to_string().len() < 400);
    }

    #[test]
    fn a_reason_can_forge_neither_a_field_nor_a_line() {
        assert!(is_text("clicked 90 times a second, order 17"));
        assert!(is_text("刷单"));
        assert!(!is_text("a|b") && !is_text("a\nb") && !is_text(&"x".repeat(201)));
    }
}
