//! The analysis role: reads the access logs of all edges as they grow, finds
//! accounts and addresses that buy like programs, and counts who saw a product and
//! who tried to buy it.
//!
//! What a score means is in [`seckill_core::suspicion`]; what it leads to, in
//! [`enforcement`]. Log lines are read, judged and acted upon before the position behind
//! them is saved, so that a crash repeats lines and skips none. Nothing of the sale waits
//! for this role.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use seckill_core::keys;
use seckill_core::suspicion::FORGET_MS;
use seckill_core::suspicion::access_log::Line;
use seckill_core::suspicion::watch::{Limits, Watch};
use tokio_util::sync::CancellationToken;

use crate::now_ms;
use crate::redis::{RedisLink, RedisLinkError};
use crate::sale::catalogue;
use crate::store::LazyStore;
use crate::time::periodic::Passes;

/// Counts visitors, participants and hot products.
pub mod audience;
/// Turns judgements into proposals and bans.
pub mod enforcement;
/// Follows one log file through rotations.
pub mod follow;
/// The positions in the logs, kept for a restart.
mod positions;

use audience::Audience;
use enforcement::Enforcer;
use follow::Follower;
use positions::Positions;

use crate::config::analysis::{Policy, Rules};

/// Pause between two passes while the logs are quiet.
const POLL: Duration = Duration::from_millis(200);
/// How often the openings are read from Redis, and the positions are saved.
const EVERY: Duration = Duration::from_secs(1);
/// Bytes of each log that one pass reads.
const BUDGET: usize = 8 * 1024 * 1024;
/// A log without a line for so long is not waited for: its edge is a spare.
const SPARE_MS: u64 = 600_000;
/// Pause after a pass that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What the role needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// The access logs of all edges.
    pub logs: Vec<PathBuf>,
    /// The file in which the positions in the logs are saved.
    pub positions: PathBuf,
    /// What findings lead to.
    pub rules: Rules,
    /// The time zone whose midnight separates the days of hot products.
    pub zone: TimeZone,
    /// How many accounts and addresses are remembered.
    pub limits: Limits,
}

/// Lines read since the start; `garbage` could not be parsed.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    lines: u64,
    garbage: u64,
}

/// Reads the logs into the tables from which judgements and counts are made.
struct LogReader {
    followers: Vec<Follower>,
    /// The newest request in each of the logs.
    newest_ms: Vec<u64>,
    watch: Watch,
    audience: Audience,
    counts: Counts,
    policy: Policy,
}

impl LogReader {
    fn open(options: &Options, positions: &Positions) -> Self {
        let follow = |path: &PathBuf| {
            Follower::open(path, positions.of(path)).inspect_err(|error| {
                let log = path.display();
                tracing::error!(%log, %error, "this access log cannot be read; let the analysis read it, or name another in access_logs");
            }).ok()
        };
        let followers: Vec<Follower> = options.logs.iter().filter_map(follow).collect();
        Self {
            newest_ms: vec![0; followers.len()],
            followers,
            watch: Watch::new(options.limits, options.rules.propose_score),
            audience: Audience::new(options.zone.clone()),
            counts: Counts::default(),
            policy: options.rules.policy,
        }
    }

    /// Reads what there is, up to [`BUDGET`]; returns how many bytes.
    fn read(&mut self) -> io::Result<usize> {
        let now_ms = now_ms();
        let Self {
            followers,
            newest_ms,
            watch,
            audience,
            counts,
            policy,
        } = self;
        let mut read = 0;
        for (follower, newest_ms) in followers.iter_mut().zip(newest_ms) {
            let mut take = |bytes: &[u8], is_history: bool| {
                counts.lines += 1;
                let line = match Line::parse(bytes) {
                    Ok(line) => line,
                    Err(error) => {
                        counts.garbage += 1;
                        tracing::debug!(%error, "a line of the access log was skipped");
                        return;
                    }
                };
                *newest_ms = line.at_ms.max(*newest_ms);
                if !is_history {
                    audience.note(&line);
                }
                if *policy != Policy::Off && line.at_ms + FORGET_MS > now_ms {
                    watch.note(&line);
                }
            };
            read += follower.read(BUDGET, &mut take)?;
        }
        let heard_ms = self.heard_ms();
        self.watch.set_heard(heard_ms);
        Ok(read)
    }

    /// The time up to which the logs of all edges at work have been read.
    fn heard_ms(&self) -> Option<u64> {
        let newest_ms = self.newest_ms.iter().copied().max()?;
        let at_work = |at: &u64| at + SPARE_MS > newest_ms;
        self.newest_ms.iter().copied().filter(at_work).min()
    }

    /// Bytes that wait to be read.
    fn behind(&self) -> u64 {
        self.followers
            .iter()
            .filter_map(|it| it.behind().ok())
            .sum()
    }
}

/// Runs until `stop`. It needs a runtime of several threads, since reading and judging
/// may keep one for a while.
pub async fn run(options: Options, redis: RedisLink, store: LazyStore, stop: CancellationToken) {
    let mut work = Work::new(&options, redis, store);
    let waiting = "the analysis waits; nothing is lost as long as the logs are kept";
    let mut passes = Passes::new(stop, waiting, RETRY);
    while passes.go_on() {
        let pause = work.pass().await.map(|read| match read >= BUDGET / 2 {
            // More is waiting.
            true => Duration::ZERO,
            false => POLL,
        });
        passes.pause_after(pause).await;
    }
}

