//! Who the buyer is, to every role: whatever the shop's login calls them, and whatever
//! else a browser sends.

/// Headers and cookies of others never matter.
mod bytes;
/// Tokens of the shop's own login.
pub(crate) mod jwt;
/// Pages of other names, and servers that begin sessions.
mod names;
/// Sessions and tokens that are revoked.
mod revoking;
/// Buyers for whom an edge vouches.
mod vouched;
