//! The buyer for whom an edge vouches: `{user}.{expires}.{kid}.{digest}` in a header of
//! each request that it passes to the back end.
//!
//! The edge has found out who the buyer is, by whatever means its configuration names
//! (`seckill_user`, `seckill_jwt`). The signature tells the back end that an edge said
//! so and not a client who reached the back end's port. It has the form of a session,
//! under a key of its own, so that neither passes for the other.

use crate::signing::keyring::{Key, Keyring, Purpose};
use crate::signing::session::{self, Session};

/// The header's name.
pub const HEADER: &str = "X-Seckill-Identity";
/// How long it is good for, in ms: as long as a request may take on its way.
pub const LIFE_MS: u64 = 60_000;
/// How far the clocks of edge and back end may be apart, in ms.
pub const CLOCKS_MS: u64 = 60_000;

/// Writes the header for `user`, who must be well formed ([`crate::ids::is_user`]).
#[must_use]
pub fn sign(key: &Key, user: &str, now_ms: u64) -> String {
    session::sign_for(Purpose::Identity, key, user, now_ms + LIFE_MS)
}

/// The buyer whom the header names, if an edge with a key of this ring signed it within
/// the last minute.
#[must_use]
pub fn verify<'a>(header: &'a str, ring: &Keyring, now_ms: u64) -> Option<&'a str> {
    let identity = Session::parse(header)?;
    let is_fresh = now_ms < identity.expires_ms.saturating_add(CLOCKS_MS);
    (is_fresh && identity.is_signed(Purpose::Identity, ring)).then_some(identity.user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::keyring::tests::ring;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn the_back_end_reads_whom_the_edge_has_named() {
        let header = sign(ring().first(), "auth0%7C5f7c", NOW);
        assert_eq!(verify(&header, &ring(), NOW), Some("auth0%7C5f7c"));
        for apart_ms in [CLOCKS_MS, LIFE_MS + CLOCKS_MS - 1] {
            assert!(verify(&header, &ring(), NOW + apart_ms).is_some());
        }
        assert!(verify(&header, &ring(), NOW - CLOCKS_MS).is_some());
        assert_eq!(verify(&header, &ring(), NOW + LIFE_MS + CLOCKS_MS), None);
    }

    #[test]
    fn a_session_is_no_identity_and_an_identity_no_session() {
        let session = session::sign(ring().first(), "li", NOW + LIFE_MS);
        assert_eq!(verify(&session, &ring(), NOW), None);
        let identity = sign(ring().first(), "li", NOW);
        assert!(!Session::parse(&identity).unwrap().is_valid(&ring(), NOW));
    }

    #[test]
    fn another_ring_another_user_or_no_text_is_nobody() {
        let other = Keyring::parse(&format!("new {}", "x".repeat(32))).unwrap();
        let header = sign(ring().first(), "li", NOW);
        assert_eq!(verify(&header, &other, NOW), None);
        assert_eq!(verify(&header.replace("li", "wang"), &ring(), NOW), None);
        assert_eq!(verify("", &ring(), NOW), None);
    }
}
