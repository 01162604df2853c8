//! Removes from the database what is old and settled, after exporting it.
//!
//! What is removed is written to a file of JSON lines first, which is on the disk, and named
//! in the audit log, before the first row goes. A pass that fails or is interrupted leaves
//! rows that are exported once more by the next one, never a row that is in no file. A file
//! of which nothing was removed is deleted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::Keep;
use crate::now_ms;
use crate::store::retention::{Exported, Part, Records, Removal};
use crate::store::{Actor, Done, LazyStore, Store, StoreError};
use crate::time::periodic::Passes;

/// Files of what is removed.
mod file;

use file::ExportFile;

/// Pause between two passes.
const EVERY: Duration = Duration::from_secs(3_600);
/// Rounds that are read at once.
const BATCH: u32 = 50;
/// So many rounds that fail one behind the other end a pass: then it is not the rounds.
const FAILURES: u32 = 3;
const DAY_MS: u64 = 86_400_000;

/// Why nothing was removed, or not all.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be written; what it lacks stays in the database.
    #[error("old rows stay, since {} cannot be written: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl RetentionError {
    /// Whether rows may have been removed all the same.
    fn may_have_happened(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_passing())
    }
}

/// What a pass did, or would do, with one round or kind of records.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// `orders`, `ledger`, `notices`, `audit` or `findings`.
    pub what: &'static str,
    /// The round; none for records of no round.
    pub round: Option<String>,
    /// Rows that were removed; in a dry run of records, those that would be.
    pub removed: u64,
    /// The file to which they were exported.
    pub file: Option<String>,
    /// Why it stays for now.
    pub stays: Option<&'static str>,
}

/// What became of a pass.
#[derive(Debug, Default)]
pub struct Pass {
    /// What was done with each round and kind of records.
    pub outcomes: Vec<Outcome>,
    /// The first of what failed, if anything did; the next pass tries it again.
    pub failure: Option<RetentionError>,
}

impl Pass {
    /// Keeps an outcome or the first failure; whether it was an outcome.
    fn add(&mut self, outcome: Result<Option<Outcome>, RetentionError>) -> bool {
        match outcome {
            Ok(outcome) => {
                self.outcomes.extend(outcome);
                true
            }
            Err(error) => {
                self.failure.get_or_insert(error);
                false
            }
        }
    }
}

/// Removes what is older than the settings say.
#[derive(Debug, Clone, Copy)]
pub struct Retention<'a> {
    /// The database.
    pub store: &'a Store,
    /// How long what is kept.
    pub keep: &'a Keep,
    /// Who removes, for the audit log.
    pub by: &'a Actor,
    /// Only says what would be removed.
    pub dry_run: bool,
}

