//! The arguments of `seckill_jwt`.

use super::once;
use crate::signing::jwt::Policy;
use crate::signing::session;

/// Where the keys are that verify tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Jwks {
    /// In a file of this machine, in which there may be secrets.
    File(String),
    /// Behind a URL, which the back end reads.
    Url(String),
}

impl Jwks {
    /// Reads a path, or a URL that begins with `https://` or `http://`; `None` if it is
    /// empty or no URL with a host.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return (!text.is_empty()).then(|| Self::File(text.to_owned()));
        };
        let has_host = !rest.is_empty() && !rest.starts_with(['/', ':', '?']);
        let is_http = matches!(scheme, "https" | "http") && has_host;
        is_http.then(|| Self::Url(text.to_owned()))
    }
}

/// Tokens of the shop's own login (`seckill_jwt`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// Where the keys are.
    pub jwks: Jwks,
    /// What a token must say.
    pub policy: Policy,
    /// The cookie that holds a token, if there is no `Authorization` header.
    pub cookie: String,
}

/// Reads the arguments of `seckill_jwt`.
///
/// # Errors
/// A sentence that names the argument and what would be right.
pub fn jwt(args: &[&str]) -> Result<Jwt, String> {
    let (mut jwks, mut cookie) = (None, session::COOKIE.to_owned());
    let mut policy = Policy::default();
    let mut seen = Vec::new();
    for arg in args {
        let (name, value) = arg.split_once('=').unwrap_or((arg, ""));
        // A token may be for several audiences.
        if name != "audience" {
            once(&mut seen, name)?;
        }
        match name {
            "jwks" => {
                jwks = Some(Jwks::parse(value).ok_or_else(|| {
                    format!("jwks \"{value}\" must be a file or a URL with http:// or https://")
                })?);
            }
            "claim" if is_name(value) => policy.claim = value.to_owned(),
            "cookie" if is_name(value) => cookie = value.to_owned(),
            "issuer" if !value.is_empty() => policy.issuer = Some(value.to_owned()),
            "audience" if !value.is_empty() => policy.audiences.push(value.to_owned()),
            "claim" | "cookie" => {
                return Err(format!(
                    "{name} \"{value}\" must be letters, digits and _ . : / -, as in {name}=sub"
                ));
            }
            "issuer" | "audience" => return Err(format!("{name} is empty; leave it out")),
            _ => {
                return Err(format!(
                    "unknown argument \"{arg}\"; known are jwks=, claim=, issuer=, audience= and cookie="
                ));
            }
        }
    }
    let jwks = jwks.ok_or("needs the keys, as in jwks=/etc/seckill/jwks.json")?;
    Ok(Jwt {
        jwks,
        policy,
        cookie,
    })
}

/// Whether a text may name a claim or a cookie: claims are often URLs.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_read_whole() {
        let read = jwt(&[
            "jwks=https://login.example.com/jwks",
            "claim=https://example.com/id",
            "issuer=https://login.example.com/",
            "audience=shop",
            "audience=app",
            "cookie=token",
        ])
        .unwrap();
        let url = "https://login.example.com/jwks".to_owned();
        assert_eq!(read.jwks, Jwks::Url(url));
        assert_eq!(read.policy.claim, "https://example.com/id");
        assert_eq!(read.policy.audiences, ["shop", "app"]);
        assert_eq!(read.cookie, "token");
        let plain = jwt(&["jwks=keys.json"]).unwrap();
        assert_eq!(plain.jwks, Jwks::File("keys.json".to_owned()));
        assert_eq!(plain.policy, Policy::default());
        assert_eq!(plain.cookie, "seckill_session");
    }

    #[test]
    fn a_faulty_argument_is_named_with_its_cure() {
        for (args, expected) in [
            (&["claim=sub"][..], "needs the keys"),
            (&["jwks="], "jwks \"\" must be a file or a URL"),
            (&["jwks=ftp://h/x"], "jwks \"ftp://h/x\" must be"),
            (&["jwks=https://"], "jwks \"https://\" must be"),
            (&["jwks=f", "claim=a b"], "claim \"a b\" must be letters"),
            (&["jwks=f", "cookie"], "cookie \"\" must be letters"),
            (&["jwks=f", "issuer="], "issuer is empty"),
            (&["jwks=f", "jwks=g"], "jwks= is given twice"),
            (&["jwks=f", "leeway=5"], "unknown argument \"leeway=5\""),
        ] {
            let error = jwt(args).unwrap_err();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }
}
