//! Payments: what a provider's notice means for an order, and how it is signed.
//!
//! A notice may arrive twice, late, or in the wrong order. It is recognised by the
//! payment's id, and a payment that no order needs becomes a refund due: no money that
//! was received is ever forgotten. A notice with a known id and other money is a mistake of
//! its sender, and is refused rather than taken for a repetition.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::ids;
use crate::orders::money::Money;
use crate::orders::order;
use crate::orders::order::OrderId;
use crate::signing::keyring::Keyring;

/// How far a notice's time may be from ours, in ms. A notice that is resent later
/// has to be signed again.
pub const WINDOW_MS: u64 = 300_000;

/// The largest amount that can be recorded, in minor units: the databases' integers are
/// signed.
pub const MAX_MINOR: u64 = i64::MAX as u64;

/// Who reports a payment, and takes its money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProviderName {
    /// The shop's own page, where no money moves: the demo, and orders that cost nothing.
    Shop,
    /// Any service that signs as this system does.
    Signed,
    /// The provider Stripe.
    Stripe,
    /// The provider Alipay.
    Alipay,
    /// WeChat Pay.
    WeChat,
}

impl ProviderName {
    /// All of them.
    pub const ALL: [ProviderName; 5] = [
        ProviderName::Shop,
        ProviderName::Signed,
        ProviderName::Stripe,
        ProviderName::Alipay,
        ProviderName::WeChat,
    ];

    /// The name in the database, in URLs and in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ProviderName::Shop => "shop",
            ProviderName::Signed => "signed",
            ProviderName::Stripe => "stripe",
            ProviderName::Alipay => "alipay",
            ProviderName::WeChat => "wechat",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }
}

/// A notice of a payment, as its provider wrote it: ids are of any length and charset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its sender.
    pub provider: ProviderName,
    /// The payment's id at the provider.
    pub payment: String,
    /// The order that it names.
    pub order: String,
    /// The amount of the payment.
    pub amount: Money,
    /// What it says.
    pub reported: Reported,
}

impl Notice {
    /// The number of the order that it names, if that is one.
    #[must_use]
    pub fn order_id(&self) -> Option<OrderId> {
        order_id(&self.order)
    }

    /// The key under which its payment is stored; see [`key`].
    #[must_use]
    pub fn key(&self) -> String {
        key(self.provider, &self.payment)
    }

    /// Checks what every notice must have, whoever sent it: an id, since payments without
    /// one would all be the same, and amounts that can be recorded.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.payment.trim().is_empty() {
            return Err("its payment id is blank; give each payment an id of its own".to_owned());
        }
        let refunded = match self.reported {
            Reported::Refunded(part) => part,
            Reported::Paid | Reported::Failed => 0,
        };
        let largest = self.amount.minor.max(refunded);
        if largest > MAX_MINOR {
            return Err(format!(
                "its amount of {largest} is more than {MAX_MINOR} and cannot be recorded"
            ));
        }
        Ok(())
    }

    /// Whether it is about other money than the payment that is on record under its id: for
    /// another order, or of another amount or currency. A refund need not name its order,
    /// and an attempt that failed may end as anything: no money was received.
    #[must_use]
    pub fn contradicts(&self, order: &str, amount: Money, state: State) -> bool {
        if state == State::Failed {
            return false;
        }
        match self.reported {
            Reported::Failed => false,
            Reported::Refunded(_) if self.order.is_empty() => self.amount != amount,
            Reported::Paid | Reported::Refunded(_) => self.order != order || self.amount != amount,
        }
    }
}

/// The order that a text names: its number, as we write it.
#[must_use]
pub fn order_id(text: &str) -> Option<OrderId> {
    let number: u64 = text.parse().ok()?;
    // "+7" and "07" are not how we write 7.
    (number.to_string() == text).then_some(OrderId(number))
}

/// The key under which a payment is stored, at most 64 bytes: the id itself where that is
/// short and plain and its provider is [`ProviderName::Signed`], or the shop itself, and
/// the provider with the id's SHA-256 otherwise. So no two payments share a key, whatever
/// a database makes of long, accented or blank text, and of two providers that count from
/// one.
#[must_use]
pub fn key(provider: ProviderName, id: &str) -> String {
    let is_ours = matches!(provider, ProviderName::Signed | ProviderName::Shop);
    if is_ours && ids::is_request(id) {
        return id.to_owned();
    }
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(id));
    format!("{}:{digest}", provider.as_str())
}

/// What a notice reports of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// The buyer's money arrived.
    Paid,
    /// The payment failed.
    Failed,
    /// So much of the money was refunded in all, in minor units.
    Refunded(u64),
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

    /// The name in the database and in responses.
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
    /// The currency is not the shop's.
    WrongCurrency,
    /// Another payment paid the order.
    AlreadyPaid,
    /// The order was cancelled before.
    Cancelled,
    /// A part of it was refunded before we knew of it.
    PartlyRefunded,
}

impl Reason {
    /// The name in the database and in responses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::UnknownOrder => "unknown_order",
            Reason::WrongAmount => "wrong_amount",
            Reason::WrongCurrency => "wrong_currency",
            Reason::AlreadyPaid => "already_paid",
            Reason::Cancelled => "cancelled",
            Reason::PartlyRefunded => "partly_refunded",
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
/// order and what it costs, if there is one.
#[must_use]
pub fn decide(
    reported: Reported,
    amount: Money,
    known: Option<State>,
    order: Option<(order::State, Money)>,
) -> Decision {
    let due = |reason| Decision::Record(State::RefundDue, Some(reason));
    match (reported, known) {
        (_, Some(State::Refunded)) => Decision::Keep(State::Refunded),
        // The rest of the money is still here.
        (Reported::Refunded(part), known) if part < amount.minor => match known {
            Some(state @ (State::Paid | State::RefundDue)) => Decision::Keep(state),
            _ => due(Reason::PartlyRefunded),
        },
        (Reported::Refunded(_), _) => Decision::Record(State::Refunded, None),
        (_, Some(state @ (State::Paid | State::RefundDue))) => Decision::Keep(state),
        (Reported::Failed, Some(State::Failed)) => Decision::Keep(State::Failed),
        (Reported::Failed, None) => Decision::Record(State::Failed, None),
        (Reported::Paid, None | Some(State::Failed)) => match order {
            None | Some((order::State::Failed, _)) => due(Reason::UnknownOrder),
            Some((order::State::Cancelled, _)) => due(Reason::Cancelled),
            Some((order::State::Paid, _)) => due(Reason::AlreadyPaid),
            Some((order::State::Created, cost)) if cost.currency != amount.currency => {
                due(Reason::WrongCurrency)
            }
            Some((order::State::Created, cost)) if cost != amount => due(Reason::WrongAmount),
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
mod tests;
