//! The responses, counted: by group, by second, by kind.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::PoisonError;
use std::time::Duration;

use serde::Serialize;

use super::ShopRun;
use super::world::{Exchange, RequestKind};

/// One group's part.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Group {
    /// How many there are.
    pub actors: u64,
    /// Whether they are bots.
    pub is_bot: bool,
    /// How many loaded the page, …
    pub looked: u64,
    /// … have a purchase URL, …
    pub got_url: u64,
    /// … clicked, …
    pub clicked: u64,
    /// … had a purchase accepted, …
    pub accepted: u64,
    /// … have an order, …
    pub ordered: u64,
    /// … and paid.
    pub paid: u64,
    /// Clicks of all together.
    pub clicks: u64,
    /// How many were refused as banned, …
    pub blocked: u64,
    /// … and how many of these before the opening.
    pub blocked_before: u64,
    /// How many could not even begin.
    pub troubled: u64,
}

impl Group {
    fn add(&mut self, other: &Group) {
        self.actors += other.actors;
        self.looked += other.looked;
        self.got_url += other.got_url;
        self.clicked += other.clicked;
        self.accepted += other.accepted;
        self.ordered += other.ordered;
        self.paid += other.paid;
        self.clicks += other.clicks;
        self.blocked += other.blocked;
        self.blocked_before += other.blocked_before;
        self.troubled += other.troubled;
    }
}

/// One second.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Second {
    /// From the opening.
    pub at_s: i64,
    /// Pages, files, times, states.
    pub looks: u64,
    /// URLs.
    pub paths: u64,
    /// Clicks.
    pub clicks: u64,
    /// Results and payments.
    pub after: u64,
}

/// How long responses of one kind took, in ms.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// The request and the response.
    pub kind: String,
    /// How many there were.
    pub count: usize,
    /// Half were faster.
    pub p50_ms: f64,
    /// 90 of 100 were faster.
    pub p90_ms: f64,
    /// 99 of 100 were faster.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// One actor, for the report.
#[derive(Debug, Clone, Serialize)]
pub struct ActorSummary {
    /// Account.
    pub user: String,
    /// Group.
    pub group: &'static str,
    /// Address, if it was chosen.
    pub address: Option<String>,
    /// Whether they have an order.
    pub ordered: bool,
    /// Whether they were refused as banned.
    pub blocked: bool,
}

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The edge.
    pub edge: String,
    /// Round and product.
    pub item: String,
    /// When it opened, epoch milliseconds.
    pub opens_ms: u64,
    /// Responses in all.
    pub requests: usize,
    /// All people.
    pub people: Group,
    /// All bots.
    pub bots: Group,
    /// By group.
    pub groups: BTreeMap<&'static str, Group>,
    /// Clicks by the code of the response: of people, then of bots.
    pub clicks: BTreeMap<String, (u64, u64)>,
    /// By second.
    pub seconds: Vec<Second>,
    /// By kind of response, most frequent first.
    pub latencies: Vec<Latency>,
    /// All actors.
    pub actors: Vec<ActorSummary>,
}

impl Report {
    /// Counts the exchanges of a run.
    #[must_use]
    pub fn new(shopped: &ShopRun) -> Self {
        let world = &shopped.world;
        let seen = world.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut groups: BTreeMap<&'static str, Group> = BTreeMap::new();
        let mut actors = Vec::with_capacity(shopped.outcomes.len());
        for (actor, outcome) in &shopped.outcomes {
            let one = |it: bool| u64::from(it);
            let group = groups.entry(actor.group).or_default();
            group.is_bot = actor.bot_kind.is_some();
            group.add(&Group {
                actors: 1,
                is_bot: false,
                looked: one(outcome.looked),
                got_url: one(outcome.has_url),
                clicked: one(outcome.clicks > 0),
                accepted: one(outcome.accepted),
                ordered: one(outcome.order.is_some()),
                paid: one(outcome.paid),
                clicks: u64::from(outcome.clicks),
                blocked: one(outcome.blocked_ms.is_some()),
                blocked_before: one(outcome.blocked_ms.is_some_and(|at| at < 0)),
                troubled: one(outcome.trouble.is_some()),
            });
            actors.push(ActorSummary {
                user: actor.user.clone(),
                group: actor.group,
                address: actor.source.map(|it| it.to_string()),
                ordered: outcome.order.is_some(),
                blocked: outcome.blocked_ms.is_some(),
            });
        }
        let mut people = Group::default();
        let mut bots = Group {
            is_bot: true,
            ..Group::default()
        };
        for group in groups.values() {
            if group.is_bot { &mut bots } else { &mut people }.add(group);
        }
        Self {
            edge: world.authority.clone(),
            item: format!("{}::{}", world.round, world.product),
            opens_ms: world.opens_ms,
            requests: seen.len(),
            people,
            bots,
            groups,
            clicks: clicks(&seen),
            seconds: seconds(&seen),
            latencies: latencies(&seen),
            actors,
        }
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<10} {:>6} {:>7} {:>8} {:>7} {:>8} {:>8} {:>6} {:>8}\n",
            "group",
            "actors",
            "clicks",
            "accepted",
            "ordered",
            "paid",
            "blocked",
            "early",
            "troubled"
        );
        let all = self.groups.iter().map(|(name, group)| (*name, group));
        let sums = [("people", &self.people), ("bots", &self.bots)];
        for (name, group) in all.chain(sums) {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{name:<10} {:>6} {:>7} {:>8} {:>7} {:>8} {:>8} {:>6} {:>8}",
                group.actors,
                group.clicks,
                group.accepted,
                group.ordered,
                group.paid,
                group.blocked,
                group.blocked_before,
                group.troubled
            );
        }
        text
    }
}

