//! Payments: what a provider's notice means for an order, and how it is signed.
//!
//! A notice may arrive twice, late, or in the wrong order. It is recognised by the
//! payment's id, and a payment that no order needs becomes a refund due: no money that
//! was received is ever forgotten.

use crate::orders::order;
use crate::signing::keyring::Keyring;

/// How far a notice's time may be from ours, in ms. A notice that is resent later
/// has to be signed again.
pub const WINDOW_MS: u64 = 300_000;

/// What a notice reports of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reported {
    /// The buyer's money arrived.
    Paid,
    /// The payment failed.
    Failed,
    /// The money was refunded.
    Refunded,
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No money arrived; it may still.
    Failed,
    /// It pays its order.
    Paid,
    /// No order needs it; the money is to be refunded.
    RefundDue,
    /// The money was refunded.
    Refunded,
}

impl State {
    const ALL: [State; 4] = [
        State::Failed,
        State::Paid,
        State::RefundDue,
        State::Refunded,
    ];

    /// As stored, and as in responses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Failed => "failed",
            State::Paid => "paid",
            State::RefundDue => "refund_due",
            State::Refunded => "refunded",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why a payment is to be refunded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No order has this number.
    UnknownOrder,
    /// The amount is not what the order costs.
    WrongAmount,
    /// Another payment paid the order.
    AlreadyPaid,
    /// The order was cancelled before.
    Cancelled,
}

impl Reason {
    /// As stored, and as in responses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::UnknownOrder => "unknown_order",
            Reason::WrongAmount => "wrong_amount",
            Reason::AlreadyPaid => "already_paid",
            Reason::Cancelled => "cancelled",
        }
    }
}

/// What to do about a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The payment stays as it is on record.
    Keep(State),
    /// The payment pays its order.
    Pay,
    /// The payment is put on record as this, and the order stays as it is.
    Record(State, Option<Reason>),
}

/// Decides about a notice.
///
/// `known` is the state of the payment if it is on record, `order` the state of its
/// order and what it costs in cents, if there is one.
#[must_use]
pub fn decide(
    reported: Reported,
    amount_cents: u64,
    known: Option<State>,
    order: Option<(order::State, u64)>,
) -> Decision {
    let due = |reason| Decision::Record(State::RefundDue, Some(reason));
    match (reported, known) {
        (_, Some(State::Refunded)) => Decision::Keep(State::Refunded),
        (Reported::Refunded, _) => Decision::Record(State::Refunded, None),
        (_, Some(state @ (State::Paid | State::RefundDue))) => Decision::Keep(state),
        (Reported::Failed, Some(State::Failed)) => Decision::Keep(State::Failed),
        (Reported::Failed, None) => Decision::Record(State::Failed, None),
        (Reported::Paid, None | Some(State::Failed)) => match order {
            None | Some((order::State::Failed, _)) => due(Reason::UnknownOrder),
            Some((order::State::Cancelled, _)) => due(Reason::Cancelled),
            Some((order::State::Paid, _)) => due(Reason::AlreadyPaid),
            Some((order::State::Created, cost)) if cost != amount_cents => due(Reason::WrongAmount),
            Some((order::State::Created, _)) => Decision::Pay,
        },
    }
}

/// Why the signature of a notice is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureError {
    /// It is missing, malformed, or made with another secret.
    Invalid,
    /// It is genuine, but too old, or from a clock that is far ahead.
    Expired,
}

/// Signs a notice: `t={epoch ms},v1={hex}`, where the latter is the HMAC-SHA256
/// of `{epoch ms}.{body}` under the secret that shop and provider share.
#[must_use]
pub fn sign(ring: &Keyring, at_ms: u64, body: &[u8]) -> String {
    let mac = ring
        .first()
        .hmac_of(&[at_ms.to_string().as_bytes(), b".", body]);
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at_ms},v1={hex}")
}

