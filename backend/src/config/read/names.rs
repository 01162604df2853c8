//! The names under which the shop's pages are served, and how sessions are set there.

use axum::http::HeaderValue;
use seckill_core::gate::origin;

use super::Values;
use crate::config::names::{Names, SameSite};
use crate::config::{ConfigError, masked_url};

impl Values {
    pub(in crate::config) fn names(&mut self) -> Result<Names, ConfigError> {
        let mut origins = self.origins()?;
        // The shop's own address, should a proxy in between replace the Host header.
        let site = self
            .given
            .get("site_url")
            .and_then(|site| origin::of_url(site.text.split_whitespace().next()?));
        let is_https = site
            .as_ref()
            .is_some_and(|site| site.starts_with("https://"));
        origins.extend(site);
        Ok(Names {
            origins,
            cookie_domain: self.cookie_domain()?,
            same_site: self.same_site()?,
            secure: self.secure()?.unwrap_or(is_https),
            login_url: self.page("login_url")?,
            logout_url: self.page("logout_url")?,
        })
    }

    fn origins(&mut self) -> Result<Vec<String>, ConfigError> {
        let parse = |text: &str| {
            let given: Vec<&str> = text.split_whitespace().filter(|it| *it != "none").collect();
            let origins: Vec<String> = given.iter().filter_map(|it| origin::of_url(it)).collect();
            let are_origins = origins.len() == given.len()
                && given
                    .iter()
                    .all(|it| origin::of_url(it).is_some_and(|of| of == it.to_lowercase()))
                && !text.contains('@');
            are_origins.then(|| (origins, text.to_owned()))
        };
        let right = "write origins such as https://mall.example.com, separated by spaces, or none";
        self.read(
            "shop_origins",
            right,
            || (Vec::new(), "none".to_owned()),
            parse,
        )
    }

    fn cookie_domain(&mut self) -> Result<Option<String>, ConfigError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let parse = |text: &str| {
            if text == "none" {
                return Some((None, text.to_owned()));
            }
            let good = text.contains('.') && text.bytes().all(is_plain);
            good.then(|| (Some(text.to_owned()), text.to_owned()))
        };
        let right = "write a domain such as example.com, or none";
        self.read("cookie_domain", right, || (None, "none".to_owned()), parse)
    }

    fn same_site(&mut self) -> Result<SameSite, ConfigError> {
        let parse = |text: &str| {
            let same_site = match text {
                "lax" => SameSite::Lax,
                "strict" => SameSite::Strict,
                "none" => SameSite::None,
                _ => return None,
            };
            Some((same_site, text.to_owned()))
        };
        let default = || (SameSite::Lax, "lax".to_owned());
        self.read(
            "cookie_same_site",
            "write lax, strict or none",
            default,
            parse,
        )
    }

    fn secure(&mut self) -> Result<Option<bool>, ConfigError> {
        let parse = |text: &str| {
            let secure = match text {
                "auto" => None,
                "on" => Some(true),
                "off" => Some(false),
                _ => return None,
            };
            Some((secure, text.to_owned()))
        };
        let default = || (None, "auto".to_owned());
        self.read("cookie_secure", "write auto, on or off", default, parse)
    }

    /// The address of a page of the shop's, which may be on this name: `/login`.
    fn page(&mut self, key: &'static str) -> Result<Option<String>, ConfigError> {
        let parse = |text: &str| {
            if text == "none" {
                return Some((None, text.to_owned()));
            }
            let is_page = ["https://", "http://", "/"]
                .iter()
                .any(|it| text.starts_with(it))
                && !text.starts_with("//")
                && HeaderValue::from_str(text).is_ok();
            let shown = match text.starts_with('/') {
                true => text.split(['?', '#']).next().unwrap_or_default().to_owned(),
                false => masked_url(text),
            };
            is_page.then(|| (Some(text.to_owned()), shown))
        };
        let right = "write an address such as https://example.com/login?to={return}, or none";
        self.read(key, right, || (None, "none".to_owned()), parse)
    }
}
