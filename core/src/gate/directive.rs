//! Arguments of the nginx directives, read into types.
//!
//! Kept here rather than in the module because a module links only inside
//! nginx: here the error messages that an operator sees can be tested.

/// `seckill_jwt`: tokens of the shop's own login.
pub mod jwt;
mod rate;
mod target;

pub use rate::{Keyed, RateArguments, rate};
pub use target::{Address, Login, Password, RedisTarget, Tls, redis};

use crate::permits::permit;
use crate::rate::bucket::Rate;
use crate::signing::trace::{Ratio, Tracing};

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

/// Reads `seckill_trace on|off|trusted [ratio=N]`; `None` for off.
///
/// # Errors
/// A sentence that names the argument and what would be right.
pub fn trace(args: &[&str]) -> Result<Option<Tracing>, String> {
    let (mode, rest) = args.split_first().ok_or("needs on, off or trusted")?;
    let ratio = match rest {
        [] => Ratio::DEFAULT,
        [given] => given
            .strip_prefix("ratio=")
            .and_then(Ratio::parse)
            .ok_or_else(|| format!("\"{given}\" must be a share from 0 to 1, as in ratio=0.01"))?,
        [_, more, ..] => return Err(format!("\"{more}\" is one argument too many")),
    };
    let trusted = match *mode {
        "on" => false,
        "trusted" => true,
        "off" if rest.is_empty() => return Ok(None),
        "off" => return Err(format!("off takes no \"{}\"", rest[0])),
        other => return Err(format!("\"{other}\" must be on, off or trusted")),
    };
    Ok(Some(Tracing { trusted, ratio }))
}

/// The name of the one variable that an argument is, `$name` or `${name}`; `None` for
/// anything else, such as text around it.
#[must_use]
pub fn variable(arg: &str) -> Option<&str> {
    let name = arg.strip_prefix('$')?;
    let bare = name
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let name = bare.unwrap_or(name);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_plain)).then_some(name)
}

/// Refuses an argument `name=…` that was given before.
///
/// # Errors
/// A sentence that names the argument.
fn once<'a>(seen: &mut Vec<&'a str>, name: &'a str) -> Result<(), String> {
    if seen.contains(&name) {
        return Err(format!("{name}= is given twice; remove one"));
    }
    seen.push(name);
    Ok(())
}

/// Whether the client chooses what is in nginx's variable of this name (without `$`):
/// whoever is named by it can name anybody.
#[must_use]
pub fn is_chosen_by_client(variable: &str) -> bool {
    ["http_", "arg_", "cookie_"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
        || [
            "args",
            "query_string",
            "request",
            "request_uri",
            "request_body",
            "uri",
            "document_uri",
            "host",
            "content_type",
        ]
        .contains(&variable)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faulty_argument_is_named_with_its_cure() {
        let cases: [(Result<(), String>, &str); 14] = [
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
                rate(&["rate=1r/s", "rate=2r/s"]).map(drop),
                "rate= is given twice",
            ),
            (
                rate(&["rate=5r/s", "burst=432001"]).map(drop),
                "burst \"432001\" takes more than a day to fill at 5r/s; write at most burst=432000",
            ),
            (
                rate(&["rate=5r/s", "burst=999999999999"]).map(drop),
                "burst \"999999999999\" takes more than a day",
            ),
            (
                rate(&["rate=5r/s", "burst=1", "burst=1"]).map(drop),
                "burst= is given twice",
            ),
            (
                fallback("queue").map(drop),
                "\"queue\" must be refuse or pass",
            ),
            (zone("seckill").map(drop), "\"seckill\" must be name:size"),
            (
                trace(&["maybe"]).map(drop),
                "\"maybe\" must be on, off or trusted",
            ),
            (
                trace(&["on", "ratio=2"]).map(drop),
                "\"ratio=2\" must be a share from 0 to 1",
            ),
            (trace(&["off", "ratio=1"]).map(drop), "off takes no"),
            (trace(&["on", "ratio=1", "now"]).map(drop), "\"now\" is one"),
        ];
        for (result, expected) in cases {
            let error = result.unwrap_err();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
        assert!(node("edge 1").is_err() && node("edge-1").is_ok());
    }

    #[test]
    fn a_variable_that_the_client_fills_is_told_from_one_that_nginx_fills() {
        for chosen in ["http_x_user", "arg_user", "cookie_user", "args"] {
            assert!(is_chosen_by_client(chosen), "{chosen}");
        }
        for vouched in [
            "remote_user",
            "jwt_claim_sub",
            "auth_user",
            "ssl_client_s_dn",
        ] {
            assert!(!is_chosen_by_client(vouched), "{vouched}");
        }
    }

    #[test]
    fn one_variable_is_told_from_text_and_from_two() {
        for plain in ["$remote_user", "${remote_user}"] {
            assert_eq!(variable(plain), Some("remote_user"));
        }
        for wrong in [
            "remote_user",
            "$",
            "${}",
            "$a$b",
            "$uri?",
            "${uri",
            "$uri}",
            "",
        ] {
            assert_eq!(variable(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn two_edges_halve_the_sites_rate() {
        let site = rate(&["rate=50000r/s", "scope=site"]).unwrap().limit;
        assert_eq!(site.share(2).per_second(), 25_000);
        let edge = rate(&["rate=50000r/s"]).unwrap().limit;
        assert_eq!(edge.share(2).per_second(), 50_000);
        assert_eq!(zone("s:8m"), Ok(("s", 8 << 20)));
    }
}
