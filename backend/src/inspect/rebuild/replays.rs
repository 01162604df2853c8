//! Segments that were put back and replay what waits for them in journals, before they sell
//! to those who come now: some of the buyers in the journals were told that they have an
//! item, which the Redis then forgot.

use std::time::{Duration, Instant};

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;

use crate::redis::RedisLinkError;
use crate::redis::scripts::stock::{self, Served};
use crate::redis::segments::{Segment, Segments};

/// For how long a segment replays at least. Journals try every 50 ms.
const FIRST: Duration = Duration::from_millis(500);
/// The longest of that, while something that the Redis forgot is not made again: time for a
/// journal of a process that died to be found by another one.
const LONGEST: Duration = Duration::from_secs(10);

/// Pause between two looks at what is not made again yet.
const LOOK: Duration = Duration::from_millis(50);

/// Segments that replay journals; each serves everybody as soon as it can, whatever the
/// others still wait for. Dropped, it leaves that to the clock of their Redis.
#[derive(Debug, Default)]
pub(in crate::inspect) struct Replays(JoinSet<Result<(), RedisLinkError>>);

impl Replays {
    /// Lets a segment replay if it was halted, now that it is as it must be.
    pub(super) async fn begin(
        &mut self,
        segments: &Segments,
        segment: Segment,
    ) -> Result<(), RedisLinkError> {
        let mut conn = segments.conn(&segment.item, segment.number).await?;
        let resume = stock::resume(&segment.item, segment.number, LONGEST);
        if resume.run(&mut conn).await? {
            self.0.spawn(end(segments.clone(), segment));
        }
        Ok(())
    }

    /// Waits until all of them serve everybody.
    ///
    /// # Errors
    /// The first error of one; the others serve everybody nevertheless.
    pub(super) async fn until_ended(self) -> Result<(), RedisLinkError> {
        let ended = self.0.join_all().await;
        ended.into_iter().collect()
    }

    /// Forgets those that serve everybody.
    pub(in crate::inspect) fn forget_ended(&mut self) {
        while let Some(ended) = self.0.try_join_next() {
            if let Ok(Err(error)) = ended {
                tracing::warn!(%error, "a segment that was put back serves everybody by its clock only");
            }
        }
    }
}

/// Serves everybody once all is made again that the segment has forgotten, or it is too late.
async fn end(segments: Segments, segment: Segment) -> Result<(), RedisLinkError> {
    let began = Instant::now();
    tokio::time::sleep(FIRST).await;
    loop {
        match try_to_end(&segments, &segment).await {
            Ok(Served::Forgotten) => {}
            Err(_) if began.elapsed() < LONGEST => {}
            ended => return ended.map(|_| ()),
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn try_to_end(segments: &Segments, segment: &Segment) -> Result<Served, RedisLinkError> {
    let mut conn = segments.conn(&segment.item, segment.number).await?;
    Ok(serve(&mut conn, segment).await?)
}

/// Lets a segment serve everybody if it may.
pub(in crate::inspect) async fn serve(
    conn: &mut MultiplexedConnection,
    segment: &Segment,
) -> RedisResult<Served> {
    let served = stock::serve(&segment.item, segment.number)
        .run(conn)
        .await?;
    if let Served::Everybody(left @ 1..) = served {
        tracing::error!(%segment, left, "what this segment has forgotten is not made again in time, and others are served");
    }
    Ok(served)
}
