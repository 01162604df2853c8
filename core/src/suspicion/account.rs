//! What is remembered of one account.

use super::access_log::{Endpoint, Line};
use super::key::key_of;
use super::presence::Presence;
use super::reason::Reason;
use super::thresholds::{
    ATTENDED, EARLY, EVEN_INTERVALS, EVEN_SPREAD, FORGED, PACE_CLICKS, PACE_MS, QUIET_MS,
    REACTION_MS, SECOND_CLICKS, WATCHED_MS,
};

/// Clicks whose times are kept.
const CLICKS: usize = 32;
/// Openings that are kept.
const OPENINGS: usize = 8;
/// Requests whose repeats are known as such.
const REQUESTS: usize = 8;
/// A page repeats a click under the same id: three times when it came a moment too
/// early, once for a new URL, once for another puzzle.
const REPEATS: u8 = 5;

/// The first click on a product.
#[derive(Debug, Clone, Copy)]
pub(super) struct First {
    pub(super) item: u64,
    pub(super) at_ms: u64,
    pub(super) opens_ms: Option<u64>,
}

/// What is known beside an account's own requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    /// Since when the logs are watched.
    pub(super) since_ms: u64,
    /// Up to when the logs are known.
    pub(super) heard_ms: u64,
    /// When somebody without a login last looked at a page from the same address.
    pub(super) stranger_ms: Option<u64>,
}

impl Around {
    /// Whether a page may have been open at `at_ms`, and shown by the address alone: a
    /// shopper who logs in on a page looked at it without a login before.
    fn may_have_looked(&self, at_ms: u64) -> bool {
        self.stranger_ms
            .is_some_and(|looked| looked + WATCHED_MS >= at_ms)
    }
}

/// One account's requests, as far as they may be needed.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    /// Its name.
    pub(super) name: String,
    /// First and last request.
    pub(super) first_ms: u64,
    pub(super) last_ms: u64,
    /// The last request that wanted to buy, and from which address.
    pub(super) wanted_ms: u64,
    pub(super) wanted_from: u64,
    /// The first one.
    first_wanted_ms: Option<u64>,
    /// The highest score that was reported.
    pub(super) reported: u32,
    /// The score when it was last judged, and whether a part of it rests on what the
    /// logs do not show.
    pub(super) score: u32,
    pub(super) is_absent: bool,
    looks: u32,
    urls: u32,
    clicks: u32,
    early: u32,
    forged: u32,
    second_clicks: u32,
    /// Openings attended, and requests at other times.
    attended: u32,
    last_opening_ms: u64,
    otherwise: u32,
    /// Times of the last clicks, oldest first.
    times: Vec<u64>,
    firsts: Vec<First>,
    presence: Presence,
    /// Ids of the last clicks, and how often each was repeated.
    requests: Vec<(u64, u8)>,
}

impl Account {
    pub(super) fn new(name: &str, at_ms: u64) -> Self {
        Self {
            name: name.to_owned(),
            first_ms: at_ms,
            last_ms: at_ms,
            ..Self::default()
        }
    }

    /// The same account after a long pause: a clean slate, except for the openings
    /// that it attended, for these lie far apart.
    pub(super) fn after_a_while(&mut self, at_ms: u64) -> Self {
        Self {
            attended: self.attended,
            last_opening_ms: self.last_opening_ms,
            otherwise: self.otherwise,
            firsts: std::mem::take(&mut self.firsts),
            presence: self.presence.after_a_while(),
            ..Self::new(&self.name, at_ms)
        }
    }

    /// Whether the account ever tried to buy.
    pub(super) fn wants(&self) -> bool {
        self.wanted_ms > 0
    }

    /// Whether no page of it ever sent a request.
    pub(super) fn never_browsed(&self) -> bool {
        self.looks == 0 && self.wants()
    }

    pub(super) fn firsts(&self) -> &[First] {
        &self.firsts
    }

