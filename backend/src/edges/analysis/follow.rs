//! Follows one log file: incomplete lines, garbage, rotation, and where to go on after a
//! restart.
//!
//! A log that is renamed is read on for a while beside its successor, since
//! nginx's workers go on writing to it until each has reopened the new one. If it was
//! renamed twice since, its successor is `NAME.1` by then and is read before the newest. One
//! that has become shorter was truncated (`copytruncate`) and is read from its
//! beginning; what was written between the copy and the truncation is lost to
//! every reader, which is why renaming is the better way.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seckill_core::suspicion::access_log::MAX_LINE;
use serde::{Deserialize, Serialize};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
/// How long a renamed log is read on.
const LINGER: Duration = Duration::from_secs(5);
/// Bytes of a log never read before that are read as history.
pub(super) const HISTORY: u64 = 64 * 1024 * 1024;

/// A position in a file, which stays valid when the file is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The device of its file system.
    pub device: u64,
    /// The file's number there.
    pub inode: u64,
    /// Bytes before it.
    pub offset: u64,
}

/// A file that is being read.
#[derive(Debug)]
struct Tail {
    file: File,
    device: u64,
    inode: u64,
    /// Bytes read.
    offset: u64,
    /// The beginning of a line whose end has not been read.
    half: Vec<u8>,
    /// Whether the rest of a line that was too long is being skipped.
    skips: bool,
}

impl Tail {
    fn open(path: &Path, offset: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            offset: offset.min(metadata.len()),
            file,
            half: Vec::new(),
            skips: false,
        })
    }

    fn is(&self, device: u64, inode: u64) -> bool {
        (self.device, self.inode) == (device, inode)
    }

    /// Where the first line begins that was not handed over.
    fn position(&self) -> Position {
        Position {
            device: self.device,
            inode: self.inode,
            offset: self.offset - u64::try_from(self.half.len()).unwrap_or(0),
        }
    }

    /// Reads on for about `budget` bytes and hands each whole line to `take`; returns how
    /// many bytes were read.
    fn read(&mut self, budget: usize, take: &mut impl FnMut(&[u8])) -> io::Result<usize> {
        let mut chunk = vec![0; CHUNK];
        let mut read = 0;
        while read < budget {
            let n = match self.file.read_at(&mut chunk, self.offset) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.offset += u64::try_from(n).unwrap_or(0);
            read += n;
            self.split(&chunk[..n], take);
        }
        Ok(read)
    }

    fn split(&mut self, mut bytes: &[u8], take: &mut impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if std::mem::take(&mut self.skips) {
                // Its beginning was handed over as garbage.
            } else if self.half.is_empty() {
                take(&line[..line.len().min(MAX_LINE)]);
            } else {
                self.half.extend_from_slice(line);
                take(&self.half[..self.half.len().min(MAX_LINE)]);
                self.half.clear();
            }
            bytes = rest;
        }
        if !self.skips {
            self.half.extend_from_slice(bytes);
        }
        if self.half.len() > MAX_LINE {
            take(&self.half[..MAX_LINE]);
            self.half.clear();
            self.skips = true;
        }
    }
}

/// One log, followed through its rotations.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    /// The renamed file, which is read on for a while.
    old: Option<(Tail, Instant)>,
    current: Option<Tail>,
    /// Files to be read before [`Follower::current`], after a restart.
    earlier: Vec<Tail>,
    /// The position up to which lines were acted upon before the restart: they are history.
    acted: Option<Position>,
}

impl Follower {
    /// Goes on behind `acted`, the second position of `known`: lines before it were acted
    /// upon, and those from the first position on are handed over again, as history.
    /// Without positions, what is there already is history.
    ///
    /// # Errors
    /// The log exists and cannot be read.
    pub fn open(path: &Path, known: Option<(Position, Position)>) -> io::Result<Self> {
        let mut follower = Self {
            path: path.to_owned(),
            old: None,
            current: None,
            earlier: Vec::new(),
            acted: None,
        };
        let current = match Tail::open(path, 0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        match known {
            Some((from, acted)) => follower.go_on(from, acted, current),
            None => follower.begin(current)?,
        }
        Ok(follower)
    }

    fn begin(&mut self, current: Option<Tail>) -> io::Result<()> {
        if let Some(mut tail) = current {
            let length = tail.file.metadata()?.len();
            tail.offset = length.saturating_sub(HISTORY);
            tail.skips = tail.offset > 0;
            self.acted = (length > 0).then_some(Position {
                offset: length,
                ..tail.position()
            });
            self.current = Some(tail);
        }
        Ok(())
    }

    fn go_on(&mut self, from: Position, acted: Position, current: Option<Tail>) {
        self.acted = Some(acted);
        let mut positions = vec![from];
        if (acted.device, acted.inode) != (from.device, from.inode) {
            positions.push(Position { offset: 0, ..acted });
        }
        for position in positions {
            if current
                .as_ref()
                .is_some_and(|it| it.is(position.device, position.inode))
            {
                continue;
            }
            match self.renamed(position) {
                Some(tail) => self.earlier.push(tail),
                None => {
                    tracing::warn!(
                        log = %self.path.display(),
                        "a rotated log that was not read to its end is gone; keep one uncompressed"
                    );
                    // What lies before a gap would make it look like silence.
                    self.earlier.clear();
                }
            }
        }
        self.current = current.map(|mut tail| {
            if tail.is(from.device, from.inode) {
                let length = tail.file.metadata().map_or(0, |metadata| metadata.len());
                // Shorter than it was: truncated meanwhile.
                tail.offset = if length < acted.offset && tail.is(acted.device, acted.inode) {
                    self.acted = None;
                    0
                } else {
                    from.offset.min(length)
                };
            }
            tail
        });
        let is_here = |tail: &Tail| tail.is(acted.device, acted.inode);
        if !self.earlier.iter().chain(&self.current).any(is_here) {
            self.acted = None;
        }
    }

    /// The file of this position, under the name that rotation gave it.
    fn renamed(&self, position: Position) -> Option<Tail> {
        let name = self.path.file_name()?.to_str()?;
        let folder = std::fs::read_dir(self.path.parent()?).ok()?;
        folder.flatten().find_map(|entry| {
            let metadata = entry.metadata().ok()?;
            let is_it = (metadata.dev(), metadata.ino()) == (position.device, position.inode);
            let is_log = entry.file_name().to_str()?.starts_with(name);
            if is_it && is_log {
                Tail::open(&entry.path(), position.offset).ok()
            } else {
                None
            }
        })
    }

    /// The log's name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where to go on: all lines before it were handed over. `None` as long as there is no
    /// log.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        // As long as an earlier file is being read, everything behind it is open.
        let tail = self.earlier.first().or(self.current.as_ref());
        // Only history is handed over again after the next restart.
        match (self.acted, tail.map(Tail::position)) {
            (Some(acted), Some(_)) => Some(acted),
            (_, position) => position,
        }
    }

