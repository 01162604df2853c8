//! A sale in the log: people of all sorts, bots of all vices, and how many of each
//! are found. Times are drawn as in `seckill load shop`, whose people and bots these
//! are, without a machine that could be too slow for them.

use super::*;

/// Dice that need no crate: splitmix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Log-normal: half are below `median`.
    fn time(&mut self, median: f64, spread: f64) -> u64 {
        let (u, v) = (self.part().max(f64::MIN_POSITIVE), self.part());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        (median * (spread * normal).exp()) as u64
    }

    /// Exponential.
    fn wait(&mut self, mean: f64) -> u64 {
        (-mean * self.part().max(f64::MIN_POSITIVE).ln()) as u64
    }
}

/// The sale, and how slow its edge is.
struct Sale {
    day: Day,
    dice: Dice,
    /// The mean of what a request takes to arrive, in ms.
    slow_ms: f64,
}

/// A person and where they are.
struct Who {
    user: String,
    address: String,
}

impl Sale {
    fn arrival(&mut self, at: u64) -> u64 {
        at + self.dice.wait(self.slow_ms).min(20_000)
    }

    /// What an open and visible page asks from `from` to `to`.
    fn polls(&mut self, who: &Who, user: &str, from: u64, to: u64) {
        let uri = "/api/rounds/1/products/153/state";
        let mut at = from;
        while at < to {
            let arrives = self.arrival(at);
            self.day
                .add(arrives, &who.address, user, "GET", uri, (200, ""));
            at += match OPENS.saturating_sub(at) {
                0 => 2_000,
                1..=5_000 => 1_000,
                5_001..=60_000 => 10_000,
                _ => 30_000,
            };
        }
        let mut at = from;
        while at < to {
            let arrives = self.arrival(at);
            self.day
                .add(arrives, &who.address, user, "GET", "/api/time", (200, ""));
            at += match OPENS.saturating_sub(at) {
                1..=10_000 => 3_000,
                10_001..=60_000 => 10_000,
                _ => 30_000,
            };
        }
    }

    fn loads(&mut self, who: &Who, user: &str, at: u64) {
        let arrives = self.arrival(at);
        self.day.page(arrives, &who.address, user);
    }

    fn fetches(&mut self, who: &Who, at: u64, status: u16) {
        let arrives = self.arrival(at);
        self.day.path(arrives, &who.address, &who.user, status);
    }

    /// A click; whether it was the last one that makes sense.
    fn clicks(&mut self, who: &Who, at: u64, wins: u64) -> bool {
        let arrives = self.arrival(at);
        let verdict = match self.dice.below(100) {
            _ if arrives < OPENS => "too_early",
            it if it < wins => "admitted",
            it if it < wins + 10 => "busy",
            _ => "sold_out",
        };
        self.day.click(arrives, &who.address, &who.user, verdict);
        verdict == "admitted"
    }

    /// A person at their page: a click, its repeats, and what comes after.
    fn buys(&mut self, who: &Who, at: u64) {
        let leaves = at + 2_000 + self.dice.wait(8_000.0);
        let won = if at < OPENS {
            let id = format!("{}-{at}", who.user);
            let (mut at, mut left) = (at, 3);
            while at < OPENS && left > 0 {
                self.day
                    .repeated(at, &who.address, &who.user, "too_early", &id);
                (at, left) = (at + 120, left - 1);
            }
            self.day
                .repeated(at, &who.address, &who.user, "admitted", &id);
            true
        } else {
            self.clicks(who, at, 40)
        };
        if won {
            // The page asks for its result, and then the person pays.
            let user = who.user.clone();
            self.polls(who, &user, leaves, leaves + 1_000);
            return;
        }
        let again = at + 30_000 + self.dice.time(1_800.0, 0.5);
        let user = who.user.clone();
        if self.dice.below(3) == 0 {
            self.polls(who, &user, at, again);
            self.clicks(who, again, 5);
            self.polls(who, &user, again, again + 4_000);
        } else {
            self.polls(who, &user, at, leaves);
        }
    }

    fn person(&mut self, who: &Who, kind: u64) {
        let user = who.user.clone();
        let is_late = self.dice.below(100) < 12;
        let came = if is_late {
            OPENS + self.dice.wait(8_000.0)
        } else {
            OPENS - 75_000 + self.dice.below(67_000)
        };
        let reaction = self.dice.time(420.0, 0.55);
        let sees = came + 600 + self.dice.time(1_500.0, 0.5);
        let fetched = (OPENS - 60_000 + self.dice.below(5_000)).max(came + 700);
        let mut click = OPENS.max(sees) + reaction;
        match kind {
            // Logs in on the open page.
            0 => {
                let login = click.max(OPENS) + self.dice.below(4_000);
                self.loads(who, "", came);
                self.polls(who, "", came + 500, login);
                self.fetches(who, login + 100, 200);
                let clicks = login + 200 + self.dice.time(600.0, 0.4);
                self.buys(who, clicks);
            }
            // Takes the phone out.
            1 => {
                let wakes = (OPENS - 2_500 + self.dice.below(3_000)).max(came + 1_000);
                self.loads(who, &user, came);
                self.polls(who, &user, wakes, wakes + 600 + reaction);
                self.fetches(who, wakes + 150, 200);
                self.buys(who, OPENS.max(wakes + 600) + reaction);
            }
            // Two devices.
            2 => {
                for delay in [0, self.dice.time(900.0, 0.4)] {
                    self.loads(who, &user, came);
                    self.polls(who, &user, came + 500, click + delay);
                    self.fetches(who, fetched + delay, 200);
                    self.buys(who, click + delay);
                }
            }
            _ => {
                match kind {
                    // A proof of work instead of the slider.
                    3 => click += 2_000 + self.dice.wait(300.0),
                    // Drums around the opening.
                    4 if !is_late => click = OPENS - 80 + self.dice.below(160),
                    _ => {}
                }
                self.loads(who, &user, came);
                self.polls(who, &user, came + 500, click);
                self.fetches(who, fetched, 200);
                self.buys(who, click);
            }
        }
    }

