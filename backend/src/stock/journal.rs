//! The purchase journal on disk: admitted requests that wait for Redis.
//!
//! One thread owns the files. It takes what is waiting to be appended, writes it in one
//! go, syncs once, and acknowledges all of it (group commit). What was acknowledged
//! survives `kill -9` and a power failure. The journal is bounded; at its bound, and on
//! a full disk, nothing is promised.
//!
//! Each process has a folder of its own, `1`, `2`, … below the journals' folder, by a
//! lock that the kernel releases when the process dies. What a dead process left is
//! adopted by another one. The format is that of [`seckill_core::journal`].
//!
//! What was sold and a Redis has forgotten has a journal of its own, in the same way below
//! `forgotten`: its buyers were told that they have an item, so that it is replayed before
//! what waited meanwhile ([`Journals`]).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use seckill_core::ids::Item;
use seckill_core::journal::Id;
use seckill_core::journal::request::Request;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::redis::segments::Segment;

/// The files of one journal, as its writer uses them.
mod files;
/// Which folder a process has, and what dead ones left.
mod folder;
/// Reads a journal back.
mod load;
/// Records that were not replayed yet, by segment.
mod pending;
/// The thread that owns the files.
mod writer;

use folder::Folder;
use load::Loaded;
use pending::Pending;
use writer::Command;

/// Appends that may wait for the writer; more wait in turn.
const QUEUE: usize = 8192;

/// How large a journal may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files together.
    pub max_bytes: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
}

impl Limits {
    /// A journal of at most so many megabytes.
    #[must_use]
    pub fn megabytes(max: u64) -> Self {
        let max_bytes = max.saturating_mul(1 << 20);
        Self {
            max_bytes,
            file_bytes: (8 << 20).min(max_bytes),
        }
    }
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A folder or a file cannot be used.
    #[error(
        "the purchase journal {} cannot be used: {source}; make its folder writable for this \
         user, or set journal_max_mb = 0 to do without", path.display()
    )]
    Io {
        /// The folder or file that cannot be used.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

/// Why a request is not in the journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// It is certainly not: the disk is full, the journal has reached its bound, or has
    /// stopped before.
    #[error("the request was not journalled: {0}")]
    NotWritten(String),
    /// It may be: writing or syncing failed half-way.
    #[error("whether the request was journalled is not known: {0}")]
    Unknown(String),
}

/// A record that was not replayed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence number in the journal.
    pub seq: u64,
    /// The file that it is in.
    pub file: Id,
    /// The request.
    pub request: Request,
}

/// What was found when a journal was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Records to be replayed.
    pub waiting: usize,
    /// Records that are known to be lost: damaged, or in a file that is missing.
    pub lost: u64,
    /// Whether a file breaks off in the middle of a record.
    pub torn: bool,
    /// Files that do not belong here or cannot be read, renamed and kept.
    pub set_aside: Vec<PathBuf>,
}

/// A handle on a journal; cloning it is cheap. The files are closed with the last one.
#[derive(Debug, Clone)]
pub struct Journal {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pending: Mutex<Pending>,
    arrived: Notify,
    found: Found,
    folder: Folder,
    /// Why nothing more is written until the process is started again.
    stopped: OnceLock<String>,
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The journals of one process.
#[derive(Debug, Clone)]
pub struct Journals {
    /// What it sold and a Redis forgot.
    pub forgotten: Journal,
    /// What came while Redis did not answer.
    pub own: Journal,
}

impl Journals {
    /// Opens both below `base`, with what an earlier process left in them. Each may grow to
    /// its limits.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(base: &Path, limits: Limits) -> Result<Self, JournalError> {
        Ok(Self {
            forgotten: Journal::open(&of_forgotten(base), limits)?,
            own: Journal::open(base, limits)?,
        })
    }

    /// Whether requests of this segment wait to be replayed.
    #[must_use]
    pub fn holds(&self, segment: &Segment) -> bool {
        self.forgotten.holds(segment) || self.own.holds(segment)
    }

    /// Whether a request of this buyer waits to be replayed.
    #[must_use]
    pub fn holds_buyer(&self, item: &Item, user: &str) -> bool {
        self.forgotten.holds_buyer(item, user) || self.own.holds_buyer(item, user)
    }

    /// How many records wait to be replayed.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.forgotten.waiting() + self.own.waiting()
    }

    /// Waits until something is to be replayed.
    pub async fn until_waiting(&self) {
        tokio::select! {
            () = self.forgotten.until_waiting() => {}
            () = self.own.until_waiting() => {}
        }
    }
}

const ENDED: &str = "its writer has ended";

/// A request that the writer has.
struct Appending(oneshot::Receiver<Result<(), AppendError>>);

impl Appending {
    async fn outcome(self) -> Result<(), AppendError> {
        let outcome = self.0.await;
        outcome.unwrap_or_else(|_| Err(AppendError::Unknown(ENDED.to_owned())))
    }
}

