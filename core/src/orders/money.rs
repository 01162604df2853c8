//! Money: an amount in minor units with its currency. Never a fraction, never a float.

use std::fmt;

/// A currency, by its three letters of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The yuan of mainland China.
    pub const CNY: Currency = Currency(*b"CNY");

    /// Reads three letters, large or small.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
        let letters = bytes.map(|byte| byte.to_ascii_uppercase());
        letters
            .iter()
            .all(u8::is_ascii_uppercase)
            .then_some(Self(letters))
    }

    /// Its three letters, large.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Letters only: there is nothing in it that could fail.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// What is written before an amount of it: `¥`, `€`, `HK$`; for most currencies the three
    /// letters and a space at which no line breaks.
    #[must_use]
    pub fn sign(&self) -> String {
        let sign = match &self.0 {
            b"CNY" | b"JPY" => "¥",
            b"USD" => "$",
            b"EUR" => "€",
            b"GBP" => "£",
            b"HKD" => "HK$",
            b"TWD" => "NT$",
            b"SGD" => "S$",
            b"AUD" => "A$",
            b"CAD" => "C$",
            b"BRL" => "R$",
            b"KRW" => "₩",
            b"INR" => "₹",
            b"VND" => "₫",
            b"THB" => "฿",
            b"PHP" => "₱",
            b"ILS" => "₪",
            b"TRY" => "₺",
            b"UAH" => "₴",
            _ => return format!("{self}\u{a0}"),
        };
        sign.to_owned()
    }

    /// How many decimal digits its minor unit has: 2 for cents, 0 for the yen, 3 for the
    /// dinars (ISO 4217, list one).
    #[must_use]
    pub fn digits(&self) -> usize {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG"
            | b"RWF" | b"UGX" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// In minor units of the currency, such as cents.
    pub minor: u64,
    /// Its currency.
    pub currency: Currency,
}

impl Money {
    /// So many minor units of this currency.
    #[must_use]
    pub const fn new(minor: u64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// The amount with a decimal point, such as `0.10` for ten cents.
    #[must_use]
    pub fn decimal(&self) -> String {
        let digits = self.currency.digits();
        if digits == 0 {
            return self.minor.to_string();
        }
        let text = format!("{:0>width$}", self.minor, width = digits + 1);
        let (whole, part) = text.split_at(text.len() - digits);
        format!("{whole}.{part}")
    }

    /// The amount as people read it, such as `¥0.10`.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}{}", self.currency.sign(), self.decimal())
    }

    /// Reads an amount with at most as many decimal digits as the currency has. `0.1` is
    /// ten cents; `0.101`, `-1`, `1e3` and ` 1` are nothing.
    #[must_use]
    pub fn parse_decimal(text: &str, currency: Currency) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let digits = currency.digits();
        let point_without_digits = text.ends_with('.');
        if whole.is_empty() || !is_number(whole) || !is_number(part) || point_without_digits {
            return None;
        }
        // More digits than the currency has are exact only if they are zeros.
        let (kept, rest) = part.split_at(part.len().min(digits));
        if rest.bytes().any(|byte| byte != b'0') {
            return None;
        }
        let minor = format!("{whole}{kept:0<digits$}").parse().ok()?;
        Some(Self { minor, currency })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yen() -> Currency {
        Currency::parse("jpy").unwrap()
    }

    #[test]
    fn amounts_are_written_and_read_exactly() {
        for (minor, text) in [
            (0, "0.00"),
            (1, "0.01"),
            (10, "0.10"),
            (99_900, "999.00"),
            (u64::MAX, "184467440737095516.15"),
        ] {
            let money = Money::new(minor, Currency::CNY);
            assert_eq!(money.decimal(), text);
            assert_eq!(Money::parse_decimal(text, Currency::CNY), Some(money));
        }
        assert_eq!(Money::new(500, yen()).to_string(), "500 JPY");
        assert_eq!(Money::new(500, yen()).shown(), "¥500");
        let dinars = Currency::parse("KWD").unwrap();
        assert_eq!(Money::new(1_500, dinars).shown(), "KWD\u{a0}1.500");
        assert_eq!(Money::parse_decimal("500", yen()).unwrap().minor, 500);
        let short = |text| Money::parse_decimal(text, Currency::CNY).map(|money| money.minor);
        assert_eq!(
            (short("1"), short("0.1"), short("0.100")),
            (Some(100), Some(10), Some(10))
        );
    }

    #[test]
    fn what_is_not_exactly_an_amount_is_none() {
        for bad in [
            "", ".", "1.", ".1", "-1", "+1", "1e3", " 1", "1,00", "0.001", "０.1",
        ] {
            assert_eq!(Money::parse_decimal(bad, Currency::CNY), None, "{bad}");
        }
        assert_eq!(Money::parse_decimal("1.5", yen()), None);
        let too_much = "184467440737095516.16";
        assert_eq!(Money::parse_decimal(too_much, Currency::CNY), None);
        for bad in ["", "CN", "CNYY", "C1Y", "元"] {
            assert_eq!(Currency::parse(bad), None, "{bad}");
        }
    }
}
