//! A score, about whom, and the reasons that it is made of.

use super::reason::Reason;
use super::thresholds::BAN;

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
    pub(super) fn new(subject: Subject, mut reasons: Vec<Reason>, is_doubtful: bool) -> Self {
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
