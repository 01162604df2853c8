//! Replays journalled purchases, in order, once Redis answers again.
//!
//! Each segment's requests are replayed in the order in which they were journalled, by
//! `lua/stock/replay.lua`, many in one round trip; before them those that were sold and then
//! forgotten by a Redis. A segment whose master is away keeps its own and holds up no
//! other. A process that dies meanwhile starts again at what it
//! had not noted: the script knows each record that it has replayed.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use seckill_core::captcha::pass::CLOCKS_MS;
use seckill_core::ids::Item;
use seckill_core::journal::Id;
use seckill_core::keys;
use seckill_core::orders::order::OrderId;
use seckill_core::permits::permit::PermitId;
use seckill_core::stock::ledger::EntryId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::alone::Alone;
use super::numbers::Numbers;
use super::refill::{Refilled, Refiller};
use super::site::{SiteState, may_sell};
use crate::edges::{regrabs, surplus};
use crate::now_ms;
use crate::redis::scripts::replay::{self, Record, Replayed};
use crate::redis::scripts::stock::{Pass, Purchase, WhenGone};
use crate::redis::segments::{Segment, Segments};
use crate::redis::{RedisLink, RedisLinkError, scripts};
use crate::stock::fence::Fence;
use crate::stock::forgotten;
use crate::stock::journal::{Entry, Journal, Journals, Limits};
use crate::store::LazyStore;
use crate::time::periodic;

/// Which rounds have retired.
mod retired;

use retired::Retirements;

/// Requests in one round trip.
const BATCH: usize = 128;
/// Pause before a segment that could not be replayed is tried again.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked for journals that dead processes left.
const ADOPT_EVERY: Duration = Duration::from_secs(5);

/// Replays journals.
#[derive(Debug, Clone)]
pub struct Replayer {
    redis: RedisLink,
    segments: Segments,
    refiller: Refiller,
    numbers: Numbers,
    /// Remembers what is replayed, in case its Redis forgets it.
    fence: Option<Arc<Fence>>,
    /// Where other processes may have left journals.
    base: Option<(PathBuf, Limits)>,
    /// What selling means at one of several sites.
    site: Option<SiteState>,
    /// Whether there is one, if that is asked.
    alone: Option<Alone>,
    /// Says which rounds have retired.
    retirements: Retirements,
}

/// Number of the last record of each file that was replayed on each segment.
type Known = HashMap<Segment, HashMap<Id, u64>>;

impl Replayer {
    pub(super) fn new(
        redis: RedisLink,
        segments: Segments,
        refiller: Refiller,
        numbers: Numbers,
        fence: Option<Arc<Fence>>,
    ) -> Self {
        Self {
            retirements: Retirements::new(redis.clone(), None),
            redis,
            segments,
            refiller,
            numbers,
            fence,
            base: None,
            site: None,
            alone: None,
        }
    }

    /// Gives up what was journalled for rounds that have retired, by this database.
    pub(super) fn retiring_by(self, store: Option<LazyStore>) -> Self {
        Self {
            retirements: Retirements::new(self.redis.clone(), store),
            ..self
        }
    }

    /// Replays as one of several sites, or alone: nothing while that may not sell.
    pub(super) fn at_site(self, (site, alone): (Option<SiteState>, Option<Alone>)) -> Self {
        Self {
            site,
            alone,
            ..self
        }
    }

    /// Also replays the journals below `base` whose processes have died.
    #[must_use]
    pub fn adopting(self, base: PathBuf, limits: Limits) -> Self {
        Self {
            base: Some((base, limits)),
            ..self
        }
    }

