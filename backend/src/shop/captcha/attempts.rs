//! What Redis keeps of puzzles: those that were handed out, counts of attempts, and the
//! tracks that have passed.
//!
//! The answer is kept there and not sealed into a token, since the limits need Redis
//! for each puzzle anyway: the script that counts also stores, in the same round trip,
//! and no answer leaves the server in any form. Puzzles share no transaction with the
//! stock, so that `captcha_redis_url` may give them a Redis of their own.

use std::net::IpAddr;
use std::time::Duration;

use seckill_core::captcha::puzzle::{FAILED_WINDOW_MS, Puzzle, TRACK_KEPT_MS};
use seckill_core::captcha::track;
use seckill_core::captcha::track::Moment;
use seckill_core::captcha::work;
use seckill_core::keys;

use super::Refusal;
use crate::redis::scripts::captcha::Issued;
use crate::redis::{RedisLink, RedisLinkError, scripts};

/// Over a limit, and how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited(pub Duration);

/// The shopper whose attempts are counted.
#[derive(Debug)]
pub(super) struct Who<'a> {
    pub(super) user: &'a str,
    /// `None` if it is not counted: it is unknown, or this machine's, from which load
    /// balancers and tests connect.
    address: Option<String>,
}

impl<'a> Who<'a> {
    pub(super) fn new(user: &'a str, address: Option<IpAddr>) -> Self {
        let counts = |address: &IpAddr| !address.to_canonical().is_loopback();
        Self {
            user,
            address: address.filter(counts).map(network),
        }
    }
}

/// The address as it is counted: of IPv6 the /64, since one shopper has all of it.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:016x}", address.to_bits() >> 64),
    }
}

#[derive(Debug, Clone)]
pub(super) struct Attempts {
    redis: RedisLink,
}

impl Attempts {
    pub(super) fn new(redis: RedisLink) -> Self {
        Self { redis }
    }

    /// Stores a puzzle and counts it; returns the counts so far.
    pub(super) async fn issue(
        &self,
        who: &Who<'_>,
        id: &str,
        puzzle: &Puzzle,
    ) -> Result<work::Tries, Refusal> {
        self.run(who, id, &puzzle.to_text()).await
    }

    /// Counts an attempt without a puzzle of ours.
    pub(super) async fn count(&self, who: &Who<'_>) -> Result<work::Tries, Refusal> {
        self.run(who, "none", "").await
    }

    async fn run(&self, who: &Who<'_>, id: &str, puzzle: &str) -> Result<work::Tries, Refusal> {
        let mut conn = self.redis.conn().await?;
        let call = scripts::captcha::issue(who.user, who.address.as_deref(), id, puzzle);
        match call.run(&mut conn).await.map_err(RedisLinkError::from)? {
            Issued::Within(tries) => Ok(tries),
            Issued::Limited { wait_ms } => {
                Err(Refusal::Limited(Limited(Duration::from_millis(wait_ms))))
            }
        }
    }

    /// Takes a puzzle out of Redis, so that it can be answered only once.
    pub(super) async fn take(&self, id: &str) -> Result<Option<Puzzle>, Refusal> {
        let mut conn = self.redis.conn().await?;
        let mut take = redis::cmd("GETDEL");
        let text: Option<String> = take
            .arg(keys::puzzle(id))
            .query_async(&mut conn)
            .await
            .map_err(RedisLinkError::from)?;
        Ok(text.as_deref().and_then(Puzzle::parse))
    }

    /// Remembers a track that passed; `false` if it, or one like it, did before.
    pub(super) async fn remember(&self, track: &[Moment]) -> Result<bool, Refusal> {
        let mut pipe = redis::pipe();
        for mark in track::marks(track) {
            pipe.cmd("SET")
                .arg(keys::track(mark))
                .arg(1)
                .arg("NX")
                .arg("PX")
                .arg(TRACK_KEPT_MS);
        }
        let mut conn = self.redis.conn().await?;
        let set: Vec<Option<String>> = pipe
            .query_async(&mut conn)
            .await
            .map_err(RedisLinkError::from)?;
        Ok(set.iter().all(Option::is_some))
    }

    /// Counts a failed answer.
    pub(super) async fn count_failed(&self, who: &Who<'_>) -> Result<(), Refusal> {
        let user = keys::puzzles_failed(&format!("user:{}", who.user));
        let address = who
            .address
            .as_ref()
            .map(|address| keys::puzzles_failed(&format!("address:{address}")));
        let mut pipe = redis::pipe();
        for key in std::iter::once(user).chain(address) {
            pipe.cmd("INCR").arg(&key).ignore();
            pipe.cmd("PEXPIRE")
                .arg(&key)
                .arg(FAILED_WINDOW_MS)
                .arg("NX")
                .ignore();
        }
        let mut conn = self.redis.conn().await?;
        Ok(pipe
            .exec_async(&mut conn)
            .await
            .map_err(RedisLinkError::from)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_and_unknown_addresses_are_not_counted_and_ipv6_by_its_network() {
        let who = |text: &str| Who::new("li", text.parse().ok()).address;
        assert_eq!(who("127.0.0.1"), None);
        assert_eq!(who("::1"), None);
        assert_eq!(who("::ffff:127.0.0.1"), None);
        assert_eq!(who("unix:"), None);
        assert_eq!(who("203.0.113.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(who("::ffff:203.0.113.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(who("2001:db8:1:2::7"), who("2001:db8:1:2:9::1"));
        assert_ne!(who("2001:db8:1:2::7"), who("2001:db8:1:3::7"));
    }
}