    /// `came` is when bots that look at all load the page.
    fn bot(&mut self, who: &Who, vice: &str, came: u64) {
        if !matches!(vice, "blind" | "classic") {
            let user = who.user.clone();
            self.loads(who, &user, came);
        }
        if vice == "early" {
            let mut at = came.max(OPENS - 80_000);
            while at < OPENS - 60_200 {
                self.fetches(who, at, 425);
                at += 400 + self.dice.below(500);
            }
        }
        let fetch = OPENS - 60_000 + 30 + self.dice.below(2_500);
        self.fetches(who, fetch.max(came + 600), 200);
        let (mut at, gap, most, wins) = match vice {
            "blind" => (OPENS + 2 + self.dice.below(28), 400, 1, 90),
            "farm" => (OPENS + 5 + self.dice.below(30), 400, 1, 90),
            "hammer" | "classic" => (OPENS - 300, 66, 26, 30),
            "early" => (OPENS - 2_500, 150, 50, 30),
            "metronome" => (OPENS + 150 + self.dice.below(750), 1_000, 15, 30),
            "greedy" => (OPENS + self.dice.time(300.0, 0.3), 1_700, 12, 0),
            _ => (OPENS + 50 + self.dice.below(550), 550, 12, 0),
        };
        for n in 0..most {
            let arrives = self.arrival(at);
            match vice {
                "forger" => self
                    .day
                    .click(arrives, &who.address, &who.user, "bad_signature"),
                "greedy" => {
                    let verdict = if n == 0 { "admitted" } else { "duplicate" };
                    self.day.click(arrives, &who.address, &who.user, verdict);
                }
                _ if self.clicks(who, at, wins) => return,
                _ => {}
            }
            at += match vice {
                "metronome" => gap,
                _ => gap * 8 / 10 + self.dice.below(gap * 4 / 10 + 1),
            };
        }
    }
}

const VICES: [&str; 8] = [
    "blind",
    "hammer",
    "metronome",
    "farm",
    "classic",
    "forger",
    "early",
    "greedy",
];

/// People who were found, and bots that were banned, of how many.
fn found_of(seed: u64, slow_ms: f64, bots_come_ms: u64) -> (Vec<Judgement>, usize, usize) {
    let mut sale = Sale {
        day: Day::new(),
        dice: Dice(seed),
        slow_ms,
    };
    for n in 0..300_u64 {
        let who = Who {
            user: format!("s{n}"),
            // Half of them are behind two addresses.
            address: match n % 4 {
                0 | 1 => format!("198.18.0.{}", n % 2),
                _ => format!("198.19.{}.{}", n / 200, n % 200),
            },
        };
        // Half of them are hard to tell from bots.
        let kind = sale.dice.below(10);
        sale.person(&who, kind);
    }
    let mut bots = Vec::new();
    for n in 0..96 {
        let vice = VICES[n % VICES.len()];
        let who = Who {
            user: format!("b{n}-{vice}"),
            address: match vice {
                "farm" => "203.0.113.1".to_owned(),
                "classic" => "203.0.113.2".to_owned(),
                _ => format!("192.0.2.{n}"),
            },
        };
        let came = OPENS - bots_come_ms + sale.dice.below(5_000);
        sale.bot(&who, vice, came);
        bots.push(who);
    }
    sale.day.goes_on_until(OPENS + 90_000);
    // As the edge writes it: by the time at which each was over.
    sale.day.lines.sort_by_key(|(at, _)| *at);
    let judged = sale.day.judge();
    let is_banned = |who: &&Who| {
        [of(&judged, &who.user), of_address(&judged, &who.address)]
            .into_iter()
            .flatten()
            .any(|one| one.score >= BAN && !one.is_doubtful)
    };
    let banned = bots.iter().filter(is_banned).count();
    let is_innocent = |one: &Judgement| match &one.subject {
        Subject::User(name) => name.starts_with('s'),
        Subject::Address(address) => address.starts_with("198."),
    };
    let all = bots.len();
    let free = bots.iter().filter(|who| !is_banned(who));
    let free: Vec<&str> = free.map(|who| &*who.user).collect();
    println!(
        "seed {seed}, {slow_ms} ms, {bots_come_ms} ms before: {banned} of {all} banned, not {free:?}"
    );
    let people = judged.into_iter().filter(is_innocent).collect();
    (people, banned, all)
}

#[test]
fn nearly_all_bots_of_a_crowd_are_banned_and_none_of_its_people_is_even_proposed() {
    for seed in 1..=6 {
        // An edge at leisure, and one that is overrun.
        for slow_ms in [5.0, 300.0] {
            let (people, banned, all) = found_of(seed, slow_ms, 75_000);
            assert_eq!(people, [], "seed {seed}, {slow_ms} ms");
            assert!(
                banned * 20 >= all * 19,
                "seed {seed}, {slow_ms} ms: {banned} of {all}"
            );
        }
    }
}

/// Bots that load the page shortly before the opening are not silent for long: what
/// is left is how they click. Still none of the people.
#[test]
fn of_bots_that_come_late_those_that_click_like_programs_are_banned() {
    for seed in 1..=3 {
        let (people, banned, all) = found_of(seed, 5.0, 20_000);
        assert_eq!(people, [], "seed {seed}");
        assert!(banned * 2 >= all, "seed {seed}: {banned} of {all}");
    }
}
