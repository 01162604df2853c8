//! Bots: each behaves as its kind says, and otherwise does as little as it needs.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::sleep;

use super::people::{BotKind, Dice as _};
use super::world::{Outcome, Visit};

/// URLs are handed out from this long before the opening.
const PATH_LEAD_MS: u64 = 60_000;

/// Buys, or tries to.
pub(super) async fn run(mut visit: Visit<'_>, mut dice: Rng, bot_kind: BotKind) -> Outcome {
    let opens_ms = visit.world.opens_ms;
    let comes_ms = opens_ms.saturating_sub(PATH_LEAD_MS + 20_000) + dice.u64(..15_000);
    visit.world.until(comes_ms).await;
    if !visit.log_in().await {
        return visit.outcome;
    }
    if bot_kind.looks() {
        visit.load_page(100).await;
    }
    if bot_kind == BotKind::Early {
        fetch_path_early(&mut visit, &mut dice).await;
    }
    get_path(&mut visit, &mut dice).await;
    if visit.path.is_some() {
        match bot_kind {
            BotKind::Blind => snipe(&mut visit, &mut dice, 2..30).await,
            BotKind::Farm => snipe(&mut visit, &mut dice, 5..35).await,
            BotKind::Hammer | BotKind::Classic => drum(&mut visit, &mut dice, -300, 66, 20).await,
            BotKind::Metronome => tick(&mut visit, &mut dice).await,
            BotKind::Forger => forge(&mut visit, &mut dice).await,
            BotKind::Early => drum(&mut visit, &mut dice, -2_500, 150, 40).await,
            BotKind::Greedy => overdo(&mut visit, &mut dice).await,
            // A careful one shops as people do.
            BotKind::Careful => {}
        }
    }
    if visit.outcome.accepted {
        visit.follow().await;
        sleep(Duration::from_millis(dice.u64(200..3_000))).await;
        visit.pay().await;
    }
    visit.outcome
}

/// Fetches the URL as soon as it is handed out.
async fn get_path(visit: &mut Visit<'_>, dice: &mut Rng) {
    let from_ms = visit.world.opens_ms.saturating_sub(PATH_LEAD_MS);
    visit.world.until(from_ms + dice.u64(30..2_500)).await;
    for _ in 0..5 {
        let code = visit.fetch_path().await;
        if visit.path.is_some() || matches!(&*code, "blocked" | "ended" | "not_found") {
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// One click in the moment of the opening, and a few more while the shop is busy.
async fn snipe(visit: &mut Visit<'_>, dice: &mut Rng, after: std::ops::Range<u64>) {
    let at = visit.world.opens_ms + dice.u64(after);
    visit.world.until(at).await;
    for _ in 0..3 {
        let code = visit.click(false).await;
        if !matches!(&*code, "busy" | "too_early" | "unavailable") {
            return;
        }
        sleep(Duration::from_millis(dice.u64(300..500))).await;
    }
}

/// Many clicks, from `from_ms` before or after the opening on, about each `gap_ms`.
async fn drum(visit: &mut Visit<'_>, dice: &mut Rng, from_ms: i64, gap_ms: u64, most: u32) {
    let at = visit.world.opens_ms.saturating_add_signed(from_ms);
    visit.world.until(at).await;
    let mut after_opening = 0;
    while after_opening < most && !visit.world.is_over() {
        let code = visit.click(false).await;
        if matches!(&*code, "202" | "duplicate" | "blocked" | "ended") {
            return;
        }
        after_opening += u32::from(code != "too_early");
        sleep(Duration::from_millis(
            dice.u64(gap_ms * 8 / 10..gap_ms * 12 / 10),
        ))
        .await;
    }
}

/// A click each second, to the millisecond.
async fn tick(visit: &mut Visit<'_>, dice: &mut Rng) {
    let first = visit.world.opens_ms + dice.u64(150..900);
    for n in 0..15 {
        visit.world.until(first + n * 1_000).await;
        let code = visit.click(false).await;
        if matches!(&*code, "202" | "duplicate" | "blocked" | "ended") || visit.world.is_over() {
            return;
        }
    }
}

/// Sends URLs with another digest, then its own.
async fn forge(visit: &mut Visit<'_>, dice: &mut Rng) {
    visit
        .world
        .until(visit.world.opens_ms + dice.u64(50..600))
        .await;
    for n in 0..12_u32 {
        let Some(path) = visit.path.clone() else {
            return;
        };
        // The digest is the last part; any other letter makes it a forgery.
        let (head, last) = path.split_at(path.len() - 1);
        let other = if last == "A" { "B" } else { "A" };
        let code = visit.click_at(&format!("{head}{other}"), false).await;
        if code == "blocked" {
            return;
        }
        sleep(Duration::from_millis(dice.u64(200..900) + u64::from(n))).await;
    }
    visit.click(false).await;
}

/// Requests the URL long before it is handed out.
async fn fetch_path_early(visit: &mut Visit<'_>, dice: &mut Rng) {
    let until = visit.world.opens_ms.saturating_sub(PATH_LEAD_MS + 200);
    while visit.world.now_ms() < until {
        if visit.fetch_path().await == "blocked" {
            return;
        }
        sleep(Duration::from_millis(dice.u64(400..900))).await;
    }
}

/// Reacts as a person would, and goes on clicking after it has bought.
async fn overdo(visit: &mut Visit<'_>, dice: &mut Rng) {
    let at = visit.world.opens_ms + dice.time(300.0, 0.3);
    visit.world.until(at).await;
    for _ in 0..12 {
        let code = visit.click(false).await;
        if matches!(&*code, "blocked" | "ended" | "sold_out") || visit.world.is_over() {
            return;
        }
        sleep(Duration::from_millis(dice.u64(900..2_600))).await;
    }
}