    /// Replays `journals`, and what it adopts, until `stop`.
    pub async fn run(self, journals: Journals, stop: CancellationToken) {
        let Journals { forgotten, own } = &journals;
        let mut adopted = [Vec::new(), Vec::new()];
        let mut next_look = Instant::now();
        let mut known = Known::new();
        let mut failing = false;
        while !stop.is_cancelled() {
            if Instant::now() >= next_look {
                let found = self.adopt();
                for (adopted, found) in adopted.iter_mut().zip(found) {
                    adopted.extend(found);
                }
                next_look = Instant::now() + ADOPT_EVERY;
            }
            if !may_sell(self.site.as_ref(), self.alone.as_ref()) {
                periodic::sleep(&stop, PAUSE).await;
                continue;
            }
            let firsts = adopted[0].iter().chain([forgotten]);
            let all: Vec<&Journal> = firsts.chain(&adopted[1]).chain([own]).collect();
            let mut held_up = None;
            for (at, journal) in all.iter().enumerate() {
                if let Err(error) = self.replay(journal, &all[..at], &mut known).await {
                    held_up = Some(error);
                }
            }
            let is_waiting = all.iter().any(|journal| journal.waiting() > 0);
            for adopted in &mut adopted {
                adopted.retain(|journal| journal.waiting() > 0);
            }
            match held_up {
                Some(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "journalled purchases wait to be replayed");
                    }
                    periodic::sleep(&stop, PAUSE).await;
                }
                // Something was forgotten while what came later was replayed.
                None if is_waiting => {}
                None => {
                    // Nothing waits: the next outage reads them again.
                    known.clear();
                    if std::mem::take(&mut failing) {
                        tracing::info!("all journalled purchases were replayed");
                    }
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = journals.until_waiting() => {}
                        () = tokio::time::sleep_until(next_look) => {}
                    }
                }
            }
        }
    }

    fn adopt(&self) -> [Vec<Journal>; 2] {
        let Some((base, limits)) = &self.base else {
            return [Vec::new(), Vec::new()];
        };
        match Journal::adopt(base, *limits) {
            Ok(journals) => journals,
            Err(error) => {
                tracing::error!(%error, "journals of dead processes are not replayed");
                [Vec::new(), Vec::new()]
            }
        }
    }

    /// Replays all that waits, but of no segment of which something waits in the journals
    /// `before` it. What is wrong with one segment does not hold up others.
    async fn replay(
        &self,
        journal: &Journal,
        before: &[&Journal],
        known: &mut Known,
    ) -> Result<(), RedisLinkError> {
        let mut outcome = Ok(());
        for segment in journal.segments() {
            let replayed = self.replay_segment(journal, before, &segment, known).await;
            if replayed.is_err() {
                // Read again what the segment says: the last commands may have arrived.
                known.remove(&segment);
            }
            outcome = outcome.and(replayed);
        }
        outcome
    }

    async fn replay_segment(
        &self,
        journal: &Journal,
        before: &[&Journal],
        segment: &Segment,
        known: &mut Known,
    ) -> Result<(), RedisLinkError> {
        loop {
            let entries = journal.oldest(segment, BATCH);
            if entries.is_empty() || before.iter().any(|journal| journal.holds(segment)) {
                return Ok(());
            }
            let mut conn = self.segments.conn(&segment.item, segment.number).await?;
            if !known.contains_key(segment) {
                let replayed = forgotten::replayed(&mut conn, segment).await?;
                known.insert(segment.clone(), replayed);
            }
            let link = self.segments.link(&segment.item, segment.number).await?;
            let life = link.life();
            let void = self.void_leases(&segment.item, &entries).await;
            let last = known.entry(segment.clone()).or_default();
            let batch = Batch {
                segment,
                entries: &entries,
                void: &void,
                numbers: &self.numbers,
            };
            let (decided, stopped) = batch.run(&mut conn, last, WhenGone::LookElsewhere).await?;
            self.remember(segment, &decided);
            // Until then they stay in the journal, and their buyers are told so.
            link.replicated(life).await?;
            self.note(journal, segment, &decided).await;
            match stopped {
                None => {}
                Some(Stopped::Failed(error))
                    if error.code() == Some("NOSTOCK")
                        && self.retirements.are_known_of(&segment.item) =>
                {
                    give_up(journal, segment, &entries[decided.len()..]);
                }
                Some(Stopped::Failed(error)) => {
                    let error = RedisLinkError::from(error);
                    if !self.segments.has_moved(&error).await {
                        return Err(error);
                    }
                    known.remove(segment);
                }
                Some(Stopped::Behind) => {
                    known.remove(segment);
                    tokio::time::sleep(PAUSE).await;
                }
                Some(Stopped::Empty) => {
                    let rest = &entries[decided.len()..];
                    if self.refill(segment, &rest[0]).await? {
                        let when_gone = surplus::of_permit(&self.redis, &segment.item).await;
                        let in_vain = Batch {
                            entries: in_vain(rest, when_gone),
                            ..batch
                        };
                        let (sold, _) = in_vain.run(&mut conn, last, when_gone).await?;
                        self.remember(segment, &sold);
                        link.replicated(life).await?;
                        self.note(journal, segment, &sold).await;
                    }
                }
            }
        }
    }

    /// The leases of these requests that Redis has no record of: settled by now, or
    /// forgotten. A permit of one that was forgotten is counted nowhere.
    async fn void_leases(&self, item: &Item, entries: &[Arc<Entry>]) -> HashSet<String> {
        let leases = entries.iter().filter_map(|entry| lease_of(entry));
        let leases: Vec<String> = leases.collect::<HashSet<_>>().into_iter().collect();
        if leases.is_empty() {
            return HashSet::new();
        }
        let Ok(mut conn) = self.redis.conn().await else {
            // Only the stock's master is back: a permit that is counted twice sells nothing.
            return HashSet::new();
        };
        let mut read = redis::cmd("HMGET");
        read.arg(keys::leases(item)).arg(&leases);
        let records: Vec<Option<String>> = read.query_async(&mut conn).await.unwrap_or_default();
        let of_all = leases.into_iter().zip(records);
        of_all
            .filter_map(|(lease, record)| record.is_none().then_some(lease))
            .collect()
    }

    /// Brings stock to a segment that is empty; returns whether none is left anywhere.
    async fn refill(&self, home: &Segment, entry: &Entry) -> Result<bool, RedisLinkError> {
        let refills = self.refiller.refills_of(home);
        let (count, quantity) = (entry.request.segments, entry.request.quantity);
        let seen = refills.count();
        let refilled = self.refiller.refill(&refills, seen, home, count, quantity);
        match refilled.await {
            Refilled::Stocked | Refilled::InTransit => Ok(false),
            Refilled::NoneLeft => Ok(true),
            Refilled::Away(error) => Err(RedisLinkError::OthersAway(error.to_string())),
            Refilled::Lost(segment) => Err(RedisLinkError::NoStock(segment.to_string())),
        }
    }

    /// Notes the purchases that were made, for the fence.
    fn remember(&self, segment: &Segment, decided: &[Decided]) {
        let Some(fence) = &self.fence else { return };
        for it in decided {
            if let Some(event) = it.event {
                fence.note(segment, event, it.entry.request.clone(), None);
            }
        }
    }

    /// Forgets what was decided, and lets those who bought nothing try again at once.
    async fn note(&self, journal: &Journal, segment: &Segment, decided: &[Decided]) {
        if decided.is_empty() {
            return;
        }
        journal.replayed(segment, decided.len());
        let refused = decided.iter().filter(|it| !it.bought);
        let refused = refused.map(|it| (&segment.item, it.entry.request.user.as_str()));
        if let Ok(mut conn) = self.redis.conn().await {
            // Lost, it costs them the rest of the half minute.
            let _ = regrabs::allow_all(&mut conn, refused).await;
        }
    }
}

