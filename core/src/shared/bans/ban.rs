//! What is banned, and how people write it.

use std::fmt;
use thiserror::Error;

use crate::ids;
use crate::shared::prefix::{BadPrefix, Prefix};
use crate::signing::revocation::Mark;

/// What is banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ban<'a> {
    /// An address or a network.
    Address(Prefix),
    /// A user.
    User(&'a str),
    /// A session or token, by its own fingerprint or that of its `jti`.
    Session(Mark),
    /// All sessions and tokens that a user was issued before an instant.
    SessionsOf {
        /// The user.
        user: &'a str,
        /// The instant, epoch milliseconds.
        before_ms: u64,
    },
}

/// A text that does not name a ban.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadBan {
    /// Neither an address nor a network.
    #[error(transparent)]
    Address(#[from] BadPrefix),
    /// No user id.
    #[error(
        "ban \"{0}\" is no user: an id has 1 to 255 bytes; write it as your login names it, or as the access log has it"
    )]
    User(String),
    /// A network with bits behind its prefix: what was meant is not certain.
    #[error(
        "ban \"{value}\" has bits behind its prefix; write {meant} if all of that network is meant"
    )]
    Behind {
        /// The text, cut after 100 characters.
        value: String,
        /// The network that its prefix names.
        meant: Prefix,
    },
    /// A network so large that it is surely a mistake.
    #[error(
        "ban \"{0}\" covers too many addresses; write networks of IPv4 from /8 and of IPv6 from /19 on"
    )]
    Wide(Prefix),
}

/// The shortest prefix of a network of IPv4 that can be banned anew.
const LEAST_V4: u8 = 8;
/// The shortest of IPv6: the largest networks that one provider was given have it.
const LEAST_V6: u8 = 19;

impl<'a> Ban<'a> {
    /// Reads an address or a network that is to be banned from now on. It is stricter than
    /// [`Ban::address`], which reads what is banned already: a slip in a prefix keeps a whole
    /// country out.
    ///
    /// # Errors
    /// If it is neither, is not written as what it bans, or is too wide.
    pub fn new_address(text: &str) -> Result<Self, BadBan> {
        let prefix: Prefix = text.parse()?;
        if !prefix.is_written(text) {
            return Err(BadBan::Behind {
                value: text.chars().take(100).collect(),
                meant: prefix,
            });
        }
        let least = if prefix.is_v4() { LEAST_V4 } else { LEAST_V6 };
        if prefix.length() < least {
            return Err(BadBan::Wide(prefix));
        }
        Ok(Self::Address(prefix))
    }

    /// Reads an address or a network: `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`.
    ///
    /// # Errors
    /// If it is neither; the sentence repeats it.
    pub fn address(text: &str) -> Result<Self, BadBan> {
        Ok(Self::Address(text.parse()?))
    }

    /// Reads a user id.
    ///
    /// # Errors
    /// If it cannot be one; the sentence repeats it.
    pub fn user(text: &'a str) -> Result<Self, BadBan> {
        if ids::is_user(text) {
            Ok(Self::User(text))
        } else {
            Err(BadBan::User(text.chars().take(100).collect()))
        }
    }
}

impl fmt::Display for Ban<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ban::Address(prefix) => prefix.fmt(f),
            Ban::User(user) => write!(f, "user {user}"),
            Ban::Session(mark) => write!(f, "session {mark}"),
            Ban::SessionsOf { user, .. } => write!(f, "sessions of {user}"),
        }
    }
}
