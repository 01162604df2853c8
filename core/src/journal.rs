//! The purchase journal: what the purchase role writes to its own disk while Redis does
//! not answer, and replays in order once it does.
//!
//! A journal is a folder of files, each a header ([`header`]) and frames ([`frame`]).
//! Every frame carries one admitted request ([`request`]) under a sequence number that
//! grows by one from frame to frame, over all files. [`scan`] reads a file back, whatever
//! a crash or a disk has left of it.
//!
//! Worked example. Frames 1 to 300 are in file 1; 1 to 250 were acknowledged, then the
//! machine lost power. Frame 251 is whole, 252 half written. The scan finds 1 to 251 and
//! a torn tail. Replaying 251 is right: its buyer was told nothing, and a request that is
//! replayed is at worst made once. Had byte 7,000 flipped instead, in frame 31, the scan
//! would find 1 to 30, 32 to 300, and that one record is lost.

/// CRC-32C.
mod checksum;
/// One record with its length, checksum and sequence number.
pub mod frame;
/// What a file begins with.
pub mod header;
/// How far a journal has been replayed, as the position file says it.
pub mod position;
/// The request that a record carries.
pub mod request;
/// Reading a file back.
pub mod scan;

use std::fmt;

/// Names a journal or one of its files: 16 random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// Reads 32 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| hex)?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests;
