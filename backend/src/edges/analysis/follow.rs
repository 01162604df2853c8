//! Follows one log file: half lines, garbage, rotation, and where to go on after
//! a restart.
//!
//! A log that is renamed is read on for a while beside its successor, since
//! nginx's workers go on writing to it until each has reopened the new one. One
//! that has become shorter was truncated (`copytruncate`) and is read from its
//! beginning; what was written between the copy and the truncation is lost to
//! everybody, which is why renaming is the better way.

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
/// How much of a log that was never read before is read to know who is who.
pub(super) const HISTORY: u64 = 64 * 1024 * 1024;

/// A place in a file that survives the file's renaming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
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
    /// A line whose end has not been read.
    half: Vec<u8>,
    /// Whether the rest of a line is skipped that was too long.
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

    /// Where the first line begins that was not told.
    fn place(&self) -> Place {
        Place {
            device: self.device,
            inode: self.inode,
            offset: self.offset - u64::try_from(self.half.len()).unwrap_or(0),
        }
    }

    /// Reads on for about `budget` bytes and tells each whole line.
    fn read(&mut self, budget: usize, told: &mut impl FnMut(&[u8])) -> io::Result<usize> {
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
            self.split(&chunk[..n], told);
        }
        Ok(read)
    }

    fn split(&mut self, mut bytes: &[u8], told: &mut impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if std::mem::take(&mut self.skips) {
                // Its beginning was told as garbage.
            } else if self.half.is_empty() {
                told(&line[..line.len().min(MAX_LINE)]);
            } else {
                self.half.extend_from_slice(line);
                told(&self.half[..self.half.len().min(MAX_LINE)]);
                self.half.clear();
            }
            bytes = rest;
        }
        if !self.skips {
            self.half.extend_from_slice(bytes);
        }
        if self.half.len() > MAX_LINE {
            told(&self.half[..MAX_LINE]);
            self.half.clear();
            self.skips = true;
        }
    }
}

/// One log, through its rotations.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    /// Renamed, and read on for a while.
    old: Option<(Tail, Instant)>,
    current: Option<Tail>,
    /// Files to be read before [`Follower::current`], after a restart.
    earlier: Vec<Tail>,
    /// What was acted upon before the restart: lines before it are history.
    acted: Option<Place>,
}

impl Follower {
    /// Goes on where the lines before `acted` were acted upon; everything from
    /// `from` on is told again, as history. Without a place, what is there already
    /// is history.
    ///
    /// # Errors
    /// The log is there and cannot be read.
    pub fn open(path: &Path, known: Option<(Place, Place)>) -> io::Result<Self> {
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
            self.acted = (length > 0).then_some(Place {
                offset: length,
                ..tail.place()
            });
            self.current = Some(tail);
        }
        Ok(())
    }

    fn go_on(&mut self, from: Place, acted: Place, current: Option<Tail>) {
        self.acted = Some(acted);
        let mut places = vec![from];
        if (acted.device, acted.inode) != (from.device, from.inode) {
            places.push(Place { offset: 0, ..acted });
        }
        for place in places {
            if current
                .as_ref()
                .is_some_and(|it| it.is(place.device, place.inode))
            {
                continue;
            }
            match self.renamed(place) {
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

    /// The file of this place, under the name that rotation gave it.
    fn renamed(&self, place: Place) -> Option<Tail> {
        let name = self.path.file_name()?.to_str()?;
        let folder = std::fs::read_dir(self.path.parent()?).ok()?;
        folder.flatten().find_map(|entry| {
            let metadata = entry.metadata().ok()?;
            let is_it = (metadata.dev(), metadata.ino()) == (place.device, place.inode);
            let is_log = entry.file_name().to_str()?.starts_with(name);
            if is_it && is_log {
                Tail::open(&entry.path(), place.offset).ok()
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

    /// Where to go on: what comes before has been told. `None` as long as there is
    /// no log.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        // As long as an earlier file is being read, everything behind it is open.
        let tail = self.earlier.first().or(self.current.as_ref());
        // History is told again after the next restart too, and not more.
        match (self.acted, tail.map(Tail::place)) {
            (Some(acted), Some(_)) => Some(acted),
            (_, place) => place,
        }
    }

    /// Whether the end of the log is reached, as far as one can know.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub fn behind(&self) -> io::Result<u64> {
        let tails = self.earlier.iter().chain(&self.current);
        tails
            .map(|tail| Ok(tail.file.metadata()?.len().saturating_sub(tail.offset)))
            .sum()
    }

    /// Reads on for about `budget` bytes, and tells each whole line and whether it
    /// is history. How many bytes were read.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self, budget: usize, told: &mut impl FnMut(&[u8], bool)) -> io::Result<usize> {
        let mut read = 0;
        if let Some((tail, since)) = &mut self.old {
            read += tail.read(budget, &mut |line| told(line, false))?;
            if read == 0 && since.elapsed() > LINGER {
                self.old = None;
            }
        }
        while let Some(tail) = self.earlier.first_mut() {
            let n = read_on(tail, &mut self.acted, budget, told)?;
            read += n;
            if n > 0 {
                return Ok(read);
            }
            self.earlier.remove(0);
        }
        if let Some(tail) = &mut self.current {
            let n = read_on(tail, &mut self.acted, budget, told)?;
            read += n;
            if n > 0 {
                return Ok(read);
            }
        }
        self.look_for_rotation()?;
        Ok(read)
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
                let next = match Tail::open(&self.path, 0) {
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

/// Reads on; what lies before `acted` is history. Past it, there is no more.
fn read_on(
    tail: &mut Tail,
    acted: &mut Option<Place>,
    budget: usize,
    told: &mut impl FnMut(&[u8], bool),
) -> io::Result<usize> {
    let Some(place) = *acted else {
        return tail.read(budget, &mut |line| told(line, false));
    };
    if !tail.is(place.device, place.inode) {
        // An older file than the one that was acted upon last.
        return tail.read(budget, &mut |line| told(line, true));
    }
    // Where a part of a line was skipped this is a little too low, so that a line
    // more than there was counts as history.
    let mut at = tail.place().offset;
    let read = tail.read(budget, &mut |line| {
        let history = at < place.offset;
        at += u64::try_from(line.len()).unwrap_or(0) + 1;
        told(line, history);
    })?;
    if tail.place().offset >= place.offset {
        *acted = None;
    }
    Ok(read)
}
