//! A buyer's purchase of one product, as the stock segment records it
//! (course §148: the state decides whether they may buy again).

use serde::{Deserialize, Serialize};

/// Where a purchase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Stock is locked for the buyer; the order is not placed yet.
    Succeeded,
    /// The order is in the database, to be paid.
    Ordered,
    /// The order is paid.
    Paid,
    /// No order could be placed; the stock was released.
    Failed,
    /// Cancelled, by the buyer or because it was not paid; the stock was released.
    Cancelled,
}

impl State {
    /// As stored, and as in responses to the page.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Succeeded => "succeeded",
            State::Ordered => "ordered",
            State::Paid => "paid",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            State::Succeeded,
            State::Ordered,
            State::Paid,
            State::Failed,
            State::Cancelled,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
    }

    /// Whether the buyer may buy the product again.
    #[must_use]
    pub fn may_buy_again(self) -> bool {
        matches!(self, State::Failed | State::Cancelled)
    }

    /// Whether a purchase may go from `self` to `next`. Staying is allowed:
    /// every step is delivered at least once.
    #[must_use]
    pub fn may_become(self, next: State) -> bool {
        use State::{Cancelled, Failed, Ordered, Paid, Succeeded};
        self == next
            || matches!(
                (self, next),
                // That the order is placed may be reported after that it was paid,
                // cancelled or failed.
                (Succeeded, Ordered | Paid | Cancelled | Failed)
                    | (Ordered, Paid | Cancelled)
                    // Its payment is to be refunded.
                    | (Paid, Cancelled)
            )
    }
}

/// Why the stock of a purchase was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its buyer cancelled the order.
    Cancelled,
    /// The order was not paid in time.
    Unpaid,
    /// The shop stopped the sale, and cancelled its orders.
    Withdrawn,
    /// An operator cancelled this one order.
    Operator,
    /// It waited too long behind other orders, and was failed to shorten the wait.
    Backlog,
    /// The database refused the order for its contents.
    Refused,
    /// The buyer has another live order for the product.
    Duplicate,
    /// It was paid, and its money was returned.
    Refunded,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 8] = [
        Reason::Cancelled,
        Reason::Unpaid,
        Reason::Withdrawn,
        Reason::Operator,
        Reason::Backlog,
        Reason::Refused,
        Reason::Duplicate,
        Reason::Refunded,
    ];

    /// As stored, and as in responses to the page.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Cancelled => "cancelled",
            Reason::Unpaid => "unpaid",
            Reason::Withdrawn => "withdrawn",
            Reason::Operator => "operator",
            Reason::Backlog => "backlog",
            Reason::Refused => "refused",
            Reason::Duplicate => "duplicate",
            Reason::Refunded => "refunded",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// Whether the shop may cancel a paid order for this reason. Its buyer cannot, and no
    /// deadline does.
    #[must_use]
    pub fn cancels_paid(self) -> bool {
        matches!(self, Reason::Withdrawn | Reason::Operator)
    }

    /// The state of the purchase from then on.
    #[must_use]
    pub fn state(self) -> State {
        match self {
            Reason::Cancelled
            | Reason::Unpaid
            | Reason::Refunded
            | Reason::Withdrawn
            | Reason::Operator => State::Cancelled,
            Reason::Backlog | Reason::Refused | Reason::Duplicate => State::Failed,
        }
    }
}

/// A buyer's record, stored as `state|request|quantity|permit|order|at_ms`, followed
/// by `|reason` once the stock was released.
///
/// Plain text with bars, because `purchase.lua` compares the first two fields
/// and must not parse JSON for each of a hundred thousand requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuyerRecord {
    /// Where the purchase stands.
    pub state: State,
    /// Request id that made it.
    pub request: String,
    /// How many items were bought.
    pub quantity: u32,
    /// Permit it was admitted with; empty if the edge was bypassed.
    pub permit: String,
    /// Order number, known from the purchase on; empty if the order's placing draws it.
    pub order: String,
    /// When the stock was deducted, epoch milliseconds by Redis's clock.
    pub at_ms: u64,
    /// Why the stock was released, in one word, if it was.
    pub reason: Option<String>,
}

impl BuyerRecord {
    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('|');
        let record = Self {
            state: State::parse(fields.next()?)?,
            request: fields.next()?.to_owned(),
            quantity: fields.next()?.parse().ok()?,
            permit: fields.next()?.to_owned(),
            order: fields.next()?.to_owned(),
            at_ms: fields.next()?.parse().ok()?,
            reason: fields.next().map(str::to_owned),
        };
        fields.next().is_none().then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_the_script_writes_it() {
        let record = BuyerRecord::parse("succeeded|r-1|2|e.l.1||1700000000000").unwrap();
        assert_eq!(record.state, State::Succeeded);
        assert_eq!((record.quantity, record.order.as_str()), (2, ""));
        assert_eq!(BuyerRecord::parse("succeeded|r-1|2|e.l.1|"), None);
        assert_eq!(BuyerRecord::parse("unheard_of|r|1|||0"), None);
        let record = BuyerRecord::parse("failed|r-1|2|e.l.1||1700000000000|backlog").unwrap();
        assert_eq!(record.reason.as_deref(), Some("backlog"));
        assert_eq!(BuyerRecord::parse("failed|r|1|||0|backlog|more"), None);
    }

    #[test]
    fn a_reason_leads_to_a_purchase_that_may_be_repeated() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
            assert!(reason.state().may_buy_again());
            assert!(State::Succeeded.may_become(reason.state()));
        }
    }

    #[test]
    fn only_a_failed_or_cancelled_purchase_may_be_repeated() {
        assert!(State::Failed.may_buy_again() && State::Cancelled.may_buy_again());
        assert!(!State::Succeeded.may_buy_again() && !State::Paid.may_buy_again());
        assert!(State::Paid.may_become(State::Cancelled));
        assert!(!State::Paid.may_become(State::Failed));
        assert!(!State::Cancelled.may_become(State::Paid));
        assert!(State::Succeeded.may_become(State::Ordered));
    }
}
