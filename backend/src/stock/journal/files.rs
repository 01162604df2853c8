//! The files of one journal, as its writer uses them.
//!
//! Space is set aside for a whole file when it is created, so that a disk that is full
//! shows there, before anything was promised, and a sync writes no metadata.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use seckill_core::journal::header::{self, Header};
use seckill_core::journal::position::Position;
use seckill_core::journal::{Id, frame};

use super::Limits;

/// The extension of files with records.
pub(super) const EXTENSION: &str = "journal";
/// The file that says how far all was replayed.
pub(super) const POSITION: &str = "position";
/// The extension of files that a disk damaged.
pub(super) const DAMAGED: &str = "damaged";

/// A file that is not written any more.
#[derive(Debug)]
pub(super) struct Closed {
    path: PathBuf,
    /// Sequence number of its last record.
    last: u64,
    size: u64,
}

impl Closed {
    pub(super) fn new(path: &Path, last: u64, size: u64) -> Self {
        Self {
            path: path.to_owned(),
            last,
            size,
        }
    }
}

/// The file that is written.
#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
    id: Id,
    /// Where the next frame goes: behind all that is on the disk.
    end: u64,
}

/// Why records are not on the disk.
#[derive(Debug)]
pub(super) enum WriteError {
    /// None of them is; the next attempt may succeed.
    NotWritten(String),
    /// Some may be, and nothing more must be written.
    Broken(String),
}

/// All files of a journal.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    journal: Id,
    number: u64,
    next: u64,
    closed: Vec<Closed>,
    current: Option<Current>,
    limits: Limits,
    buffer: Vec<u8>,
    /// Up to which record all were replayed, as the position file says.
    position: u64,
}

impl Files {
    /// The files of a folder; the next one bears `number`, the next record `next`.
    pub(super) fn new(
        folder: &Path,
        journal: Id,
        number: u64,
        next: u64,
        closed: Vec<Closed>,
    ) -> Self {
        Self {
            folder: folder.to_owned(),
            journal,
            number,
            next,
            closed,
            current: None,
            limits: Limits::megabytes(0),
            buffer: Vec::new(),
            position: 0,
        }
    }

