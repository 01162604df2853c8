//! What operators do with one order: cancel it, refund it, send its last notification
//! again, write a note. Each is one transaction with its line in the order's history.

use seckill_core::orders::order::State;
use seckill_core::orders::purchase::Reason;
use seckill_core::sale::reasons::{self, BadReason};

use super::orders::Order;
use super::session::Session;
use super::shop_cancels::cancel_one;
use super::{Store, StoreError, signed};

/// What is done with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderAction {
    /// An unpaid order is cancelled.
    Cancel,
    /// A paid order is cancelled, and a refund of its payment is due.
    Refund,
    /// The notification of its latest change is sent once more.
    Resend,
    /// A note is written.
    Note,
}

/// Longest note or reason, in characters.
const MAX_TEXT: usize = 1_000;

impl OrderAction {
    /// Checks the reason or the note for it: only [`OrderAction::Resend`] needs none.
    ///
    /// # Errors
    /// [`BadReason`].
    pub fn checked(self, text: &str) -> Result<&str, BadReason> {
        let least = usize::from(self != Self::Resend);
        reasons::check("text", text, (least, MAX_TEXT))
    }

    /// Its name on the command line, in addresses and in the order's history.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            OrderAction::Cancel => "cancel",
            OrderAction::Refund => "refund",
            OrderAction::Resend => "resend",
            OrderAction::Note => "note",
        }
    }

    /// Its name in the audit log.
    #[must_use]
    pub fn audited(self) -> &'static str {
        match self {
            OrderAction::Cancel => "order.cancel",
            OrderAction::Refund => "order.refund",
            OrderAction::Resend => "order.resend",
            OrderAction::Note => "order.note",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            OrderAction::Cancel,
            OrderAction::Refund,
            OrderAction::Resend,
            OrderAction::Note,
        ]
        .into_iter()
        .find(|action| action.as_str() == text)
    }

    /// The state that the order must have; `None` for any.
    fn wants(self) -> Option<State> {
        match self {
            OrderAction::Cancel => Some(State::Created),
            OrderAction::Refund => Some(State::Paid),
            OrderAction::Resend | OrderAction::Note => None,
        }
    }
}

/// Why nothing was done with an order.
#[derive(Debug, thiserror::Error)]
pub enum OrderActionError {
    /// A database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The order is in another state.
    #[error("order {id} is {}, so there is nothing to {}{}", state.as_str(), action.as_str(),
        match (action, state) {
            (OrderAction::Cancel, State::Paid) => "; refund it instead",
            (OrderAction::Refund, State::Created) => "; cancel it instead",
            _ => "",
        })]
    State {
        /// The order's number.
        id: String,
        /// Its state.
        state: State,
        /// What was wanted.
        action: OrderAction,
    },
    /// No notification was ever written for it.
    #[error("no notification was written for order {0}; see notify_webhook and notify_smtp")]
    NoNotification(String),
}

impl OrderActionError {
    /// Whether it may have been done all the same.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_passing())
    }
}

impl From<sqlx::Error> for OrderActionError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Does this with an order.
    ///
    /// # Errors
    /// [`OrderActionError`]; nothing was done.
    pub async fn act_on_order(
        &self,
        order: &Order,
        action: OrderAction,
        (who, text): (&str, &str),
        now_ms: u64,
    ) -> Result<(), OrderActionError> {
        let mut transaction = self.orders_db(&order.user).begin().await?;
        if let Some(state) = action.wants() {
            let from = (&mut *transaction, self.listeners());
            let it = (order.id, state);
            if !cancel_one(from, it, Reason::Operator, now_ms).await? {
                return Err(OrderActionError::State {
                    id: order.id.to_string(),
                    state: order.state,
                    action,
                });
            }
        }
        if action == OrderAction::Resend && !resend(&mut transaction, order, now_ms).await? {
            return Err(OrderActionError::NoNotification(order.id.to_string()));
        }
        sqlx::query(
            "INSERT INTO order_notes (order_id, at_ms, who, kind, text) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(signed(order.id.0))
        .bind(signed(now_ms))
        .bind(who)
        .bind(action.as_str())
        .bind(text)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Has the notifications of the order's latest change sent again; `false` if none was
/// ever written.
async fn resend(connection: &mut Session, order: &Order, now_ms: u64) -> Result<bool, StoreError> {
    let id = signed(order.id.0);
    let latest: Option<i64> =
        sqlx::query_scalar("SELECT MAX(created_ms) FROM notices WHERE order_id = ?")
            .bind(id)
            .fetch_one(&mut *connection)
            .await?;
    let Some(latest) = latest else {
        return Ok(false);
    };
    sqlx::query(
        "UPDATE notices SET state = 'waiting', attempts = 0, due_ms = ?, reason = NULL,
         updated_ms = ? WHERE order_id = ? AND created_ms = ?",
    )
    .bind(signed(now_ms))
    .bind(signed(now_ms))
    .bind(id)
    .bind(latest)
    .execute(connection)
    .await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_an_end_and_says_something() {
        let long = "x".repeat(MAX_TEXT + 1);
        assert_eq!(OrderAction::Note.checked(" called us "), Ok("called us"));
        assert_eq!(OrderAction::Resend.checked(""), Ok(""));
        for (action, text, said) in [
            (OrderAction::Note, long.as_str(), "1001 characters"),
            (OrderAction::Resend, &long, "0 to 1000"),
            (OrderAction::Cancel, " ", "0 characters"),
        ] {
            let error = action.checked(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