/// Why a pass broke off; the next one begins where it began.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
    #[error(transparent)]
    Act(#[from] enforcement::ActError),
    #[error("{0}")]
    Files(#[from] io::Error),
}

/// The role's state.
struct Work {
    reader: LogReader,
    enforcer: Enforcer,
    positions: Positions,
    redis: RedisLink,
    version: Option<String>,
    /// Whether there were more edges than logs when they were last counted.
    is_blind: bool,
    /// When the openings were last read, and the positions saved.
    done: Option<Instant>,
    reported: Counts,
}

impl Work {
    fn new(options: &Options, redis: RedisLink, store: LazyStore) -> Self {
        let positions = Positions::open(&options.positions);
        Self {
            reader: LogReader::open(options, &positions),
            enforcer: Enforcer::new(options.rules.clone(), store, redis.clone()),
            positions,
            redis,
            version: None,
            is_blind: false,
            done: None,
            reported: Counts::default(),
        }
    }

    /// Reads on, acts upon what was read, and saves the positions; returns how many bytes
    /// were read.
    async fn pass(&mut self) -> Result<usize, PassError> {
        let is_due = self.done.is_none_or(|at| at.elapsed() >= EVERY);
        if is_due {
            // Before the first line: clicks are measured by the openings.
            self.read_openings().await?;
        }
        // First what an earlier pass read and could not write.
        self.act().await?;
        let read = tokio::task::block_in_place(|| self.reader.read())?;
        self.act().await?;
        if is_due {
            self.save().await?;
            self.done = Some(Instant::now());
        }
        Ok(read)
    }

    async fn act(&mut self) -> Result<(), PassError> {
        let mut conn = self.redis.conn().await?;
        let written = self.reader.audience.write(&mut conn).await;
        written.map_err(RedisLinkError::from)?;
        let now_ms = now_ms();
        // As long as lines wait to be read, the time of the newest line counts, not ours.
        let behind = self.reader.behind();
        let watch = &mut self.reader.watch;
        let at_ms = if behind > 0 {
            watch.newest_ms()
        } else {
            now_ms.max(watch.newest_ms())
        };
        let found = tokio::task::block_in_place(|| watch.judge(at_ms));
        self.enforcer.add(found);
        Ok(self.enforcer.act(now_ms).await?)
    }

    async fn read_openings(&mut self) -> Result<(), PassError> {
        let mut conn = self.redis.conn().await?;
        let version = catalogue::version(&mut conn).await?;
        if version.is_none() || version != self.version {
            let (products, version) = catalogue::read_version(&mut conn).await?;
            let openings = products
                .iter()
                .map(|(item, entry)| (item.round(), item.product(), entry.window.opens_ms));
            self.reader.watch.set_openings(openings);
            self.version = version;
        }
        self.count_edges(&mut conn).await
    }

    /// Counts the living edges. Requests to an edge whose log is not read look like requests
    /// that nobody made.
    async fn count_edges(&mut self, conn: &mut MultiplexedConnection) -> Result<(), PassError> {
        let living: Result<usize, _> = conn.zcount(keys::EDGES, "(0", "+inf").await;
        let edges = living.map_err(RedisLinkError::from)?;
        let logs = self.reader.followers.len();
        let is_blind = edges > logs;
        if is_blind && !self.is_blind {
            tracing::warn!(
                edges,
                logs,
                "there are more edges than access logs, so that nobody is banned for what the logs do not show; name the logs of all edges in access_logs"
            );
        }
        self.is_blind = is_blind;
        self.reader.watch.set_blind(is_blind);
        Ok(())
    }

    async fn save(&mut self) -> Result<(), PassError> {
        let now_ms = now_ms();
        self.positions.note(&self.reader.followers, now_ms);
        tokio::task::block_in_place(|| self.positions.save())?;
        let counts = self.reader.counts;
        let (accounts, addresses) = self.reader.watch.sizes();
        let fields: [(&str, u64); 6] = [
            ("lines", counts.lines),
            ("garbage", counts.garbage),
            ("behind_bytes", self.reader.behind()),
            ("accounts", accounts as u64),
            ("addresses", addresses as u64),
            ("at_ms", now_ms),
        ];
        let mut conn = self.redis.conn().await?;
        let mut pipe = redis::pipe();
        pipe.hset_multiple(keys::ANALYSIS, &fields).ignore();
        // Without an entry, status reports that nobody reads the logs.
        pipe.expire(keys::ANALYSIS, 30).ignore();
        let written = pipe.query_async::<()>(&mut conn).await;
        written.map_err(RedisLinkError::from)?;
        let garbage = counts.garbage - self.reported.garbage;
        if garbage > 0 {
            tracing::warn!(
                garbage,
                "lines of the access logs were not in the expected format and were skipped"
            );
            self.reported = counts;
        }
        Ok(())
    }
}
