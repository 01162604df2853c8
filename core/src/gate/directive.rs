//! Arguments of the nginx directives, read into types.
//!
//! Kept here rather than in the module because a module links only inside
//! nginx: here the error messages that an operator sees can be tested.

use std::time::Duration;

use crate::permits::permit;
use crate::rate::bucket::Rate;

/// Where permits are kept (`seckill_redis`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisTarget {
    /// Host and port, or the socket's path.
    pub address: Address,
    /// Password, if one is needed.
    pub password: Option<String>,
    /// Database number.
    pub db: i64,
    /// How long a request may wait for a reply.
    pub timeout: Duration,
}

/// A Redis server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `host:port`.
    Tcp(String),
    /// `unix:/path`.
    Unix(String),
}

/// What happens to a buyer when Redis is away and no permit is in hand
/// (`seckill_fallback`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fallback {
    /// They are refused with `unavailable`.
    #[default]
    Refuse,
    /// They pass, as long as this edge's share of what was left lasts.
    Pass,
}

/// Which requests a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Requests to this edge alone.
    #[default]
    Edge,
    /// Requests to the whole site; the living edges have equal shares.
    Site,
}

/// A global token bucket (`seckill_rate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a second.
    pub per_second: u64,
    /// Requests that may come at once.
    pub burst: u64,
    /// Whether it counts for this edge or for the whole site.
    pub scope: Scope,
}

impl RateLimit {
    /// The bucket of one edge among `edges` living ones. For the scope
    /// [`Scope::Site`] rate and burst are divided, rounded down, so that the
    /// site's figure is never exceeded.
    #[must_use]
    pub fn share(&self, edges: u64) -> Rate {
        match self.scope {
            Scope::Edge => Rate::new(self.per_second, self.burst),
            Scope::Site => {
                let edges = edges.max(1);
                Rate::new(self.per_second / edges, self.burst / edges)
            }
        }
    }
}

/// Reads the arguments of `seckill_redis`.
///
/// # Errors
/// A sentence that names the argument and what would be right.
pub fn redis(args: &[&str]) -> Result<RedisTarget, String> {
    let (first, rest) = args
        .split_first()
        .ok_or("needs an address: host:port or unix:/path")?;
    let address = match first.strip_prefix("unix:") {
        Some(path) if path.starts_with('/') => Address::Unix(path.to_owned()),
        Some(path) => {
            return Err(format!(
                "socket path \"{path}\" must be absolute: unix:/run/redis.sock"
            ));
        }
        None => match first.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0) => {
                Address::Tcp((*first).to_owned())
            }
            _ => {
                return Err(format!(
                    "address \"{first}\" must be host:port, as in 127.0.0.1:6379, or unix:/path"
                ));
            }
        },
    };
    let mut target = RedisTarget {
        address,
        password: None,
        db: 0,
        timeout: Duration::from_millis(50),
    };
    for arg in rest {
        match arg.split_once('=') {
            Some(("password", value)) => target.password = Some(value.to_owned()),
            Some(("db", value)) => {
                target.db = value
                    .parse()
                    .ok()
                    .filter(|db| (0..=1_000_000).contains(db))
                    .ok_or_else(|| format!("db \"{value}\" must be a number from 0, as in db=2"))?;
            }
            Some(("timeout", value)) => {
                target.timeout = duration(value).ok_or_else(|| {
                    format!("timeout \"{value}\" must be 1ms to 60s, as in timeout=50ms")
                })?;
            }
            _ => {
                return Err(format!(
                    "unknown argument \"{arg}\"; known are password=, db= and timeout="
                ));
            }
        }
    }
    Ok(target)
}

/// Reads the arguments of `seckill_rate`.
///
/// # Errors
/// A sentence that names the argument and what would be right.
pub fn rate(args: &[&str]) -> Result<RateLimit, String> {
    let mut per_second = None;
    let (mut burst, mut scope) = (None, Scope::Edge);
    for arg in args {
        match arg.split_once('=') {
            Some(("rate", value)) => {
                let number = value
                    .strip_suffix("r/s")
                    .and_then(|n| n.parse::<u64>().ok());
                per_second = Some(
                    number
                        .filter(|n| (1..=1_000_000_000).contains(n))
                        .ok_or_else(|| {
                            format!(
                                "rate \"{value}\" must be at least 1 a second, as in rate=50000r/s"
                            )
                        })?,
                );
            }
            Some(("burst", value)) => {
                burst = Some(
                    value
                        .parse::<u64>()
                        .ok()
                        .filter(|n| *n >= 1)
                        .ok_or_else(|| {
                            format!("burst \"{value}\" must be a number from 1, as in burst=1000")
                        })?,
                );
            }
            Some(("scope", "edge")) => scope = Scope::Edge,
            Some(("scope", "site")) => scope = Scope::Site,
            Some(("scope", value)) => {
                return Err(format!("scope \"{value}\" must be edge or site"));
            }
            _ => {
                return Err(format!(
                    "unknown argument \"{arg}\"; known are rate=, burst= and scope="
                ));
            }
        }
    }
    let per_second = per_second.ok_or("needs a rate, as in rate=50000r/s")?;
    // A tenth of a second's worth: a worker that was busy for that long may catch up.
    Ok(RateLimit {
        per_second,
        burst: burst.unwrap_or((per_second / 10).max(1)),
        scope,
    })
}

