//! The settings of sessions and of the shop's own login.

use axum::http::Uri;
use seckill_core::gate::directive::jwt::{self, Jwks, Jwt};
use seckill_core::signing::jwt::Policy;
use seckill_core::signing::keyring::Digest;
use seckill_core::signing::session;

use super::Values;
use crate::config::{ConfigError, masked_url};

/// Whether a text can stand in quotes in nginx's configuration.
fn is_quotable(text: &str) -> bool {
    let breaks_out = |c: char| matches!(c, '"' | '\'' | '\\' | '$') || c.is_control();
    !text.is_empty() && !text.contains(breaks_out)
}

impl Values {
    pub(in crate::config) fn jwt(&mut self) -> Result<Option<Jwt>, ConfigError> {
        let jwks = self.jwks()?;
        let claim = self.claim("jwt_claim", "sub")?;
        let issuer = self.issuer()?;
        let audiences = self.audiences()?;
        let cookie = self.claim("jwt_cookie", session::COOKIE)?;
        Ok(jwks.map(|jwks| Jwt {
            jwks,
            policy: Policy {
                claim,
                issuer,
                audiences,
            },
            cookie,
        }))
    }

    fn jwks(&mut self) -> Result<Option<Jwks>, ConfigError> {
        let parse = |text: &str| {
            if text == "none" {
                return Some((None, text.to_owned()));
            }
            let jwks = match Jwks::parse(text)? {
                // The same file for every child process.
                Jwks::File(name) => {
                    Jwks::File(std::path::absolute(name).ok()?.to_str()?.to_owned())
                }
                Jwks::Url(url) => Jwks::Url(url.parse::<Uri>().ok().map(|_| url)?),
            };
            let (given, shown) = match &jwks {
                Jwks::File(path) => (path, path.clone()),
                Jwks::Url(url) => (url, masked_url(url)),
            };
            is_quotable(given).then_some((Some(jwks), shown))
        };
        let right = "write the path of a file, https://HOST/PATH, or none";
        let jwks = self.read("jwt_jwks", right, || (None, "none".to_owned()), parse)?;
        if let Some(Jwks::File(path)) = &jwks {
            self.restate("jwt_jwks", path.clone());
        }
        Ok(jwks)
    }

    pub(super) fn claim(
        &mut self,
        key: &'static str,
        default: &str,
    ) -> Result<String, ConfigError> {
        let parse = |text: &str| jwt::is_name(text).then(|| (text.to_owned(), text.to_owned()));
        let right = "write letters, digits and _ . : / -";
        self.read(
            key,
            right,
            || (default.to_owned(), default.to_owned()),
            parse,
        )
    }

    fn issuer(&mut self) -> Result<Option<String>, ConfigError> {
        let parse = |text: &str| {
            let issuer = (text != "none").then(|| text.to_owned());
            is_quotable(text).then(|| (issuer, text.to_owned()))
        };
        let right = "write the claim \"iss\" as the tokens have it, or none";
        self.read("jwt_issuer", right, || (None, "none".to_owned()), parse)
    }

    fn audiences(&mut self) -> Result<Vec<String>, ConfigError> {
        let parse = |text: &str| {
            let names = text.split(',').map(|name| name.trim().to_owned());
            let all: Vec<String> = names.filter(|_| text != "none").collect();
            let good = all.iter().all(|name| is_quotable(name));
            good.then(|| (all, text.to_owned()))
        };
        let right = "write names of audiences, separated by commas, or none";
        self.read(
            "jwt_audience",
            right,
            || (Vec::new(), "none".to_owned()),
            parse,
        )
    }

    pub(in crate::config) fn digest(&mut self) -> Result<Digest, ConfigError> {
        let parse = |text: &str| Some((Digest::parse(text)?, text.to_owned()));
        let default = || (Digest::default(), Digest::default().as_str().to_owned());
        self.read("digest", "write hmac-sha256 or md5", default, parse)
    }
}
