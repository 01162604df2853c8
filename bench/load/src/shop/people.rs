//! The crowd: shoppers, offices, bots of each kind, all drawn from one seed.

use std::fmt;
use std::net::Ipv4Addr;

use fastrand::Rng;

/// How a bot behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum BotKind {
    /// Never looks at a page; clicks once, within 30 ms of the opening
    Blind,
    /// Looks at the page once, then clicks 15 times a second
    Hammer,
    /// Looks at the page, then clicks once a second like a clock
    Metronome,
    /// Looks at the page; many accounts at one address click in the same moment
    Farm,
    /// Blind, hammering and many at one address: the bot as it is in the books
    Classic,
    /// Sends URLs whose signature it made up
    Forger,
    /// Requests its URL long before it is handed out, clicks before the opening
    Early,
    /// Goes on clicking once it has bought
    Greedy,
    /// Does all as a person does, only somewhat quicker
    Careful,
}

impl BotKind {
    /// All of them.
    pub const ALL: [BotKind; 9] = [
        BotKind::Blind,
        BotKind::Hammer,
        BotKind::Metronome,
        BotKind::Farm,
        BotKind::Classic,
        BotKind::Forger,
        BotKind::Early,
        BotKind::Greedy,
        BotKind::Careful,
    ];

    /// As written on the command line and in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            BotKind::Blind => "blind",
            BotKind::Hammer => "hammer",
            BotKind::Metronome => "metronome",
            BotKind::Farm => "farm",
            BotKind::Classic => "classic",
            BotKind::Forger => "forger",
            BotKind::Early => "early",
            BotKind::Greedy => "greedy",
            BotKind::Careful => "careful",
        }
    }

    fn shares_address(self) -> bool {
        matches!(self, BotKind::Farm | BotKind::Classic)
    }

    /// Whether it ever loads a page.
    #[must_use]
    pub fn looks(self) -> bool {
        !matches!(self, BotKind::Blind | BotKind::Classic)
    }
}

impl fmt::Display for BotKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What makes a person hard to tell from a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookalike {
    /// Logs in on the open page in the last moment, and clicks at once.
    LateLogin,
    /// Has the page in a locked phone, and takes it out for the opening.
    Asleep,
    /// Two devices, one account, and clicks on both.
    TwoDevices,
    /// Does without a mouse: a computed proof instead of the slider, which takes the
    /// same two seconds for everybody.
    Keyboard,
    /// Drums on the button from before the opening on.
    Drums,
}

impl Lookalike {
    const ALL: [Self; 5] = [
        Self::LateLogin,
        Self::Asleep,
        Self::TwoDevices,
        Self::Keyboard,
        Self::Drums,
    ];
}

/// One member of the crowd.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The account.
    pub user: String,
    /// `shopper`, `office`, `hard`, or the kind of the bot.
    pub group: &'static str,
    /// How the person looks like a bot, if they do.
    pub lookalike: Option<Lookalike>,
    /// The kind of the bot; `None` for a person.
    pub bot_kind: Option<BotKind>,
    /// The source address, if it can be chosen.
    pub source: Option<Ipv4Addr>,
    /// The `User-Agent`.
    pub agent: &'static str,
    /// The seed of their random numbers.
    pub seed: u64,
}

/// The size and make-up of a crowd.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// People, offices included.
    pub shoppers: usize,
    /// How many of them sit in offices, …
    pub in_offices: usize,
    /// … so many behind one address.
    pub office: usize,
    /// How many of a hundred people are hard to tell from bots.
    pub hard: u32,
    /// Bots.
    pub bots: usize,
    /// Their kinds, assigned in turn.
    pub bot_kinds: Vec<BotKind>,
    /// Accounts of a farm at one address.
    pub farm: usize,
    /// What their names begin with.
    pub prefix: String,
    /// The same seed, the same crowd.
    pub seed: u64,
    /// Whether each may come from an address of its own: only to an edge on this
    /// machine, which has sixteen million of them.
    pub own_addresses: bool,
}

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
];

