//! Saves on disk where reading the logs goes on after a restart.
//!
//! The tables of the analysis are made of log lines, and after a restart of the same
//! lines again: besides the position up to which lines were acted upon, positions of the
//! last half an hour are kept, and reading begins again at the oldest.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use seckill_core::suspicion::FORGET_MS;
use serde::{Deserialize, Serialize};

use super::follow::{Follower, HISTORY, Position};

/// Time between two kept positions.
const EVERY_MS: u64 = 60_000;

/// What is known of one log.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Known {
    /// The position before which all lines were acted upon.
    acted: Position,
    /// Earlier positions, oldest first, and when they were current.
    marks: Vec<(u64, Position)>,
}

/// The positions in all logs, and their file.
#[derive(Debug)]
pub(super) struct Positions {
    file: PathBuf,
    logs: BTreeMap<PathBuf, Known>,
}

impl Positions {
    /// Reads the file. One that cannot be read is ignored, so that a broken file costs a
    /// part of the past and not the future.
    pub(super) fn open(file: &Path) -> Self {
        let logs = std::fs::read(file)
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from))
            .inspect_err(|error| {
                if error.kind() != io::ErrorKind::NotFound {
                    let file = file.display();
                    tracing::warn!(%file, %error, "the positions in the logs cannot be read; beginning anew");
                }
            })
            .unwrap_or_default();
        Self {
            file: file.to_owned(),
            logs,
        }
    }

    /// Where the history of this log begins, and where it ends.
    pub(super) fn of(&self, log: &Path) -> Option<(Position, Position)> {
        let known = self.logs.get(log)?;
        let from = known
            .marks
            .first()
            .map_or(known.acted, |(_, position)| *position);
        Some((from, known.acted))
    }

    /// Notes how far the logs have been acted upon.
    pub(super) fn note(&mut self, followers: &[Follower], now_ms: u64) {
        for follower in followers {
            let Some(acted) = follower.position() else {
                continue;
            };
            let known = self
                .logs
                .entry(follower.path().to_owned())
                .or_insert_with(|| Known {
                    acted,
                    marks: vec![(now_ms, beginning(acted))],
                });
            let is_due = |(at, _): &(u64, Position)| at + EVERY_MS <= now_ms;
            if known.marks.last().is_none_or(is_due) {
                known.marks.push((now_ms, known.acted));
            }
            // The latest of those that are old enough stays.
            while known
                .marks
                .get(1)
                .is_some_and(|(at, _)| at + FORGET_MS < now_ms)
            {
                known.marks.remove(0);
            }
            known.acted = acted;
        }
    }

    /// Writes the file, whole or not at all.
    pub(super) fn save(&self) -> io::Result<()> {
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let draft = self.file.with_extension("new");
        let mut file = std::fs::File::create(&draft)?;
        file.write_all(&serde_json::to_vec(&self.logs)?)?;
        file.sync_data()?;
        std::fs::rename(&draft, &self.file)
    }
}

/// Where the first history begins: at the beginning of the file, unless it is long.
fn beginning(acted: Position) -> Position {
    let offset = if acted.offset <= HISTORY {
        0
    } else {
        acted.offset
    };
    Position { offset, ..acted }
}
