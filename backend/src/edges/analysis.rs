//! The analysis role: reads the access logs of all edges as they grow, finds
//! accounts and addresses that buy like programs, and counts who saw a product and
//! who tried to buy it.
//!
//! What a score means is in [`seckill_core::suspicion`]; what it leads to, in
//! [`policy`]. Logs are read, judged and acted upon before their place is written
//! down, so that a crash repeats and does not forget. Nothing of the sale waits
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
use crate::periodic::Passes;
use crate::redis::{RedisLink, RedisLinkError};
use crate::sale::catalogue;
use crate::store::LazyStore;

/// Visitors, participants, hot products.
pub mod audience;
/// One log file, through rotations.
pub mod follow;
/// Where to go on after a restart.
mod places;
/// What a judgement leads to.
pub mod policy;

use audience::Audience;
use follow::Follower;
use places::Places;
use policy::Bench;

use crate::config::analysis::{Policy, Rules};

/// How often the logs are looked at while they are quiet.
const POLL: Duration = Duration::from_millis(200);
/// How often the openings are read from Redis, and the places are written down.
const EVERY: Duration = Duration::from_secs(1);
/// Bytes of each log that are read before they are acted upon.
const BUDGET: usize = 8 * 1024 * 1024;
/// A log that has said nothing for so long is not waited for: an edge in reserve.
const RESERVE_MS: u64 = 600_000;
/// Pause after a pass that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What the role is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The logs.
    pub logs: Vec<PathBuf>,
    /// Where to write down how far they were read.
    pub places: PathBuf,
    /// What to do with findings.
    pub rules: Rules,
    /// Whose midnight separates the days of hot products.
    pub zone: TimeZone,
    /// How much is remembered.
    pub limits: Limits,
}

/// Lines so far.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    lines: u64,
    garbage: u64,
}

/// What reading needs; it moves to a thread of its own and back.
struct Desk {
    followers: Vec<Follower>,
    /// The newest request in each of the logs.
    newest_ms: Vec<u64>,
    watch: Watch,
    audience: Audience,
    counts: Counts,
    policy: Policy,
}

