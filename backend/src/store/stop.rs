//! The records of what operators stopped.

use std::collections::HashMap;

use seckill_core::sale::halt::Halt;
use serde::{Deserialize, Serialize};

/// How a round or a product was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopKind {
    /// It may be resumed.
    Paused,
    /// It is over before its time.
    Ended,
    /// It is off sale for good.
    Withdrawn,
}

impl StopKind {
    const ALL: [StopKind; 3] = [StopKind::Paused, StopKind::Ended, StopKind::Withdrawn];

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Its stored form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StopKind::Paused => "paused",
            StopKind::Ended => "ended",
            StopKind::Withdrawn => "withdrawn",
        }
    }

    /// What the catalogue says of it. An end is in the product's window instead.
    #[must_use]
    pub fn halt(self) -> Option<Halt> {
        match self {
            StopKind::Paused => Some(Halt::Paused),
            StopKind::Ended => None,
            StopKind::Withdrawn => Some(Halt::Withdrawn),
        }
    }
}

/// Which orders a stop cancels, also those that are still to be placed.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Cancelling {
    /// None: buyers may still pay, and keep what they paid.
    #[default]
    None,
    /// Those that are not paid.
    Unpaid,
    /// All; for each that is paid a refund is due.
    All,
}

impl Cancelling {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Cancelling::None => "",
            Cancelling::Unpaid => "unpaid",
            Cancelling::All => "all",
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        match text {
            "unpaid" => Cancelling::Unpaid,
            "all" => Cancelling::All,
            _ => Cancelling::None,
        }
    }
}

/// A stop that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// How it was stopped.
    pub kind: StopKind,
    /// When, epoch milliseconds.
    pub at_ms: u64,
    /// Which orders it cancels.
    pub cancel: Cancelling,
}

/// The stops of a round: its own, and those of its products.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stops {
    /// The stop of the whole round.
    pub round: Option<Stop>,
    /// The stops of single products, by their ids.
    pub products: HashMap<String, Stop>,
}

impl Stops {
    /// The stop in a product's catalogue entry.
    #[must_use]
    pub fn halt(&self, product: &str) -> Option<Halt> {
        let of = |stop: Option<&Stop>| stop.and_then(|stop| stop.kind.halt());
        Halt::stronger(of(self.round.as_ref()), of(self.products.get(product)))
    }

    /// The end of a product, given that of its round.
    #[must_use]
    pub fn ends_ms(&self, product: &str, ends_ms: u64) -> u64 {
        let stop = self.products.get(product);
        match stop.filter(|stop| stop.kind == StopKind::Ended) {
            Some(stop) => stop.at_ms.min(ends_ms),
            None => ends_ms,
        }
    }

    /// When the last item of a product can have been sold, given the end of its round: a
    /// pause may be resumed, the other stops are for good.
    #[must_use]
    pub fn last_sale_ms(&self, product: &str, ends_ms: u64) -> u64 {
        let stops = self.round.iter().chain(self.products.get(product));
        let lasting = stops.filter(|stop| stop.kind != StopKind::Paused);
        lasting.map(|stop| stop.at_ms).fold(ends_ms, u64::min)
    }
}
