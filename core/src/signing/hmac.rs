//! HMAC-SHA256 (RFC 2104) for short messages under few keys, as the gate needs it.
//!
//! The key's two blocks are hashed once, when the key is read; a message then
//! costs its own blocks and one more. SHA-256's compression is the `sha2`
//! crate's, with the processor's instructions where it has them. Only the framing
//! is here, for a few short parts. `make bench-core` sets it beside the `hmac` crate
//! and beside SHA-256 alone: without instructions for SHA-256, hashing is half of the
//! time, and the crate takes about as long.

use sha2::compress256;
use sha2::digest::generic_array::GenericArray;

const BLOCK: usize = 64;
/// Bytes of the message's length at the end of the last block.
const LENGTH: usize = 8;

type State = [u32; 8];

/// SHA-256's first state (FIPS 180-4, 5.3.3).
const FIRST: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A key, ready for any number of messages.
#[derive(Clone)]
pub(crate) struct Key {
    inner: State,
    outer: State,
}

impl Key {
    /// Prepares a secret of any length.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        if secret.len() <= BLOCK {
            block[..secret.len()].copy_from_slice(secret);
        } else {
            let mut hash = Hash::after(FIRST, 0);
            hash.update(secret);
            block[..32].copy_from_slice(&hash.finish());
        }
        let padded = |pad: u8| {
            let mut state = FIRST;
            compress(&mut state, &block.map(|byte| byte ^ pad));
            state
        };
        Self {
            inner: padded(0x36),
            outer: padded(0x5c),
        }
    }

    /// The digest of `parts`, each followed by a newline.
    pub(crate) fn sign_lines(&self, parts: &[&str]) -> [u8; 32] {
        let mut inner = Hash::after(self.inner, BLOCK);
        for part in parts {
            inner.update(part.as_bytes());
            inner.push(b'\n');
        }
        self.finish(inner)
    }

    /// The digest of the concatenated `parts`.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut inner = Hash::after(self.inner, BLOCK);
        parts.iter().for_each(|part| inner.update(part));
        self.finish(inner)
    }

    fn finish(&self, inner: Hash) -> [u8; 32] {
        let mut outer = Hash::after(self.outer, BLOCK);
        outer.update(&inner.finish());
        outer.finish()
    }
}

/// SHA-256 under way.
struct Hash {
    state: State,
    block: [u8; BLOCK],
    /// Bytes in `block`, always fewer than fill it.
    filled: usize,
    /// Bytes in all.
    length: usize,
}

impl Hash {
    /// Continues after `length` bytes (whole blocks) that led to `state`.
    fn after(state: State, length: usize) -> Self {
        Self {
            state,
            block: [0; BLOCK],
            filled: 0,
            length,
        }
    }

    #[inline]
    fn update(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len();
        while bytes.len() >= BLOCK - self.filled {
            let (now, later) = bytes.split_at(BLOCK - self.filled);
            self.block[self.filled..].copy_from_slice(now);
            compress(&mut self.state, &self.block);
            self.filled = 0;
            bytes = later;
        }
        self.block[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    /// The same for one byte.
    #[inline]
    fn push(&mut self, byte: u8) {
        self.length += 1;
        self.block[self.filled] = byte;
        self.filled += 1;
        if self.filled == BLOCK {
            compress(&mut self.state, &self.block);
            self.filled = 0;
        }
    }

    fn finish(mut self) -> [u8; 32] {
        self.block[self.filled] = 0x80;
        self.block[self.filled + 1..].fill(0);
        if self.filled + 1 > BLOCK - LENGTH {
            compress(&mut self.state, &self.block);
            self.block.fill(0);
        }
        let bits = self.length as u64 * 8;
        self.block[BLOCK - LENGTH..].copy_from_slice(&bits.to_be_bytes());
        compress(&mut self.state, &self.block);
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }
}

#[inline]
fn compress(state: &mut State, block: &[u8; BLOCK]) {
    compress256(state, std::slice::from_ref(GenericArray::from_slice(block)));
}

#[cfg(test)]
mod tests {
    use hmac::Mac as _;
    use proptest::prelude::*;

    use super::*;

    type Reference = hmac::Hmac<sha2::Sha256>;

    fn reference(secret: &[u8], message: &[u8]) -> [u8; 32] {
        let mut mac = Reference::new_from_slice(secret).unwrap();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    #[test]
    fn every_length_around_the_blocks_ends_agrees_with_the_reference() {
        let text = [b'x'; 300];
        for length in 0..text.len() {
            let (key, message) = (&text[..length], &text[..length]);
            assert_eq!(
                Key::new(key).sign(&[message]),
                reference(key, message),
                "{length}"
            );
        }
    }

    proptest! {
        #[test]
        fn lines_are_the_message_that_they_form(
            secret in prop::collection::vec(any::<u8>(), 0..100),
            parts in prop::collection::vec("[ -~]{0,80}", 0..8),
        ) {
            let lines: Vec<&str> = parts.iter().map(String::as_str).collect();
            let message: String = parts.iter().map(|part| format!("{part}\n")).collect();
            prop_assert_eq!(
                Key::new(&secret).sign_lines(&lines),
                reference(&secret, message.as_bytes())
            );
        }
    }
}
