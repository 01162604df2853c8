//! Orders: states and numbers.

use std::fmt;

/// The state of an order. The database decides each step by a conditional update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Placed, to be paid.
    Created,
    /// The buyer has paid it.
    Paid,
    /// It was cancelled, by the buyer, the shop, or because it was not paid in time.
    Cancelled,
    /// The purchase was failed instead: there never was an order.
    Failed,
}

impl State {
    /// The name under which it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Paid => "paid",
            State::Cancelled => "cancelled",
            State::Failed => "failed",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [State::Created, State::Paid, State::Cancelled, State::Failed]
            .into_iter()
            .find(|s| s.as_str() == text)
    }

    /// Whether an order may go from `self` to `next`.
    #[must_use]
    pub fn may_become(self, next: State) -> bool {
        matches!(
            (self, next),
            (State::Created, State::Paid | State::Cancelled)
                // The shop cancels it, and the payment is to be refunded.
                | (State::Paid, State::Cancelled)
        )
    }
}

/// Milliseconds of 2024-01-01T00:00:00Z: order numbers count from here, so that
/// 41 bits last until 2093.
const EPOCH_MS: u64 = 1_704_067_200_000;

/// An order number: sortable by time, unique without coordination.
///
/// 41 bits of milliseconds, 10 bits of worker, 12 bits of sequence: a worker
/// makes up to 4,096 a millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

impl OrderId {
    /// The lowest number that an order placed in this millisecond can have.
    #[must_use]
    pub fn first_of(ms: u64) -> Self {
        Self(ms.saturating_sub(EPOCH_MS) << 22)
    }

    /// The millisecond in which the number was made, epoch milliseconds.
    #[must_use]
    pub fn made_ms(self) -> u64 {
        (self.0 >> 22).saturating_add(EPOCH_MS)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Makes order numbers for one worker.
#[derive(Debug)]
pub struct OrderIds {
    worker: u64,
    last_ms: u64,
    sequence: u64,
}

impl OrderIds {
    /// For the worker of this number, 0 to 1,023. No two workers that run at once may
    /// have the same.
    #[must_use]
    pub fn new(worker: u16) -> Self {
        Self {
            worker: u64::from(worker) & 0x3ff,
            last_ms: 0,
            sequence: 0,
        }
    }

    /// The next number. A clock that jumps back does not repeat one: time
    /// stands still here until the clock has caught up.
    pub fn next(&mut self, now_ms: u64) -> OrderId {
        let now = now_ms.saturating_sub(EPOCH_MS).max(self.last_ms);
        if now > self.last_ms {
            self.last_ms = now;
            self.sequence = 0;
        } else {
            self.sequence += 1;
            if self.sequence == 1 << 12 {
                self.last_ms += 1;
                self.sequence = 0;
            }
        }
        OrderId(self.last_ms << 22 | self.worker << 12 | self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_even_when_the_clock_falls() {
        let mut ids = OrderIds::new(7);
        let mut last = OrderId(0);
        for step in 0..20_000u64 {
            let now = EPOCH_MS + 1_000 - (step / 5_000) * 100;
            let next = ids.next(now);
            assert!(next > last);
            last = next;
        }
        assert_ne!(
            OrderIds::new(1).next(EPOCH_MS + 5),
            OrderIds::new(2).next(EPOCH_MS + 5)
        );
    }

    #[test]
    fn orders_of_a_moment_are_found_by_their_numbers() {
        let placed = OrderIds::new(1023).next(EPOCH_MS + 5);
        assert!(OrderId::first_of(EPOCH_MS + 5) <= placed);
        assert!(placed < OrderId::first_of(EPOCH_MS + 6));
        assert_eq!(placed.made_ms(), EPOCH_MS + 5);
    }

    #[test]
    fn a_paid_order_stays_paid() {
        assert!(State::Created.may_become(State::Paid));
        assert!(State::Paid.may_become(State::Cancelled));
        assert!(!State::Paid.may_become(State::Created));
        assert!(!State::Cancelled.may_become(State::Paid));
        assert!(!State::Failed.may_become(State::Created));
    }
}
