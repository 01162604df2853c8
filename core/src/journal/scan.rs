//! Reads a file of a journal back, whatever a crash or a disk has left of it.

use super::frame::{self, Frame, OVERHEAD};
use super::header::{self, Header, HeaderError};

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan<'a> {
    /// Its header.
    pub header: Header,
    /// Every whole record, in order.
    pub frames: Vec<Frame<'a>>,
    /// Places where records are missing between whole ones: a bit has flipped, or a
    /// block was lost.
    pub damage: Vec<Damage>,
    /// Where what was begun last breaks off, if it does. A record there was not
    /// acknowledged, unless the disk damaged it later.
    pub torn_at: Option<usize>,
}

/// Records that cannot be read, between whole ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins, in bytes from the file's beginning.
    pub at: usize,
    /// How many records are lost.
    pub lost: u64,
}

impl Scan<'_> {
    /// The sequence number that follows the last record.
    #[must_use]
    pub fn next(&self) -> u64 {
        let last = self.frames.last();
        last.map_or(self.header.first, |frame| frame.seq + 1)
    }

    /// How many records are lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.damage.iter().map(|damage| damage.lost).sum()
    }
}

/// Reads a whole file. Behind its records there may be zeros, since space is set aside
/// for a file before it is written.
///
/// # Errors
/// [`HeaderError`]: none of it may be replayed.
pub fn scan(bytes: &[u8]) -> Result<Scan<'_>, HeaderError> {
    let header = Header::parse(bytes)?;
    let mut scan = Scan {
        header,
        frames: Vec::new(),
        damage: Vec::new(),
        torn_at: None,
    };
    let mut at = header::LEN;
    loop {
        let expected = scan.next();
        let Some((found, frame)) = next_whole(bytes, at, &header, expected) else {
            if bytes[at..].iter().any(|byte| *byte != 0) {
                scan.torn_at = Some(at);
            }
            return Ok(scan);
        };
        if found > at || frame.seq > expected {
            let lost = frame.seq - expected;
            scan.damage.push(Damage { at, lost });
        }
        at = found + OVERHEAD + frame.body.len();
        scan.frames.push(frame);
    }
}

/// The first whole frame at or behind `from` with at least this sequence number.
fn next_whole<'a>(
    bytes: &'a [u8],
    from: usize,
    header: &Header,
    expected: u64,
) -> Option<(usize, Frame<'a>)> {
    // The shortest frame that could follow; what is behind it can hold none.
    let last = bytes.len().checked_sub(OVERHEAD + 1)?;
    (from..=last).find_map(|at| {
        let frame = frame::read(&bytes[at..], &header.file)?;
        (frame.seq >= expected).then_some((at, frame))
    })
}
