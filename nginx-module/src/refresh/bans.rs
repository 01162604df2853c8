//! Mirrors the lists of bans and of revoked sessions from Redis into the zone.
//!
//! One worker of an edge polls the lists' versions four times a second, and reads
//! changes from short streams. At the start, and when a stream no longer reaches
//! back far enough, it reads both lists themselves, a thousand entries at a time, between
//! which requests are served: both, since they share a table, which is swept as one. What
//! is mirrored stays in force meanwhile, and while Redis is away.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use async_task::Task;
use redis::RedisResult;
use seckill_core::keys;
use seckill_core::shared::bans::listed;
use seckill_core::shared::bans::{Ban, Bans, Sweep};
use seckill_core::shared::zone_for_bans;

use crate::conf::Edge;
use crate::link::{self, Link};
use crate::state::bans::BanList;
use crate::{clock, error_log, rt, state};

/// How often the version is polled.
const POLL: Duration = Duration::from_millis(250);
/// Entries read with one command.
const BATCH: usize = 1_000;
/// Sets swept at once, which takes a fraction of a millisecond.
const SWEEP: usize = 4_096;
/// Pause between two parts of a sweep.
const SWEEP_PAUSE: Duration = Duration::from_millis(1);
/// How often expired bans are swept out.
const SWEEP_EVERY_MS: u64 = 60_000;
/// How often the whole list is read again while the zone has no room for it.
const RETRY_EVERY_MS: u64 = 30_000;
/// Most different warnings that are logged; further invalid entries are counted only.
const MOST_WARNINGS: usize = 100;

/// A list in Redis: the keys of its entries, changes and version.
struct List {
    entries: &'static str,
    changes: &'static str,
    version: &'static str,
}

/// What is mirrored.
const LISTS: [List; 2] = [
    List {
        entries: keys::BANS,
        changes: keys::BANS_CHANGES,
        version: keys::BANS_VERSION,
    },
    List {
        entries: keys::REVOKED,
        changes: keys::REVOKED_CHANGES,
        version: keys::REVOKED_VERSION,
    },
];

/// The version of each list; empty if it has none.
type Versions = [String; LISTS.len()];

