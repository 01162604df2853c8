//! What a segment has forgotten of what this process sold and moved.
//!
//! The segment's last event says little of that: another process may have connected to the
//! older Redis before, and sold; and a rebuild gives the purchases that it finds in the orders
//! new events. But each purchase leaves a record of its buyer, which only a newer one of the
//! same buyer replaces. What was replaced has its event, in the stream or in the archive,
//! unless it was sold to this very buyer a second time. A transfer is on record at either end.

use std::collections::HashSet;
use std::fmt;

use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use seckill_core::journal::request::Request;
use seckill_core::keys;
use seckill_core::orders::purchase::BuyerRecord;
use seckill_core::stock::ledger::EntryId;

use tokio::time::{Instant, timeout_at};

use super::{Behind, Fence};
use crate::redis::RedisLinkError;
use crate::redis::segments::Segment;
use crate::stock::forgotten;
use crate::store::StoreError;

/// Records read at once.
const BATCH: usize = 1_000;

/// Purchases of a segment, each with its event.
type Purchases = Vec<(EntryId, Request)>;

/// What a segment does not have of what this process sold and moved.
#[derive(Debug, Default)]
struct Lost {
    /// Without a record of their buyers, in order.
    purchases: Purchases,
    /// Replaced by later purchases of the same buyers, and not in the stream of events any
    /// more, or never: the archive tells which.
    replaced: Vec<EntryId>,
    /// Transfers from there or to there.
    transfers: Vec<String>,
}

/// Something that a segment has forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lacks {
    /// An event that is newer than its last one, and perhaps others before it.
    Newer(EntryId),
    /// The purchase of this event.
    Purchase(EntryId),
    /// This transfer.
    Transfer(String),
    /// What it had forgotten before, and what was to be made again.
    Again,
}

impl fmt::Display for Lacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(event) => write!(f, "event {event}"),
            Self::Purchase(event) => write!(f, "purchase {event}"),
            Self::Transfer(id) => write!(f, "transfer {id}"),
            Self::Again => f.write_str("what it had forgotten before"),
        }
    }
}

/// Whether a segment has forgotten something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Forgot {
    /// It has not.
    Nothing,
    /// This, and perhaps more.
    This(Lacks),
    /// If the archive, which cannot be read now, has not all of these events.
    Unknown(Vec<EntryId>),
}

impl Fence {
    /// Whether the segment has forgotten something that this process sold or moved. The
    /// archive is asked until the deadline, if there is one.
    pub(super) async fn forgot(
        &self,
        conn: &mut MultiplexedConnection,
        segment: &Segment,
        deadline: Option<Instant>,
    ) -> Result<Forgot, RedisLinkError> {
        let Lost {
            purchases,
            replaced,
            transfers,
        } = self.lost(conn, segment).await?;
        let purchase = purchases.last().map(|(event, _)| *event);
        if let Some(event) = purchase {
            return Ok(Forgot::This(Lacks::Purchase(event)));
        }
        if let Some(id) = transfers.into_iter().next() {
            return Ok(Forgot::This(Lacks::Transfer(id)));
        }
        if self.forgot_again(conn, segment).await? {
            return Ok(Forgot::This(Lacks::Again));
        }
        if replaced.is_empty() {
            return Ok(Forgot::Nothing);
        }
        let Some(deadline) = deadline else {
            return Ok(Forgot::Unknown(replaced));
        };
        let read = timeout_at(deadline, self.unarchived(segment, &replaced)).await;
        Ok(match read {
            Ok(Ok(None)) => Forgot::Nothing,
            Ok(Ok(Some(event))) => Forgot::This(Lacks::Purchase(event)),
            Ok(Err(_)) | Err(_) => Forgot::Unknown(replaced),
        })
    }

    /// The last of these events that is not in the archive.
    pub(super) async fn unarchived(
        &self,
        Segment { item, number }: &Segment,
        events: &[EntryId],
    ) -> Result<Option<EntryId>, StoreError> {
        if events.is_empty() {
            return Ok(None);
        }
        let store = self.store.get().await?;
        let archived = store.archived_among(item, *number, events).await?;
        Ok(events
            .iter()
            .filter(|it| !archived.contains(it))
            .max()
            .copied())
    }

    async fn lost(
        &self,
        conn: &mut MultiplexedConnection,
        segment: &Segment,
    ) -> Result<Lost, RedisLinkError> {
        let mut lost = Lost::default();
        let mut replaced = Vec::new();
        for some in self.sold.of(segment).chunks(BATCH) {
            let records = records(conn, segment, some.iter().map(|(_, it)| it)).await?;
            for (purchase, record) in some.iter().zip(records) {
                let (event, _) = purchase;
                match record {
                    Some(record) if record.at_ms > event.ms => replaced.push(*event),
                    Some(record) if record.at_ms == event.ms => {}
                    _ => lost.purchases.push(purchase.clone()),
                }
            }
        }
        for some in replaced.chunks(BATCH) {
            let in_stream = in_stream(conn, segment, some).await?;
            let events = some.iter().zip(in_stream);
            lost.replaced
                .extend(events.filter(|(_, is)| !is).map(|(event, _)| *event));
        }
        let transfers = self.sold.transfers(segment);
        let known = are_known(conn, segment, &transfers).await?;
        let transfers = transfers.into_iter().zip(known);
        lost.transfers
            .extend(transfers.filter(|(_, is)| !is).map(|(id, _)| id));
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
        let journalled = journalled.unwrap_or_default();
        let mut waiting = Vec::new();
        if journalled.is_empty() {
            return Ok(waiting);
        }
        let replayed = forgotten::replayed(conn, segment).await?;
        for some in journalled.chunks(BATCH) {
            let records = records(conn, segment, some.iter().map(|it| &it.request)).await?;
            for (entry, record) in some.iter().zip(records) {
                // Its replay may be decided, and the reply lost.
                let is_replayed = replayed
                    .get(&entry.file)
                    .is_some_and(|seq| *seq >= entry.seq);
                if !is_replayed && record.is_none_or(|it| it.request != entry.request.request) {
                    waiting.push(entry.request.clone());
                }
            }
        }
        Ok(waiting)
    }