/// A request that is decided.
struct Decided {
    entry: Arc<Entry>,
    bought: bool,
    /// The event, if it bought now.
    event: Option<EntryId>,
}

/// Why a batch was not replayed to its end.
enum Stopped {
    Failed(redis::RedisError),
    Behind,
    Empty,
}

/// Requests that are replayed together.
#[derive(Clone, Copy)]
struct Batch<'a> {
    segment: &'a Segment,
    entries: &'a [Arc<Entry>],
    /// Leases whose permits count for nothing.
    void: &'a HashSet<String>,
    numbers: &'a Numbers,
}

impl Batch<'_> {
    /// Runs it in one pipeline; returns what was decided, in order, and what stopped the
    /// rest of it. `last` is brought up to date.
    async fn run(
        self,
        conn: &mut MultiplexedConnection,
        last: &mut HashMap<Id, u64>,
        when_gone: WhenGone,
    ) -> Result<(Vec<Decided>, Option<Stopped>), RedisLinkError> {
        let Self {
            segment,
            entries,
            void,
            numbers,
        } = self;
        let mut before = last.clone();
        let calls: Vec<_> = entries
            .iter()
            .map(|entry| {
                let last = before.entry(entry.file).or_default();
                let before = std::mem::replace(last, entry.seq.max(*last));
                let is_void = lease_of(entry).is_some_and(|lease| void.contains(&lease));
                let order = numbers.next();
                call(segment, entry, before, when_gone, is_void, order)
            })
            .collect();
        let mut decided = Vec::with_capacity(entries.len());
        for (entry, reply) in entries.iter().zip(scripts::run_all(conn, &calls).await?) {
            let stopped = match reply {
                Ok(Replayed::Decided { bought, event }) => {
                    let seq = last.entry(entry.file).or_default();
                    *seq = entry.seq.max(*seq);
                    decided.push(Decided {
                        entry: Arc::clone(entry),
                        bought,
                        event,
                    });
                    continue;
                }
                Ok(Replayed::Empty) => Stopped::Empty,
                Ok(Replayed::Behind) => Stopped::Behind,
                Err(error) => Stopped::Failed(error),
            };
            return Ok((decided, Some(stopped)));
        }
        Ok((decided, None))
    }
}

