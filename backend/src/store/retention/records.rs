//! Records that are removed one by one once they are old: notifications, the audit log,
//! findings.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{ROWS, line};
use crate::store::{Database, Store, StoreError, signed, unsigned};

/// Records that are removed one by one once they are old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records {
    /// Notifications that were sent, skipped or given up.
    Notices,
    /// The audit log, but for rounds that are not over and their products, and decided
    /// proposals.
    Audit,
    /// Findings whose subject was last seen that long ago, and whose ban, or protection as
    /// a person, ended that long ago. One that nobody has decided goes, too: its subject is
    /// found anew if it comes back.
    Findings,
}

impl Records {
    /// Its name, also in the name of its files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notices => "notices",
            Self::Audit => "audit",
            Self::Findings => "findings",
        }
    }

    /// The table, the condition of what may go, with the time of the cutoff for each `?`,
    /// and the columns of its key.
    fn rules(self) -> &'static [(&'static str, &'static str, &'static [&'static str])] {
        match self {
            Self::Notices => &[(
                "notices",
                "state <> 'waiting' AND updated_ms < ?",
                &["order_id", "kind", "payment", "channel"],
            )],
            // Who worked on a round says who may not approve it. Its entries name it, or
            // ROUND::PRODUCT.
            Self::Audit => &[
                (
                    "audit",
                    "at_ms < ? AND NOT EXISTS (SELECT 1 FROM rounds r WHERE r.retired_ms IS NULL
                     AND SUBSTR(audit.target, 1, LENGTH(r.id)) = r.id
                     AND SUBSTR(audit.target, LENGTH(r.id) + 1, 2) IN ('', '::'))",
                    &["id"],
                ),
                (
                    "proposals",
                    "state <> 'waiting' AND (state <> 'approved' OR carried_ms IS NOT NULL)
                     AND decided_ms < ?",
                    &["id"],
                ),
            ],
            Self::Findings => &[(
                "findings",
                "last_ms < ? AND COALESCE(ban_until_ms, 0) < ? AND COALESCE(good_until_ms, 0) < ?",
                &["kind", "subject"],
            )],
        }
    }
}

impl Store {
    /// How many of these records are from before this time and may be removed.
    ///
    /// # Errors
    /// The database.
    pub async fn count_old(&self, records: Records, before_ms: u64) -> Result<u64, StoreError> {
        let mut count = 0;
        for (table, condition, _) in records.rules() {
            let statement = format!("SELECT COUNT(*) FROM {table} WHERE {condition}");
            for database in self.databases_for(records) {
                let mut found = sqlx::query_scalar(sqlx::AssertSqlSafe(statement.clone()));
                for _ in condition.matches('?') {
                    found = found.bind(signed(before_ms));
                }
                let found: i64 = found.fetch_one(database.readers()).await?;
                count += unsigned(found);
            }
        }
        Ok(count)
    }

    /// Takes a page of old records out: first `keep` stores their lines of JSON for good,
    /// then they are removed. Returns how many; zero at the end.
    ///
    /// # Errors
    /// The database, or those of `keep`.
    pub async fn remove_old<E: From<StoreError>>(
        &self,
        records: Records,
        before_ms: u64,
        mut keep: impl FnMut(&[String]) -> Result<(), E>,
    ) -> Result<u64, E> {
        for (table, condition, key) in records.rules() {
            let page = format!("SELECT * FROM {table} WHERE {condition} LIMIT {ROWS}");
            let of_key: Vec<String> = key.iter().map(|column| format!("{column} = ?")).collect();
            let delete = format!(
                "DELETE FROM {table} WHERE {condition} AND {}",
                of_key.join(" AND ")
            );
            let times = vec![signed(before_ms); condition.matches('?').count()];
            for database in self.databases_for(records) {
                let mut query = sqlx::query(sqlx::AssertSqlSafe(page.clone()));
                for before_ms in &times {
                    query = query.bind(*before_ms);
                }
                let rows = query.fetch_all(database.readers()).await;
                let rows = rows.map_err(StoreError::from)?;
                if rows.is_empty() {
                    continue;
                }
                let lines: Result<Vec<String>, StoreError> =
                    rows.iter().map(|row| line(table, row)).collect();
                keep(&lines?)?;
                let removed = remove_rows(database, (&delete, &times), (&rows, key)).await?;
                if removed > 0 {
                    return Ok(removed);
                }
            }
        }
        Ok(0)
    }

    fn databases_for(&self, records: Records) -> &[Database] {
        match records {
            Records::Notices => self.shards(),
            Records::Audit | Records::Findings => std::slice::from_ref(self.main()),
        }
    }
}

/// Removes these rows, unless one has changed meanwhile so that it has to stay.
async fn remove_rows(
    database: &Database,
    (delete, times): (&str, &[i64]),
    (rows, key): (&[AnyRow], &[&str]),
) -> Result<u64, StoreError> {
    let mut transaction = database.begin().await?;
    let mut removed = 0;
    for row in rows {
        let mut statement = sqlx::query(sqlx::AssertSqlSafe(delete.to_owned()));
        for before_ms in times {
            statement = statement.bind(*before_ms);
        }
        for column in key {
            statement = match row.try_get::<i64, _>(*column) {
                Ok(number) => statement.bind(number),
                Err(_) => statement.bind(row.try_get::<String, _>(*column)?),
            };
        }
        removed += statement.execute(&mut *transaction).await?.rows_affected();
    }
    transaction.commit().await?;
    Ok(removed)
}
