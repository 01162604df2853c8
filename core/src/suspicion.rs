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
//!   [`WATCHED_MS`] before, and [`watch::Watch`] distrusts it when most accounts
//!   seem to be absent.
//!
//! # Memory
//! All tables have a fixed size ([`watch::Limits`]); whoever was idle longest is
//! forgotten first. A record of an account takes about 400 bytes, one of an
//! address up to 5 KB.

use std::fmt;

use serde::Serialize;

/// What is remembered of one account.
pub mod account;
/// What is remembered of one address.
pub mod address;
/// All accounts and addresses, and what follows from them.
pub mod watch;

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
/// Part of a group, in percent, that must be in step.
pub const STEP_PERCENT: usize = 60;
/// Accounts like programs that condemn their address …
pub const COMPANY: usize = 5;
/// … if they are at least so many percent of all who try to buy there.
pub const COMPANY_PERCENT: usize = 80;
/// Forged URLs without a login from one address.
pub const FORGED_BY_STRANGERS: u32 = 20;
/// Rounds that somebody attends before "never otherwise" means anything.
pub const ATTENDED: u32 = 3;

/// Why somebody seems to be a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// Buys, and no page of his ever asked for anything.
    NeverBrowsed {
        /// Hidden URLs fetched.
        urls: u32,
        /// Clicks.
        clicks: u32,
    },
    /// Clicks faster than any page does.
    Pace {
        /// How many …
        clicks: usize,
        /// … in which time.
        within_ms: u64,
    },
    /// Clicks like a clock.
    Even {
        /// How many intervals.
        intervals: usize,
        /// Their mean.
        mean_ms: u64,
        /// By how much they vary, in thousandths of the mean.
        spread_permille: u64,
    },
    /// First clicks in the very moment of the opening.
    AtOpening {
        /// How often …
        times: u32,
        /// … of how many openings …
        of: u32,
        /// … within how many ms at most.
        within_ms: u64,
    },
    /// Asks for URLs before they are given out, or clicks before the opening.
    Early {
        /// How often.
        asked: u32,
    },
    /// URLs that we did not sign for him.
    Forged {
        /// How many.
        urls: u32,
    },
    /// Clicks for what he has.
    SecondClicks {
        /// How many.
        clicks: u32,
    },
    /// Clicks together with others at his address.
    InStep {
        /// How many of them …
        inside: usize,
        /// … of all there …
        of: usize,
        /// … within how many ms …
        span_ms: u64,
        /// … and how long after the opening half of them had clicked; `None` if the
        /// opening is not known.
        reaction_ms: Option<u64>,
        /// The address.
        address: String,
    },
    /// There whenever a sale opens and never otherwise.
    OnlyAtOpenings {
        /// Openings attended.
        openings: u32,
    },
    /// Nearly all who buy from the address are like programs.
    Company {
        /// How many accounts are like programs …
        suspicious: usize,
        /// … of how many.
        of: usize,
        /// In which time most of them first clicked, if they did.
        within_ms: Option<u64>,
        /// How many of them never browsed.
        never_browsed: usize,
    },
    /// Forged URLs from an address where nobody is logged in.
    ForgedByStrangers {
        /// How many.
        urls: u32,
    },
}

impl Reason {
    /// 25 for each power of ten by which it is likelier of a program.
    #[must_use]
    pub fn points(&self) -> u32 {
        match *self {
            Self::NeverBrowsed { .. } => 80,
            Self::Pace { clicks, .. } if clicks >= PACE_CLICKS_SURE => 100,
            Self::Pace { .. } | Self::Even { .. } => 60,
            // Not 25 for each: whoever drums on the button always drums on it.
            Self::AtOpening { times, .. } => [0, 25, 40, 60][times.min(3) as usize],
            Self::Early { asked } => steps(asked, EARLY, 40, 60),
            Self::Forged { urls } => steps(urls, FORGED, 50, 100),
            Self::SecondClicks { clicks } => steps(clicks, SECOND_CLICKS, 30, 60),
            // A proxy that stood still may let go of a whole office at once, but
            // not within a tenth of a second after the opening.
            Self::InStep { reaction_ms, .. } => match reaction_ms {
                Some(0..=100) => 120,
                _ => 80,
            },
            Self::OnlyAtOpenings { .. } => 20,
            Self::Company { .. } | Self::ForgedByStrangers { .. } => 100,
        }
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NeverBrowsed { .. } => "never_browsed",
            Self::Pace { .. } => "pace",
            Self::Even { .. } => "even",
            Self::AtOpening { .. } => "at_opening",
            Self::Early { .. } => "early",
            Self::Forged { .. } => "forged",
            Self::SecondClicks { .. } => "second_clicks",
            Self::InStep { .. } => "in_step",
            Self::OnlyAtOpenings { .. } => "only_at_openings",
            Self::Company { .. } => "company",
            Self::ForgedByStrangers { .. } => "forged_by_strangers",
        }
    }
}

