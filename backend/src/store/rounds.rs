//! Reading rounds: one, all, or a page of summaries.

use std::collections::BTreeSet;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::round::StoredRound;
use super::round_rows::{COLUMNS, load, stored_round};
use super::stop::{Cancelling, Stop, StopKind};
use super::{Store, StoreError, signed, unsigned};

/// A round without its products.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The round, without its products.
    pub stored: StoredRound,
    /// How many products it has.
    pub products: u64,
    /// Items of all products, as planned.
    pub items: u64,
}

/// A query for summaries.
#[derive(Debug, Clone, Default)]
pub struct SummaryQuery {
    /// A state as people see it ([`StoredRound::shown_state`]); empty for all.
    pub state: String,
    /// Part of a name or an id; empty for all.
    pub search: String,
    /// A series; empty for all.
    pub series: String,
    /// Rounds to skip.
    pub skip: u64,
    /// Most rounds in the reply.
    pub limit: u32,
}

impl Store {
    /// All rounds, by start.
    ///
    /// # Errors
    /// The database, or a row that cannot be read.
    pub async fn rounds(&self) -> Result<Vec<StoredRound>, StoreError> {
        load(&mut self.main().readers().acquire().await?, None).await
    }

    /// The round of this id.
    ///
    /// # Errors
    /// The database, or a row that cannot be read.
    pub async fn round(&self, id: &str) -> Result<Option<StoredRound>, StoreError> {
        Ok(load(&mut self.main().readers().acquire().await?, Some(id))
            .await?
            .pop())
    }

    /// The version of a round; `None` if there is none of this id.
    ///
    /// # Errors
    /// The database.
    pub async fn round_version(&self, id: &str) -> Result<Option<u64>, StoreError> {
        let version: Option<i64> = sqlx::query_scalar("SELECT version FROM rounds WHERE id = ?")
            .bind(id)
            .fetch_optional(self.main().readers())
            .await?;
        Ok(version.map(unsigned))
    }

    /// The names of all pictures in rounds, including drafts and rounds that are over, and
    /// in changes that are proposed.
    ///
    /// # Errors
    /// The database.
    pub async fn pictures(&self) -> Result<BTreeSet<String>, StoreError> {
        let rows = sqlx::query("SELECT DISTINCT picture FROM round_products WHERE picture <> ''")
            .fetch_all(self.main().readers())
            .await?;
        let mut pictures: BTreeSet<String> = rows
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?;
        pictures.extend(self.proposed_pictures().await?);
        Ok(pictures)
    }

    /// A page of rounds, latest start first, and the number of all that match.
    ///
    /// # Errors
    /// The database, or a row that cannot be read.
    pub async fn round_summaries(
        &self,
        query: &SummaryQuery,
        now_ms: u64,
    ) -> Result<(Vec<Summary>, u64), StoreError> {
        let in_state = condition(&query.state);
        let found = format!(
            "FROM rounds WHERE {in_state} AND (? = '' OR LOWER(name) LIKE ? OR LOWER(id) LIKE ?)
             AND (? = '' OR series = ?)"
        );
        let like = format!(
            "%{}%",
            query.search.to_lowercase().replace(['%', '_', '\\'], "")
        );
        let count = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) {found}"));
        let page = sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS},
                    (SELECT COUNT(*) FROM round_products p WHERE p.round = rounds.id),
                    (SELECT CAST(COALESCE(SUM(COALESCE(f.amount, p.amount)), 0) AS SIGNED)
                     FROM round_products p LEFT JOIN frozen_stock f
                     ON f.round = p.round AND f.product = p.product WHERE p.round = rounds.id),
                    (SELECT s.kind FROM stops s WHERE s.round = rounds.id AND s.product = '')
             {found} ORDER BY opens_ms DESC, id LIMIT ? OFFSET ?"
        ));
        let now = signed(now_ms);
        let bound = |statement| {
            sqlx::query(statement)
                .bind(now)
                .bind(now)
                .bind(query.search.clone())
                .bind(like.clone())
                .bind(like.clone())
                .bind(query.series.clone())
                .bind(query.series.clone())
        };
        let readers = self.main().readers();
        let total: i64 = bound(count).fetch_one(readers).await?.try_get(0)?;
        let rows = bound(page)
            .bind(i64::from(query.limit))
            .bind(signed(query.skip))
            .fetch_all(readers)
            .await?;
        let summaries: Result<_, StoreError> = rows.iter().map(summary).collect();
        Ok((summaries?, unsigned(total)))
    }

    /// The ids of all rounds.
    ///
    /// # Errors
    /// The database.
    pub async fn round_ids(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT id FROM rounds")
            .fetch_all(self.main().readers())
            .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

/// The condition for a state as people see it; it has the time as two parameters.
fn condition(state: &str) -> String {
    let stopped = |kinds: &str| {
        format!(
            "EXISTS (SELECT 1 FROM stops s WHERE s.round = rounds.id AND s.product = ''
             AND s.kind IN ({kinds}))"
        )
    };
    let (paused, withdrawn) = (stopped("'paused'"), stopped("'withdrawn'"));
    let in_time = match state {
        "draft" => "state = 'draft' AND ? <> -1 AND ? <> -1",
        "submitted" => "state = 'submitted' AND ? <> -1 AND ? <> -1",
        "rejected" => "state = 'rejected' AND ? <> -1 AND ? <> -1",
        "approved" => "state = 'approved' AND published_ms IS NULL AND ? < ends_ms AND ? <> -1",
        "published" => {
            "state = 'approved' AND published_ms IS NOT NULL AND ? < opens_ms AND ? <> -1"
        }
        "running" => {
            "state = 'approved' AND published_ms IS NOT NULL AND ? >= opens_ms AND ? < ends_ms"
        }
        "ended" => "state = 'approved' AND ? >= ends_ms AND ? <> -1",
        "paused" => "state = 'approved' AND ? < ends_ms AND ? <> -1",
        "withdrawn" => "state = 'approved' AND ? <> -1 AND ? <> -1",
        _ => "? <> -1 AND ? <> -1",
    };
    match state {
        "approved" | "published" | "running" => {
            format!("{in_time} AND NOT {paused} AND NOT {withdrawn}")
        }
        "ended" => format!("{in_time} AND NOT {withdrawn}"),
        "paused" => format!("{in_time} AND {paused}"),
        "withdrawn" => format!("{in_time} AND {withdrawn}"),
        _ => in_time.to_owned(),
    }
}

fn summary(row: &AnyRow) -> Result<Summary, StoreError> {
    let mut stored = stored_round(row)?;
    let kind: Option<String> = row.try_get(18)?;
    let kind = kind.as_deref().and_then(StopKind::parse);
    stored.stops.round = kind.map(|kind| Stop {
        kind,
        at_ms: 0,
        cancel: Cancelling::None,
    });
    Ok(Summary {
        stored,
        products: unsigned(row.try_get(16)?),
        items: unsigned(row.try_get(17)?),
    })
}