/// Reads `seckill_zone name:size`: the name and the size in bytes.
///
/// # Errors
/// A sentence that names the argument and what would be right.
pub fn zone(arg: &str) -> Result<(&str, usize), String> {
    let wrong = || format!("\"{arg}\" must be name:size, as in seckill:64m");
    let (name, size) = arg.split_once(':').ok_or_else(wrong)?;
    let (digits, unit) = match size.char_indices().last() {
        Some((at, 'k' | 'K')) => (&size[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&size[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&size[..at], 1 << 30),
        _ => (size, 1),
    };
    let bytes = digits
        .parse::<usize>()
        .ok()
        .and_then(|n| n.checked_mul(unit));
    match bytes {
        Some(bytes) if !name.is_empty() => Ok((name, bytes)),
        _ => Err(wrong()),
    }
}

/// Reads `seckill_fallback refuse|pass`.
///
/// # Errors
/// A sentence that names the argument and what would be right.
pub fn fallback(arg: &str) -> Result<Fallback, String> {
    match arg {
        "refuse" => Ok(Fallback::Refuse),
        "pass" => Ok(Fallback::Pass),
        other => Err(format!("\"{other}\" must be refuse or pass")),
    }
}

/// Reads `seckill_node name`.
///
/// # Errors
/// A sentence that names the argument and what would be right.
pub fn node(arg: &str) -> Result<&str, String> {
    if permit::is_part(arg) {
        Ok(arg)
    } else {
        Err(format!(
            "\"{arg}\" must be 1 to 48 letters, digits, '-' or '_', as in edge-1"
        ))
    }
}

/// Reads `50ms` or `2s`; `None` if it is neither or not within 1 ms to 60 s.
fn duration(text: &str) -> Option<Duration> {
    let ms = match text.strip_suffix("ms") {
        Some(number) => number.parse::<u64>().ok()?,
        None => text
            .strip_suffix('s')?
            .parse::<u64>()
            .ok()?
            .checked_mul(1_000)?,
    };
    (1..=60_000)
        .contains(&ms)
        .then(|| Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_target_is_read_whole() {
        let target = redis(&["unix:/run/r.sock", "password=x=y", "db=2", "timeout=2s"]).unwrap();
        assert_eq!(target.address, Address::Unix("/run/r.sock".into()));
        assert_eq!(target.password.as_deref(), Some("x=y"));
        assert_eq!((target.db, target.timeout), (2, Duration::from_secs(2)));
        let plain = redis(&["127.0.0.1:6379"]).unwrap();
        assert_eq!(plain.timeout, Duration::from_millis(50));
    }

    #[test]
    fn a_faulty_argument_is_named_with_its_cure() {
        let cases: [(Result<(), String>, &str); 12] = [
            (redis(&[]).map(drop), "needs an address"),
            (redis(&["redis"]).map(drop), "\"redis\" must be host:port"),
            (redis(&["a:99999"]).map(drop), "must be host:port"),
            (redis(&["unix:run"]).map(drop), "must be absolute"),
            (
                redis(&["a:1", "timeout=fast"]).map(drop),
                "timeout \"fast\" must be",
            ),
            (
                redis(&["a:1", "retries=3"]).map(drop),
                "unknown argument \"retries=3\"",
            ),
            (rate(&["burst=3"]).map(drop), "needs a rate"),
            (
                rate(&["rate=0r/s"]).map(drop),
                "rate \"0r/s\" must be at least 1",
            ),
            (rate(&["rate=5r/m"]).map(drop), "rate \"5r/m\" must be"),
            (
                rate(&["rate=5r/s", "scope=world"]).map(drop),
                "scope \"world\" must be edge or site",
            ),
            (
                fallback("queue").map(drop),
                "\"queue\" must be refuse or pass",
            ),
            (zone("seckill").map(drop), "\"seckill\" must be name:size"),
        ];
        for (result, expected) in cases {
            let error = result.unwrap_err();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
        assert!(node("edge 1").is_err() && node("edge-1").is_ok());
    }

    #[test]
    fn two_edges_halve_the_sites_rate() {
        let site = rate(&["rate=50000r/s", "scope=site"]).unwrap();
        assert_eq!(site.share(2).per_second(), 25_000);
        let edge = rate(&["rate=50000r/s"]).unwrap();
        assert_eq!(edge.share(2).per_second(), 50_000);
        assert_eq!(zone("s:8m"), Ok(("s", 8 << 20)));
    }
}
