//! What is recorded of a call, and what is read when the system is quiet.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::orders::order::State;
use crate::stock::ledger::Event;

/// A call and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The shopper.
    pub user: String,
    /// What they did.
    pub what: What,
    /// When the call was sent, epoch microseconds.
    pub called_us: u64,
    /// When the answer was there, or the wait for it ended.
    pub returned_us: u64,
    /// The answer.
    pub answer: Answer,
}

/// What a shopper did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Clicked to buy.
    Buy {
        /// The request id; a second click on the same has the same.
        request: String,
        /// How many items the shopper wanted.
        quantity: u32,
    },
    /// Asked what became of the click.
    Result,
    /// Paid an order.
    Pay {
        /// Its number.
        order: String,
    },
    /// Cancelled an order.
    Cancel {
        /// Its number.
        order: String,
    },
}

/// What they were told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// 202: it is in progress.
    Accepted,
    /// Refused, with this code.
    Refused(String),
    /// What became of the click.
    Status {
        /// `none`, `processing`, `succeeded`, …
        status: String,
        /// The order's number.
        order: Option<String>,
    },
    /// Paid or cancelled as asked.
    Done,
    /// No answer, or none that could be read: anything may have happened.
    Lost,
}

/// An order as the database has it in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub number: String,
    /// The buyer.
    pub user: String,
    /// The request that made its purchase.
    pub request: String,
    /// When the stock was locked, epoch ms.
    pub locked_ms: u64,
    /// When it was placed, epoch ms.
    pub created_ms: u64,
    /// How many items it is for.
    pub quantity: u32,
    /// Where it stands.
    pub state: State,
    /// Whether its stock still has to follow.
    pub stock_due: bool,
}

/// Everything about one product.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Items in all.
    pub amount: u64,
    /// How long after an item was returned "sold out" may still be told, in
    /// microseconds: its permit returns behind it, by way of the relay.
    pub reopens_within_us: u64,
    /// The calls, in any order.
    pub calls: Vec<Call>,
    /// The events of each segment, oldest first.
    pub segments: Vec<Vec<Event>>,
    /// Every order.
    pub orders: Vec<Order>,
    /// Buyers of whom a request that waited in a journal bought nothing: what is on record
    /// with the reason.
    pub refused: HashSet<String>,
}
