//! People whom a careless rule would take for bots.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::sleep;

use super::people::{Dice as _, Lookalike};
use super::shopper::{self, Habits};
use super::world::{Outcome, RequestKind, Visit};

/// How long the proof of work takes, in ms.
const WORK_MS: u64 = 2_000;

/// Shops.
pub(super) async fn shop(
    visit: Visit<'_>,
    mut dice: Rng,
    mut habits: Habits,
    how: Lookalike,
) -> Outcome {
    match how {
        Lookalike::Keyboard => {
            habits.reaction_ms += WORK_MS + dice.wait(300.0);
            shopper::shop(visit, dice, habits).await
        }
        Lookalike::Drums => {
            habits.drums = true;
            shopper::shop(visit, dice, habits).await
        }
        Lookalike::TwoDevices => on_two_devices(visit, dice, habits).await,
        Lookalike::LateLogin => logging_in_late(visit, dice, habits).await,
        Lookalike::Asleep => from_the_pocket(visit, dice, habits).await,
    }
}

/// The other device's page is open too, and clicked a moment later.
async fn on_two_devices(visit: Visit<'_>, mut dice: Rng, habits: Habits) -> Outcome {
    let other = Visit::new(visit.world, visit.actor);
    let mut second = habits;
    second.reaction_ms += dice.time(900.0, 0.4);
    let other_dice = Rng::with_seed(dice.u64(..));
    let (mut outcome, more) = tokio::join!(
        shopper::shop(visit, dice, habits),
        shopper::shop(other, other_dice, second)
    );
    outcome.clicks += more.clicks;
    outcome.accepted |= more.accepted;
    outcome.paid |= more.paid;
    outcome.order = outcome.order.or(more.order);
    outcome.blocked_ms = outcome.blocked_ms.or(more.blocked_ms);
    outcome
}

/// The page is open without a login; then login, URL and click follow at once.
async fn logging_in_late(mut visit: Visit<'_>, mut dice: Rng, habits: Habits) -> Outcome {
    let world = visit.world;
    world.until(habits.comes_ms).await;
    visit.load_page(120).await;
    let logs_in_ms = world.opens_ms + dice.u64(..4_000);
    shopper::stay(&mut visit, logs_in_ms).await;
    if world.is_over() || !visit.log_in().await {
        return visit.outcome;
    }
    let state = world.api("state");
    visit.get(RequestKind::Look, &state).await;
    visit.result().await;
    visit.fetch_path().await;
    sleep(Duration::from_millis(dice.time(600.0, 0.4))).await;
    shopper::buy_and_pay(&mut visit, &mut dice, habits).await;
    visit.outcome
}

/// The page sleeps after loading; it sends its requests again when it is looked at.
async fn from_the_pocket(mut visit: Visit<'_>, mut dice: Rng, habits: Habits) -> Outcome {
    let world = visit.world;
    world.until(habits.comes_ms).await;
    if !visit.log_in().await {
        return visit.outcome;
    }
    visit.load_page(120).await;
    let wakes_ms = (world.opens_ms + dice.u64(..3_000)).saturating_sub(2_500);
    world.until(wakes_ms).await;
    shopper::look_at_the_clock(&mut visit).await;
    visit.get(RequestKind::Look, "/api/session").await;
    let state = world.api("state");
    visit.get(RequestKind::Look, &state).await;
    shopper::wait(&mut visit, &mut dice, habits).await;
    if world.is_over() {
        return visit.outcome;
    }
    shopper::buy_and_pay(&mut visit, &mut dice, habits).await;
    visit.outcome
}
