//! A person at the product page: what the page requests by itself, and what a person
//! does when.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::sleep;

use super::people::Dice as _;
use super::world::{Outcome, RequestKind, Visit};

/// URLs are handed out from this long before the opening.
const PATH_LEAD_MS: u64 = 60_000;
/// The page spreads its requests for URLs over this much time.
const PATH_JITTER_MS: u64 = 5_000;
/// A click rests the page's button this long.
const LOCK_MS: u64 = 30_000;
/// The page repeats a click that came a moment too early.
const EARLY_RETRY: Duration = Duration::from_millis(120);

/// How somebody shops.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// When they click, after the opening or after the page is there, in ms.
    pub(super) reaction_ms: u64,
    /// When they open the page, by the server's clock.
    pub(super) comes_ms: u64,
    /// How long they wait for a sold-out product to come back, in ms.
    patience_ms: u64,
    /// Whether they drum on the button around the opening instead of reacting to it.
    pub(super) drums: bool,
    /// Whether they leave without a click.
    only_looks: bool,
    /// After how many ms they pay; `None` if they do not.
    pays_after_ms: Option<u64>,
}

impl Habits {
    /// A person's. Reactions to something that one waits for: half within 420 ms,
    /// some within 200, some after seconds (log-normal).
    pub(super) fn of_person(dice: &mut Rng, opens_ms: u64, comes_from_ms: u64) -> Self {
        let span = opens_ms.saturating_sub(comes_from_ms).max(1);
        let is_late = dice.percent(12);
        Self {
            reaction_ms: dice.time(420.0, 0.55),
            comes_ms: if is_late {
                opens_ms + dice.wait(8_000.0)
            } else {
                comes_from_ms + dice.u64(..span) * 9 / 10
            },
            patience_ms: dice.wait(6_000.0),
            drums: dice.percent(6),
            only_looks: dice.percent(8),
            pays_after_ms: dice.percent(85).then(|| dice.time(4_000.0, 0.6)),
        }
    }

    /// A bot's that passes itself off as a person.
    pub(super) fn of_careful_bot(dice: &mut Rng, opens_ms: u64, comes_from_ms: u64) -> Self {
        Self {
            reaction_ms: dice.time(230.0, 0.25),
            comes_ms: comes_from_ms + dice.u64(..opens_ms.saturating_sub(comes_from_ms).max(1)) / 2,
            drums: false,
            only_looks: false,
            ..Self::of_person(dice, opens_ms, comes_from_ms)
        }
    }
}

/// Shops.
pub(super) async fn shop(mut visit: Visit<'_>, mut dice: Rng, habits: Habits) -> Outcome {
    let world = visit.world;
    world.until(habits.comes_ms).await;
    if dice.percent(40) {
        visit.get(RequestKind::Look, "/").await;
        visit.get(RequestKind::Look, "/api/rounds").await;
        sleep(Duration::from_millis(dice.time(2_500.0, 0.6))).await;
    }
    if !visit.log_in().await {
        return visit.outcome;
    }
    visit.load_page(120).await;
    visit.result().await;
    wait(&mut visit, &mut dice, habits).await;
    if habits.only_looks || world.is_over() {
        return visit.outcome;
    }
    buy_and_pay(&mut visit, &mut dice, habits).await;
    visit.outcome
}

/// Clicks, and pays for an order.
pub(super) async fn buy_and_pay(visit: &mut Visit<'_>, dice: &mut Rng, habits: Habits) {
    buy(visit, dice, habits).await;
    if visit.outcome.accepted {
        visit.follow().await;
        if let Some(after) = habits.pays_after_ms {
            sleep(Duration::from_millis(after)).await;
            visit.pay().await;
        }
    }
}