    /// Whether the segment has forgotten once more before something was made again: it is
    /// neither on record nor noted, and the segment has not ended waiting for it.
    async fn forgot_again(
        &self,
        conn: &mut MultiplexedConnection,
        segment: &Segment,
    ) -> Result<bool, RedisLinkError> {
        let waiting = self.waiting(conn, segment).await?;
        Ok(!forgotten::are_known(conn, segment, &waiting).await?)
    }

    /// Journals what these segments, which are halted, have forgotten of this process's sales.
    /// Only what is on the disk leaves the memory.
    ///
    /// It is noted in their Redis first: segments may be healed, and other processes replay,
    /// before all of it is on the disk.
    pub(super) async fn keep_lost(
        &self,
        conn: &mut MultiplexedConnection,
        behind: &[Behind],
    ) -> Result<(), RedisLinkError> {
        let mut found = Vec::with_capacity(behind.len());
        for Behind { segment, .. } in behind {
            let lost = self.lost(conn, segment).await?;
            if self.forgotten.is_some() {
                let waiting = self.waiting(conn, segment).await?;
                let all = lost.purchases.iter().map(|(_, it)| it).chain(&waiting);
                forgotten::note(conn, segment, all).await?;
            }
            found.push(lost);
        }
        for (behind, lost) in behind.iter().zip(found) {
            self.journal(conn, behind, lost).await;
        }
        Ok(())
    }

    /// What was replaced is not made again, since its buyer has bought again: what it took,
    /// the rebuild finds in the orders. Nor are transfers: the rebuild puts the items where
    /// either end says that they are.
    async fn journal(
        &self,
        conn: &mut MultiplexedConnection,
        Behind { segment, has, .. }: &Behind,
        lost: Lost,
    ) {
        let Lost {
            purchases,
            replaced,
            transfers,
        } = lost;
        self.sold.forget_transfers(segment, &transfers);
        let mut kept: HashSet<EntryId> = replaced.into_iter().collect();
        let Some(journal) = self.forgotten.as_ref().filter(|_| !purchases.is_empty()) else {
            kept.extend(purchases.iter().map(|(event, _)| *event));
            return self.sold.forget(segment, &kept, *has);
        };
        let requests = purchases.iter().map(|(event, request)| Request {
            at_ms: event.ms,
            ..request.clone()
        });
        let outcomes = journal.append_all(requests.collect()).await;
        let mut count = 0_usize;
        let mut failed = Vec::new();
        for ((event, purchase), outcome) in purchases.iter().zip(outcomes) {
            match outcome {
                Ok(()) => {
                    kept.insert(*event);
                    count += 1;
                }
                Err(error) => {
                    let Request { user, request, .. } = purchase;
                    failed.push(purchase);
                    tracing::error!(%segment, user, request, %error, "a purchase that its Redis has forgotten is not made again");
                }
            }
        }
        self.sold.forget(segment, &kept, *has);
        if !failed.is_empty() {
            // Not struck out, they hold others up for some seconds.
            let _ = forgotten::strike(conn, segment, failed).await;
        }
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

/// Of each of these transfers, whether the segment has a record of it.
async fn are_known(
    conn: &mut MultiplexedConnection,
    Segment { item, number }: &Segment,
    transfers: &[String],
) -> Result<Vec<bool>, RedisLinkError> {
    if transfers.is_empty() {
        return Ok(Vec::new());
    }
    let mut read = redis::pipe();
    for key in [keys::transit(item, *number), keys::transfers(item, *number)] {
        read.cmd("HMGET").arg(key).arg(transfers);
    }
    let (open, done): (Vec<Option<String>>, Vec<Option<String>>) = read.query_async(conn).await?;
    let known = open.iter().zip(&done);
    Ok(known
        .map(|(open, done)| open.is_some() || done.is_some())
        .collect())
}

/// Of each of these events, whether the segment's stream has it.
async fn in_stream(
    conn: &mut MultiplexedConnection,
    Segment { item, number }: &Segment,
    events: &[EntryId],
) -> Result<Vec<bool>, RedisLinkError> {
    let mut read = redis::Pipeline::with_capacity(events.len());
    for event in events {
        let id = event.to_string();
        read.xrange(keys::outbox(item, *number), &id, &id);
    }
    let found: Vec<StreamRangeReply> = read.query_async(conn).await?;
    Ok(found.iter().map(|it| !it.ids.is_empty()).collect())
}
