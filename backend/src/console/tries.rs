//! How often logging in may be tried: by account and by address, counted in Redis
//! so that several ops roles count together.

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use seckill_core::keys;

use super::error::ConsoleError;

/// Tries that are counted together, in seconds.
const WINDOW_S: u64 = 15 * 60;
/// Tries for one account within that time.
pub const MOST_BY_ACCOUNT: u64 = 10;
/// Tries from one address, which an office may share.
pub const MOST_BY_ADDRESS: u64 = 50;

/// Counts a try before the password is looked at, so that tries at the same
/// moment cannot slip through together.
pub(super) async fn count(
    conn: &mut MultiplexedConnection,
    name: &str,
    address: &str,
) -> Result<(), ConsoleError> {
    let counted = [
        (
            keys::console_tries(&format!("account:{name}")),
            MOST_BY_ACCOUNT,
        ),
        (
            keys::console_tries(&format!("address:{address}")),
            MOST_BY_ADDRESS,
        ),
    ];
    for (key, most) in counted {
        let (tries, left_s): (u64, i64) = redis::pipe()
            .atomic()
            .cmd("SET")
            .arg(&key)
            .arg(0)
            .arg("EX")
            .arg(WINDOW_S)
            .arg("NX")
            .ignore()
            .incr(&key, 1)
            .ttl(&key)
            .query_async(conn)
            .await?;
        if tries > most {
            let left_s = u64::try_from(left_s).unwrap_or(WINDOW_S).max(1);
            tracing::warn!(name, address, tries, "too many logins were tried");
            return Err(ConsoleError::TooManyTries(left_s));
        }
    }
    Ok(())
}

/// Whoever knows the password has not been guessing.
pub(super) async fn forgive(
    conn: &mut MultiplexedConnection,
    name: &str,
) -> Result<(), ConsoleError> {
    let () = conn
        .del(keys::console_tries(&format!("account:{name}")))
        .await?;
    Ok(())
}