    /// Takes in a request. Returns whether it is the first click on an item.
    ///
    /// `near` is the opening around this moment, if there is one; `first` the item
    /// and its opening, if the click names one.
    pub(super) fn note(
        &mut self,
        line: &Line<'_>,
        near: Option<u64>,
        first: Option<First>,
    ) -> bool {
        self.first_ms = self.first_ms.min(line.at_ms);
        self.last_ms = self.last_ms.max(line.at_ms);
        match near {
            None => self.otherwise = self.otherwise.saturating_add(1),
            Some(opening) if opening != self.last_opening_ms => {
                self.last_opening_ms = opening;
                self.attended = self.attended.saturating_add(1);
            }
            Some(_) => {}
        }
        if line.is_look() {
            self.looks = self.looks.saturating_add(1);
            self.presence.look(line.at_ms);
        }
        if matches!(line.endpoint, Endpoint::Path | Endpoint::Click) {
            let first = self.first_wanted_ms.unwrap_or(line.at_ms);
            self.first_wanted_ms = Some(first.min(line.at_ms));
        }
        let is_early = line.status == 425;
        match line.endpoint {
            Endpoint::Path => {
                self.urls = self.urls.saturating_add(1);
                self.early = self.early.saturating_add(u32::from(is_early));
            }
            Endpoint::Click => return self.note_click(line, is_early, first),
            _ => {}
        }
        false
    }

    fn note_click(&mut self, line: &Line<'_>, is_early: bool, first: Option<First>) -> bool {
        self.clicks = self.clicks.saturating_add(1);
        let is_repeat = self.is_repeat(&line.request);
        match &*line.verdict {
            _ if is_early && is_repeat => {}
            _ if is_early => self.early = self.early.saturating_add(1),
            "bad_signature" => self.forged = self.forged.saturating_add(1),
            "duplicate" => self.second_clicks = self.second_clicks.saturating_add(1),
            _ => {}
        }
        // Banned already: an open page repeats its requests all the same, which proves
        // nothing more. A repeat because the shop was away is not the buyer's doing.
        if line.verdict == "blocked" || line.status >= 500 {
            return false;
        }
        if !is_repeat {
            let at = self.times.partition_point(|&time| time <= line.at_ms);
            self.times.insert(at, line.at_ms);
            if self.times.len() > CLICKS {
                self.times.remove(0);
            }
        }
        let Some(first) = first.filter(|_| !is_early) else {
            return false;
        };
        if self.firsts.iter().any(|known| known.item == first.item) {
            return false;
        }
        if self.firsts.len() == OPENINGS {
            self.firsts.remove(0);
        }
        self.firsts.push(first);
        self.presence.click(first.at_ms);
        true
    }

    /// Whether the page itself repeats this request. A program that gives all its clicks
    /// one id gains no more than [`REPEATS`] by it.
    fn is_repeat(&mut self, request: &str) -> bool {
        if request.is_empty() {
            return false;
        }
        let id = key_of(&request);
        if let Some((_, times)) = self.requests.iter_mut().find(|(known, _)| *known == id) {
            *times = times.saturating_add(1);
            return *times <= REPEATS;
        }
        if self.requests.len() == REQUESTS {
            self.requests.remove(0);
        }
        self.requests.push((id, 0));
        false
    }

    /// Until when the logs have to be known before it is judged for good.
    pub(super) fn open_until_ms(&self) -> u64 {
        let quiet_ms = match self.first_wanted_ms {
            Some(first) if self.looks == 0 => first + QUIET_MS,
            _ => 0,
        };
        quiet_ms.max(self.presence.open_until_ms())
    }

    /// What speaks against it, without what its neighbours do.
    pub(super) fn reasons(&self, around: Around) -> Vec<Reason> {
        let mut reasons = Vec::new();
        reasons.extend(self.absence(around));
        reasons.extend(self.unattended(around));
        reasons.extend(self.pace());
        reasons.extend(self.even());
        reasons.extend(self.at_opening());
        let counted = [
            (self.early, EARLY, Reason::Early { asked: self.early }),
            (self.forged, FORGED, Reason::Forged { urls: self.forged }),
            (
                self.second_clicks,
                SECOND_CLICKS,
                Reason::SecondClicks {
                    clicks: self.second_clicks,
                },
            ),
        ];
        let enough = counted
            .into_iter()
            .filter(|(count, least, _)| count >= least);
        reasons.extend(enough.map(|(_, _, reason)| reason));
        if self.attended >= ATTENDED && self.otherwise == 0 {
            reasons.push(Reason::OnlyAtOpenings {
                openings: self.attended,
            });
        }
        reasons
    }