fn clicks(seen: &[Exchange]) -> BTreeMap<String, (u64, u64)> {
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for one in seen.iter().filter(|one| one.kind == RequestKind::Click) {
        let count = counts.entry(one.code.clone()).or_default();
        if one.is_bot {
            count.1 += 1;
        } else {
            count.0 += 1;
        }
    }
    counts
}

fn seconds(seen: &[Exchange]) -> Vec<Second> {
    let mut by_second: BTreeMap<i64, Second> = BTreeMap::new();
    let span = seen.iter().map(|one| one.at_ms.div_euclid(1_000));
    if let (Some(from), Some(to)) = (span.clone().min(), span.max()) {
        for at_s in from..=to {
            by_second.insert(
                at_s,
                Second {
                    at_s,
                    ..Second::default()
                },
            );
        }
    }
    for one in seen {
        let second = by_second.entry(one.at_ms.div_euclid(1_000)).or_default();
        *match one.kind {
            RequestKind::Look => &mut second.looks,
            RequestKind::Path => &mut second.paths,
            RequestKind::Click => &mut second.clicks,
            RequestKind::After => &mut second.after,
        } += 1;
    }
    by_second.into_values().collect()
}

fn latencies(seen: &[Exchange]) -> Vec<Latency> {
    let mut by_kind: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for one in seen {
        let kind = match one.kind {
            RequestKind::Look => "look".to_owned(),
            RequestKind::Path => format!("url {}", one.code),
            RequestKind::Click => format!("click {}", one.code),
            RequestKind::After => "result".to_owned(),
        };
        by_kind.entry(kind).or_default().push(one.took);
    }
    let mut all: Vec<Latency> = by_kind
        .into_iter()
        .map(|(kind, took)| latency(kind, took))
        .collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.count));
    all
}

fn latency(kind: String, mut took: Vec<Duration>) -> Latency {
    took.sort_unstable();
    let last = took.len().saturating_sub(1);
    let at = |percent: usize| {
        let it = took.get(last * percent / 100).copied().unwrap_or_default();
        (it.as_secs_f64() * 100_000.0).round() / 100.0
    };
    Latency {
        kind,
        count: took.len(),
        p50_ms: at(50),
        p90_ms: at(90),
        p99_ms: at(99),
        max_ms: at(100),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::people::{Actor, BotKind};
    use super::super::world::{Outcome, World};
    use super::*;

    pub(crate) fn shopped() -> ShopRun {
        let seen = |kind, code: &str, at_ms, ms, is_bot| Exchange {
            kind,
            code: code.to_owned(),
            at_ms,
            took: Duration::from_millis(ms),
            is_bot,
        };
        let actor = |user: &str, bot_kind: Option<BotKind>| Actor {
            user: user.to_owned(),
            group: bot_kind.map_or("shopper", BotKind::as_str),
            lookalike: None,
            bot_kind,
            source: None,
            agent: "",
            seed: 0,
        };
        let bought = Outcome {
            looked: true,
            has_url: true,
            clicks: 1,
            accepted: true,
            order: Some("7".into()),
            paid: true,
            ..Outcome::default()
        };
        let banned = Outcome {
            clicks: 3,
            blocked_ms: Some(-5),
            ..Outcome::default()
        };
        ShopRun {
            world: Arc::new(World {
                authority: "127.0.0.1:1".into(),
                round: "1".into(),
                product: "2".into(),
                opens_ms: 0,
                until_ms: 0,
                keyring: None,
                ahead_ms: 0,
                seen: Mutex::new(vec![
                    seen(RequestKind::Look, "200", -1_500, 1, false),
                    seen(RequestKind::Path, "200", -1, 2, true),
                    seen(RequestKind::Click, "202", 400, 30, false),
                    seen(RequestKind::Click, "blocked", 10, 1, true),
                    seen(RequestKind::Click, "blocked", 20, 3, true),
                ]),
            }),
            outcomes: vec![
                (actor("li", None), bought),
                (actor("<b>", Some(BotKind::Hammer)), banned),
            ],
        }
    }

    #[test]
    fn every_actor_and_every_response_is_counted_once() {
        let report = Report::new(&shopped());
        assert_eq!((report.people.ordered, report.bots.ordered), (1, 0));
        assert_eq!((report.bots.blocked, report.bots.blocked_before), (1, 1));
        assert_eq!(report.clicks["blocked"], (0, 2));
        let per_second: Vec<_> = report
            .seconds
            .iter()
            .map(|it| (it.at_s, it.clicks))
            .collect();
        assert_eq!(per_second, [(-2, 0), (-1, 0), (0, 3)]);
        let blocked = report
            .latencies
            .iter()
            .find(|it| it.kind == "click blocked");
        assert!(blocked.is_some_and(|it| it.count == 2 && (it.max_ms - 3.0).abs() < 0.01));
        assert!(report.table().contains("hammer"));
    }
}
