//! Filters of lists.

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer};

/// The value of a filter. An empty one is most often a variable that is not set: taken
/// for "any", it would match everything.
pub(super) fn filled<'de, D: Deserializer<'de>>(given: D) -> Result<String, D::Error> {
    let text = String::deserialize(given)?;
    match text.trim() {
        "" => Err(D::Error::custom(
            "it is empty; leave it out to match everything",
        )),
        _ => Ok(text),
    }
}