thread_local! {
    /// What this worker knows to be in the zone: also after a failed command and over a
    /// new connection, since lists of a million entries must not be read at every blip.
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// The lists in the zone.
#[derive(Clone)]
struct Held {
    /// The pass that read them. Once another has begun, of whichever worker, nothing is
    /// known but by its end.
    generation: u32,
    /// Their versions.
    versions: Versions,
}

/// Starts mirroring, on a worker's connection, until the task is dropped.
pub(super) fn follow(link: Link, edge: Edge) -> Task<()> {
    forget_unless_telling(edge.zone.ban_list());
    let mirror = Mirror {
        link,
        edge,
        passed_ms: 0,
        swept_ms: clock::monotonic_ms(),
        warned: HashSet::new(),
    };
    rt::spawn(mirror.run())
}

/// Forgets versions that say nothing of the lists of another server: written by hand, or
/// none although there are entries.
fn forget_unless_telling(list: &BanList) {
    let revoked = list.revoked();
    let entries = [list.entries().saturating_sub(revoked), revoked];
    HELD.with_borrow_mut(|held| {
        held.take_if(|held| {
            let mut lists = held.versions.iter().zip(entries);
            let is_telling = lists
                .all(|(version, entries)| is_change(version) || version.is_empty() && entries == 0);
            held.generation != list.generation() || !is_telling
        });
    });
}

/// Whether a text is the id of a change.
fn is_change(id: &str) -> bool {
    id.split_once('-')
        .is_some_and(|(ms, n)| ms.parse::<u64>().is_ok() && n.parse::<u64>().is_ok())
}

/// How following a list's changes ended.
enum Caught {
    /// The copy is up to date with this version.
    Up(String),
    /// The stream does not have them all.
    Behind,
    /// Another worker follows.
    Relieved,
}

/// The cursor of the next batch, and entries of the list as fields and values.
type Batch = (u64, Vec<(Vec<u8>, Vec<u8>)>);

/// Counts of one reading of the whole list.
#[derive(Default, Clone, Copy)]
struct Pass {
    bans: u64,
    unmirrored: u64,
    skipped: u64,
}

struct Mirror {
    link: Link,
    edge: Edge,
    /// When the whole lists were read last, monotonic ms.
    passed_ms: u64,
    /// When it was swept last, monotonic ms.
    swept_ms: u64,
    /// The warnings that were logged.
    warned: HashSet<String>,
}

impl Mirror {
    async fn run(mut self) {
        loop {
            if let Err(error) = self.update().await
                // That Redis is away is the connection's to log.
                && !link::judge(&error)
            {
                let why = link::text_of(&error);
                self.warn_once(format!("the bans cannot be read: {why}"));
            }
            rt::sleep(POLL).await;
        }
    }

    async fn update(&mut self) -> RedisResult<()> {
        if !self.edge.zone.claim_refresh() {
            HELD.take();
            return Ok(());
        }
        let now_ms = clock::monotonic_ms();
        let lacks_room = self.list().unmirrored() > 0;
        let generation = self.list().generation();
        let held = HELD.with_borrow(Clone::clone);
        let Some(mut held) = held.filter(|held| held.generation == generation) else {
            return self.read_all().await;
        };
        if lacks_room && now_ms - self.passed_ms >= RETRY_EVERY_MS {
            return self.read_all().await;
        }
        let current = self.current().await?;
        for (at, list) in LISTS.iter().enumerate() {
            if held.versions[at] == current[at] {
                continue;
            }
            let caught = self.catch_up(list, &held.versions[at], &current[at]);
            match caught.await? {
                Caught::Up(last) => held.versions[at] = last,
                Caught::Behind => return self.read_all().await,
                Caught::Relieved => return Ok(()),
            }
            HELD.set(Some(held.clone()));
        }
        // The filter that a sweep makes would lack the bans without room.
        if !lacks_room && now_ms - self.swept_ms >= SWEEP_EVERY_MS && self.list().entries() > 0 {
            self.sweep(generation).await;
        }
        Ok(())
    }

    fn list(&self) -> &'static BanList {
        self.edge.zone.ban_list()
    }

    fn bans(&self) -> Bans<'static> {
        self.edge.zone.bans()
    }

    /// The lists' versions in Redis.
    async fn current(&mut self) -> RedisResult<Versions> {
        let mut versions = Versions::default();
        for (list, version) in LISTS.iter().zip(&mut versions) {
            let current: Option<String> = redis::cmd("GET")
                .arg(list.version)
                .query_async(&mut self.link.connection)
                .await?;
            *version = current.unwrap_or_default();
        }
        Ok(versions)
    }

    // --- Changes ---------------------------------------------------------------

    /// Reads a list's changes since `held`.
    async fn catch_up(&mut self, list: &List, held: &str, current: &str) -> RedisResult<Caught> {
        let mut last = held.to_owned();
        let mut reaches_current = false;
        loop {
            let Some(changes) = self.changes_since(list, &last).await? else {
                return Ok(Caught::Behind);
            };
            if !self.edge.zone.claim_refresh() {
                return Ok(Caught::Relieved);
            }
            let Some((newest, _, _)) = changes.last() else {
                break;
            };
            last.clone_from(newest);
            for (id, field, value) in &changes {
                reaches_current |= id == current;
                self.change(field, value);
            }
        }
        Ok(match reaches_current {
            true => Caught::Up(last),
            false => Caught::Behind,
        })
    }

    /// The next changes after `last`, as id, ban and value; `None` if the stream
    /// does not reach back to it.
    async fn changes_since(
        &mut self,
        list: &List,
        last: &str,
    ) -> RedisResult<Option<Vec<(String, String, String)>>> {
        if !is_change(last) {
            return Ok(None);
        }
        let entries: Vec<(String, Vec<Vec<u8>>)> = redis::cmd("XRANGE")
            .arg(list.changes)
            .arg(last)
            .arg("+")
            .arg("COUNT")
            .arg(BATCH)
            .query_async(&mut self.link.connection)
            .await?;
        let mut entries = entries.into_iter();
        // Entries younger than one that is still there are there, too.
        if entries.next().is_none_or(|(id, _)| id != last) {
            return Ok(None);
        }
        let field = |fields: &[Vec<u8>], name: &[u8]| {
            let named = fields.chunks(2).find(|pair| pair[0] == name);
            let value = named.and_then(|pair| pair.get(1));
            value.map_or_else(String::new, |value| {
                String::from_utf8_lossy(value).into_owned()
            })
        };
        let changes = entries.map(|(id, fields)| {
            let (ban, value) = (field(&fields, b"ban"), field(&fields, b"value"));
            (id, ban, value)
        });
        Ok(Some(changes.collect()))
    }

    /// One change: a ban with its new value, or with none if it was lifted.
    fn change(&mut self, field: &str, value: &str) {
        let list = self.list();
        let result = if value.is_empty() {
            listed::parse_field(field).map(|ban| {
                self.bans().remove(ban);
            })
        } else {
            listed::parse(field, value).map(|(ban, expires_ms)| {
                if !self.put(ban, expires_ms, list.generation()) {
                    list.set_unmirrored(list.unmirrored() + 1);
                    self.warn_of_lack(list.entries() + list.unmirrored());
                }
            })
        };
        if let Err(error) = result {
            list.set_skipped(list.skipped() + 1);
            self.warn_once(error.to_string());
        }
    }

    /// Puts a ban into the zone; false if there is no room.
    fn put(&self, ban: Ban<'_>, expires_ms: listed::Expiry, generation: u32) -> bool {
        let has_expired = expires_ms.is_some_and(|ms| ms <= clock::now_ms());
        if has_expired {
            self.bans().remove(ban);
            return true;
        }
        // Rounded up: in force for its whole last second.
        let expires_s = expires_ms.map(|ms| ms.div_ceil(1_000));
        self.bans().put(ban, expires_s, generation).is_ok()
    }

    // --- The whole lists -------------------------------------------------------

    /// Reads the whole lists, and removes what is not on them.
    async fn read_all(&mut self) -> RedisResult<()> {
        // Before the lists: changes made meanwhile are read again.
        let versions = self.current().await?;
        let list = self.list();
        let generation = list.next_generation();
        let Some(mut pass) = self.read_pass(generation).await? else {
            return Ok(());
        };
        if pass.unmirrored > 0 {
            // Lifted bans make room once they are swept out. The second reading comes
            // before the sweep's filter is put into use, so that the filter has all.
            let Some(sweep) = self.sweep_out(generation).await else {
                return Ok(());
            };
            let Some(second) = self.read_pass(generation).await? else {
                return Ok(());
            };
            self.bans().end_sweep(&sweep);
            pass = second;
        } else if list.entries() > 0 && !self.sweep(generation).await {
            return Ok(());
        }
        list.set_unmirrored(pass.unmirrored);
        list.set_skipped(pass.skipped);
        list.set_read();
        if pass.unmirrored > 0 {
            self.warn_of_lack(pass.bans);
        }
        self.passed_ms = clock::monotonic_ms();
        self.swept_ms = self.passed_ms;
        HELD.set(Some(Held {
            generation,
            versions,
        }));
        Ok(())
    }

    /// Puts every entry into the zone; `None` if another worker took over.
    async fn read_pass(&mut self, generation: u32) -> RedisResult<Option<Pass>> {
        let mut pass = Pass::default();
        for list in &LISTS {
            if !self.read_list(list, generation, &mut pass).await? {
                return Ok(None);
            }
        }
        Ok(Some(pass))
    }

    /// The same of one list; false if another worker took over.
    async fn read_list(
        &mut self,
        list: &List,
        generation: u32,
        pass: &mut Pass,
    ) -> RedisResult<bool> {
        let mut cursor = 0_u64;
        loop {
            let (next, entries): Batch = redis::cmd("HSCAN")
                .arg(list.entries)
                .arg(cursor)
                .arg("COUNT")
                .arg(BATCH)
                .query_async(&mut self.link.connection)
                .await?;
            if !self.edge.zone.claim_refresh() {
                return Ok(false);
            }
            for (field, value) in &entries {
                self.read(field, value, generation, pass);
            }
            cursor = next;
            if cursor == 0 {
                return Ok(true);
            }
        }
    }

    fn read(&mut self, field: &[u8], value: &[u8], generation: u32, pass: &mut Pass) {
        let field = String::from_utf8_lossy(field);
        match listed::parse(&field, &String::from_utf8_lossy(value)) {
            Ok((ban, expires_ms)) => {
                pass.bans += 1;
                if !self.put(ban, expires_ms, generation) {
                    pass.unmirrored += 1;
                    // At once: from now on a buyer who cannot be cleared is refused.
                    let list = self.list();
                    list.set_unmirrored(list.unmirrored().max(pass.unmirrored));
                }
            }
            Err(error) => {
                pass.skipped += 1;
                self.warn_once(error.to_string());
            }
        }
    }

    // --- Sweeping --------------------------------------------------------------

    /// Removes bans that are not of `generation` or have expired; false if another
    /// worker took over.
    async fn sweep(&mut self, generation: u32) -> bool {
        self.swept_ms = clock::monotonic_ms();
        let Some(sweep) = self.sweep_out(generation).await else {
            return false;
        };
        self.bans().end_sweep(&sweep);
        true
    }

    /// The same without putting the new filter into use; `None` if another worker took
    /// over.
    async fn sweep_out(&self, generation: u32) -> Option<Sweep> {
        let bans = self.bans();
        let mut sweep = bans.begin_sweep(generation);
        while !bans.sweep_out(&mut sweep, SWEEP, clock::now_ms() / 1_000) {
            rt::sleep(SWEEP_PAUSE).await;
            if !self.edge.zone.claim_refresh() {
                return None;
            }
        }
        Some(sweep)
    }

    // --- Warnings --------------------------------------------------------------

    fn warn_of_lack(&mut self, bans: u64) {
        let zone = &self.edge.zone;
        let holds = zone.mib();
        let needed = zone_for_bans(
            usize::try_from(bans).unwrap_or(usize::MAX),
            &state::wanted(),
        );
        self.warn_once(format!(
            "the zone of {holds} MiB has no room for all bans: until it has, a buyer who cannot be \
             cleared of being banned is refused as unavailable; make seckill_zone at least {}m",
            needed >> 20
        ));
    }

    /// Logs a warning, once.
    fn warn_once(&mut self, what: String) {
        if self.warned.contains(&what) || self.warned.len() > MOST_WARNINGS {
            return;
        }
        if self.warned.len() == MOST_WARNINGS {
            error_log::warn("more entries of the bans are wrong; they are counted as bans_skipped");
        } else {
            error_log::warn(&what);
        }
        self.warned.insert(what);
    }
}
