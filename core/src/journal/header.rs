//! What a file of a journal begins with.

use super::Id;
use super::checksum::crc32c;

/// Bytes of a header: magic, version, journal, file, number, first, checksum.
pub const LEN: usize = 8 + 2 + 16 + 16 + 8 + 8 + 4;
/// The version that is written. A reader takes this one only; the next version will
/// read this one too.
pub const VERSION: u16 = 1;

const MAGIC: &[u8; 8] = b"SKJOURNL";
const CHECKED: usize = LEN - 4;

/// A file's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The journal that it belongs to: the same in all files of a folder.
    pub journal: Id,
    /// The file itself, named anew whenever one is created, so that records of two
    /// files are never taken for one another, even if a folder was copied.
    pub file: Id,
    /// Its number in the folder, from 1.
    pub number: u64,
    /// Sequence number of its first record.
    pub first: u64,
}

/// Why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Too short, or something else altogether.
    #[error("it is no file of a journal")]
    NoJournal,
    /// A bit of it has flipped.
    #[error("its header is damaged")]
    Damaged,
    /// Another version of the format.
    #[error("it has version {0}, and this program reads version {VERSION}")]
    Version(u16),
}

impl Header {
    /// The header in the bytes that are written to the file.
    #[must_use]
    pub fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let mut rest = bytes.as_mut_slice();
        let mut put = |field: &[u8]| {
            let (here, behind) = std::mem::take(&mut rest).split_at_mut(field.len());
            here.copy_from_slice(field);
            rest = behind;
        };
        put(MAGIC);
        put(&VERSION.to_le_bytes());
        put(&self.journal.0);
        put(&self.file.0);
        put(&self.number.to_le_bytes());
        put(&self.first.to_le_bytes());
        let checksum = crc32c(&[&bytes[..CHECKED]]);
        bytes[CHECKED..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the beginning of a file.
    ///
    /// # Errors
    /// [`HeaderError`]: not one record of the file may be replayed.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.get(..8) != Some(MAGIC) {
            return Err(HeaderError::NoJournal);
        }
        // Before the checksum, whose place another version may have moved.
        let version = u16::from_le_bytes(field(bytes, 8).ok_or(HeaderError::NoJournal)?);
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        let read = || {
            let checksum = u32::from_le_bytes(field(bytes, CHECKED)?);
            let header = Self {
                journal: Id(field(bytes, 10)?),
                file: Id(field(bytes, 26)?),
                number: u64::from_le_bytes(field(bytes, 42)?),
                first: u64::from_le_bytes(field(bytes, 50)?),
            };
            (checksum == crc32c(&[&bytes[..CHECKED]])).then_some(header)
        };
        read().ok_or(HeaderError::Damaged)
    }
}

/// The `N` bytes at `at`.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
