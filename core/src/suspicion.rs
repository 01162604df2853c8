//! Who buys like a program: a judgement by what the edges logged.
//!
//! # Points
//! A reason is worth 25 points for each power of ten by which it is more likely
//! of a program than of a person at a browser, so that independent reasons add
//! up. [`PROPOSE`] (60) is a factor of some 250: worth a person's look. [`BAN`]
//! (100) is one of ten thousand: more than any single reason that has an innocent
//! explanation may give. The innocent explanations that were weighed:
//!
//! * An office, a school or a mobile network shares an address, often also the
//!   browser's name: how many share one is worth nothing by itself. It counts that
//!   they click in step, or that nearly all of them behave like programs.
//! * Somebody drums on the button before the opening and hits its very first
//!   moment, time and again: worth a look, never a ban.
//! * A second click, a page in two windows, a URL that went stale, a login that
//!   changed in another window: the limits lie above what these do.
//! * The log has a hole, or the requests of a page went by an edge whose log is
//!   not read: nothing is concluded from absence unless the log was watched for
//!   [`WATCHED_MS`] before and beyond, and [`watch::Watch`] distrusts it when most
//!   accounts seem to be absent, or when there are more edges than logs.
//! * A phone was locked, a laptop slept, a login was made on the open page: what a
//!   page asks when it is looked at again is in `presence.rs`.
//!
//! # Memory
//! All tables have a fixed size ([`watch::Limits`]); whoever was idle longest is
//! forgotten first. A record of an account takes about 400 bytes, one of an
//! address up to 5 KB.

/// Lines of the edges' access logs.
pub mod access_log;
/// What is remembered of one account.
pub mod account;
/// What is remembered of one address.
pub mod address;
/// The participants of a sale, one bit each.
pub mod participants;
/// Whether a page was open.
mod presence;
/// Why somebody seems to be a program.
pub mod reason;
/// All accounts and addresses, and what follows from them.
pub mod watch;

pub use reason::Reason;

/// From this score on somebody is worth a person's look.
pub const PROPOSE: u32 = 60;
/// From this score on a person is out of the question.
pub const BAN: u32 = 100;

/// How long a log must have been watched before the absence of page requests says
/// anything: a page asks for the time every 30 s, and a browser lets a hidden one
/// do so at least once a minute.
pub const WATCHED_MS: u64 = 65_000;
/// How much later than others a line may arrive: nginx's workers each keep lines
/// back for a second.
pub const SETTLE_MS: u64 = 2_000;
/// An open page asks for the time every 30 s: whoever was not heard of for so long
/// has none, unless it was put aside.
pub const QUIET_MS: u64 = 35_000;
/// A log that says nothing for so long is not waited for.
pub const UNHEARD_MS: u64 = 60_000;
/// Whoever was idle for so long starts clean.
pub const FORGET_MS: u64 = 1_800_000;

/// Clicks within [`PACE_MS`] that no page makes: it rests its button for 30 s.
pub const PACE_CLICKS: usize = 5;
/// The same without any innocent explanation.
pub const PACE_CLICKS_SURE: usize = 10;
/// The time in which [`PACE_CLICKS`] count.
pub const PACE_MS: u64 = 10_000;
/// Intervals between clicks that are needed to call them even.
pub const EVEN_INTERVALS: usize = 8;
/// Standard deviation by mean: people who tap a rhythm stay above 3 %, those who
/// try to be quick above 10 %.
pub const EVEN_SPREAD: f64 = 0.03;
/// A first click so soon after the opening, in ms: a person needs 150 to see and
/// react, and the request has to travel.
pub const REACTION_MS: u64 = 60;
/// URLs asked for before they are given out: a page never asks, except by a clock
/// that is a moment off.
pub const EARLY: u32 = 3;
/// URLs that were not signed by us for this buyer.
pub const FORGED: u32 = 3;
/// Clicks for what he has already.
pub const SECOND_CLICKS: u32 = 3;
/// Accounts at one address that may be in step.
pub const GROUP: usize = 8;
/// In step: so near together, in ms. First clicks of people who saw the same
/// button open are spread over several hundred.
pub const STEP_MS: u64 = 50;
/// Part of those who try to buy at an address, in percent, that must be in step.
pub const STEP_PERCENT: usize = 60;
/// Accounts like programs that condemn their address …
pub const COMPANY: usize = 5;
/// … if they are at least so many percent of all who try to buy there.
pub const COMPANY_PERCENT: usize = 80;
/// Forged URLs without a login from one address.
pub const FORGED_BY_STRANGERS: u32 = 20;
/// Rounds that somebody attends before "never otherwise" means anything.
pub const ATTENDED: u32 = 3;

/// Whom a judgement is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An account.
    User(String),
    /// An address of IPv4, or a /64 of IPv6: what one subscriber has.
    Address(String),
}

/// A score and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// About whom.
    pub subject: Subject,
    /// The sum of the reasons' points.
    pub score: u32,
    /// Heaviest first.
    pub reasons: Vec<Reason>,
    /// Whether the absence of page requests means little at the moment and the rest
    /// is not enough, so that nobody should be banned for it.
    pub is_doubtful: bool,
}

impl Judgement {
    fn new(subject: Subject, mut reasons: Vec<Reason>, is_doubtful: bool) -> Self {
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.points()));
        let seen: u32 = reasons
            .iter()
            .filter(|reason| !reason.is_by_absence())
            .map(Reason::points)
            .sum();
        Self {
            subject,
            score: reasons.iter().map(Reason::points).sum(),
            is_doubtful: is_doubtful && reasons.iter().any(Reason::is_by_absence) && seen < BAN,
            reasons,
        }
    }

    /// All reasons as one text of at most `most` characters: what does not fit is
    /// left out, the heaviest stays.
    #[must_use]
    pub fn summary(&self, most: usize) -> String {
        let mut text = String::new();
        for reason in &self.reasons {
            let sentence = reason.to_string();
            let glue = if text.is_empty() { "" } else { "; " };
            if !text.is_empty() && text.chars().count() + 2 + sentence.chars().count() > most {
                break;
            }
            text.push_str(glue);
            text.push_str(&sentence);
        }
        text.chars().take(most).collect()
    }
}

#[cfg(test)]
mod tests;
