//! A condition on a list of numbers.

use sqlx::{Any, QueryBuilder};

/// Appends `COLUMN IN (…)`, which holds for no row if the list is empty.
pub(super) fn among(query: &mut QueryBuilder<Any>, column: &str, ids: &[i64]) {
    if ids.is_empty() {
        query.push(format!("{column} IN (NULL)"));
        return;
    }
    query.push(format!("{column} IN ("));
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
    query.push(")");
}
