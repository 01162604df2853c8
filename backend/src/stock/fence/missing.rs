//! Events of this process that a segment does not have, though it has newer ones.
//!
//! Another process may connect to the older Redis first, and sell: then the segment's last
//! event is newer than ours, and says nothing. Our last one is looked for in the stream. What
//! is not there was trimmed, and the archive has it, or is forgotten.

use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use seckill_core::keys;
use seckill_core::stock::ledger::EntryId;

use super::{Behind, Fence, NONE};
use crate::now_ms;
use crate::redis::RedisLinkError;
use crate::redis::segments::Segment;

/// The last event of this process, which the segment's stream does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    pub own: EntryId,
    /// The last one before it that the stream has.
    before: EntryId,
}

impl Missing {
    /// How far the segment is behind, by the last event up to ours that is `archived`; `None`
    /// if that is ours, or one after it.
    pub(super) fn behind(self, segment: &Segment, archived: Option<EntryId>) -> Option<Behind> {
        let archived = archived.unwrap_or(NONE);
        (archived < self.own).then(|| Behind {
            segment: segment.clone(),
            has: self.before.max(archived),
            known: self.own,
        })
    }
}

impl Fence {
    /// For each segment, with its last event: what this process sold of it lately and its
    /// stream does not have.
    pub(super) async fn missing(
        &self,
        conn: &mut MultiplexedConnection,
        segments: &[(Segment, EntryId)],
    ) -> Result<Vec<Option<Missing>>, RedisLinkError> {
        let now_ms = now_ms();
        let own = segments.iter().map(|(segment, has)| {
            let newest = self.sold.newest(segment, now_ms);
            newest.filter(|own| own < has)
        });
        let own: Vec<Option<EntryId>> = own.collect();
        let mut pipe = redis::pipe();
        for ((segment, _), own) in segments.iter().zip(&own) {
            if let Some(own) = own {
                pipe.cmd("XREVRANGE")
                    .arg(keys::outbox(&segment.item, segment.number))
                    .arg(own.to_string())
                    .arg("-")
                    .arg(("COUNT", 1));
            }
        }
        let replies: Vec<StreamRangeReply> = match pipe.is_empty() {
            true => Vec::new(),
            false => pipe.query_async(conn).await?,
        };
        let mut replies = replies.into_iter();
        let missing = own.into_iter().map(|own| {
            let own = own?;
            let found = replies.next()?.ids.pop();
            let before = found.and_then(|it| EntryId::parse(&it.id)).unwrap_or(NONE);
            (before != own).then_some(Missing { own, before })
        });
        Ok(missing.collect())
    }
}