impl Crowd {
    /// All actors, in a random order.
    #[must_use]
    pub fn gather(&self) -> Vec<Actor> {
        let mut dice = Rng::with_seed(self.seed);
        let mut all = Vec::with_capacity(self.shoppers + self.bots);
        let net = |a: u8, n: usize| {
            let (b, c) = ((n >> 8) & 0xff, n & 0xff);
            let own = |it: usize| u8::try_from(it).unwrap_or(0);
            self.own_addresses
                .then(|| Ipv4Addr::new(127, a, own(b), own(c)))
        };
        for n in 0..self.shoppers {
            let in_office = n < self.in_offices;
            let lookalike = (self.hard > 0 && dice.percent(self.hard))
                .then(|| Lookalike::ALL[dice.usize(..Lookalike::ALL.len())]);
            all.push(Actor {
                user: format!("{}s{n:05}", self.prefix),
                group: match lookalike {
                    Some(_) => "hard",
                    None if in_office => "office",
                    None => "shopper",
                },
                lookalike,
                bot_kind: None,
                source: if in_office {
                    net(32, 1 + n / self.office.max(1))
                } else {
                    net(16, 1 + n)
                },
                // Offices have the browser that their administrators chose.
                agent: if in_office {
                    AGENTS[0]
                } else {
                    AGENTS[dice.usize(..AGENTS.len())]
                },
                seed: dice.u64(..),
            });
        }
        let bot_kinds = if self.bot_kinds.is_empty() {
            &BotKind::ALL[..]
        } else {
            &self.bot_kinds
        };
        for n in 0..self.bots {
            let (bot_kind, turn) = (bot_kinds[n % bot_kinds.len()], n / bot_kinds.len());
            let farm = turn / self.farm.max(1) * bot_kinds.len() + n % bot_kinds.len();
            all.push(Actor {
                user: format!("{}b{n:05}-{bot_kind}", self.prefix),
                group: bot_kind.as_str(),
                lookalike: None,
                bot_kind: Some(bot_kind),
                source: if bot_kind.shares_address() {
                    net(96, 1 + farm)
                } else {
                    net(64, 1 + n)
                },
                agent: AGENTS[if bot_kind.looks() {
                    dice.usize(..AGENTS.len())
                } else {
                    4
                }],
                seed: dice.u64(..),
            });
        }
        dice.shuffle(&mut all);
        all
    }
}

/// Times as people take them, in ms.
pub trait Dice {
    /// Log-normal: half are below `median`; `spread` is the logarithm's deviation.
    fn time(&mut self, median: f64, spread: f64) -> u64;
    /// Exponential.
    fn wait(&mut self, mean: f64) -> u64;
    /// True in so many of a hundred cases.
    fn percent(&mut self, percent: u32) -> bool;
}

impl Dice for Rng {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time of some seconds"
    )]
    fn time(&mut self, median: f64, spread: f64) -> u64 {
        // Box and Muller's normal distribution.
        let (u, v) = (self.f64().max(f64::MIN_POSITIVE), self.f64());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        (median * (spread * normal).exp()).min(3.6e6) as u64
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time of some seconds"
    )]
    fn wait(&mut self, mean: f64) -> u64 {
        (-mean * self.f64().max(f64::MIN_POSITIVE).ln()).min(3.6e6) as u64
    }

    fn percent(&mut self, percent: u32) -> bool {
        self.u32(..100) < percent
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn crowd(seed: u64) -> Crowd {
        Crowd {
            shoppers: 200,
            in_offices: 60,
            office: 30,
            hard: 0,
            bots: 90,
            bot_kinds: Vec::new(),
            farm: 5,
            prefix: String::new(),
            seed,
            own_addresses: true,
        }
    }

    #[test]
    fn a_crowd_is_as_configured_and_the_same_for_the_same_seed() {
        let all = crowd(1).gather();
        let names = |all: &[Actor]| all.iter().map(|it| it.user.clone()).collect::<Vec<_>>();
        assert_eq!(names(&all), names(&crowd(1).gather()));
        assert_ne!(names(&all), names(&crowd(2).gather()));
        assert_eq!(names(&all).into_iter().collect::<HashSet<_>>().len(), 290);
        let sources = |group: &str| {
            let of = all.iter().filter(|it| it.group == group);
            of.map(|it| it.source).collect::<HashSet<_>>().len()
        };
        assert_eq!((sources("shopper"), sources("office")), (140, 2));
        assert_eq!(
            (sources("blind"), sources("farm"), sources("classic")),
            (10, 2, 2)
        );
        assert!(all.iter().all(|it| seckill_core::ids::is_user(&it.user)));
    }

    #[test]
    fn as_many_people_look_like_bots_as_configured() {
        let all = Crowd {
            shoppers: 1_000,
            hard: 30,
            ..crowd(3)
        }
        .gather();
        let hard: Vec<_> = all.iter().filter_map(|it| it.lookalike).collect();
        assert!((250..350).contains(&hard.len()), "{}", hard.len());
        for one in Lookalike::ALL {
            assert!(hard.iter().filter(|it| **it == one).count() > 30, "{one:?}");
        }
        assert!(
            all.iter()
                .all(|it| it.bot_kind.is_none() || it.lookalike.is_none())
        );
    }

    #[test]
    fn half_of_all_times_are_below_the_median() {
        let mut dice = Rng::with_seed(7);
        let below = (0..10_000).filter(|_| dice.time(400.0, 0.5) < 400).count();
        assert!((4_800..5_200).contains(&below), "{below}");
        let mean = (0..10_000).map(|_| dice.wait(1_000.0)).sum::<u64>() / 10_000;
        assert!((950..1_050).contains(&mean), "{mean}");
    }
}
