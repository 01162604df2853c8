//! Returning money to a buyer. The refund is on record before the provider is called, and
//! named after the payment and what of it was returned before: a command that is repeated,
//! or was killed half-way, returns the money once. If the provider's notice came before the
//! repetition, that refund has been made, and the repetition is told so instead of making
//! another.

use seckill_core::orders::money::Money;
use seckill_core::orders::payment::{Notice, Reported, State};
use sha2::{Digest as _, Sha256};

use super::{Payments, Provider as _, ProviderError, Refund, Returned};
use crate::now_ms;
use crate::store::payments::{Noted, Payment};
use crate::store::refunds::RefundState;
use crate::store::{Store, StoreError};

/// Why no money was returned.
#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    /// No payment has this name.
    #[error("there is no payment \"{0}\"; write the id that its provider gave it")]
    Unknown(String),
    /// There is nothing to return.
    #[error("payment {id} is {state}: there is no money to return")]
    Nothing {
        /// The payment's id.
        id: String,
        /// Its state.
        state: &'static str,
    },
    /// Nothing is to be returned.
    #[error(
        "nothing of payment {id} is to be returned; write an amount of up to {left}, or leave it out"
    )]
    NoAmount {
        /// The payment's id.
        id: String,
        /// What is left.
        left: Money,
    },
    /// More is to be returned than is left.
    #[error("of payment {id} {left} is left, and {asked} is to be returned")]
    TooMuch {
        /// The payment's id.
        id: String,
        /// What is left.
        left: Money,
        /// What was asked for.
        asked: Money,
    },
    /// Another refund of this payment has not ended.
    #[error("a refund of {amount} of payment {id} is under way; repeat it with that amount")]
    UnderWay {
        /// The payment's id.
        id: String,
        /// The amount of that refund.
        amount: Money,
    },
    /// An earlier refund, whose outcome was unknown, was made.
    #[error(
        "the earlier refund of {amount} of payment {id}, whose outcome was unknown, was made; {left} is left: \
         to return a part of that too, repeat the command"
    )]
    Made {
        /// The payment's id.
        id: String,
        /// The amount of that refund.
        amount: Money,
        /// What is left.
        left: Money,
    },
    /// The provider is not set up any more.
    #[error("the provider \"{0}\" of this payment is not set up; see payments.toml")]
    NoProvider(&'static str),
    /// The provider did not do it.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The database is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RefundError {
    /// Whether the money may be returned all the same.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Provider(ProviderError::Away(..)) => true,
            Self::Store(error) => error.is_passing(),
            _ => false,
        }
    }
}

/// Returns a part of a payment, or all that is left. The response says what the payment
/// and its order are afterwards; a refund that the provider has only accepted is reported
/// by its notice.
///
/// # Errors
/// [`RefundError`]. If the provider is away the outcome is unknown, and the same call may
/// be repeated.
pub async fn refund(
    store: &Store,
    payments: &Payments,
    name: &str,
    part: Option<u64>,
    by: &str,
) -> Result<(Payment, Returned, Option<Noted>), RefundError> {
    let payment = store.payment(name).await?;
    let payment = payment.ok_or_else(|| RefundError::Unknown(name.to_owned()))?;
    let currency = payment.amount(payments.currency()).currency;
    let money = |minor| Money::new(minor, currency);
    let left = payment.amount_cents.saturating_sub(payment.refunded_cents);
    let key = refund_id(&payment);
    if let Some((made, amount)) = made_meanwhile(store, &payment, &key).await? {
        store
            .note_refund(&made, RefundState::Done, None, now_ms())
            .await?;
        let is_same = part == Some(amount) || part.is_none() && left == 0;
        return match is_same {
            true => Ok((payment, Returned::Done, None)),
            false => Err(RefundError::Made {
                id: payment.id,
                amount: money(amount),
                left: money(left),
            }),
        };
    }
    if !matches!(payment.state, State::Paid | State::RefundDue) {
        let (id, state) = (payment.id, payment.state.as_str());
        return Err(RefundError::Nothing { id, state });
    }
    let part = part.unwrap_or(left);
    if part == 0 {
        return Err(RefundError::NoAmount {
            id: payment.id,
            left: money(left),
        });
    }
    if part > left {
        return Err(RefundError::TooMuch {
            id: payment.id,
            left: money(left),
            asked: money(part),
        });
    }
    let provider = payments.named(payment.provider);
    let provider = provider.ok_or(RefundError::NoProvider(payment.provider.as_str()))?;
    let on_record = store.ask_refund(&key, &payment, part, by, now_ms()).await?;
    if on_record != part {
        return Err(RefundError::UnderWay {
            id: payment.id,
            amount: money(on_record),
        });
    }
    let order = payment.order.clone();
    let returned = provider
        .refund(&Refund {
            key: &key,
            payment: &payment.id,
            order: &order,
            part: money(part),
            whole: money(payment.amount_cents),
        })
        .await;
    let now = now_ms();
    match returned {
        Err(ProviderError::Refused(name, reason)) => {
            store
                .note_refund(&key, RefundState::Refused, Some(&reason), now)
                .await?;
            Err(ProviderError::Refused(name, reason).into())
        }
        Err(error) => Err(error.into()),
        Ok(Returned::Pending) => {
            store
                .note_refund(&key, RefundState::Pending, None, now)
                .await?;
            Ok((payment, Returned::Pending, None))
        }
        Ok(Returned::Done) => {
            let notice = Notice {
                provider: payment.provider,
                payment: payment.id.clone(),
                order,
                amount: money(payment.amount_cents),
                reported: Reported::Refunded(payment.refunded_cents + part),
            };
            let noted = store
                .note_payment(&notice, payments.currency(), now)
                .await?;
            store
                .note_refund(&key, RefundState::Done, None, now)
                .await?;
            Ok((payment, Returned::Done, Some(noted)))
        }
    }
}

/// The refund that somebody asked for and did not hear of, and that was made: its id and
/// amount. What is returned of a payment only grows, so that a refund which began at less is
/// made once that much has been added.
async fn made_meanwhile(
    store: &Store,
    payment: &Payment,
    next: &str,
) -> Result<Option<(String, u64)>, StoreError> {
    let asked = store.unanswered_refund(payment, next).await?;
    Ok(asked.filter(|(id, amount)| {
        let before = id
            .rsplit_once('-')
            .and_then(|(_, it)| it.parse::<u64>().ok());
        before.is_some_and(|before| payment.refunded_cents >= before + amount)
    }))
}

/// A name for the next refund of a payment, in letters and digits that every provider
/// takes.
fn refund_id(payment: &Payment) -> String {
    let digest = Sha256::digest(&payment.key);
    let digest: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("r{digest}-{}", payment.refunded_cents)
}
