//! What the live board showed in the past, what happened meanwhile, and what else sold.

use sqlx::Row as _;

use super::difference::Difference;
use super::{Store, StoreError, signed, unsigned};

/// The entries of the audit log that charts mark.
const MARKED: &str =
    "SELECT at_ms, action, target, detail FROM audit WHERE at_ms >= ? AND at_ms < ?
     AND (action LIKE 'ban.%' OR action LIKE 'stock.%' OR action LIKE 'simulation.%'
          OR action LIKE 'sale.%' OR action IN ('round.approve', 'system.start')
          OR (action = 'round.edit' AND detail LIKE '%\"proposal\":%'
              AND detail LIKE '%.price_cents\"%'))
     ORDER BY id DESC LIMIT ?";

/// Something that a chart marks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mark {
    /// When, epoch milliseconds.
    pub at_ms: u64,
    /// `round.opens`, `round.ends`, `round.price_cut`, or the action of an entry in the audit
    /// log.
    pub kind: String,
    /// What it was about: a round's name, or the entry's target.
    pub subject: String,
    /// The round that it was about; `None` for what concerns the whole site.
    pub round: Option<String>,
}

impl Store {
    /// Stores the numbers of a moment; `false` if there are some already.
    ///
    /// # Errors
    /// The database is away.
    pub async fn record_history(&self, at_ms: u64, data: &str) -> Result<bool, StoreError> {
        let inserted = sqlx::query("INSERT INTO board_history (at_ms, data) VALUES (?, ?)")
            .bind(signed(at_ms))
            .bind(data)
            .execute(self.main().writer())
            .await;
        match inserted.map_err(StoreError::from) {
            Ok(_) => Ok(true),
            Err(error) if error.is_double() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The numbers of all moments from `from_ms` until before `to_ms`, oldest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn history(
        &self,
        from_ms: u64,
        to_ms: u64,
    ) -> Result<Vec<(u64, String)>, StoreError> {
        let rows = sqlx::query(
            "SELECT at_ms, data FROM board_history WHERE at_ms >= ? AND at_ms < ? ORDER BY at_ms",
        )
        .bind(signed(from_ms))
        .bind(signed(to_ms))
        .fetch_all(self.main().readers())
        .await?;
        let point = |row: &sqlx::any::AnyRow| {
            let (at_ms, data): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok((unsigned(at_ms), data))
        };
        rows.iter().map(point).collect()
    }

    /// Removes the numbers of moments before `before_ms`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn forget_history(&self, before_ms: u64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM board_history WHERE at_ms < ?")
            .bind(signed(before_ms))
            .execute(self.main().writer())
            .await?;
        Ok(())
    }

    /// What happened between: rounds that opened and ended, bans, stops, adjustments, lowered
    /// prices. A round that was withdrawn before did not open, and did not end at its time.
    ///
    /// # Errors
    /// The database is away.
    pub async fn marks(&self, from_ms: u64, to_ms: u64) -> Result<Vec<Mark>, StoreError> {
        /// Most marks: more would be a black chart.
        const MOST: i64 = 300;
        let (from, to) = (signed(from_ms), signed(to_ms));
        let mut marks = Vec::new();
        for (kind, column) in [("round.opens", "opens_ms"), ("round.ends", "ends_ms")] {
            let sql = format!(
                "SELECT {column}, name, id FROM rounds WHERE state = 'approved' \
                 AND {column} >= ? AND {column} < ? AND NOT EXISTS (SELECT 1 FROM stops \
                 WHERE stops.round = rounds.id AND stops.product = '' \
                 AND stops.kind = 'withdrawn' AND stops.at_ms <= rounds.{column}) \
                 ORDER BY {column} LIMIT ?"
            );
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(from)
                .bind(to)
                .bind(MOST);
            for row in rows.fetch_all(self.main().readers()).await? {
                marks.push(Mark {
                    at_ms: unsigned(row.try_get(0)?),
                    kind: kind.to_owned(),
                    subject: row.try_get(1)?,
                    round: row.try_get(2)?,
                });
            }
        }
        let rows = sqlx::query(MARKED)
            .bind(from)
            .bind(to)
            .bind(MOST)
            .fetch_all(self.main().readers())
            .await?;
        // The newest were read; of those of one millisecond the first comes first.
        for row in rows.iter().rev() {
            let (action, target): (String, String) = (row.try_get(1)?, row.try_get(2)?);
            let (kind, subjects) = match action.as_str() {
                "round.edit" => {
                    let cheaper = self.cheaper(&target, row.try_get(3)?).await?;
                    ("round.price_cut", cheaper)
                }
                action => (action, vec![target]),
            };
            for subject in subjects {
                marks.push(Mark {
                    at_ms: unsigned(row.try_get(0)?),
                    round: round_of(kind, &subject),
                    kind: kind.to_owned(),
                    subject,
                });
            }
        }
        marks.sort_by_key(|mark| mark.at_ms);
        Ok(marks)
    }

    /// The products, `round::product`, whose prices an approved edit of a round has lowered, by
    /// the detail of its entry; what that has no place for, its proposal lists.
    async fn cheaper(&self, round: &str, detail: &str) -> Result<Vec<String>, StoreError> {
        #[derive(Default, serde::Deserialize)]
        struct Edit {
            changes: Vec<Difference>,
            #[serde(default)]
            left_out: u64,
            #[serde(default)]
            proposal: u64,
        }
        let mut edit: Edit = serde_json::from_str(detail).unwrap_or_default();
        if edit.left_out > 0
            && let Some(proposal) = self.proposal(edit.proposal).await?
        {
            edit.changes = proposal.changes;
        }
        let lowered = edit.changes.iter().filter_map(Difference::lowers_price_of);
        Ok(lowered
            .map(|product| format!("{round}::{product}"))
            .collect())
    }

    /// Whether another round than `id` sold between; not in a time that is none.
    ///
    /// # Errors
    /// The database is away.
    pub async fn others_sold(
        &self,
        id: &str,
        from_ms: u64,
        to_ms: u64,
    ) -> Result<bool, StoreError> {
        if from_ms >= to_ms {
            return Ok(false);
        }
        let other: Option<String> = sqlx::query_scalar(
            "SELECT id FROM rounds WHERE state = 'approved' AND id <> ? AND opens_ms < ? \
             AND ends_ms > ? AND NOT EXISTS (SELECT 1 FROM stops \
             WHERE stops.round = rounds.id AND stops.product = '' AND stops.kind = 'withdrawn' \
             AND (stops.at_ms <= rounds.opens_ms OR stops.at_ms <= ?)) LIMIT 1",
        )
        .bind(id)
        .bind(signed(to_ms))
        .bind(signed(from_ms))
        .bind(signed(from_ms))
        .fetch_optional(self.main().readers())
        .await?;
        Ok(other.is_some())
    }
}

/// The round that an entry of the audit log is about: its target, or the first part of
/// `round::product`.
fn round_of(action: &str, target: &str) -> Option<String> {
    let is_of_round = ["round.", "sale.", "simulation.", "stock."]
        .iter()
        .any(|kind| action.starts_with(kind));
    let round = target.split("::").next().unwrap_or_default();
    is_of_round.then(|| round.to_owned())
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::{MARKED, round_of};
    use crate::store::Store;

    #[tokio::test]
    async fn what_charts_mark_is_found_by_its_time_among_years_of_entries() {
        let folder = tempfile::TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("seckill.db").display());
        let store = Store::open(&url).await.unwrap();
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {MARKED}"));
        let plan = sqlx::query(explain).bind(1_i64).bind(2_i64).bind(300_i64);
        let plan = plan.fetch_all(store.main().readers()).await.unwrap();
        let first: String = plan[0].try_get(3).unwrap();
        assert!(
            first.contains("audit_of_time (at_ms>? AND at_ms<?)"),
            "{first}"
        );
    }

    #[test]
    fn entries_about_a_product_are_about_its_round_and_bans_about_the_site() {
        let of = |action, target| round_of(action, target);
        assert_eq!(of("sale.pause", "a"), Some("a".to_owned()));
        assert_eq!(of("stock.adjust", "a::1"), Some("a".to_owned()));
        assert_eq!(of("ban.add", "address:2001:db8::/32"), None);
        assert_eq!(of("system.start", "0.1.0"), None);
    }
}
