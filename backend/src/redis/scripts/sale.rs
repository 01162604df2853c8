//! Scripts that change the catalogue.

use seckill_core::keys;

use super::Call;

scripts! {
    REPLACE = "sale/replace.lua";
}

/// An entry of the catalogue that is to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The product, `round::product`.
    pub item: String,
    /// The entry as it was read.
    pub seen: String,
    /// The entry as it is to be.
    pub new: String,
}

/// Replaces entries that are still as they were seen; replies for each in order whether
/// it is now as it is to be.
pub fn replace<'a>(entries: impl IntoIterator<Item = &'a Replacement>) -> Call<Vec<bool>> {
    let call = Call::new(&REPLACE, 1).arg(keys::CATALOGUE);
    entries.into_iter().fold(call, |call, entry| {
        call.arg(&entry.item).arg(&entry.seen).arg(&entry.new)
    })
}
