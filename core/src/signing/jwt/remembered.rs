//! Tokens that were verified, so that none is verified twice: a signature of RSA costs
//! some 30 µs, and the gate decides in 3.
//!
//! A token is remembered by a hash of 128 bits under a random key, and never itself: who
//! reads this memory holds no token, and nobody can choose a token that is taken for
//! another's. With a million tokens remembered, one guess hits with probability 2⁻¹⁰⁸.
//!
//! Two generations: what is new goes into the younger; when that is full, the older is
//! forgotten, and the younger becomes the older. What is asked for moves up. So at most
//! `capacity` are remembered, those used last among them, at the cost of two look-ups.

use std::collections::HashMap;

use super::KeySet;
use crate::signing::revocation::Marks;
use crate::siphash::Seed;

/// Hashes for this purpose say nothing about those for another.
const DOMAIN: u64 = 0x6a77_7400_0001;

/// What a verified token said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The buyer's written id.
    pub user: Box<str>,
    /// Until when the token is good, epoch milliseconds.
    pub until_ms: u64,
    /// The key that verified it ([`super::Token::verify`]).
    pub key: u64,
    /// By what it may be revoked, which is looked up at every use.
    pub marks: Marks,
}

/// The tokens that were verified.
pub struct Remembered {
    seeds: [Seed; 2],
    young: HashMap<u128, Verified>,
    old: HashMap<u128, Verified>,
    /// Most entries of a generation.
    room: usize,
}

impl Remembered {
    /// Room for `capacity` tokens; `bits` are random.
    #[must_use]
    pub fn new(bits: [u64; 4], capacity: usize) -> Self {
        Self {
            seeds: [Seed::new([bits[0], bits[1]]), Seed::new([bits[2], bits[3]])],
            young: HashMap::new(),
            old: HashMap::new(),
            room: (capacity / 2).max(1),
        }
    }

    /// What this token said when it was verified under the policy `policy`, if it is
    /// still good and its key still in the set.
    pub fn find(
        &mut self,
        policy: usize,
        token: &str,
        keys: &KeySet,
        now_ms: u64,
    ) -> Option<&Verified> {
        let hash = self.hash(policy, token);
        if !self.young.contains_key(&hash) {
            let moved = self.old.remove(&hash)?;
            self.put(hash, moved);
        }
        let found = self.young.get(&hash)?;
        (now_ms < found.until_ms && keys.has(found.key)).then_some(found)
    }

    /// Remembers a token that was verified.
    pub fn remember(&mut self, policy: usize, token: &str, verified: Verified) {
        let hash = self.hash(policy, token);
        self.put(hash, verified);
    }

    /// How many tokens are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn put(&mut self, hash: u128, verified: Verified) {
        if self.young.len() >= self.room {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, verified);
    }

    fn hash(&self, policy: usize, token: &str) -> u128 {
        let [high, low] = self
            .seeds
            .map(|seed| seed.hash_texts(DOMAIN + policy as u64, [token]));
        u128::from(high) << 64 | u128::from(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::revocation::Mark;

    fn verified(user: &str, until_ms: u64, key: u64) -> Verified {
        Verified {
            user: user.into(),
            until_ms,
            key,
            marks: Marks {
                own: Mark::of_jti("own"),
                jti: None,
                issued_ms: None,
            },
        }
    }

    fn keys() -> (KeySet, u64) {
        let secret = "k".repeat(43);
        let text = format!(r#"{{"keys":[{{"kty":"oct","k":"{secret}"}}]}}"#);
        let set = KeySet::parse(text.as_bytes()).unwrap();
        let key = set
            .matching(super::super::Algorithm::Hs256, None)
            .next()
            .unwrap()
            .fingerprint();
        (set, key)
    }

    #[test]
    fn a_token_is_remembered_until_it_ends_and_under_its_policy_only() {
        let (set, key) = keys();
        let mut memory = Remembered::new([1, 2, 3, 4], 8);
        memory.remember(0, "a.b.c", verified("li", 100, key));
        assert_eq!(&*memory.find(0, "a.b.c", &set, 99).unwrap().user, "li");
        assert_eq!(memory.find(0, "a.b.c", &set, 100), None);
        assert_eq!(memory.find(1, "a.b.c", &set, 99), None);
        assert_eq!(memory.find(0, "a.b.d", &set, 99), None);
    }

    #[test]
    fn a_token_whose_key_was_taken_out_of_the_set_is_not_believed() {
        let (set, key) = keys();
        let mut memory = Remembered::new([1, 2, 3, 4], 8);
        memory.remember(0, "a.b.c", verified("li", 100, key ^ 1));
        assert_eq!(memory.find(0, "a.b.c", &set, 99), None);
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for_and_those_in_use_stay() {
        let (set, key) = keys();
        let mut memory = Remembered::new([1, 2, 3, 4], 100);
        memory.remember(0, "used", verified("li", 100, key));
        for n in 0..1_000 {
            memory.remember(0, &format!("token {n}"), verified("li", 100, key));
            assert!(memory.find(0, "used", &set, 1).is_some(), "{n}");
            assert!(memory.len() <= 100);
        }
        assert!(memory.find(0, "token 0", &set, 1).is_none());
    }
}
