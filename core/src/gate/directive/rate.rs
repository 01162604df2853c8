//! Arguments of `seckill_rate`: the limit of all shoppers together at a gate, or of
//! each key at any location.

use super::{RateLimit, Scope, once, variable, zone};
use crate::permits::permit;

/// A bucket that takes longer to fill limits nothing.
const DAY_S: u64 = 24 * 60 * 60;

/// What `seckill_rate` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateArguments<'a> {
    /// Rate, burst and scope.
    pub limit: RateLimit,
    /// Whom it counts apart; `None` for all requests at a gate together.
    pub keyed: Option<Keyed<'a>>,
}

/// A limit of each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyed<'a> {
    /// The variable with the key, without its `$`.
    pub variable: &'a str,
    /// The zone with the buckets.
    pub zone: &'a str,
    /// Its size; `None` where another directive says it.
    pub bytes: Option<usize>,
}

/// Reads the arguments of `seckill_rate`.
///
/// # Errors
/// A sentence that names the argument and what would be right.
pub fn rate<'a>(args: &[&'a str]) -> Result<RateArguments<'a>, String> {
    let (mut per_second, mut burst, mut scope) = (None, None, Scope::Edge);
    let (mut key, mut place) = (None, None);
    let mut seen = Vec::new();
    for arg in args {
        let named = arg.split_once('=');
        if let Some((name, _)) = named {
            once(&mut seen, name)?;
        }
        match named {
            Some(("rate", value)) => per_second = Some(per_second_of(value)?),
            Some(("burst", value)) => {
                let number = value.parse::<u64>().ok().filter(|n| *n >= 1);
                burst = Some(number.ok_or_else(|| {
                    format!("burst \"{value}\" must be a number from 1, as in burst=1000")
                })?);
            }
            Some(("scope", "edge")) => scope = Scope::Edge,
            Some(("scope", "site")) => scope = Scope::Site,
            Some(("scope", value)) => {
                return Err(format!("scope \"{value}\" must be edge or site"));
            }
            Some(("key", value)) => {
                key = Some(variable(value).ok_or_else(|| {
                    format!(
                        "key \"{value}\" must be a variable, and one alone, as in key=$binary_remote_addr; a map joins several"
                    )
                })?);
            }
            Some(("zone", value)) => place = Some(zone_of(value)?),
            _ => {
                return Err(format!(
                    "unknown argument \"{arg}\"; known are rate=, burst=, scope=, key= and zone="
                ));
            }
        }
    }
    let per_second = per_second.ok_or("needs a rate, as in rate=50000r/s")?;
    let keyed = match (key, place) {
        (None, None) => None,
        (Some(variable), Some((zone, bytes))) => Some(Keyed {
            variable,
            zone,
            bytes,
        }),
        (Some(_), None) => {
            return Err("with key= needs a zone for the buckets, as in zone=logins:1m".to_owned());
        }
        (None, Some(_)) => {
            return Err(
                "zone= has no effect without key=, as in key=$binary_remote_addr".to_owned(),
            );
        }
    };
    let most = per_second * DAY_S;
    if let Some(burst) = burst.filter(|burst| *burst > most) {
        return Err(format!(
            "burst \"{burst}\" takes more than a day to fill at {per_second}r/s; write at most burst={most}"
        ));
    }
    // A tenth of a second's worth: a worker that was busy for that long may catch up.
    let limit = RateLimit {
        per_second,
        burst: burst.unwrap_or((per_second / 10).max(1)),
        scope,
    };
    Ok(RateArguments { limit, keyed })
}

fn per_second_of(value: &str) -> Result<u64, String> {
    let digits = value.strip_suffix("r/s");
    let number = digits.and_then(|digits| digits.parse::<u64>().ok());
    number
        .filter(|n| (1..=1_000_000_000).contains(n))
        .ok_or_else(|| format!("rate \"{value}\" must be at least 1 a second, as in rate=50000r/s"))
}

/// A zone's name, and its size if it is given.
fn zone_of(value: &str) -> Result<(&str, Option<usize>), String> {
    let (name, bytes) = match value.contains(':') {
        true => zone(value).map(|(name, bytes)| (name, Some(bytes)))?,
        false => (value, None),
    };
    if permit::is_part(name) {
        Ok((name, bytes))
    } else {
        Err(format!(
            "zone \"{value}\" must be a name of 1 to 48 letters, digits, '-' or '_', and its size: zone=logins:1m"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_by_key_is_read_whole() {
        let read = rate(&[
            "key=$binary_remote_addr",
            "zone=logins:1m",
            "rate=5r/s",
            "burst=10",
            "scope=site",
        ])
        .unwrap();
        assert_eq!(
            read.keyed,
            Some(Keyed {
                variable: "binary_remote_addr",
                zone: "logins",
                bytes: Some(1 << 20),
            })
        );
        assert_eq!((read.limit.per_second, read.limit.burst), (5, 10));
        assert_eq!(read.limit.scope, Scope::Site);
        let again = rate(&["key=$x", "zone=logins", "rate=5r/s"]).unwrap();
        assert_eq!(again.keyed.unwrap().bytes, None);
        assert_eq!(rate(&["rate=5r/s"]).unwrap().keyed, None);
    }

    #[test]
    fn a_faulty_argument_is_named_with_its_cure() {
        for (args, expected) in [
            (
                vec!["key=user", "zone=a:1m", "rate=1r/s"],
                "key \"user\" must be a variable",
            ),
            (
                vec!["key=$uri$args", "zone=a:1m", "rate=1r/s"],
                "key \"$uri$args\" must be a variable, and one alone",
            ),
            (
                vec!["key=$user", "key=$user", "zone=a:1m", "rate=1r/s"],
                "key= is given twice",
            ),
            (
                vec!["key=$user", "rate=1r/s"],
                "needs a zone for the buckets",
            ),
            (
                vec!["zone=a:1m", "rate=1r/s"],
                "zone= has no effect without key=",
            ),
            (
                vec!["key=$user", "zone=a.b:1m", "rate=1r/s"],
                "zone \"a.b:1m\" must be a name",
            ),
            (
                vec!["key=$user", "zone=a:x", "rate=1r/s"],
                "\"a:x\" must be name:size",
            ),
            (vec!["key=$user", "zone=a:1m"], "needs a rate"),
            (
                vec!["rate=1r/s", "limit=3"],
                "unknown argument \"limit=3\"; known are rate=",
            ),
        ] {
            let error = rate(&args).unwrap_err();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }
}
