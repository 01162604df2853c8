//! A buyer's purchase of one product, as the stock segment records it
//! (course §148: the state decides whether he may grab again).

use serde::{Deserialize, Serialize};

/// Where a purchase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Stock is locked for him; the order is on its way.
    Succeeded,
    /// The order is in the database, to be paid.
    Ordered,
    /// Paid.
    Paid,
    /// No order could be placed; the stock went back.
    Failed,
    /// Cancelled, by him or unpaid; the stock went back.
    Cancelled,
}

impl State {
    /// As stored and as told to the page.
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

    /// Whether the buyer may grab the product again.
    #[must_use]
    pub fn may_grab_again(self) -> bool {
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
                (Succeeded, Ordered | Failed) | (Ordered, Paid | Cancelled)
            )
    }
}

/// A buyer's record, stored as `state|request|quantity|permit|order|at_ms`.
///
/// Plain text with bars, because `purchase.lua` compares the first two fields
/// and must not parse JSON for each of a hundred thousand requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where the purchase stands.
    pub state: State,
    /// Request id that made it.
    pub request: String,
    /// Items.
    pub quantity: u32,
    /// Permit it was admitted with; empty if the edge was bypassed.
    pub permit: String,
    /// Order number; empty until there is one.
    pub order: String,
    /// When the stock was deducted, epoch milliseconds by Redis's clock.
    pub at_ms: u64,
}

impl Record {
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
        };
        fields.next().is_none().then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_the_script_writes_it() {
        let record = Record::parse("succeeded|r-1|2|e.l.1||1700000000000").unwrap();
        assert_eq!(record.state, State::Succeeded);
        assert_eq!((record.quantity, record.order.as_str()), (2, ""));
        assert_eq!(Record::parse("succeeded|r-1|2|e.l.1|"), None);
        assert_eq!(Record::parse("unheard_of|r|1|||0"), None);
    }

    #[test]
    fn only_a_purchase_that_came_to_nothing_may_be_repeated() {
        assert!(State::Failed.may_grab_again() && State::Cancelled.may_grab_again());
        assert!(!State::Succeeded.may_grab_again() && !State::Paid.may_grab_again());
        assert!(!State::Paid.may_become(State::Cancelled));
        assert!(!State::Cancelled.may_become(State::Paid));
        assert!(State::Succeeded.may_become(State::Ordered));
    }
}
