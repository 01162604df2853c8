//! How far a journal has been replayed: one line in a file beside it, `1 journal seq
//! checksum`, replaced as a whole.
//!
//! It saves work and decides nothing: a record that is replayed again is recognised by
//! the script. Should the file be lost, all records that are left are replayed.

use super::Id;
use super::checksum::crc32c;

/// All records of `journal` up to `seq` have been replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The journal.
    pub journal: Id,
    /// Sequence number of the last record; 0 if there is none.
    pub seq: u64,
}

impl Position {
    /// The position in the bytes that are written to the file.
    #[must_use]
    pub fn encode(&self) -> String {
        let text = format!("1 {} {}", self.journal, self.seq);
        format!("{text} {:08x}\n", crc32c(&[text.as_bytes()]))
    }

    /// Reads it; `None` if it is damaged or of another version.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (text, checksum) = text.strip_suffix('\n')?.rsplit_once(' ')?;
        let right = format!("{:08x}", crc32c(&[text.as_bytes()]));
        let mut fields = text.split(' ');
        let (version, journal, seq) = (fields.next()?, fields.next()?, fields.next()?);
        let whole = fields.next().is_none() && checksum == right && version == "1";
        let position = Self {
            journal: Id::parse(journal)?,
            seq: seq.parse().ok()?,
        };
        whole.then_some(position)
    }
}
