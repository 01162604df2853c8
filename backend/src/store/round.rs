//! A round and its products, as the database keeps them.

use std::collections::HashMap;

/// Where a round stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundState {
    /// Being made: editable, invisible to shoppers.
    Draft,
    /// Waits for a supervisor, and cannot be edited meanwhile.
    Submitted,
    /// A supervisor said no and why; an edit makes it a draft again.
    Rejected,
    /// Approved by a supervisor: visible, and from now on changed only where that
    /// is safe.
    Approved,
}

impl RoundState {
    /// As stored.
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
    /// What shoppers call it.
    pub name: String,
    /// Start, epoch milliseconds.
    pub opens_ms: u64,
    /// End, epoch milliseconds, not part of the round.
    pub ends_ms: u64,
    /// In the order in which they are shown.
    pub products: Vec<Product>,
}

/// A product in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its id ([`seckill_core::ids::is_id`]).
    pub id: String,
    /// What shoppers call it.
    pub title: String,
    /// Items for sale.
    pub amount: u64,
    /// Price in the round, in cents.
    pub price_cents: u64,
    /// Price outside of it, in cents; never below the price.
    pub list_price_cents: u64,
    /// Most items in one purchase.
    pub per_buyer: u32,
    /// The amount of each stock segment; empty for an even split among as many
    /// as there are masters at the approval.
    pub segments: Vec<u64>,
    /// Its description, in the marks of `sale/text.rs`; empty for none.
    pub text: String,
    /// The file name of its picture; empty for none.
    pub picture: String,
}

/// What was set aside of a product at its round's approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// Items, as adjusted since.
    pub amount: u64,
    /// The amount of each stock segment, as preloaded; empty before that was decided.
    pub segments: Vec<u64>,
}

/// Through whose hands a round went. Names are empty where nobody noted them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// Counts every change.
    pub version: u64,
    /// The name that the days of a repeated round share.
    pub series: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// Who changed it last.
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
    /// What is sold.
    pub round: Round,
    /// How far it has come.
    pub state: RoundState,
    /// Through whose hands it went.
    pub trail: Trail,
    /// When Redis was told, epoch milliseconds; `None` for a draft, and for an
    /// approval that was interrupted before Redis had all of it.
    pub published_ms: Option<u64>,
    /// What was set aside at the approval, by product.
    pub frozen: HashMap<String, Frozen>,
}

impl StoredRound {
    /// Where it stands, as it is shown to people: an approved round is published
    /// once Redis has it, and then runs and ends by the clock.
    #[must_use]
    pub fn shown_state(&self, now_ms: u64) -> &'static str {
        match (self.state, self.published_ms) {
            (RoundState::Approved, _) if now_ms >= self.round.ends_ms => "ended",
            (RoundState::Approved, Some(_)) if now_ms >= self.round.opens_ms => "running",
            (RoundState::Approved, Some(_)) => "published",
            (state, _) => state.as_str(),
        }
    }

    /// The round as it sells: with the amounts as adjusted since its approval, and
    /// divided as they were preloaded.
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