impl Retention<'_> {
    /// One pass over everything. A round that has to stay, or that fails, does not keep
    /// the others.
    pub async fn pass(&self, now_ms: u64) -> Pass {
        let mut pass = Pass::default();
        for (part, days) in [
            (Part::Orders, self.keep.orders),
            (Part::Ledger, self.keep.ledger),
        ] {
            if let Some(before_ms) = cutoff(days, now_ms) {
                let ended = self.rounds(part, before_ms, now_ms, &mut pass).await;
                pass.add(ended.map(|()| None));
            }
        }
        for (records, days) in [
            (Records::Notices, self.keep.notices),
            (Records::Audit, self.keep.audit),
            (Records::Findings, self.keep.findings),
        ] {
            if let Some(before_ms) = cutoff(days, now_ms) {
                let ended = self.records(records, before_ms, now_ms, &mut pass).await;
                pass.add(ended.map(|()| None));
            }
        }
        pass
    }

    /// The same of one part of all rounds that are old.
    async fn rounds(
        &self,
        part: Part,
        before_ms: u64,
        now_ms: u64,
        pass: &mut Pass,
    ) -> Result<(), RetentionError> {
        let mut last = None;
        let mut failures = 0;
        loop {
            let rounds = self
                .store
                .rounds_to_remove(part, before_ms, last.as_ref(), BATCH)
                .await?;
            for round in &rounds {
                let outcome = self.round(&round.id, part, before_ms, now_ms).await;
                let went_well = pass.add(outcome.map(Some));
                failures = if went_well { 0 } else { failures + 1 };
                if failures == FAILURES {
                    return Ok(());
                }
            }
            last = rounds.into_iter().next_back();
            if last.is_none() {
                return Ok(());
            }
        }
    }

    async fn round(
        &self,
        round: &str,
        part: Part,
        before_ms: u64,
        now_ms: u64,
    ) -> Result<Outcome, RetentionError> {
        let mut outcome = Outcome {
            what: part.as_str(),
            round: Some(round.to_owned()),
            removed: 0,
            file: None,
            stays: self.store.keeps_round(round, before_ms).await?,
        };
        if outcome.stays.is_some() || self.dry_run {
            return Ok(outcome);
        }
        let mut file = self.file(&format!("{}-{round}", part.as_str()), now_ms)?;
        let orders = match part {
            Part::Orders => self.export_orders(round, &mut file).await?,
            Part::Ledger => {
                loop {
                    let lines = self.store.export_ledger(round, file.lines()).await?;
                    if lines.is_empty() {
                        break;
                    }
                    file.add(&lines)?;
                }
                Vec::new()
            }
        };
        let removal = Removal {
            round,
            part,
            rows: file.lines(),
            file: &file.path(),
            digest: &file.digest(),
        };
        // Before the first row goes: what is verified meanwhile knows of it.
        self.store.begin_removal(removal, self.by, now_ms).await?;
        file.keep();
        let mut all = true;
        match part {
            Part::Orders => {
                for (shard, exported) in orders.iter().enumerate() {
                    let removed = self.store.remove_orders(shard, exported).await?;
                    self.store.count_removed(round, part, removed).await?;
                    all &= removed == exported.len() as u64;
                    outcome.removed += removed;
                }
            }
            Part::Ledger => {
                outcome.removed = self.store.remove_ledger(round).await?;
                let removed = outcome.removed;
                self.store.count_removed(round, part, removed).await?;
            }
        }
        if all {
            self.store.removal_done(round, part, now_ms).await?;
        }
        outcome.file = Some(file.path());
        Ok(outcome)
    }

    /// Exports the orders of a round; returns them by database.
    async fn export_orders(
        &self,
        round: &str,
        file: &mut ExportFile,
    ) -> Result<Vec<Vec<Exported>>, RetentionError> {
        let mut all = Vec::new();
        for shard in 0..self.store.order_databases() {
            let mut exported: Vec<Exported> = Vec::new();
            loop {
                let after = exported.last().copied();
                let (orders, lines) = self.store.export_orders(shard, round, after).await?;
                if orders.is_empty() {
                    break;
                }
                file.add(&lines)?;
                exported.extend(orders);
            }
            all.push(exported);
        }
        Ok(all)
    }

    /// Removes old records. What went before a failure is in the file, and in the audit log
    /// and the pass, as if there had been none.
    async fn records(
        &self,
        records: Records,
        before_ms: u64,
        now_ms: u64,
        pass: &mut Pass,
    ) -> Result<(), RetentionError> {
        let old = self.store.count_old(records, before_ms).await?;
        let mut outcome = Outcome {
            what: records.as_str(),
            round: None,
            removed: old,
            file: None,
            stays: None,
        };
        if old == 0 || self.dry_run {
            pass.outcomes.extend((old > 0).then_some(outcome));
            return Ok(());
        }
        let mut file = self.file(records.as_str(), now_ms)?;
        let detail = serde_json::json!({ "what": records.as_str(), "file": file.path() });
        let done = Done {
            action: "retention.remove",
            target: String::new(),
            detail: detail.clone(),
        };
        let act = async {
            let (removed, failure) = self.remove_pages(records, before_ms, &mut file).await;
            let is_unknown = failure
                .as_ref()
                .is_some_and(RetentionError::may_have_happened);
            if removed == 0 && !is_unknown {
                return failure.map_or(Ok(((0, None), None)), Err);
            }
            file.keep();
            let mut detail = detail;
            detail["rows"] = file.lines().into();
            detail["digest"] = file.digest().into();
            Ok(((removed, failure), Some(detail)))
        };
        let recorded = self.store.recorded(self.by, done, act, |_| false).await?;
        let (removed, failure) = recorded?;
        if removed > 0 {
            outcome.removed = removed;
            outcome.file = Some(file.path());
            pass.outcomes.push(outcome);
        }
        failure.map_or(Ok(()), Err)
    }

    /// Removes old records page by page; returns how many, and what ended it early.
    async fn remove_pages(
        &self,
        records: Records,
        before_ms: u64,
        file: &mut ExportFile,
    ) -> (u64, Option<RetentionError>) {
        let mut all = 0;
        loop {
            let keep = |lines: &[String]| file.add(lines);
            match self.store.remove_old(records, before_ms, keep).await {
                Ok(0) => return (all, None),
                Ok(removed) => all += removed,
                Err(error) => return (all, Some(error)),
            }
        }
    }

    fn file(&self, name: &str, now_ms: u64) -> Result<ExportFile, RetentionError> {
        let folder: &Path = &self.keep.folder;
        ExportFile::create(folder, &format!("{name}-{now_ms}.jsonl"))
    }
}

/// Before when something is old that is kept so many days.
fn cutoff(days: Option<u64>, now_ms: u64) -> Option<u64> {
    days.map(|days| now_ms.saturating_sub(days.saturating_mul(DAY_MS)))
}

/// Removes what is old every hour, until `stop`.
pub async fn run(store: LazyStore, keep: Keep, stop: CancellationToken) {
    let mut passes = Passes::new(stop, "what is old waits to be removed", EVERY);
    while passes.go_on() {
        let outcome = async {
            let retention = Retention {
                store: store.get().await?,
                keep: &keep,
                by: &Actor::system(),
                dry_run: false,
            };
            let pass = retention.pass(now_ms()).await;
            for done in pass.outcomes {
                let Outcome { what, removed, .. } = done;
                let (round, file) = (done.round.unwrap_or_default(), done.file);
                match done.stays {
                    Some(reason) => tracing::debug!(what, round, reason, "it has to stay"),
                    None => tracing::info!(what, round, removed, file, "old rows are removed"),
                }
            }
            pass.failure.map_or(Ok(EVERY), Err)
        };
        passes.pause_after(outcome.await).await;
    }
}
