//! The second factor: codes of six digits that change every 30 seconds (RFC 6238), as
//! authenticator apps show them. Which code fits is a function of secret and time; that a
//! code is good once is the store's to say.

use totp_rs::{Algorithm, Secret, TOTP};

use super::error::ConsoleError;

/// Seconds for which a code is shown.
const STEP_S: u64 = 30;
/// Steps before and after now whose codes are taken, since clocks differ.
const SKEW: u64 = 1;
const DIGITS: usize = 6;
/// Bytes of a secret: as many as the hash has, as RFC 4226 wants.
const SECRET: usize = 20;

/// A new secret, in Base32.
pub(super) fn new_secret() -> Result<String, ConsoleError> {
    let mut bytes = [0_u8; SECRET];
    getrandom::fill(&mut bytes).map_err(|error| ConsoleError::internal(&error))?;
    Ok(Secret::Raw(bytes.to_vec()).to_encoded().to_string())
}

/// The step of time whose code this is, if it is one of now or of a moment ago or ahead.
pub(super) fn step_of(secret: &str, code: &str, now_ms: u64) -> Option<u64> {
    let code: String = code.chars().filter(|it| !it.is_whitespace()).collect();
    let bytes = Secret::Encoded(secret.to_owned()).to_bytes().ok()?;
    let totp = TOTP::new(Algorithm::SHA1, DIGITS, 0, STEP_S, bytes).ok()?;
    let now = now_ms / 1_000 / STEP_S;
    // All are compared, each in constant time.
    let mut found = None;
    for step in now.saturating_sub(SKEW)..=now + SKEW {
        if totp.check(&code, step * STEP_S) {
            found = Some(step);
        }
    }
    found
}

/// The address that an authenticator app reads, from a QR code or a link.
pub(super) fn uri(secret: &str, account: &str) -> String {
    let written: String = form_urlencoded::byte_serialize(account.as_bytes()).collect();
    let written = written.replace('+', "%20");
    format!("otpauth://totp/Seckill:{written}?secret={secret}&issuer=Seckill")
}

/// The rows of the QR code of this text, `1` for dark.
pub(super) fn qr(text: &str) -> Result<Vec<String>, ConsoleError> {
    use qrcodegen::{QrCode, QrCodeEcc};
    let code = QrCode::encode_text(text, QrCodeEcc::Medium)
        .map_err(|error| ConsoleError::internal(&error))?;
    let row = |y| {
        (0..code.size())
            .map(|x| if code.get_module(x, y) { '1' } else { '0' })
            .collect()
    };
    Ok((0..code.size()).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238's test vectors, `12345678901234567890`.
    const RFC: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B, SHA-1; the last six of its eight digits.
        for (at_s, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(step_of(RFC, code, at_s * 1_000), Some(at_s / 30), "{at_s}");
        }
    }

    #[test]
    fn a_code_is_taken_a_step_late_or_early_and_no_more() {
        let at = |s: u64| step_of(RFC, "005924", s * 1_000);
        let step = 1_234_567_890 / 30;
        for s in [1_234_567_890 - 30, 1_234_567_890, 1_234_567_890 + 30] {
            assert_eq!(at(s), Some(step));
        }
        assert_eq!(at(1_234_567_890 - 90), None);
        assert_eq!(at(1_234_567_890 + 90), None);
        assert_eq!(step_of(RFC, "005 924", 1_234_567_890_000), Some(step));
        for wrong in ["", "5924", "0059240", "x05924"] {
            assert_eq!(step_of(RFC, wrong, 1_234_567_890_000), None, "{wrong}");
        }
    }

    #[test]
    fn a_new_secret_is_long_and_another_each_time() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32, "160 bits in Base32");
        let rows = qr(&uri(&one, "li@shop")).unwrap();
        assert!(rows.iter().all(|row| row.len() == rows.len()));
        assert!(uri(&one, "li@shop").starts_with("otpauth://totp/Seckill:li%40shop?secret="));
    }
}
