//! One record with its length, checksum and sequence number: length (4 bytes), checksum
//! (4), sequence number (8), body. All numbers are little-endian.
//!
//! The checksum also covers the id of the file, so that what is left in a block that
//! another file used before is never taken for a record of this one.

use super::Id;
use super::checksum::crc32c;
use super::header::field;

/// Longest body, in bytes.
pub const MAX_BODY: usize = 4096;
/// Bytes of a frame besides its body.
pub const OVERHEAD: usize = 16;

/// A frame as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Sequence number.
    pub seq: u64,
    /// The record.
    pub body: &'a [u8],
}

/// Appends a frame to `buffer`. `body` has 1 to [`MAX_BODY`] bytes.
pub fn append(buffer: &mut Vec<u8>, file: &Id, seq: u64, body: &[u8]) {
    // A body of ours is far below 4 GB.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let seq = seq.to_le_bytes();
    let checksum = crc32c(&[&file.0, &length, &seq, body]);
    buffer.extend_from_slice(&length);
    buffer.extend_from_slice(&checksum.to_le_bytes());
    buffer.extend_from_slice(&seq);
    buffer.extend_from_slice(body);
}

/// The frame that `bytes` begin with, if they begin with a whole one of this file.
#[must_use]
pub fn read<'a>(bytes: &'a [u8], file: &Id) -> Option<Frame<'a>> {
    let length: [u8; 4] = field(bytes, 0)?;
    let len = usize::try_from(u32::from_le_bytes(length)).ok()?;
    if !(1..=MAX_BODY).contains(&len) {
        return None;
    }
    let checksum = u32::from_le_bytes(field(bytes, 4)?);
    let seq: [u8; 8] = field(bytes, 8)?;
    let body = bytes.get(OVERHEAD..OVERHEAD + len)?;
    (checksum == crc32c(&[&file.0, &length, &seq, body])).then_some(Frame {
        seq: u64::from_le_bytes(seq),
        body,
    })
}