/// What the page requests until the click.
pub(super) async fn wait(visit: &mut Visit<'_>, dice: &mut Rng, habits: Habits) {
    let world = visit.world;
    let here_ms = world.now_ms();
    // A latecomer looks at the page before the click.
    let click_ms = if habits.drums {
        (world.opens_ms + dice.u64(..160)).saturating_sub(80)
    } else {
        world.opens_ms.max(here_ms + dice.time(1_500.0, 0.5)) + habits.reaction_ms
    };
    let jitter = dice.u64(..PATH_JITTER_MS);
    let path_ms = (world.opens_ms + jitter)
        .saturating_sub(PATH_LEAD_MS)
        .max(here_ms);
    let mut state_ms = here_ms + state_gap(world.opens_ms, here_ms);
    let mut time_ms = here_ms + time_gap(world.opens_ms, here_ms);
    let state = world.api("state");
    loop {
        let path_due = if visit.path.is_some() {
            u64::MAX
        } else {
            path_ms
        };
        let next = state_ms.min(time_ms).min(path_due).min(click_ms);
        world.until(next).await;
        let now = world.now_ms();
        if now >= world.until_ms || now >= click_ms && visit.path.is_some() {
            return;
        }
        if now >= path_due {
            let code = visit.fetch_path().await;
            if visit.path.is_none() {
                if matches!(&*code, "blocked" | "ended" | "not_found") {
                    return;
                }
                sleep(Duration::from_secs(2)).await;
            }
        } else if now >= state_ms {
            visit.get(RequestKind::Look, &state).await;
            state_ms = now + state_gap(world.opens_ms, now);
        } else if now >= time_ms {
            look_at_the_clock(visit).await;
            time_ms = now + time_gap(world.opens_ms, now);
        }
    }
}

/// How long the page waits between two polls of the state, in ms.
fn state_gap(opens_ms: u64, now_ms: u64) -> u64 {
    match opens_ms.saturating_sub(now_ms) {
        0 => 2_000,
        1..=5_000 => 1_000,
        5_001..=PATH_LEAD_MS => 10_000,
        _ => 30_000,
    }
}

/// How long it waits between two polls of the time, in ms.
fn time_gap(opens_ms: u64, now_ms: u64) -> u64 {
    match opens_ms.saturating_sub(now_ms) {
        1..=10_000 => 3_000,
        10_001..=60_000 => 10_000,
        _ => 30_000,
    }
}

/// Clicks, and again as long as there is hope.
async fn buy(visit: &mut Visit<'_>, dice: &mut Rng, habits: Habits) {
    let world = visit.world;
    let state = world.api("state");
    loop {
        let clicked_ms = world.now_ms();
        let mut code = visit.click(false).await;
        for _ in 0..3 {
            if code != "too_early" {
                break;
            }
            sleep(EARLY_RETRY).await;
            code = visit.click(true).await;
        }
        let is_hopeful = match &*code {
            "sold_out" => watch(visit, &state, clicked_ms + habits.patience_ms).await,
            "busy" | "unavailable" | "no_answer" => dice.percent(60),
            _ => false,
        };
        let again_ms = clicked_ms + LOCK_MS + dice.time(1_800.0, 0.5);
        if !is_hopeful || again_ms >= world.until_ms {
            return;
        }
        stay(visit, again_ms).await;
    }
}

/// What an open page requests until then, while the shopper does nothing.
pub(super) async fn stay(visit: &mut Visit<'_>, until_ms: u64) {
    let world = visit.world;
    let state = world.api("state");
    let here_ms = world.now_ms();
    let mut state_ms = here_ms + state_gap(world.opens_ms, here_ms);
    let mut time_ms = here_ms + time_gap(world.opens_ms, here_ms);
    loop {
        world.until(state_ms.min(time_ms).min(until_ms)).await;
        let now = world.now_ms();
        if now >= until_ms.min(world.until_ms) {
            return;
        }
        if now >= state_ms {
            visit.get(RequestKind::Look, &state).await;
            state_ms = now + state_gap(world.opens_ms, now);
        }
        if now >= time_ms {
            look_at_the_clock(visit).await;
            time_ms = now + time_gap(world.opens_ms, now);
        }
    }
}

pub(super) async fn look_at_the_clock(visit: &mut Visit<'_>) {
    for _ in 0..3 {
        visit.get(RequestKind::Look, "/api/time").await;
    }
}

/// Polls until `until_ms` whether the product is open again.
async fn watch(visit: &mut Visit<'_>, state: &str, until_ms: u64) -> bool {
    while visit.world.now_ms() < until_ms && !visit.world.is_over() {
        let answer = visit.get(RequestKind::Look, state).await;
        if answer.and_then(|it| it.text("state")).as_deref() == Some("open") {
            return true;
        }
        sleep(Duration::from_secs(1)).await;
    }
    false
}
