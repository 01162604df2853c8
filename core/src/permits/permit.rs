//! The permit that a request carries (course §125): as many requests pass the edges as
//! there are items.
//!
//! Worked example. The limit is 1,000 and 990 are granted. Edge A asks for 64:
//! it gets the 10 that are left, as lease `a.k3-7`. Edge B asks for 64: it gets
//! none and answers "sold out". A's tenth request carries the permit
//! `a.k3-7.10`. If A dies after seven of them reached the stock script, the
//! lease is closed and three are returned: 997 granted.

use std::fmt;

use crate::ids::digits;

/// Names one admitted request: which edge let it pass, on which lease, and how
/// many-th of the lease it is. Travels as `X-Seckill-Permit: {edge}.{lease}.{n}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PermitId {
    edge: String,
    lease: String,
    n: u32,
}

impl PermitId {
    /// Builds one; `None` if a part is malformed (letters, digits, `-`, `_`; 1 to 48 bytes).
    #[must_use]
    pub fn new(edge: &str, lease: &str, n: u32) -> Option<Self> {
        (is_part(edge) && is_part(lease) && n > 0).then(|| Self {
            edge: edge.to_owned(),
            lease: lease.to_owned(),
            n,
        })
    }

    /// Reads the header's value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (edge, lease, n) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Self::new(edge, lease, n.parse().ok()?)
    }

    /// The lease's full id, `{edge}.{lease}`: the field in the leases hash.
    #[must_use]
    pub fn lease_id(&self) -> String {
        format!("{}.{}", self.edge, self.lease)
    }
}

impl fmt::Display for PermitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.edge, self.lease, self.n)
    }
}

/// The lease's part of a permit's name: the random identity of the edge, since another edge
/// may have the same name, and the lease's number.
#[must_use]
pub fn lease(identity: u64, number: u64) -> String {
    format!("{identity:x}-{number:x}")
}

/// The number of a [`lease`] of this edge; `None` if it is another one's.
#[must_use]
pub fn lease_number(identity: u64, lease: &str) -> Option<u64> {
    let (of, number) = lease.split_once('-')?;
    let number = u64::from_str_radix(number, 16).ok()?;
    (of == format!("{identity:x}")).then_some(number)
}

/// The full name of the `n`-th permit of a [`lease`], for an edge whose name is well formed:
/// what [`PermitId`] prints. The gate writes one for each request that it admits, so that it
/// is made in one piece.
#[must_use]
pub fn write(edge: &str, (identity, number): (u64, u64), n: u32) -> String {
    let mut text = String::with_capacity(edge.len() + LONGEST_NUMBERS);
    text.push_str(edge);
    text.push('.');
    digits::push_hex(&mut text, identity);
    text.push('-');
    digits::push_hex(&mut text, number);
    text.push('.');
    digits::push_decimal(&mut text, n.into());
    text
}

/// Bytes of the longest lease and number with what stands between them: two numbers of 16
/// hexadecimal digits, one of 10 decimal digits, two dots and a hyphen.
const LONGEST_NUMBERS: usize = 16 + 16 + 10 + 3;

/// Whether `s` may name an edge (`seckill_node`) or a lease.
#[must_use]
pub fn is_part(s: &str) -> bool {
    (1..=48).contains(&s.len())
        && s.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_reads_back_as_written() {
        let permit = PermitId::new("edge-1", "k3-7", 10).unwrap();
        assert_eq!(permit.to_string(), "edge-1.k3-7.10");
        assert_eq!(permit.lease_id(), "edge-1.k3-7");
        assert_eq!(PermitId::parse("edge-1.k3-7.10"), Some(permit));
        let written = write("edge-1", (0xab, 0x7), 10);
        let lease = lease(0xab, 0x7);
        assert_eq!(written, format!("edge-1.{lease}.10"));
        assert_eq!(
            PermitId::new("edge-1", &lease, 10),
            PermitId::parse(&written)
        );
        assert_eq!(lease_number(0xab, &lease), Some(7));
        for bad in ["ac-7", "a-7", "ab-", "ab7", "ab-7-7", ""] {
            assert_eq!(lease_number(0xab, bad), None, "{bad:?}");
        }
        let longest = write("", (u64::MAX, u64::MAX), u32::MAX);
        assert_eq!(longest.len(), LONGEST_NUMBERS);
        for bad in ["", "a.b", "a.b.0", "a.b.c", "a.b.1.2", "a b.c.1", "..1"] {
            assert_eq!(PermitId::parse(bad), None, "{bad:?}");
        }
    }
}
