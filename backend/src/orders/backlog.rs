//! How long messages wait, and what is done when that is too long (course §143 to
//! §145): part of the backlog is failed, so that its buyers may buy again, while the rest
//! is still placed.

use std::time::Duration;

use seckill_core::keys;
use tokio::time::Instant;

use super::excused::Excused;
use super::job::Job;
use crate::redis::RedisLink;

/// Messages wait no longer than this in a normal sale: 10,000 orders at 500 a
/// second.
const NORMAL_MS: u64 = 20_000;
/// How often the age is published for `seckill status`.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// For how long a published age counts, in ms.
const REPORT_LASTS_MS: u64 = 10_000;

/// How long messages wait, in three steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Normal,
    Slow,
    Backlog,
}

/// Watches the age of messages.
pub(super) struct BacklogWatch {
    redis: RedisLink,
    backlog_ms: u64,
    level: Level,
    reported: Option<Instant>,
}

impl BacklogWatch {
    pub(super) fn new(redis: RedisLink, backlog_after: Duration) -> Self {
        Self {
            redis,
            backlog_ms: u64::try_from(backlog_after.as_millis()).unwrap_or(u64::MAX),
            level: Level::Normal,
            reported: None,
        }
    }

    /// Whether messages wait so long that part of them is to be failed.
    pub(super) fn is_backlog(&self) -> bool {
        self.level == Level::Backlog
    }

    /// Notes the batch that was read, or that it was empty.
    pub(super) async fn observe(&mut self, jobs: &[Job], now_ms: u64, excused: &Excused) {
        let waited = |job: &Job| job.waited_ms(now_ms, excused);
        let oldest = jobs.iter().filter_map(waited).max();
        if oldest.is_none() && !jobs.is_empty() {
            return;
        }
        let age_ms = oldest.unwrap_or(0);
        self.set_level(age_ms);
        let due = self.reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY);
        if !due {
            return;
        }
        self.reported = Some(Instant::now());
        if let Ok(mut conn) = self.redis.conn().await {
            let mut set = redis::cmd("SET");
            set.arg(keys::QUEUE_AGE).arg(age_ms);
            set.arg("PX").arg(REPORT_LASTS_MS);
            // A failure is ignored: the next report is a second away.
            let _ = set.exec_async(&mut conn).await;
        }
    }

    fn set_level(&mut self, age_ms: u64) {
        let level = level(age_ms, self.backlog_ms);
        if level == self.level {
            return;
        }
        match level {
            Level::Normal => tracing::info!(age_ms, "orders are placed in time again"),
            Level::Slow => tracing::warn!(age_ms, "orders wait longer than usual to be placed"),
            Level::Backlog => tracing::error!(
                age_ms,
                "orders wait too long: part of the backlog is failed, and its buyers may buy again"
            ),
        }
        self.level = level;
    }

    /// Divides messages into those to place and those to fail. During a backlog only as
    /// many are placed as may be placed now, the youngest first, since their buyers are
    /// most likely still waiting. A message that has not waited too long is placed in any
    /// case.
    pub(super) fn split(
        &self,
        mut jobs: Vec<Job>,
        placing: usize,
        now_ms: u64,
        excused: &Excused,
    ) -> (Vec<Job>, Vec<Job>) {
        if !self.is_backlog() {
            return (jobs, Vec::new());
        }
        let waited = |job: &Job| job.waited_ms(now_ms, excused).unwrap_or(0);
        jobs.sort_by_key(waited);
        let rest = jobs.split_off(placing.min(jobs.len()));
        let (failed, more): (Vec<Job>, Vec<Job>) = rest
            .into_iter()
            .partition(|job| waited(job) > self.backlog_ms);
        jobs.extend(more);
        (jobs, failed)
    }
}

fn level(age_ms: u64, backlog_ms: u64) -> Level {
    if age_ms > backlog_ms {
        Level::Backlog
    } else if age_ms > NORMAL_MS {
        Level::Slow
    } else {
        Level::Normal
    }
}

#[cfg(test)]
mod tests {
    use seckill_core::orders::message::OrderMessage;

    use super::*;
    use crate::queue::Receipt;
    use crate::queue::dead_letters::REDRIVEN;

    const NOW: u64 = 1_000_000;

    fn watch(level: Level) -> BacklogWatch {
        let redis = RedisLink::lazy("unix:///nowhere").unwrap();
        let mut watch = BacklogWatch::new(redis, Duration::from_secs(120));
        watch.level = level;
        watch
    }

    fn waiting(waited_ms: u64) -> Job {
        Job {
            receipt: Receipt(String::new()),
            attempt: 1,
            key: String::new(),
            purchase: OrderMessage {
                v: 1,
                request: "r".into(),
                round: "1".into(),
                product: "153".into(),
                segment: 1,
                user: "li".into(),
                quantity: 1,
                price_cents: 1,
                permit: String::new(),
                at_ms: NOW - waited_ms,
                order: None,
                traceparent: None,
                relayed_us: None,
            },
            span: None,
        }
    }

    fn never() -> Excused {
        Excused::default()
    }

    fn ages(jobs: &[Job]) -> Vec<u64> {
        jobs.iter().map(|job| NOW - job.purchase.at_ms).collect()
    }

    #[tokio::test]
    async fn in_a_backlog_the_youngest_are_placed_and_the_oldest_fail() {
        let jobs: Vec<Job> = [200_000, 130_000, 10_000, 300_000].map(waiting).into();
        let (placed, failed) = watch(Level::Backlog).split(jobs.clone(), 2, NOW, &never());
        assert_eq!(ages(&placed), [10_000, 130_000]);
        assert_eq!(ages(&failed), [200_000, 300_000]);
        let (placed, failed) = watch(Level::Normal).split(jobs, 2, NOW, &never());
        assert_eq!((placed.len(), failed.len()), (4, 0));
    }

    #[tokio::test]
    async fn a_message_that_waited_for_another_reason_or_not_for_long_is_not_failed() {
        let mut jobs: Vec<Job> = [60_000, 200_000, 200_000].map(waiting).into();
        jobs[1].attempt = 2;
        jobs[2].key = REDRIVEN.to_owned();
        let (placed, failed) = watch(Level::Backlog).split(jobs, 0, NOW, &never());
        assert_eq!((placed.len(), failed.len()), (3, 0));
    }

    #[tokio::test]
    async fn what_a_message_waited_for_the_database_is_no_backlog() {
        let mut excused = Excused::default();
        excused.away(NOW - 290_000);
        excused.back(NOW - 100_000);
        let jobs: Vec<Job> = [300_000, 320_000, 200_000].map(waiting).into();
        let (placed, failed) = watch(Level::Backlog).split(jobs, 0, NOW, &excused);
        assert_eq!(ages(&placed), [200_000, 300_000]);
        assert_eq!(ages(&failed), [320_000]);
    }

    #[test]
    fn twenty_seconds_are_normal_and_two_minutes_too_long() {
        let levels = [20_000, 20_001, 120_000, 120_001].map(|age_ms| level(age_ms, 120_000));
        use Level::{Backlog, Normal, Slow};
        assert_eq!(levels, [Normal, Slow, Slow, Backlog]);
    }
}
