//! Reads a journal back: which records are to be replayed, and which are lost.
//!
//! A file that does not belong here or cannot be read is renamed, never removed, so that
//! a person can look at it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use seckill_core::journal::Id;
use seckill_core::journal::header::HeaderError;
use seckill_core::journal::position::Position;
use seckill_core::journal::request::Request;
use seckill_core::journal::scan::{Scan, scan};

use super::files::{self, Closed, EXTENSION, Files};
use super::{Entry, Found};

/// What a folder holds.
pub(super) struct Loaded {
    pub(super) files: Files,
    pub(super) entries: Vec<Entry>,
    pub(super) found: Found,
}

/// Reads all files of a folder, and logs what was found. Files of which nothing waits are
/// cleared away.
pub(super) fn load(folder: &Path) -> io::Result<Loaded> {
    let mut loaded = read(folder)?;
    report(folder, &loaded.found);
    if loaded.entries.is_empty() {
        loaded.files.clear(loaded.found.lost > 0)?;
    }
    Ok(loaded)
}

/// Reads all files of a folder, in order.
fn read(folder: &Path) -> io::Result<Loaded> {
    let position = read_position(folder)?;
    let mut loading = Loading {
        journal: position.map(|position| position.journal),
        replayed: position.map(|position| position.seq),
        next: None,
        closed: Vec::new(),
        entries: Vec::new(),
        found: Found::default(),
    };
    let mut highest = 0;
    for (number, path) in numbered(folder)? {
        highest = highest.max(number);
        let bytes = fs::read(&path)?;
        if let Err(why) = loading.take(number, &path, &bytes) {
            let aside = files::set_aside(&path, why.extension())?;
            tracing::error!(
                file = %path.display(), renamed = %aside.display(),
                "a file of the purchase journal is not replayed: {}", why.sentence()
            );
            loading.found.set_aside.push(aside);
        }
    }
    let journal = match loading.journal {
        Some(journal) => journal,
        None => files::random_id()?,
    };
    loading.found.waiting = loading.entries.len();
    let next = loading.next.unwrap_or(0);
    let after_position = loading.replayed.unwrap_or(0) + 1;
    Ok(Loaded {
        files: Files::new(
            folder,
            journal,
            highest + 1,
            next.max(after_position),
            loading.closed,
        ),
        entries: loading.entries,
        found: loading.found,
    })
}

/// Logs what was found, if anything was.
fn report(folder: &Path, found: &Found) {
    let folder = folder.display();
    if found.lost > 0 {
        tracing::error!(
            %folder, lost = found.lost,
            "records of the purchase journal are lost: their buyers were told \"processing\" and \
             may buy again"
        );
    }
    if found.torn {
        tracing::warn!(
            %folder,
            "the purchase journal breaks off in the middle of a record, which was not acknowledged"
        );
    }
    if found.waiting > 0 {
        tracing::info!(%folder, waiting = found.waiting, "journalled purchases are to be replayed");
    }
}

/// Why a file is set aside.
enum Aside {
    Header(HeaderError),
    /// It belongs to another journal, or bears another number.
    Foreign,
}

impl Aside {
    fn extension(&self) -> &'static str {
        match self {
            Self::Header(HeaderError::Version(_)) => "version",
            Self::Header(_) => files::DAMAGED,
            Self::Foreign => "foreign",
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Header(error) => error.to_string(),
            Self::Foreign => "it is a file of another journal, or was renamed".to_owned(),
        }
    }
}

struct Loading {
    journal: Option<Id>,
    /// Up to which record all were replayed; `None` if that is not known.
    replayed: Option<u64>,
    /// The sequence number that the next file begins with.
    next: Option<u64>,
    closed: Vec<Closed>,
    entries: Vec<Entry>,
    found: Found,
}

impl Loading {
    fn take(&mut self, number: u64, path: &Path, bytes: &[u8]) -> Result<(), Aside> {
        if bytes.is_empty() {
            // Created and not begun when the process died.
            self.closed.push(Closed::new(path, 0, 0));
            return Ok(());
        }
        let scan = scan(bytes).map_err(Aside::Header)?;
        let known = self
            .journal
            .is_none_or(|journal| journal == scan.header.journal);
        if !known || scan.header.number != number {
            return Err(Aside::Foreign);
        }
        self.journal = Some(scan.header.journal);
        let expected = self.next.or(self.replayed.map(|seq| seq + 1));
        let missing = expected.map_or(0, |expected| scan.header.first.saturating_sub(expected));
        self.found.lost += missing + scan.lost();
        self.found.torn |= scan.torn_at.is_some();
        self.next = Some(scan.next());
        let (last, size) = (scan.next() - 1, bytes.len() as u64);
        self.closed.push(Closed::new(path, last, size));
        self.read_entries(&scan);
        Ok(())
    }

    fn read_entries(&mut self, scan: &Scan<'_>) {
        let replayed = self.replayed.unwrap_or(0);
        for frame in scan.frames.iter().filter(|frame| frame.seq > replayed) {
            match Request::parse(frame.body) {
                Ok(request) => self.entries.push(Entry {
                    seq: frame.seq,
                    file: scan.header.file,
                    request,
                }),
                Err(reason) => {
                    self.found.lost += 1;
                    tracing::error!(
                        seq = frame.seq,
                        reason,
                        "a record of the purchase journal cannot be used"
                    );
                }
            }
        }
    }
}

/// The files of a folder with the numbers that they are called by, in order.
fn numbered(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if path.extension().is_some_and(|it| it == EXTENSION)
            && let Some(number) = stem.and_then(|stem| stem.parse().ok())
        {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}

fn read_position(folder: &Path) -> io::Result<Option<Position>> {
    match fs::read_to_string(folder.join(files::POSITION)) {
        Ok(text) => Ok(Position::parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Damaged so much that it is no text: all is replayed.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}