    fn absence(&self, around: Around) -> Option<Reason> {
        let is_watched = around.since_ms + WATCHED_MS <= self.first_ms;
        let first_ms = self.first_wanted_ms.filter(|_| self.looks == 0)?;
        let for_ms = around.heard_ms.saturating_sub(first_ms);
        let may_have_looked = around.may_have_looked(self.first_ms);
        (is_watched && (!may_have_looked || for_ms >= QUIET_MS)).then_some(Reason::NeverBrowsed {
            urls: self.urls,
            clicks: self.clicks,
            for_ms,
            may_have_looked,
        })
    }

    fn unattended(&self, around: Around) -> Option<Reason> {
        let (since_ms, heard_ms) = (self.first_ms, around.heard_ms);
        let absence = self.presence.absence(QUIET_MS, since_ms, heard_ms)?;
        Some(Reason::Unattended {
            clicks: absence.clicks,
            silent_ms: absence.silent_ms,
            may_have_looked: around.may_have_looked(absence.last_ms),
        })
    }

    /// The most clicks within [`PACE_MS`].
    fn pace(&self) -> Option<Reason> {
        let mut best = (0, 0);
        let mut from = 0;
        for (to, time) in self.times.iter().enumerate() {
            while time - self.times[from] > PACE_MS {
                from += 1;
            }
            let clicks = to - from + 1;
            if clicks > best.0 {
                best = (clicks, time - self.times[from]);
            }
        }
        let (clicks, within_ms) = best;
        (clicks >= PACE_CLICKS).then_some(Reason::Pace { clicks, within_ms })
    }

    /// Whether the last clicks come like a clock's: those with pauses of a minute
    /// between them are of several visits.
    fn even(&self) -> Option<Reason> {
        let gaps: Vec<u64> = self
            .times
            .windows(2)
            .rev()
            .map(|pair| pair[1] - pair[0])
            .take_while(|gap| *gap < 60_000)
            .collect();
        if gaps.len() < EVEN_INTERVALS {
            return None;
        }
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "below a minute, and never below zero"
        )]
        {
            let n = gaps.len() as f64;
            let mean = gaps.iter().sum::<u64>() as f64 / n;
            let spread = gaps
                .iter()
                .map(|gap| (*gap as f64 - mean).powi(2))
                .sum::<f64>()
                / n;
            // Sent as fast as answers come: the network's rhythm, judged by pace.
            if mean < 20.0 || spread.sqrt() > EVEN_SPREAD * mean {
                return None;
            }
            Some(Reason::Even {
                intervals: gaps.len(),
                mean_ms: mean.round() as u64,
                spread_permille: (spread.sqrt() / mean * 1_000.0).round() as u64,
            })
        }
    }

    fn at_opening(&self) -> Option<Reason> {
        let reaction = |first: &First| first.at_ms.checked_sub(first.opens_ms?);
        let reactions: Vec<u64> = self.firsts.iter().filter_map(reaction).collect();
        let quick: Vec<u64> = reactions
            .iter()
            .copied()
            .filter(|ms| *ms <= REACTION_MS)
            .collect();
        // Now and then a shopper hits it by chance.
        if quick.is_empty() || quick.len() * 2 < reactions.len() {
            return None;
        }
        Some(Reason::AtOpening {
            times: u32::try_from(quick.len()).unwrap_or(u32::MAX),
            of: u32::try_from(reactions.len()).unwrap_or(u32::MAX),
            within_ms: quick.iter().copied().max().unwrap_or(0),
        })
    }
}