/// Verifies the signature of a notice with any key of the ring.
///
/// # Errors
/// [`SignatureError`]; of a notice that is both forged and old, `Invalid`.
pub fn verify(
    ring: &Keyring,
    signature: &str,
    body: &[u8],
    now_ms: u64,
) -> Result<(), SignatureError> {
    let parts = signature.split_once(",v1=");
    let parts = parts.and_then(|(at, hex)| Some((at.strip_prefix("t=")?, from_hex(hex)?)));
    let (at, given) = parts.ok_or(SignatureError::Invalid)?;
    let genuine =
        |key: &crate::signing::keyring::Key| key.is_hmac_of(&[at.as_bytes(), b".", body], &given);
    let at_ms: u64 = at.parse().map_err(|_| SignatureError::Invalid)?;
    if !ring.keys().any(genuine) {
        return Err(SignatureError::Invalid);
    }
    match now_ms.abs_diff(at_ms) {
        0..=WINDOW_MS => Ok(()),
        _ => Err(SignatureError::Expired),
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: Option<(order::State, u64)> = Some((order::State::Created, 500));

    fn due(reason: Reason) -> Decision {
        Decision::Record(State::RefundDue, Some(reason))
    }

    #[test]
    fn only_the_right_amount_pays_an_order_that_waits_for_it() {
        let paid = |amount, order| decide(Reported::Paid, amount, None, order);
        assert_eq!(paid(500, CREATED), Decision::Pay);
        assert_eq!(paid(499, CREATED), due(Reason::WrongAmount));
        assert_eq!(paid(500, None), due(Reason::UnknownOrder));
        let order = |state| Some((state, 500));
        assert_eq!(
            paid(500, order(order::State::Paid)),
            due(Reason::AlreadyPaid)
        );
        assert_eq!(
            paid(500, order(order::State::Cancelled)),
            due(Reason::Cancelled)
        );
        assert_eq!(
            paid(500, order(order::State::Failed)),
            due(Reason::UnknownOrder)
        );
    }

    #[test]
    fn a_notice_that_is_repeated_or_out_of_order_changes_nothing() {
        for state in [State::Paid, State::RefundDue, State::Refunded] {
            for reported in [Reported::Paid, Reported::Failed] {
                assert_eq!(
                    decide(reported, 500, Some(state), CREATED),
                    Decision::Keep(state)
                );
            }
        }
        // A first attempt failed, the second went through.
        assert_eq!(
            decide(Reported::Paid, 500, Some(State::Failed), CREATED),
            Decision::Pay
        );
        // Refunded before we heard that it was paid: it pays nothing.
        let refunded = decide(Reported::Refunded, 500, None, CREATED);
        assert_eq!(refunded, Decision::Record(State::Refunded, None));
        let late = decide(Reported::Paid, 500, Some(State::Refunded), CREATED);
        assert_eq!(late, Decision::Keep(State::Refunded));
    }

    #[test]
    fn a_signature_holds_for_its_body_and_its_time() {
        let ring = Keyring::parse(&format!("k1 {}", "p".repeat(32))).unwrap();
        let other = Keyring::parse(&format!("k1 {}", "q".repeat(32))).unwrap();
        let signature = sign(&ring, 1_000_000, b"{}");
        let check = |ring, text: &str, body, now| verify(ring, text, body, now);
        assert_eq!(
            check(&ring, &signature, b"{}", 1_000_000 + WINDOW_MS),
            Ok(())
        );
        let late = check(&ring, &signature, b"{}", 1_000_001 + WINDOW_MS);
        assert_eq!(late, Err(SignatureError::Expired));
        let early = check(&ring, &signature, b"{}", 1_000_000 - WINDOW_MS - 1);
        assert_eq!(early, Err(SignatureError::Expired));
        let forged = Err(SignatureError::Invalid);
        assert_eq!(check(&other, &signature, b"{}", 1_000_000), forged);
        assert_eq!(check(&ring, &signature, b"{} ", 1_000_000), forged);
        let moved = signature.replace("t=1000000", "t=2000000");
        assert_eq!(check(&ring, &moved, b"{}", 2_000_000), forged);
        for bad in ["", "t=1", "t=,v1=", "t=1000000,v1=zz", "v1=00,t=1"] {
            assert_eq!(check(&ring, bad, b"{}", 1_000_000), forged, "{bad}");
        }
    }
}
