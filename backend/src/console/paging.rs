//! Lists that are read page by page.

use super::ConsoleError;

/// Entries on a page unless the request says otherwise.
const PER_PAGE: usize = 50;
/// Most entries on a page.
const MOST_PER_PAGE: usize = 500;
/// Deepest entry that is shown page by page; beyond it, operators search.
const DEEPEST: usize = 20_000;

/// The page, counted from 1, and how many entries it has.
///
/// # Errors
/// There is no such page.
pub(super) fn page_of(
    page: Option<usize>,
    per_page: Option<usize>,
) -> Result<(usize, usize), ConsoleError> {
    let (page, per_page) = (page.unwrap_or(1), per_page.unwrap_or(PER_PAGE));
    if page == 0 || per_page == 0 || per_page > MOST_PER_PAGE {
        return Err(ConsoleError::BadRequest(format!(
            "There is no page {page} of {per_page}; pages begin at 1 and have 1 to {MOST_PER_PAGE} entries."
        )));
    }
    if page.saturating_mul(per_page) > DEEPEST {
        return Err(ConsoleError::BadRequest(format!(
            "Only the first {DEEPEST} entries are shown page by page; search for what you need."
        )));
    }
    Ok((page, per_page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_from_one_and_not_too_deep() {
        assert_eq!(page_of(None, None).unwrap(), (1, PER_PAGE));
        assert_eq!(page_of(Some(40), Some(500)).unwrap(), (40, 500));
        for (page, per_page) in [(0, 50), (1, 0), (1, 501), (41, 500), (usize::MAX, 500)] {
            assert!(
                page_of(Some(page), Some(per_page)).is_err(),
                "{page} {per_page}"
            );
        }
    }
}
