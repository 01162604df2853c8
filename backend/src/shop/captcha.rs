//! The captcha: hands out puzzles, takes answers, signs passes.
//!
//! It knows no HTTP (that is `shop::captcha_api`). Whether an answer is right is decided
//! in `seckill_core::captcha`; here live the pictures, the limits in Redis, and the port
//! to commercial services.

use std::net::IpAddr;
use std::sync::Arc;

use seckill_core::captcha::puzzle;
use seckill_core::captcha::puzzle::{Answer, Puzzle};
use seckill_core::captcha::{pass, work};
use seckill_core::ids::Item;
use seckill_core::signing::keyring::Key;

use crate::now_ms;
use crate::redis::{RedisLink, RedisLinkError};
use crate::shop::captcha::attempts::{Attempts, Limited, Who};
use crate::shop::captcha::pool::Pool;
use crate::shop::captcha::service::Service;

/// Puzzles that were handed out, and counts of attempts, in Redis.
pub(super) mod attempts;
/// Pictures: a landscape, a hole in it, and the piece.
pub mod picture;
/// Ready-made pictures, renewed in the background.
pub mod pool;
/// The port to commercial services, and its adapter.
pub mod service;
/// Builds the captcha that is configured.
pub mod setup;

/// How shoppers show that they are people.
#[derive(Debug, Clone)]
pub enum Way {
    /// Our puzzle, or work for the device.
    Puzzle {
        /// Its pictures.
        pool: Pool,
        /// Zero bits that a first attempt has to find, see [`work::bits`].
        work_bits: u32,
    },
    /// A commercial service.
    Service(Arc<Service>),
}

/// The captcha in use, and its state in Redis.
#[derive(Debug, Clone)]
pub struct Captcha {
    way: Way,
    attempts: Attempts,
}

/// Why there is no puzzle, or no pass.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Too many attempts; how long to wait.
    #[error("too many attempts")]
    Limited(Limited),
    /// The answer is wrong, or repeats another one's track.
    #[error("the answer failed")]
    Failed,
    /// There is no such puzzle: it was answered already, or is too old.
    #[error("no such puzzle")]
    Gone,
    /// The answer is of another kind than this captcha's.
    #[error("malformed answer")]
    Malformed,
    /// Redis is away.
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
    /// The commercial service is away, or its configuration is wrong.
    #[error(transparent)]
    Service(#[from] service::ServiceError),
    /// The system gives no random numbers.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// A shopper's answer.
#[derive(Debug)]
pub enum Given {
    /// The answer to the puzzle of this id.
    Puzzle(String, Answer),
    /// The response of a commercial service, for this item.
    Service(Item, String),
}

impl Captcha {
    /// Keeps its state in `redis`.
    #[must_use]
    pub fn new(way: Way, redis: RedisLink) -> Self {
        Self {
            way,
            attempts: Attempts::new(redis),
        }
    }

    /// The kind of captcha, for which pages prepare, as JSON.
    #[must_use]
    pub fn way(&self) -> String {
        match &self.way {
            Way::Puzzle { .. } => r#"{"way":"slider"}"#.to_owned(),
            Way::Service(service) => service.way(),
        }
    }

    /// A puzzle for `user`, as JSON.
    ///
    /// # Errors
    /// [`Refusal::Limited`], or a part that is away.
    pub async fn issue(
        &self,
        user: &str,
        address: Option<IpAddr>,
        item: Item,
    ) -> Result<String, Refusal> {
        let Way::Puzzle { pool, work_bits } = &self.way else {
            return Ok(self.way());
        };
        let (id, picture, issued_ms) = (hex(random::<16>()?), pool.draw(), now_ms());
        let puzzle = Puzzle {
            user: user.to_owned(),
            item,
            answer: picture.answer,
            issued_ms,
            tries: work::Tries::default(),
        };
        let attempts = self
            .attempts
            .issue(&Who::new(user, address), &id, &puzzle)
            .await?;
        let bits = work::bits(*work_bits, attempts);
        Ok(format!(
            r#"{{"way":"slider","id":"{id}","life_ms":{life},"slider":{slider},"work":{{"parts":{parts},"part_bits":{part_bits},"after_ms":{after}}}}}"#,
            life = puzzle::LIFE_MS,
            slider = picture.json,
            parts = work::PARTS,
            part_bits = work::part_bits(bits),
            after = work::MIN_WAIT_MS,
        ))
    }

    /// A pass for `user`, if the answer is right.
    ///
    /// # Errors
    /// [`Refusal`] says why not.
    pub async fn answer(
        &self,
        user: &str,
        address: Option<IpAddr>,
        given: Given,
        key: &Key,
    ) -> Result<String, Refusal> {
        let who = Who::new(user, address);
        let item = match (&self.way, given) {
            (Way::Puzzle { work_bits, .. }, Given::Puzzle(id, answer)) => {
                self.solved(&who, &id, &answer, *work_bits).await?
            }
            (Way::Service(service), Given::Service(item, response)) => {
                // The service's limits protect the service; ours protect our account there.
                self.attempts.count(&who).await?;
                if !service.vouches(&response, address).await? {
                    self.attempts.count_failed(&who).await?;
                    return Err(Refusal::Failed);
                }
                item
            }
            _ => return Err(Refusal::Malformed),
        };
        let ids = (item.round(), item.product());
        Ok(pass::sign(
            key,
            ids,
            user,
            now_ms() + pass::PASS_LIFE_MS,
            random()?,
        ))
    }

    /// The item of a puzzle that was solved.
    async fn solved(
        &self,
        who: &Who<'_>,
        id: &str,
        answer: &Answer,
        work_bits: u32,
    ) -> Result<Item, Refusal> {
        let puzzle = self.attempts.take(id).await?.ok_or(Refusal::Gone)?;
        let checked = puzzle.check(id, who.user, answer, work_bits, now_ms());
        let is_new = match (&checked, answer) {
            (Ok(()), Answer::Track(track)) => self.attempts.remember(track).await?,
            _ => true,
        };
        match (checked, is_new) {
            (Ok(()), true) => Ok(puzzle.item),
            (checked, is_new) => {
                // Neither the answer nor the track may appear in a log.
                tracing::debug!(why = ?checked.err(), replayed = !is_new, "a puzzle was not solved");
                self.attempts.count_failed(who).await?;
                Err(Refusal::Failed)
            }
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}
