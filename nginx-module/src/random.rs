//! Random bytes for nonces.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};

thread_local! {
    /// A key that the system drew at the worker's start, and a counter.
    static STATE: RefCell<(RandomState, u64)> = RefCell::new((RandomState::new(), 0));
}

/// Eight unpredictable bytes: SipHash, under a key from the system, over a counter.
/// That is enough for a nonce; the digest beside it is what cannot be forged.
pub(crate) fn bytes() -> [u8; 8] {
    word().to_be_bytes()
}

/// The same as a number.
pub(crate) fn word() -> u64 {
    STATE.with_borrow_mut(|(state, counter)| {
        *counter += 1;
        let mut hasher = state.build_hasher();
        hasher.write_u64(*counter);
        hasher.write_u32(std::process::id());
        hasher.finish()
    })
}
