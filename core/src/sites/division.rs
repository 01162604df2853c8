//! How an amount is divided among sites when a round is imported. It is decided once: every
//! site computes the same division from the same sale file.

use crate::ids;
use crate::sale::catalogue::split_evenly;

/// Whether `name` can name a site: it stands in settings, messages and files.
#[must_use]
pub fn is_name(name: &str) -> bool {
    ids::is_id(name)
}

/// The share of the site `own` in `amount`, divided evenly among the sites `names`: their
/// order does not matter, and the first by name has what is left over. `None` if `own` is
/// not among them.
///
/// For example 5 items for west, east and north: east 3, north 1, west 1.
#[must_use]
pub fn even_share(amount: u64, names: &[&str], own: &str) -> Option<u64> {
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let at = sorted.iter().position(|name| *name == own)?;
    let count = u16::try_from(sorted.len()).ok()?;
    split_evenly(amount, count).get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_site_computes_the_same_division() {
        let orders = [["west", "east", "north"], ["north", "west", "east"]];
        for names in orders {
            let share = |own| even_share(5, &names, own);
            assert_eq!(share("east"), Some(3));
            assert_eq!(share("north"), Some(1));
            assert_eq!(share("west"), Some(1));
            assert_eq!(share("south"), None);
        }
    }

    #[test]
    fn the_shares_add_up_to_the_amount() {
        let names = ["a", "b", "c", "d"];
        for amount in 0..50 {
            let shares = names.map(|own| even_share(amount, &names, own).unwrap());
            assert_eq!(shares.iter().sum::<u64>(), amount);
        }
    }
}
