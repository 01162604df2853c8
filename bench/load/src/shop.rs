//! Shoppers who behave like people, and bots of chosen kinds among them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use hyper::Method;
use seckill_core::signing::keyring::Keyring;
use tokio::task::JoinSet;

use crate::client::{Call, Edge};

/// Bots.
mod bot;
/// The command line of `seckill load shop`.
pub mod command;
/// The report for people.
pub mod html;
/// People who look like bots.
mod lookalike;
/// The crowd: people and bots, drawn from one seed.
pub mod people;
/// The progress bar and file.
pub mod progress;
/// The report's numbers.
pub mod report;
/// Shoppers.
mod shopper;
/// What all actors share.
pub mod world;

use people::{Actor, BotKind, Crowd};
use progress::Progress;
use shopper::Habits;
use world::{Outcome, Visit, World};

/// How early people come, before the opening.
const COME_MS: u64 = 75_000;

/// The sale to shop at, and the crowd.
#[derive(Debug, Clone)]
pub struct Options {
    /// `host:port` of the edge.
    pub authority: String,
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// People and bots.
    pub crowd: Crowd,
    /// How long they stay after the opening, or from now on if that is later.
    pub time: Duration,
    /// Signs captcha passes, where the shop wants them.
    pub keyring: Option<Keyring>,
}

/// Why the crowd could not shop.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// The product's state could not be read.
    #[error(
        "the state of product {product} of round {round} cannot be read at {authority}: {reason}; is the system up, and the round approved?"
    )]
    State {
        /// The edge.
        authority: String,
        /// The round.
        round: String,
        /// The product.
        product: String,
        /// The server's response.
        reason: String,
    },
    /// The sale is over.
    #[error("round {0} is over; choose one that is not")]
    Over(String),
    /// A task of this program panicked.
    #[error("an actor was lost: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Everything that happened while the crowd shopped.
#[derive(Debug)]
pub struct ShopRun {
    /// The shared part, with all responses.
    pub world: Arc<World>,
    /// Each actor and how the sale ended for them.
    pub outcomes: Vec<(Actor, Outcome)>,
}

/// Lets the whole crowd shop.
///
/// # Errors
/// [`ShopError`] if it could not begin; what happens to each actor is in the result.
pub async fn run(options: Options, progress: Progress) -> Result<ShopRun, ShopError> {
    let world = Arc::new(open(&options).await?);
    let actors = options.crowd.gather();
    let all = actors.len();
    let gone = Arc::new(AtomicUsize::new(0));
    let mut shopping = JoinSet::new();
    for actor in actors {
        let (world, gone) = (Arc::clone(&world), Arc::clone(&gone));
        shopping.spawn(async move {
            let outcome = act(&world, &actor).await;
            gone.fetch_add(1, Ordering::Relaxed);
            (actor, outcome)
        });
    }
    let shown = tokio::spawn(progress.show(Arc::clone(&world), Arc::clone(&gone), all));
    let mut outcomes = Vec::with_capacity(all);
    while let Some(done) = shopping.join_next().await {
        outcomes.push(done?);
    }
    shown.await?;
    outcomes.sort_by(|(a, _), (b, _)| a.user.cmp(&b.user));
    Ok(ShopRun { world, outcomes })
}

async fn act(world: &World, actor: &Actor) -> Outcome {
    let mut dice = Rng::with_seed(actor.seed);
    let visit = Visit::new(world, actor);
    let come_ms = world.opens_ms.saturating_sub(COME_MS).max(world.now_ms());
    match actor.bot_kind {
        None => {
            let habits = Habits::of_person(&mut dice, world.opens_ms, come_ms);
            match actor.lookalike {
                None => shopper::shop(visit, dice, habits).await,
                Some(how) => lookalike::shop(visit, dice, habits, how).await,
            }
        }
        Some(BotKind::Careful) => {
            let habits = Habits::of_careful_bot(&mut dice, world.opens_ms, come_ms);
            shopper::shop(visit, dice, habits).await
        }
        Some(bot_kind) => bot::run(visit, dice, bot_kind).await,
    }
}

/// Reads when the product opens, by the server's clock.
async fn open(options: &Options) -> Result<World, ShopError> {
    let Options {
        authority,
        round,
        product,
        ..
    } = options;
    let bad = |reason: String| ShopError::State {
        authority: authority.clone(),
        round: round.clone(),
        product: product.clone(),
        reason,
    };
    let edge = Edge::new(authority, 1);
    let path = format!("/api/rounds/{round}/products/{product}/state");
    let answer = edge.call(Call::new(&Method::GET, &path)).await;
    let answer = answer.map_err(|error| bad(error.to_string()))?;
    let number = |name: &str| answer.number(name).ok_or_else(|| bad(answer.code()));
    let (theirs, opens_ms, ends_ms) = (number("now_ms")?, number("opens_ms")?, number("ends_ms")?);
    if theirs >= ends_ms {
        return Err(ShopError::Over(round.clone()));
    }
    let ours = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let time_ms = u64::try_from(options.time.as_millis()).unwrap_or(u64::MAX);
    Ok(World {
        authority: authority.clone(),
        round: round.clone(),
        product: product.clone(),
        opens_ms,
        until_ms: opens_ms.max(theirs).saturating_add(time_ms).min(ends_ms),
        keyring: options.keyring.clone(),
        ahead_ms: signed(theirs) - i64::try_from(ours.as_millis()).unwrap_or(i64::MAX),
        seen: Mutex::default(),
    })
}

/// How many actors there are in each group.
#[must_use]
pub fn groups(outcomes: &[(Actor, Outcome)]) -> BTreeMap<&'static str, usize> {
    let mut groups = BTreeMap::new();
    for (actor, _) in outcomes {
        *groups.entry(actor.group).or_default() += 1;
    }
    groups
}

/// How many responses there are so far.
fn answers(world: &World) -> usize {
    world
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .len()
}
