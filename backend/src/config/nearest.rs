//! Which known name a misspelt one was probably meant to be.

/// The known name nearest to `name`, if one is near enough to be a slip of the finger.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&name, &candidate.to_lowercase()), candidate)
        })
        // A third of the letters may be wrong, and always one.
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_a_stranger_is_not() {
        let known = ["amount", "title", "price_cents"];
        assert_eq!(nearest("ammount", known), Some("amount"));
        assert_eq!(nearest("price_cent", known), Some("price_cents"));
        assert_eq!(nearest("Title", known), Some("title"));
        assert_eq!(nearest("colour", known), None);
    }
}