/// `low` from `from` on, `high` from about three times as much on.
fn steps(count: u32, from: u32, low: u32, high: u32) -> u32 {
    if count > from * 3 { high } else { low }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverBrowsed { urls, clicks } => write!(
                f,
                "fetched {urls} purchase URLs and clicked {clicks} times, but never loaded a page, asked for the time or a product's state"
            ),
            Self::Pace { clicks, within_ms } => write!(
                f,
                "clicked {clicks} times within {}, where the page rests its button for 30 s",
                seconds(*within_ms)
            ),
            Self::Even {
                intervals,
                mean_ms,
                spread_permille,
            } => write!(
                f,
                "clicked {intervals} times in a row every {mean_ms} ms, varying by {}.{} %",
                spread_permille / 10,
                spread_permille % 10
            ),
            Self::AtOpening {
                times,
                of,
                within_ms,
            } => write!(
                f,
                "first clicked within {within_ms} ms of the opening, {times} of {of} times"
            ),
            Self::Early { asked } => write!(
                f,
                "asked {asked} times for what is given out or sold only later"
            ),
            Self::Forged { urls } => {
                write!(f, "sent {urls} purchase URLs that were not signed for him")
            }
            Self::SecondClicks { clicks } => {
                write!(f, "clicked {clicks} times for what he has already")
            }
            Self::InStep {
                inside,
                of,
                span_ms,
                reaction_ms,
                address,
            } => {
                write!(
                    f,
                    "{inside} of the {of} accounts at {address} first clicked within {span_ms} ms of each other"
                )?;
                match reaction_ms {
                    Some(ms) => write!(f, ", half of them {ms} ms after the opening or sooner"),
                    None => Ok(()),
                }
            }
            Self::OnlyAtOpenings { openings } => write!(
                f,
                "was there at {openings} openings and never at any other time"
            ),
            Self::Company {
                suspicious,
                of,
                within_ms,
                never_browsed,
            } => {
                write!(
                    f,
                    "{suspicious} of the {of} accounts that buy from here behave like programs"
                )?;
                if *never_browsed > 0 {
                    write!(f, "; {never_browsed} never loaded a page")?;
                }
                match within_ms {
                    Some(ms) => write!(f, "; most clicked within {}", seconds(*ms)),
                    None => Ok(()),
                }
            }
            Self::ForgedByStrangers { urls } => write!(
                f,
                "sent {urls} forged purchase URLs, and nobody here is logged in"
            ),
        }
    }
}

fn seconds(ms: u64) -> String {
    if ms < 1_000 {
        format!("{ms} ms")
    } else {
        format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
    }
}

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
    /// Whether the absence of page requests means little at the moment, so that
    /// nobody should be banned for it.
    pub is_doubtful: bool,
}

impl Judgement {
    fn new(subject: Subject, mut reasons: Vec<Reason>, is_doubtful: bool) -> Self {
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.points()));
        Self {
            subject,
            score: reasons.iter().map(Reason::points).sum(),
            is_doubtful: is_doubtful
                && reasons.iter().any(|reason| match reason {
                    Reason::NeverBrowsed { .. } => true,
                    Reason::Company { never_browsed, .. } => *never_browsed > 0,
                    _ => false,
                }),
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
