//! The keys of the analysis's tables.

use std::hash::{DefaultHasher, Hash, Hasher as _};

/// The key of an account, an item, a network or a request id: 64 bits, the same
/// for as long as the process lives.
pub(super) fn key_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
