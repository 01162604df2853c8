//! The settings that begin with `analysis`.

use seckill_core::shared::prefix::Prefix;

/// What to do with findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Judge nobody, only count visitors.
    Off,
    /// Report them to operators, who decide.
    Propose,
    /// Ban those beyond doubt, and report the others to operators.
    Ban,
}

impl Policy {
    /// Reads `off`, `propose` or `ban`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "propose" => Some(Self::Propose),
            "ban" => Some(Self::Ban),
            _ => None,
        }
    }
}

impl Policy {
    /// Its name in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Propose => "propose",
            Self::Ban => "ban",
        }
    }
}

/// The policy's numbers.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What to do.
    pub policy: Policy,
    /// From this score on a finding is reported to operators.
    pub propose_score: u32,
    /// The score from which on the policy bans.
    pub ban_score: u32,
    /// How long a ban lasts, in ms.
    pub ban_for_ms: u64,
    /// Addresses and networks that are never judged: the shop's own, load tests.
    pub allow: Vec<Prefix>,
    /// How many bans a minute at most: a mistake should not empty the shop.
    pub bans_per_minute: usize,
}