impl Desk {
    fn open(options: &Options, places: &Places) -> Self {
        let follow = |path: &PathBuf| {
            Follower::open(path, places.of(path)).inspect_err(|error| {
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

    /// Reads what there is, up to a limit. How many bytes.
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
            let mut told = |bytes: &[u8], is_history: bool| {
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
            read += follower.read(BUDGET, &mut told)?;
        }
        let heard_ms = self.heard_ms();
        self.watch.set_heard(heard_ms);
        Ok(read)
    }

    /// Up to when all logs are known, as far as their edges are at work.
    fn heard_ms(&self) -> Option<u64> {
        let newest_ms = self.newest_ms.iter().copied().max()?;
        let at_work = |at: &u64| at + RESERVE_MS > newest_ms;
        self.newest_ms.iter().copied().filter(at_work).min()
    }

    fn behind(&self) -> u64 {
        self.followers
            .iter()
            .filter_map(|it| it.behind().ok())
            .sum()
    }
}

/// Runs until `stop`; on a runtime of several threads, since reading and judging
/// may take one for a while.
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

/// Why a round was not finished; it is begun again.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
    #[error(transparent)]
    Act(#[from] policy::ActError),
    #[error("{0}")]
    Files(#[from] io::Error),
}

/// The role's state.
struct Work {
    desk: Desk,
    bench: Bench,
    places: Places,
    redis: RedisLink,
    version: Option<String>,
    /// Whether there were more edges than logs when they were last counted.
    is_blind: bool,
    /// When the openings were last looked at, and the places written down.
    done: Option<Instant>,
    told: Counts,
}

impl Work {
    fn new(options: &Options, redis: RedisLink, store: LazyStore) -> Self {
        let places = Places::open(&options.places);
        Self {
            desk: Desk::open(options, &places),
            bench: Bench::new(options.rules.clone(), store, redis.clone()),
            places,
            redis,
            version: None,
            is_blind: false,
            done: None,
            told: Counts::default(),
        }
    }

    /// Reads on, acts upon it, and writes down how far that was. How many bytes
    /// were read.
    async fn pass(&mut self) -> Result<usize, PassError> {
        let is_due = self.done.is_none_or(|at| at.elapsed() >= EVERY);
        if is_due {
            // Before the first line: whoever clicks is measured by them.
            self.read_openings().await?;
        }
        // What was read before and could not be written comes first.
        self.act().await?;
        let read = tokio::task::block_in_place(|| self.desk.read())?;
        self.act().await?;
        if is_due {
            self.write_down().await?;
            self.done = Some(Instant::now());
        }
        Ok(read)
    }

    async fn act(&mut self) -> Result<(), PassError> {
        let mut conn = self.redis.conn().await?;
        let written = self.desk.audience.write(&mut conn).await;
        written.map_err(RedisLinkError::from)?;
        let now_ms = now_ms();
        // As long as lines wait to be read, the log's time counts and not ours.
        let behind = self.desk.behind();
        let watch = &mut self.desk.watch;
        let at_ms = if behind > 0 {
            watch.newest_ms()
        } else {
            now_ms.max(watch.newest_ms())
        };
        let found = tokio::task::block_in_place(|| watch.judge(at_ms));
        self.bench.add(found);
        Ok(self.bench.act(now_ms).await?)
    }

    async fn read_openings(&mut self) -> Result<(), PassError> {
        let mut conn = self.redis.conn().await?;
        let version = catalogue::version(&mut conn).await?;
        if version.is_none() || version != self.version {
            let products = catalogue::read(&mut conn).await?;
            let openings = products
                .iter()
                .map(|(item, entry)| (item.round(), item.product(), entry.window.opens_ms));
            self.desk.watch.set_openings(openings);
            self.version = version;
        }
        self.count_edges(&mut conn).await
    }

    /// What an edge does whose log is not read cannot be told from what nobody did.
    async fn count_edges(&mut self, conn: &mut MultiplexedConnection) -> Result<(), PassError> {
        let living: Result<usize, _> = conn.zcount(keys::EDGES, "(0", "+inf").await;
        let edges = living.map_err(RedisLinkError::from)?;
        let logs = self.desk.followers.len();
        let is_blind = edges > logs;
        if is_blind && !self.is_blind {
            tracing::warn!(
                edges,
                logs,
                "there are more edges than access logs, so that nobody is banned for what the logs do not show; name the logs of all edges in access_logs"
            );
        }
        self.is_blind = is_blind;
        self.desk.watch.set_blind(is_blind);
        Ok(())
    }

    async fn write_down(&mut self) -> Result<(), PassError> {
        let now_ms = now_ms();
        self.places.note(&self.desk.followers, now_ms);
        tokio::task::block_in_place(|| self.places.save())?;
        let counts = self.desk.counts;
        let (accounts, addresses) = self.desk.watch.sizes();
        let fields: [(&str, u64); 6] = [
            ("lines", counts.lines),
            ("garbage", counts.garbage),
            ("behind_bytes", self.desk.behind()),
            ("accounts", accounts as u64),
            ("addresses", addresses as u64),
            ("at_ms", now_ms),
        ];
        let mut conn = self.redis.conn().await?;
        let mut pipe = redis::pipe();
        pipe.hset_multiple(keys::ANALYSIS, &fields).ignore();
        // Whoever looks sees that nobody reads the logs.
        pipe.expire(keys::ANALYSIS, 30).ignore();
        let written = pipe.query_async::<()>(&mut conn).await;
        written.map_err(RedisLinkError::from)?;
        let garbage = counts.garbage - self.told.garbage;
        if garbage > 0 {
            tracing::warn!(
                garbage,
                "lines of the access logs were no lines of ours and were skipped"
            );
            self.told = counts;
        }
        Ok(())
    }
}