/// Those of `waiting` for whom nothing is left either, if nothing is left for the first: the
/// ones behind it that want as much or more. But it is only one that leaves its permit
/// unspent, since fewer permits than requests may be too many.
fn in_vain(waiting: &[Arc<Entry>], when_gone: WhenGone) -> &[Arc<Entry>] {
    let quantity = |entry: &Arc<Entry>| entry.request.quantity;
    let Some(first) = waiting.first().map(quantity) else {
        return waiting;
    };
    let as_much = waiting.iter().take_while(|it| quantity(it) >= first);
    match when_gone {
        WhenGone::SpendPermit => &waiting[..as_much.count()],
        WhenGone::LeavePermit | WhenGone::LookElsewhere => &waiting[..1],
    }
}

/// Finishes requests for a round that has retired: they buy nothing any more, and their
/// buyers have no order.
fn give_up(journal: &Journal, segment: &Segment, entries: &[Arc<Entry>]) {
    for entry in entries {
        let (user, request) = (&entry.request.user, &entry.request.request);
        tracing::error!(
            %segment, user, request, at_ms = entry.request.at_ms,
            "a journalled purchase is not made: its round has retired"
        );
    }
    journal.replayed(segment, entries.len());
}

/// The lease of a request's permit.
fn lease_of(entry: &Entry) -> Option<String> {
    PermitId::parse(&entry.request.permit).map(|permit| permit.lease_id())
}

fn call(
    segment: &Segment,
    entry: &Entry,
    before: u64,
    when_gone: WhenGone,
    is_void: bool,
    order: Option<OrderId>,
) -> scripts::Call<Replayed> {
    let request = &entry.request;
    let permit = PermitId::parse(&request.permit).filter(|_| !is_void);
    let pass = request.pass.as_ref().map(|pass| Pass {
        nonce: &pass.nonce,
        keep_ms: pass.expires_ms.saturating_sub(now_ms()) + CLOCKS_MS,
    });
    let purchase = Purchase {
        user: &request.user,
        request: &request.request,
        quantity: request.quantity,
        permit: permit.as_ref(),
        price_cents: request.price_cents,
        when_gone,
        pass,
        // Its edge has been answered long ago.
        edge_returns: false,
        spent_until_ms: 0,
        order,
        traceparent: request.traceparent.as_deref(),
    };
    let record = Record {
        file: entry.file,
        seq: entry.seq,
        before,
        at_ms: request.at_ms,
    };
    replay::replay(&segment.item, segment.number, record, &purchase)
}