/// Where the journals of what was forgotten are.
fn of_forgotten(base: &Path) -> PathBuf {
    base.join("forgotten")
}

impl Journal {
    /// Opens a journal of this process's own below `base`, with what an earlier process
    /// left in it.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(base: &Path, limits: Limits) -> Result<Self, JournalError> {
        let folder = Folder::take(base)?;
        let loaded = folder.load()?;
        Self::of(folder, loaded, limits)
    }

    /// Journals below `base` that dead processes left with something in them, to be
    /// replayed by this one: first those of what was forgotten, then the others. What else
    /// they left, as half a record, is reported and cleared away.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn adopt(base: &Path, limits: Limits) -> Result<[Vec<Self>; 2], JournalError> {
        let of = |folders: Vec<Folder>| {
            let mut journals = Vec::new();
            for folder in folders {
                let loaded = folder.load()?;
                // Nobody's writer, where nothing waits.
                if loaded.found.waiting > 0 {
                    journals.push(Self::of(folder, loaded, limits)?);
                }
            }
            Ok::<_, JournalError>(journals)
        };
        let forgotten = of(Folder::abandoned(&of_forgotten(base))?)?;
        Ok([forgotten, of(Folder::abandoned(base)?)?])
    }

    fn of(folder: Folder, loaded: Loaded, limits: Limits) -> Result<Self, JournalError> {
        let (commands, receiver) = mpsc::channel(QUEUE);
        let mut pending = Pending::default();
        for entry in loaded.entries {
            pending.push(entry);
        }
        let files = loaded.files.limited(limits);
        let shared = Arc::new(Shared {
            pending: Mutex::new(pending),
            arrived: Notify::new(),
            found: loaded.found,
            folder,
            stopped: OnceLock::new(),
        });
        let of_writer = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer::run(files, receiver, &of_writer))
            .map_err(|source| JournalError::Io {
                path: shared.folder.path().to_owned(),
                source,
            })?;
        Ok(Self { commands, shared })
    }

    /// What was found when it was opened.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.shared.found
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.shared.folder.path()
    }

    /// Appends a request; returns once it is on the disk.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn append(&self, request: Request) -> Result<(), AppendError> {
        self.begin(request).await?.outcome().await
    }

    /// Appends requests in this order, many in one sync; returns once all are on the disk,
    /// with what became of each.
    pub async fn append_all(&self, requests: Vec<Request>) -> Vec<Result<(), AppendError>> {
        let mut begun = Vec::with_capacity(requests.len());
        for request in requests {
            begun.push(self.begin(request).await);
        }
        let mut outcomes = Vec::with_capacity(begun.len());
        for append in begun {
            outcomes.push(match append {
                Ok(append) => append.outcome().await,
                Err(error) => Err(error),
            });
        }
        outcomes
    }

    /// Hands a request to the writer.
    async fn begin(&self, request: Request) -> Result<Appending, AppendError> {
        let (done, outcome) = oneshot::channel();
        let command = Command::Append { request, done };
        let sent = self.commands.send(command).await;
        sent.map_err(|_| AppendError::NotWritten(ENDED.to_owned()))?;
        Ok(Appending(outcome))
    }

    /// Whether it takes requests, which one at its bound does again by itself.
    #[must_use]
    pub fn takes_requests(&self) -> bool {
        self.shared.stopped.get().is_none()
    }

    /// Whether requests of this segment wait to be replayed.
    #[must_use]
    pub fn holds(&self, segment: &Segment) -> bool {
        self.shared.pending().holds(segment)
    }

    /// Whether a request of this buyer waits to be replayed.
    #[must_use]
    pub fn holds_buyer(&self, item: &Item, user: &str) -> bool {
        self.shared.pending().holds_buyer(item, user)
    }

    /// How many records wait to be replayed.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.pending().len()
    }

    /// The segments of which requests wait to be replayed.
    #[must_use]
    pub fn segments(&self) -> Vec<Segment> {
        self.shared.pending().segments()
    }

    /// The oldest requests of a segment, `most` of them at most.
    #[must_use]
    pub fn oldest(&self, segment: &Segment, most: usize) -> Vec<Arc<Entry>> {
        self.shared.pending().oldest(segment, most)
    }

    /// Forgets the oldest `count` requests of a segment, which were replayed. Files are
    /// removed once all their requests were.
    pub fn replayed(&self, segment: &Segment, count: usize) {
        let through = {
            let mut pending = self.shared.pending();
            pending.forget(segment, count);
            pending.through()
        };
        if let Some(through) = through {
            // Lost if the queue is full: the next one says the same and more.
            let _ = self.commands.try_send(Command::Replayed { through });
        }
    }

    /// Waits until something is to be replayed.
    pub async fn until_waiting(&self) {
        loop {
            let arrived = self.shared.arrived.notified();
            if self.waiting() > 0 {
                return;
            }
            arrived.await;
        }
    }
}
