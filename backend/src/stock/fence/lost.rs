//! What a segment has forgotten of this process's sales.
//!
//! The segment's last event says little of that: another process may have connected to the
//! older Redis before, and sold; and a rebuild gives the purchases that it finds in the orders
//! new events. But each purchase leaves a record of its buyer, which only a newer one of the
//! same buyer replaces.

use std::collections::HashSet;

use redis::aio::MultiplexedConnection;
use seckill_core::journal::request::Request;
use seckill_core::keys;
use seckill_core::orders::purchase::BuyerRecord;
use seckill_core::stock::ledger::EntryId;

use super::Fence;
use crate::redis::RedisLinkError;
use crate::redis::segments::Segment;
use crate::stock::forgotten;

/// Records read at once.
const BATCH: usize = 1_000;

/// Purchases of a segment, each with its event.
type Purchases = Vec<(EntryId, Request)>;

impl Fence {
    /// The last event of this process's sales that the segment has forgotten.
    pub(super) async fn newest_lost(
        &self,
        conn: &mut MultiplexedConnection,
        segment: &Segment,
    ) -> Result<Option<EntryId>, RedisLinkError> {
        let lost = self.lost(conn, segment).await?;
        Ok(lost.last().map(|(event, _)| *event))
    }

    /// What this process sold lately and the segment has no record of, in order.
    async fn lost(
        &self,
        conn: &mut MultiplexedConnection,
        segment: &Segment,
    ) -> Result<Purchases, RedisLinkError> {
        let mut lost = Vec::new();
        for some in self.sold.of(segment).chunks(BATCH) {
            let records = records(conn, segment, some.iter().map(|(_, it)| it)).await?;
            for (purchase, record) in some.iter().zip(records) {
                if record.is_none_or(|it| it.at_ms < purchase.0.ms) {
                    lost.push(purchase.clone());
                }
            }
        }
        Ok(lost)
    }

    /// What waits in the journal to be made again, and is not on record yet.
    async fn waiting(
        &self,
        conn: &mut MultiplexedConnection,
        segment: &Segment,
    ) -> Result<Vec<Request>, RedisLinkError> {
        let journal = self.forgotten.as_ref();
        let journalled = journal.map(|it| it.oldest(segment, usize::MAX));
        let mut waiting = Vec::new();
        for some in journalled.unwrap_or_default().chunks(BATCH) {
            let records = records(conn, segment, some.iter().map(|it| &it.request)).await?;
            for (entry, record) in some.iter().zip(records) {
                if record.is_none_or(|it| it.request != entry.request.request) {
                    waiting.push(entry.request.clone());
                }
            }
        }
        Ok(waiting)
    }

    /// Whether the segment has forgotten once more before something was made again: it is
    /// neither on record nor noted.
    pub(super) async fn forgot_again(
        &self,
        conn: &mut MultiplexedConnection,
        segment: &Segment,
    ) -> Result<bool, RedisLinkError> {
        let waiting = self.waiting(conn, segment).await?;
        Ok(!forgotten::are_noted(conn, segment, &waiting).await?)
    }

    /// Journals what these segments, which are halted, have forgotten of this process's sales.
    /// Only what is on the disk leaves the memory.
    ///
    /// It is noted in their Redis first: segments may be healed, and other processes replay,
    /// before all of it is on the disk.
    pub(super) async fn keep_lost(
        &self,
        conn: &mut MultiplexedConnection,
        segments: &[&Segment],
    ) -> Result<(), RedisLinkError> {
        let mut found = Vec::with_capacity(segments.len());
        for segment in segments {
            let lost = self.lost(conn, segment).await?;
            if self.forgotten.is_some() {
                let waiting = self.waiting(conn, segment).await?;
                let all = lost.iter().map(|(_, it)| it).chain(&waiting);
                forgotten::note(conn, segment, all).await?;
            }
            found.push(lost);
        }
        for (segment, lost) in segments.iter().zip(found) {
            self.journal(conn, segment, lost).await;
        }
        Ok(())
    }

    async fn journal(&self, conn: &mut MultiplexedConnection, segment: &Segment, lost: Purchases) {
        let events = lost.iter().map(|(event, _)| *event);
        let Some(journal) = self.forgotten.as_ref().filter(|_| !lost.is_empty()) else {
            return self.sold.forget(segment, &events.collect());
        };
        let requests = lost.iter().map(|(_, request)| request.clone());
        let outcomes = journal.append_all(requests.collect()).await;
        let mut kept = HashSet::with_capacity(lost.len());
        let mut failed = Vec::new();
        for ((event, purchase), outcome) in lost.iter().zip(outcomes) {
            match outcome {
                Ok(()) => _ = kept.insert(*event),
                Err(error) => {
                    let Request { user, request, .. } = purchase;
                    failed.push(purchase);
                    tracing::error!(%segment, user, request, %error, "a purchase that its Redis has forgotten is not made again");
                }
            }
        }
        self.sold.forget(segment, &kept);
        if !failed.is_empty() {
            // Not struck out, they hold others up for some seconds.
            let _ = forgotten::strike(conn, segment, failed).await;
        }
        let count = kept.len();
        tracing::warn!(%segment, count, "what this process sold since is made again once the segment is healed");
    }
}

/// The record of the buyer of each of these requests.
async fn records(
    conn: &mut MultiplexedConnection,
    Segment { item, number }: &Segment,
    requests: impl Iterator<Item = &Request>,
) -> Result<Vec<Option<BuyerRecord>>, RedisLinkError> {
    let users: Vec<&str> = requests.map(|it| it.user.as_str()).collect();
    let mut read = redis::cmd("HMGET");
    read.arg(keys::buyers(item, *number)).arg(users);
    let records: Vec<Option<String>> = read.query_async(conn).await?;
    let parsed = records.into_iter().map(|it| BuyerRecord::parse(&it?));
    Ok(parsed.collect())
}
