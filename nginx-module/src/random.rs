//! Random bytes for nonces, identities and hash seeds.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};

use ngx::ffi::{ngx_pid, ngx_pid_t};
use seckill_core::shared::siphash::Seed;

use crate::clock;

/// A key that the system drew in this very process, and a counter.
struct State {
    pid: ngx_pid_t,
    key: Seed,
    counter: u64,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// Eight unpredictable bytes: SipHash, under a key from the system, over a counter.
/// That is enough for a nonce; the digest beside it is what cannot be forged.
pub(crate) fn bytes() -> [u8; 8] {
    word().to_be_bytes()
}

/// The same as a number.
pub(crate) fn word() -> u64 {
    STATE.with_borrow_mut(|state| {
        // SAFETY: nginx sets it in each process before anything else runs there, and reading
        // it takes less than asking the system, for each click.
        let pid = unsafe { ngx_pid };
        // A worker begins with a copy of its master's memory, and its pid may be that of
        // a worker before it, whose words it must not repeat.
        let state = match state {
            Some(state) if state.pid == pid => state,
            _ => state.insert(State {
                pid,
                key: Seed::new([drawn(), drawn()]),
                counter: 0,
            }),
        };
        state.counter += 1;
        state.key.hash_words([state.counter])
    })
}

/// A word that the system draws.
fn drawn() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: `bytes` is valid for writing its length.
    let written = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if written == bytes.len() as isize {
        return u64::from_ne_bytes(bytes);
    }
    // A kernel without the call: the standard library's own seed, which it reads from
    // /dev/urandom then, and the time.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(clock::monotonic_ns());
    hasher.finish()
}
