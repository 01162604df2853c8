//! Addresses and networks (CIDR, RFC 4632 and 4291) as they are written in a ban.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// All addresses that begin with the same bits: `203.0.113.0/24`, `2001:db8::/32`.
/// A single address has the greatest length, 32 or 128.
///
/// An IPv6 address that stands for one of IPv4 (`::ffff:1.2.3.4`, RFC 4291
/// § 2.5.5.2) counts as that, so that a ban means the same whether nginx
/// listens on `80` or on `[::]:80`. A network of IPv6 that is wider than all of
/// these (`::/0`) holds none of IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The address from the highest bit on; zeros behind `length`.
    bits: u128,
    length: u8,
    is_v4: bool,
}

/// Text that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "ban \"{value}\" is neither an address nor a network: {why}; write 203.0.113.7, 203.0.113.0/24, 2001:db8::7 or 2001:db8::/32"
)]
pub struct BadPrefix {
    /// The text, cut after 100 characters.
    pub value: String,
    why: &'static str,
}

/// How many of the leading bits of a mapped address say that it is one.
const MAPPED_LENGTH: u8 = 96;

/// The bits of an address from the highest on, and whether it is one of IPv4.
pub(super) fn bits_of(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

/// The first `length` of `bits`.
pub(super) fn cut(bits: u128, length: u8) -> u128 {
    bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

impl Prefix {
    /// The network of `address` with `length` leading bits in common, or `None`
    /// if there are no such many. Bits behind `length` are dropped, as nginx
    /// does: `203.0.113.7/24` is `203.0.113.0/24`.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if length > longest {
            return None;
        }
        let (bits, is_v4) = bits_of(address);
        let (bits, length, is_v4) = match address {
            IpAddr::V6(v6) if is_v4 && length < MAPPED_LENGTH => (v6.to_bits(), length, false),
            IpAddr::V6(_) if is_v4 => (bits, length - MAPPED_LENGTH, true),
            _ => (bits, length, is_v4),
        };
        Some(Self {
            bits: cut(bits, length),
            length,
            is_v4,
        })
    }

    /// Whether `address` is one of these.
    #[must_use]
    pub fn covers(&self, address: IpAddr) -> bool {
        let (bits, is_v4) = bits_of(address);
        is_v4 == self.is_v4 && cut(bits, self.length) == self.bits
    }

    /// Whether `text`, of which this was read, is written as what it names: without bits
    /// behind the prefix, as `10.0.0.1/8` has them.
    #[must_use]
    pub fn is_written(&self, text: &str) -> bool {
        let address = text.split('/').next().unwrap_or(text).parse();
        let bits = |address: IpAddr| match (self.is_v4, address) {
            // A network wider than all addresses that stand for one of IPv4 is one of IPv6.
            (false, IpAddr::V6(v6)) => v6.to_bits(),
            _ => bits_of(address).0,
        };
        address.is_ok_and(|address| bits(address) == self.bits)
    }

    /// Its leading bits, from the highest on.
    pub(super) fn bits(&self) -> u128 {
        self.bits
    }

    /// How many leading bits count: 0 to 32 for IPv4, 0 to 128 for IPv6.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether it is a network of IPv4.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.is_v4
    }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        let (bits, is_v4) = bits_of(address);
        let length = if is_v4 { 32 } else { 128 };
        Self {
            bits,
            length,
            is_v4,
        }
    }
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        let bad = |why| BadPrefix {
            value: text.chars().take(100).collect(),
            why,
        };
        let (address, length) = match text.split_once('/') {
            None => (text, None),
            Some((address, length)) => (address, Some(length)),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| bad("what comes first is no IP address"))?;
        let Some(length) = length else {
            return Ok(address.into());
        };
        let no_length = if address.is_ipv4() {
            "what comes behind the slash is no number from 0 to 32"
        } else {
            "what comes behind the slash is no number from 0 to 128"
        };
        // parse() alone would take "+8".
        let digits = Some(length).filter(|length| length.bytes().all(|b| b.is_ascii_digit()));
        digits
            .and_then(|digits| Self::new(address, digits.parse().ok()?))
            .ok_or_else(|| bad(no_length))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_v4 {
            let address = Ipv4Addr::from_bits((self.bits >> 96) as u32);
            write!(f, "{address}/{}", self.length)
        } else {
            write!(f, "{}/{}", Ipv6Addr::from_bits(self.bits), self.length)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn reads_addresses_and_networks_of_both_families() {
        for (text, read_as) in [
            ("1.2.3.4", "1.2.3.4/32"),
            ("1.2.3.0/24", "1.2.3.0/24"),
            ("1.2.3.4/24", "1.2.3.0/24"),
            ("1.2.3.4/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("2001:DB8:0::7", "2001:db8::7/128"),
            ("::/0", "::/0"),
            ("::ffff:1.2.3.4", "1.2.3.4/32"),
            ("::ffff:1.2.3.4/120", "1.2.3.0/24"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:0:0/95", "::fffe:0:0/95"),
        ] {
            assert_eq!(prefix(text).to_string(), read_as, "{text}");
        }
    }

    #[test]
    fn bits_behind_a_prefix_are_noticed() {
        let written = |text: &str| prefix(text).is_written(text);
        for text in [
            "1.2.3.4",
            "1.2.3.0/24",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::ffff:1.2.3.4",
        ] {
            assert!(written(text), "{text}");
        }
        for text in [
            "1.2.3.4/24",
            "1.2.3.4/0",
            "2001:db8::1/32",
            "::ffff:1.2.3.4/120",
        ] {
            assert!(!written(text), "{text}");
        }
    }

    #[test]
    fn refuses_garbage_and_repeats_it() {
        for text in [
            "",
            " ",
            "/",
            "1.2.3",
            "1.2.3.4 ",
            "1.2.3.4/",
            "1.2.3.4/33",
            "1.2.3.4/+8",
            "1.2.3.4/-1",
            "1.2.3.4/8/8",
            "1.2.3.4/0x8",
            "1.2.3.4/256",
            "01.2.3.4",
            "1.2.3.256",
            "::/129",
            ":::",
            "fe80::1%eth0",
            "[::1]",
            "1.2.3.4:80",
            "example.com",
            "1.2.3.*",
            "::ffff:1.2.3.4/129",
        ] {
            let error = text.parse::<Prefix>().unwrap_err().to_string();
            assert!(error.contains(&format!("\"{text}\"")), "{error}");
        }
        let long = "x".repeat(10_000).parse::<Prefix>().unwrap_err();
        assert!(long.to_string().len() < 400);
    }

    #[test]
    fn a_network_of_one_family_holds_none_of_the_other() {
        assert!(!prefix("::/0").covers("1.2.3.4".parse().unwrap()));
        assert!(!prefix("::/0").covers("::ffff:1.2.3.4".parse().unwrap()));
        assert!(!prefix("0.0.0.0/0").covers("::1".parse().unwrap()));
        assert!(prefix("1.2.3.0/24").covers("::ffff:1.2.3.9".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn reads_back_as_written(bits: u128, length in 0..=128_u8, v4: bool) {
            let address = if v4 {
                IpAddr::V4(Ipv4Addr::from_bits(bits as u32))
            } else {
                IpAddr::V6(Ipv6Addr::from_bits(bits))
            };
            let length = if v4 { length % 33 } else { length };
            let network = Prefix::new(address, length).unwrap();
            prop_assert_eq!(network.to_string().parse(), Ok(network));
            prop_assert!(network.covers(address));
        }
    }
}
