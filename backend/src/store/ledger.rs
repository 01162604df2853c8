//! The archive of the ledger.

use std::collections::{BTreeMap, HashSet};

use seckill_core::ids::Item;
use seckill_core::stock::ledger::{EntryId, Event};
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row as _};

use super::session::Session;
use super::{Store, StoreError, signed, unsigned};

/// Most events in one statement.
const ROWS: u32 = 500;

impl Store {
    /// Archives events of a segment, except those that were archived before.
    ///
    /// # Errors
    /// The database is away, or refuses an event; then none was archived.
    pub async fn archive(
        &self,
        item: &Item,
        segment: u16,
        events: &[Event],
        now_ms: u64,
    ) -> Result<(), StoreError> {
        for events in events.chunks(ROWS as usize) {
            let mut conn = self.main().writer().acquire().await?;
            match insert(&mut conn, item, segment, events, now_ms).await {
                Err(error) if error.is_double() => {}
                done => {
                    done?;
                    continue;
                }
            }
            for event in events {
                match insert(
                    &mut conn,
                    item,
                    segment,
                    std::slice::from_ref(event),
                    now_ms,
                )
                .await
                {
                    Err(error) if !error.is_double() => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// All archived events of a segment, oldest first.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn ledger(&self, item: &Item, segment: u16) -> Result<Vec<Event>, StoreError> {
        let mut events: Vec<Event> = Vec::new();
        loop {
            let after = events.last().map_or((-1, -1), |event| {
                (signed(event.id.ms), signed(event.id.seq))
            });
            let page = self.ledger_page(item, segment, after).await?;
            if page.is_empty() {
                return Ok(events);
            }
            events.extend(page);
        }
    }

    /// The last archived event of a segment.
    ///
    /// # Errors
    /// The database is away, or a row cannot be read.
    pub async fn last_archived(
        &self,
        item: &Item,
        segment: u16,
    ) -> Result<Option<EntryId>, StoreError> {
        self.last_archived_before(item, segment, u64::MAX).await
    }

    /// The same of those that are older than `before_ms`.
    ///
    /// # Errors
    /// As for [`Store::last_archived`].
    pub async fn last_archived_before(
        &self,
        item: &Item,
        segment: u16,
        before_ms: u64,
    ) -> Result<Option<EntryId>, StoreError> {
        let row = sqlx::query(
            "SELECT entry_ms, entry_seq FROM ledger \
             WHERE round = ? AND product = ? AND segment = ? AND entry_ms < ? \
             ORDER BY entry_ms DESC, entry_seq DESC LIMIT 1",
        )
        .bind(item.round())
        .bind(item.product())
        .bind(i64::from(segment))
        .bind(i64::try_from(before_ms).unwrap_or(i64::MAX))
        .fetch_optional(self.main().readers())
        .await?;
        row.as_ref().map(entry_id).transpose()
    }

    /// Those of these events of a segment that are archived.
    ///
    /// # Errors
    /// The database is away.
    pub async fn archived_among(
        &self,
        item: &Item,
        segment: u16,
        events: &[EntryId],
    ) -> Result<HashSet<EntryId>, StoreError> {
        let mut found = HashSet::with_capacity(events.len());
        let wanted: HashSet<EntryId> = events.iter().copied().collect();
        for events in events.chunks(ROWS as usize) {
            let mut query =
                QueryBuilder::<Any>::new("SELECT entry_ms, entry_seq FROM ledger WHERE round = ");
            query.push_bind(item.round()).push(" AND product = ");
            query.push_bind(item.product()).push(" AND segment = ");
            query
                .push_bind(i64::from(segment))
                .push(" AND entry_ms IN (");
            let mut times = query.separated(", ");
            for event in events {
                times.push_bind(signed(event.ms));
            }
            query.push(")");
            let rows = query.build().fetch_all(self.main().readers()).await?;
            for row in &rows {
                found.insert(entry_id(row)?);
            }
        }
        found.retain(|event| wanted.contains(event));
        Ok(found)
    }

    async fn ledger_page(
        &self,
        item: &Item,
        segment: u16,
        (ms, seq): (i64, i64),
    ) -> Result<Vec<Event>, StoreError> {
        let rows = sqlx::query(
            "SELECT entry_ms, entry_seq, event FROM ledger \
             WHERE round = ? AND product = ? AND segment = ? \
             AND (entry_ms > ? OR (entry_ms = ? AND entry_seq > ?)) \
             ORDER BY entry_ms, entry_seq LIMIT ?",
        )
        .bind(item.round())
        .bind(item.product())
        .bind(i64::from(segment))
        .bind(ms)
        .bind(ms)
        .bind(seq)
        .bind(i64::from(ROWS))
        .fetch_all(self.main().readers())
        .await?;
        let event = |row: &AnyRow| {
            let id = entry_id(row)?;
            let text: String = row.try_get(2)?;
            let fields: Result<BTreeMap<String, String>, _> = serde_json::from_str(&text);
            let fields = fields.map_err(|_| StoreError::Row {
                table: "ledger",
                id: format!("{item}::{segment:02} {id}"),
                column: "event",
                value: text,
            })?;
            Ok(Event { id, fields })
        };
        rows.iter().map(event).collect()
    }
}

/// The first two columns.
fn entry_id(row: &AnyRow) -> Result<EntryId, StoreError> {
    Ok(EntryId {
        ms: unsigned(row.try_get(0)?),
        seq: unsigned(row.try_get(1)?),
    })
}

async fn insert(
    conn: &mut Session,
    item: &Item,
    segment: u16,
    events: &[Event],
    now_ms: u64,
) -> Result<(), StoreError> {
    let mut query = QueryBuilder::<Any>::new(
        "INSERT INTO ledger \
         (round, product, segment, entry_ms, entry_seq, kind, event, archived_ms) ",
    );
    query.push_values(events, |mut row, event| {
        // A map of texts always serializes.
        let fields = serde_json::to_string(&event.fields).unwrap_or_default();
        row.push_bind(item.round())
            .push_bind(item.product())
            .push_bind(i64::from(segment))
            .push_bind(signed(event.id.ms))
            .push_bind(signed(event.id.seq))
            .push_bind(event.kind())
            .push_bind(fields)
            .push_bind(signed(now_ms));
    });
    query.build().execute(conn).await?;
    Ok(())
}
