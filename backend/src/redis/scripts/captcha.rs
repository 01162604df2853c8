//! The script that hands out puzzles within limits.

use redis::{RedisResult, Value, from_redis_value};
use seckill_core::captcha::puzzle::{ISSUED_WINDOW_MS, LIFE_MS, LIMITS};
use seckill_core::captcha::work::Tries;
use seckill_core::keys;

use super::{Call, unexpected};

scripts! {
    ISSUE = "captcha/issue.lua";
}

/// Whether a try was within the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issued {
    /// It was; the tries so far, this one included.
    Within(Tries),
    /// It was not, and will not be for this long.
    Limited {
        /// Milliseconds until the fullest window ends.
        wait_ms: u64,
    },
}

/// Counts a try of an account, and of an address if there is one that counts; stores
/// the text of `puzzle` under `id`, unless the text is empty.
#[must_use]
pub fn issue(user: &str, address: Option<&str>, id: &str, puzzle: &str) -> Call<Issued> {
    let user = format!("user:{user}");
    let by_address = u8::from(address.is_some());
    let address = format!("address:{}", address.unwrap_or("none"));
    Call::decoded(&ISSUE, 5, issued)
        .arg(keys::puzzles_issued(&user))
        .arg(keys::puzzles_failed(&user))
        .arg(keys::puzzles_issued(&address))
        .arg(keys::puzzles_failed(&address))
        .arg(keys::puzzle(id))
        .arg((ISSUED_WINDOW_MS, LIMITS.user_issued, LIMITS.user_failed))
        .arg((LIMITS.address_issued, LIMITS.address_failed))
        .arg((by_address, puzzle, LIFE_MS))
}

fn issued(reply: Value) -> RedisResult<Issued> {
    let parts: Vec<Value> = from_redis_value(reply)?;
    let mut parts = parts.into_iter();
    let word: Option<String> = parts.next().map(from_redis_value).transpose()?;
    let counts: Vec<u64> = parts.map(from_redis_value).collect::<Result<_, _>>()?;
    let count = |at: usize| u32::try_from(counts[at]).unwrap_or(u32::MAX);
    match (word.as_deref(), counts.len()) {
        (Some("ok"), 4) => Ok(Issued::Within(Tries {
            user_issued: count(0),
            address_issued: count(1),
            user_failed: count(2),
            address_failed: count(3),
        })),
        (Some("limited"), 1) => Ok(Issued::Limited { wait_ms: counts[0] }),
        other => Err(unexpected("issue.lua", &other)),
    }
}
