//! The steps of a transfer between two sites.
//!
//! The site that asks names the transfer. Each end has a row for it in its own database and
//! two things to change: its stock in Redis, by a script that knows the transfer's id and
//! does nothing a second time, and the amount that its database has set aside.
//!
//! | the site that asks | the site that gives |
//! |---|---|
//! | records that it asks: `asked` | |
//! | asks, again and again until it knows | records it: `taking` |
//! | | takes the items off its sale |
//! | | records how many, and sets less aside: `given` |
//! | records the answer: `granted` | answers, every time the same |
//! | puts the items on sale | makes its limit of permits fit: `done` |
//! | records that, and sets more aside: `arrived` | |
//! | makes its limit of permits fit: `done` | |
//!
//! Whoever finds a row that is not done goes on at its state, so that a crash between any
//! two steps, and a message that is lost, late or doubled, changes nothing. Between `given`
//! and `arrived` the items are under way, at neither site.
//!
//! While a row is `taking` or `granted`, stock and database may differ by the transfer. Whoever
//! puts lost stock back decides such a row first, with the segments halted: what is granted
//! counts as arrived, and what the script does not remember to have taken off the sale was
//! not taken. The script is made to remember the decision, so that a step which was under way
//! does nothing when it comes.

/// Where a transfer stands at one of its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// This site asks; whether the other gives is not known.
    Asked,
    /// The other site gave; the items are to be put on sale here.
    Granted,
    /// They are on sale here and set aside; the limit of permits is to follow.
    Arrived,
    /// This site is to give; whether items were taken off its sale is not known.
    Taking,
    /// They were taken off and are set aside no more; the limit of permits is to follow.
    Given,
    /// Nothing is left to do here.
    Done,
}

/// What is to be done next at one end of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask the other site; its answer makes it `granted`, or `done` if it gives nothing.
    Ask,
    /// Put the items on sale, then record it with the amount set aside: `arrived`.
    PutOnSale,
    /// Take items off the sale, then record how many with the amount set aside: `given`.
    TakeOffSale,
    /// Make the limit of permits fit, then record it: `done`.
    FitLimit,
    /// This end has nothing more to do.
    Nothing,
}

impl State {
    /// All of them.
    pub const ALL: [State; 6] = [
        State::Asked,
        State::Granted,
        State::Arrived,
        State::Taking,
        State::Given,
        State::Done,
    ];

    /// The name under which it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Asked => "asked",
            State::Granted => "granted",
            State::Arrived => "arrived",
            State::Taking => "taking",
            State::Given => "given",
            State::Done => "done",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// What is to be done next.
    #[must_use]
    pub fn next(self) -> Next {
        match self {
            State::Asked => Next::Ask,
            State::Granted => Next::PutOnSale,
            State::Taking => Next::TakeOffSale,
            State::Arrived | State::Given => Next::FitLimit,
            State::Done => Next::Nothing,
        }
    }

    /// Whether the stock may have changed while the amount set aside has not: what is decided
    /// before stock is put back.
    #[must_use]
    pub fn is_between(self) -> bool {
        matches!(self, State::Granted | State::Taking)
    }
}

#[cfg(test)]
mod tests;
