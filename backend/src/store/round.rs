//! The records of a round and its products.

use std::collections::HashMap;

use super::stop::{StopKind, Stops};

/// The state of a round, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundState {
    /// Can be edited; shoppers do not see it.
    Draft,
    /// Waits for a supervisor, and cannot be edited meanwhile.
    Submitted,
    /// A supervisor rejected it and gave a reason; an edit makes it a draft again.
    Rejected,
    /// Approved by a supervisor: shoppers see it, and only safe changes are possible.
    Approved,
}

impl RoundState {
    /// Its stored form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RoundState::Draft => "draft",
            RoundState::Submitted => "submitted",
            RoundState::Rejected => "rejected",
            RoundState::Approved => "approved",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            RoundState::Draft,
            RoundState::Submitted,
            RoundState::Rejected,
            RoundState::Approved,
        ]
        .into_iter()
        .find(|s| s.as_str() == text)
    }
}

/// A round and what is sold in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Its id ([`seckill_core::ids::is_id`]).
    pub id: String,
    /// Its name on the pages.
    pub name: String,
    /// Start, epoch milliseconds.
    pub opens_ms: u64,
    /// End, epoch milliseconds; the round is over at this moment.
    pub ends_ms: u64,
    /// The products in the order of the pages.
    pub products: Vec<Product>,
}

/// A product in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its id ([`seckill_core::ids::is_id`]).
    pub id: String,
    /// Its name on the pages.
    pub title: String,
    /// Items for sale.
    pub amount: u64,
    /// Price in the round, in cents.
    pub price_cents: u64,
    /// Price outside of the round, in cents; never below the price.
    pub list_price_cents: u64,
    /// Most items in one purchase.
    pub per_buyer: u32,
    /// The amount of each stock segment; empty for an even split among the masters
    /// that exist at the approval.
    pub segments: Vec<u64>,
    /// Its description, in the marks of `sale/text.rs`; empty for none.
    pub text: String,
    /// The names of its pictures, divided by commas; empty for none.
    pub picture: String,
    /// When its price was lowered last while it sold, epoch milliseconds; 0 if never.
    pub priced_ms: u64,
    /// The alternative texts of its pictures, in their order; an empty one, and one that
    /// is missing at the end, is the title.
    pub picture_alt: Vec<String>,
}

/// The amount of a product that was set aside at its round's approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// Items, with later adjustments.
    pub amount: u64,
    /// The amount of each stock segment, as preloaded; empty until that is decided.
    pub segments: Vec<u64>,
}

/// The people who changed a round. A name is empty if it was not recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// Counts every change.
    pub version: u64,
    /// The name that the days of a repeated round share.
    pub series: Option<String>,
    /// Who created it.
    pub created_by: String,
    /// Who edited it last.
    pub edited_by: String,
    /// When, epoch milliseconds.
    pub edited_ms: u64,
    /// Who submitted it.
    pub submitted_by: Option<String>,
    /// When, epoch milliseconds.
    pub submitted_ms: Option<u64>,
    /// Who approved or rejected it.
    pub decided_by: Option<String>,
    /// When, epoch milliseconds.
    pub decided_ms: Option<u64>,
    /// Why it was rejected.
    pub reason: Option<String>,
}

/// A round as the database keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRound {
    /// The round and its products.
    pub round: Round,
    /// Its stored state.
    pub state: RoundState,
    /// The people who changed it.
    pub trail: Trail,
    /// When it was written to Redis, epoch milliseconds; `None` for a draft, and for
    /// an approval that was interrupted before Redis had all of it.
    pub published_ms: Option<u64>,
    /// The amounts set aside at the approval, by product.
    pub frozen: HashMap<String, Frozen>,
    /// What operators stopped of it.
    pub stops: Stops,
}

/// The states of [`StoredRound::shown_state`].
pub const SHOWN_STATES: [&str; 9] = [
    "draft",
    "submitted",
    "rejected",
    "approved",
    "published",
    "running",
    "paused",
    "ended",
    "withdrawn",
];

impl StoredRound {
    /// Its state as people see it: an approved round is published once Redis has it,
    /// and then runs and ends by the clock.
    #[must_use]
    pub fn shown_state(&self, now_ms: u64) -> &'static str {
        let stop = self.stops.round.map(|stop| stop.kind);
        match (self.state, self.published_ms) {
            (RoundState::Approved, _) if stop == Some(StopKind::Withdrawn) => "withdrawn",
            (RoundState::Approved, _) if now_ms >= self.round.ends_ms => "ended",
            (RoundState::Approved, _) if stop == Some(StopKind::Paused) => "paused",
            (RoundState::Approved, Some(_)) if now_ms >= self.round.opens_ms => "running",
            (RoundState::Approved, Some(_)) => "published",
            (state, _) => state.as_str(),
        }
    }

    /// Whether any of it is on sale, paused, or still to come. What is withdrawn, or ended
    /// alone, is not.
    #[must_use]
    pub fn is_live(&self, now_ms: u64) -> bool {
        let ends_ms = self.round.ends_ms;
        let mut products = self.round.products.iter();
        self.state == RoundState::Approved
            && products.any(|it| self.stops.last_sale_ms(&it.id, ends_ms) > now_ms)
    }

    /// The round as it sells: its amounts with later adjustments, divided as they were
    /// preloaded.
    #[must_use]
    pub fn in_force(&self) -> Round {
        let mut round = self.round.clone();
        for product in &mut round.products {
            if let Some(frozen) = self.frozen.get(&product.id) {
                product.amount = frozen.amount;
                product.segments.clone_from(&frozen.segments);
            }
        }
        round
    }
}