    /// How many bytes wait to be read, as far as is known.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub fn behind(&self) -> io::Result<u64> {
        let tails = self.earlier.iter().chain(&self.current);
        tails
            .map(|tail| Ok(tail.file.metadata()?.len().saturating_sub(tail.offset)))
            .sum()
    }

    /// Reads on for about `budget` bytes, and hands each whole line to `take` with whether
    /// it is history; returns how many bytes were read.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self, budget: usize, take: &mut impl FnMut(&[u8], bool)) -> io::Result<usize> {
        let mut read = 0;
        if let Some((tail, since)) = &mut self.old {
            read += tail.read(budget, &mut |line| take(line, false))?;
            if read == 0 && since.elapsed() > LINGER {
                self.old = None;
            }
        }
        while let Some(tail) = self.earlier.first_mut() {
            let n = read_on(tail, &mut self.acted, budget, take)?;
            read += n;
            if n > 0 {
                return Ok(read);
            }
            self.earlier.remove(0);
        }
        if let Some(tail) = &mut self.current {
            let n = read_on(tail, &mut self.acted, budget, take)?;
            read += n;
            if n > 0 {
                return Ok(read);
            }
        }
        self.look_for_rotation()?;
        Ok(read)
    }

    /// The log that was begun after the current one: `NAME.1` if that was renamed, too,
    /// before the current one was read to its end.
    fn successor(&self) -> io::Result<Tail> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".1");
        if let (Some(current), Ok(renamed)) = (&self.current, Tail::open(Path::new(&name), 0)) {
            let written = |tail: &Tail| tail.file.metadata()?.modified();
            let is_current = renamed.is(current.device, current.inode);
            // One that was last written before the current one is older than it.
            if !is_current && written(&renamed)? >= written(current)? {
                return Ok(renamed);
            }
        }
        Tail::open(&self.path, 0)
    }

    fn look_for_rotation(&mut self) -> io::Result<()> {
        let metadata = match std::fs::metadata(&self.path) {
            // Renamed, and not yet reopened.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            metadata => metadata?,
        };
        match &mut self.current {
            Some(tail) if tail.is(metadata.dev(), metadata.ino()) => {
                if metadata.len() < tail.offset {
                    (tail.offset, tail.skips) = (0, false);
                    tail.half.clear();
                    self.acted = None;
                }
            }
            _ => {
                let next = match self.successor() {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    next => next?,
                };
                self.old = self
                    .current
                    .replace(next)
                    .map(|tail| (tail, Instant::now()));
                self.acted = None;
            }
        }
        Ok(())
    }
}

/// Reads on; lines before `acted` are history. Behind it, there is no history.
fn read_on(
    tail: &mut Tail,
    acted: &mut Option<Position>,
    budget: usize,
    take: &mut impl FnMut(&[u8], bool),
) -> io::Result<usize> {
    let Some(position) = *acted else {
        return tail.read(budget, &mut |line| take(line, false));
    };
    if !tail.is(position.device, position.inode) {
        // This file is older than the one that was acted upon last.
        return tail.read(budget, &mut |line| take(line, true));
    }
    // Where a part of a line was skipped this is a little too low, so that a line
    // more than there was counts as history.
    let mut at = tail.position().offset;
    let read = tail.read(budget, &mut |line| {
        let history = at < position.offset;
        at += u64::try_from(line.len()).unwrap_or(0) + 1;
        take(line, history);
    })?;
    if tail.position().offset >= position.offset {
        *acted = None;
    }
    Ok(read)
}
