//! Limits login attempts by account and by address. They are counted in Redis, so that
//! several ops roles count together.

use std::net::IpAddr;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, Value};
use seckill_core::keys;

use super::error::ConsoleError;
use crate::redis::scripts;

/// Attempts are counted over this many seconds.
const WINDOW_S: u64 = 15 * 60;
/// Most attempts for one account in that time.
pub const MOST_BY_ACCOUNT: u64 = 10;
/// Most attempts from one address, which an office may share.
pub const MOST_BY_ADDRESS: u64 = 50;

/// The address as it is counted: of IPv6 the /64, since one visitor has all of it. `local`
/// if nginx named none.
pub(super) fn counted(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => "local".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Counts an attempt, before the password is checked, so that attempts at the same
/// moment cannot pass together.
///
/// # Errors
/// [`ConsoleError::TooManyAttempts`], or Redis is away.
pub(super) async fn count(
    conn: &mut MultiplexedConnection,
    name: &str,
    address: &str,
) -> Result<(), ConsoleError> {
    count_one(conn, &format!("account:{name}"), MOST_BY_ACCOUNT).await?;
    count_address(conn, address).await
}

/// Counts an attempt of somebody who has not said who they are.
///
/// # Errors
/// As of [`count`].
pub(super) async fn count_address(
    conn: &mut MultiplexedConnection,
    address: &str,
) -> Result<(), ConsoleError> {
    count_one(conn, &format!("address:{address}"), MOST_BY_ADDRESS).await
}

async fn count_one(
    conn: &mut MultiplexedConnection,
    whose: &str,
    most: u64,
) -> Result<(), ConsoleError> {
    let key = keys::console_tries(whose);
    let mut count = redis::pipe();
    let set = count.cmd("SET").arg(&key).arg(0);
    set.arg("EX").arg(WINDOW_S).arg("NX");
    count.incr(&key, 1).ttl(&key);
    let (_, attempts, left_s): (Value, u64, i64) = scripts::together(&count).run(conn).await?;
    if attempts > most {
        let left_s = u64::try_from(left_s).unwrap_or(WINDOW_S).max(1);
        tracing::warn!(whose, attempts, "too many login attempts");
        return Err(ConsoleError::TooManyAttempts(left_s));
    }
    Ok(())
}

/// Forgets the attempts for an account after a login with the right password.
pub(super) async fn reset(
    conn: &mut MultiplexedConnection,
    name: &str,
) -> Result<(), ConsoleError> {
    let () = conn
        .del(keys::console_tries(&format!("account:{name}")))
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_counted_whole_and_a_network_of_ipv6_as_one_visitor() {
        let of = |text: &str| counted(Some(text.parse().unwrap()));
        assert_eq!(of("203.0.113.7"), "203.0.113.7");
        assert_ne!(of("203.0.113.7"), of("203.0.113.8"));
        assert_eq!(of("::ffff:203.0.113.7"), "203.0.113.7");
        assert_eq!(of("2001:db8:1:2::7"), "2001:db8:1:2::/64");
        assert_eq!(of("2001:db8:1:2::7"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::7"), of("2001:db8:1:3::7"));
        assert_eq!(counted(None), "local");
    }
}