    pub(super) fn limited(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Writes records one after the other and syncs them; returns the file that they are
    /// in, and the sequence number of the first.
    pub(super) fn append(&mut self, bodies: &[Vec<u8>]) -> Result<(Id, u64), WriteError> {
        let overhead = frame::OVERHEAD * bodies.len();
        let bytes = bodies.iter().map(Vec::len).sum::<usize>() + overhead;
        self.make_room(bytes as u64)?;
        let Some(current) = &mut self.current else {
            return Err(WriteError::NotWritten("no file is open".to_owned()));
        };
        self.buffer.clear();
        let first = self.next;
        for (seq, body) in (first..).zip(bodies) {
            frame::append(&mut self.buffer, &current.id, seq, body);
        }
        if let Err(error) = current.file.write_all_at(&self.buffer, current.end) {
            let reason = format!("writing {} failed: {error}", current.path.display());
            // What was half written must not be read as written.
            return match current.file.set_len(current.end) {
                Ok(()) => {
                    self.close_current();
                    Err(WriteError::NotWritten(reason))
                }
                Err(_) => Err(WriteError::Broken(reason)),
            };
        }
        if let Err(error) = current.file.sync_data() {
            // The kernel may have dropped what it could not write, and would report
            // success the next time.
            let reason = format!("syncing {} failed: {error}", current.path.display());
            return Err(WriteError::Broken(reason));
        }
        current.end += self.buffer.len() as u64;
        self.next += bodies.len() as u64;
        Ok((current.id, first))
    }

    /// Opens another file if the current one is full.
    fn make_room(&mut self, bytes: u64) -> Result<(), WriteError> {
        if let Some(current) = &self.current
            && current.end + bytes <= self.limits.file_bytes
        {
            return Ok(());
        }
        self.close_current();
        let used: u64 = self.closed.iter().map(|closed| closed.size).sum();
        if used + self.limits.file_bytes > self.limits.max_bytes {
            let max = self.limits.max_bytes >> 20;
            let reason = format!("the journal has reached its bound of {max} MB (journal_max_mb)");
            return Err(WriteError::NotWritten(reason));
        }
        let path = self.folder.join(format!("{:010}.{EXTENSION}", self.number));
        match self.create(&path) {
            Ok(current) => {
                self.current = Some(current);
                self.number += 1;
                Ok(())
            }
            Err(error) => {
                // Nothing is in it.
                let _ = fs::remove_file(&path);
                let reason = format!("{} cannot be created: {error}", path.display());
                Err(WriteError::NotWritten(reason))
            }
        }
    }

    fn create(&self, path: &Path) -> io::Result<Current> {
        let id = random_id()?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let size = i64::try_from(self.limits.file_bytes).unwrap_or(i64::MAX);
        match fallocate(file.as_fd(), FallocateFlags::empty(), 0, size) {
            // A file system that cannot: the file grows as it is written.
            Ok(()) | Err(Errno::EOPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        let header = Header {
            journal: self.journal,
            file: id,
            number: self.number,
            first: self.next,
        };
        file.write_all_at(&header.encode(), 0)?;
        file.sync_all()?;
        sync_folder(&self.folder)?;
        Ok(Current {
            file,
            path: path.to_owned(),
            id,
            end: header::LEN as u64,
        })
    }

    fn close_current(&mut self) {
        if let Some(current) = self.current.take() {
            // What was set aside and not used is the disk's again.
            let _ = current.file.set_len(current.end);
            self.closed
                .push(Closed::new(&current.path, self.next - 1, current.end));
        }
    }

    /// Notes that all records up to `through` were replayed, and removes files of which
    /// that is true.
    pub(super) fn replayed(&mut self, through: u64) -> io::Result<()> {
        let all = through + 1 >= self.next;
        if all {
            self.close_current();
        }
        let is_done = |closed: &Closed| closed.last <= through;
        if through <= self.position && !self.closed.iter().any(is_done) {
            return Ok(());
        }
        self.note_position(through)?;
        for closed in self.closed.extract_if(.., |closed| closed.last <= through) {
            fs::remove_file(&closed.path)?;
        }
        Ok(())
    }

    /// Clears the folder of files of which nothing waits to be replayed, so that what is wrong
    /// with them is reported once. Those that may be `damaged` are kept under another name.
    pub(super) fn clear(&mut self, damaged: bool) -> io::Result<()> {
        if self.closed.is_empty() {
            return Ok(());
        }
        self.note_position(self.next - 1)?;
        for closed in self.closed.drain(..) {
            if damaged {
                set_aside(&closed.path, DAMAGED)?;
            } else {
                fs::remove_file(&closed.path)?;
            }
        }
        Ok(())
    }

    /// Notes on the disk that all records up to `through` were replayed.
    fn note_position(&mut self, through: u64) -> io::Result<()> {
        let position = Position {
            journal: self.journal,
            seq: through,
        };
        let draft = self.folder.join("position.new");
        let mut file = File::create(&draft)?;
        file.write_all(position.encode().as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, self.folder.join(POSITION))?;
        // Before a file goes: otherwise it would seem to be missing.
        sync_folder(&self.folder)?;
        self.position = through;
        Ok(())
    }

    /// Whether a file could be removed now that all up to `through` was replayed.
    pub(super) fn is_worth_noting(&self, through: u64) -> bool {
        through + 1 >= self.next || self.closed.iter().any(|closed| closed.last <= through)
    }
}

/// Renames a file that is not replayed, and returns its new name. What bears that name already
/// is kept, too: numbers of files begin anew once all were replayed.
pub(super) fn set_aside(path: &Path, extension: &str) -> io::Result<PathBuf> {
    let first = path.with_extension(extension);
    let further = (2..).map(|n: u32| path.with_extension(format!("{n}.{extension}")));
    let mut names = std::iter::once(first).chain(further);
    let free = names.find(|name| !name.exists());
    let aside = free.ok_or_else(|| io::Error::other("no name is free"))?;
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// A random id.
pub(super) fn random_id() -> io::Result<Id> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Id(id))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
