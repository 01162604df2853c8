//! Everything that is signed with a secret of the key ring.
//!
//! Here belong the formats of signed texts, and signing and verifying them. It may
//! use `ids` and the times of `sale`. What a valid signature permits is decided
//! above, by `gate`.

/// Hidden purchase URLs: signing and verifying.
pub mod hidden_path;
mod hmac;
/// The buyer for whom an edge vouches to the back end.
pub mod identity;
/// Tokens of the shop's own login.
pub mod jwt;
/// Signing secrets: a ring of named keys, with one derived key per purpose.
pub mod keyring;
/// Clicks that were verified a moment ago.
pub mod recent;
/// Sessions and tokens that are revoked before they end.
pub mod revocation;
/// The buyer's session token.
pub mod session;
/// What sites say to each other.
pub mod site;
/// Traces, and the edge's word that one is to be recorded.
pub mod trace;
