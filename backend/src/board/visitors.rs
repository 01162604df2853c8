//! Who came, as the analysis of the access logs tells.

use jiff::tz::TimeZone;

use super::shelves::Shelves;
use super::view::VisitorsView;
use crate::redis_link::{RedisLink, RedisLinkError};

/// Reads what is there.
///
/// # Errors
/// Redis is away.
pub(super) async fn read(
    _redis: &RedisLink,
    _zone: &TimeZone,
    _shelves: &Shelves,
) -> Result<VisitorsView, RedisLinkError> {
    Ok(VisitorsView::default())
}
