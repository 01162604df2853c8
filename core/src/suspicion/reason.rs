//! Why somebody seems to be a program: each reason with its points, its code and
//! its sentence.

use std::fmt;

use serde::Serialize;

use super::presence::AFTER_MS;
use super::thresholds::{EARLY, FORGED, PACE_CLICKS_SURE, QUIET_MS, SECOND_CLICKS, WATCHED_MS};

/// Why somebody seems to be a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// Buys, and no page of the account ever sent a request.
    NeverBrowsed {
        /// Hidden URLs fetched.
        urls: u32,
        /// How many clicks it made.
        clicks: u32,
        /// For how long it is known to have requested nothing else, in ms.
        for_ms: u64,
        /// Whether somebody without a login looked at a page from its address: it
        /// may have been this one.
        may_have_looked: bool,
    },
    /// Clicked on products while no page of its was open.
    Unattended {
        /// How many such clicks there were.
        clicks: u32,
        /// How long nothing was asked before one of these clicks, at most.
        silent_ms: u64,
        /// Whether somebody without a login looked at a page from its address: the
        /// account may have logged in on that one.
        may_have_looked: bool,
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
    /// Requests URLs before they are handed out, or clicks before the opening.
    Early {
        /// How often it did so.
        asked: u32,
    },
    /// URLs that were not signed for the account.
    Forged {
        /// How many such URLs there were.
        urls: u32,
    },
    /// Clicks for a product that the account has bought.
    SecondClicks {
        /// How many such clicks there were.
        clicks: u32,
    },
    /// Clicks together with others at its address.
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
        /// How many are like programs for what the logs do not show.
        absent: usize,
    },
    /// Forged URLs from an address where nobody is logged in.
    ForgedByStrangers {
        /// How many such URLs there were.
        urls: u32,
    },
}

impl Reason {
    /// 25 for each power of ten by which it is likelier of a program.
    #[must_use]
    pub fn points(&self) -> u32 {
        match *self {
            // A login on an open page that was closed at once is possible then, also
            // more than once: some people shop so.
            Self::NeverBrowsed {
                may_have_looked: true,
                ..
            }
            | Self::Unattended {
                may_have_looked: true,
                ..
            } => 60,
            // A page that fetched a URL asks for the time soon after, unless it was
            // closed: then it was there before, and not all of that is lost.
            Self::NeverBrowsed { for_ms, .. } if for_ms >= QUIET_MS => 100,
            Self::NeverBrowsed { .. } => 80,
            // A page that was put aside asks again when it is looked at, before and
            // after the click; that both are lost on the way does not happen after an
            // absence of a minute, and does not happen twice.
            Self::Unattended {
                clicks, silent_ms, ..
            } if clicks > 1 || silent_ms >= WATCHED_MS => 100,
            Self::Unattended { .. } => 60,
            Self::Pace { clicks, .. } if clicks >= PACE_CLICKS_SURE => 100,
            Self::Pace { .. } | Self::Even { .. } => 60,
            // Not 25 for each: a shopper who drums on the button does so every time.
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

    /// Whether it rests on what the logs do not show.
    #[must_use]
    pub fn is_by_absence(&self) -> bool {
        match self {
            Self::NeverBrowsed { .. } | Self::Unattended { .. } => true,
            Self::Company { absent, .. } => *absent > 0,
            _ => false,
        }
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NeverBrowsed { .. } => "never_browsed",
            Self::Unattended { .. } => "unattended",
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
            Self::NeverBrowsed {
                urls,
                clicks,
                for_ms,
                ..
            } => write!(
                f,
                "fetched {urls} purchase URLs and clicked {clicks} times in {}, but never loaded a page, asked for the time or a product's state",
                seconds(*for_ms)
            ),
            Self::Unattended {
                clicks, silent_ms, ..
            } => write!(
                f,
                "clicked on {clicks} products with no page open: up to {} before and {} s after it nothing asked for the time or the product's state",
                seconds(*silent_ms),
                AFTER_MS / 1_000
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
                "requested {asked} times what is handed out or sold only later"
            ),
            Self::Forged { urls } => {
                write!(
                    f,
                    "sent {urls} purchase URLs that were not signed for this account"
                )
            }
            Self::SecondClicks { clicks } => {
                write!(f, "clicked {clicks} times for a product that it had bought")
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
                ..
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
