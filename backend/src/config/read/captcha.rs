//! The settings that begin with `captcha`.

use std::path::Path;

use super::Values;
use crate::config::addresses::{REDIS_SCHEMES, SENTINEL_SCHEMES};
use crate::config::captcha::Kind;
use crate::config::captcha::{Brand, WhenAway};
use crate::config::{CaptchaSettings, ConfigError, masked_url};

impl Values {
    pub(in crate::config) fn captcha(
        &mut self,
        data: &Path,
    ) -> Result<CaptchaSettings, ConfigError> {
        Ok(CaptchaSettings {
            kind: self.captcha_kind()?,
            work_bits: self.number("captcha_work_bits", 19, 8..=30)?,
            redis_url: self.captcha_redis_url()?,
            site_key: self.captcha_site_key()?,
            secret: self.path("captcha_secret", &data.join("captcha-secret"))?,
            verify_url: self.captcha_verify_url()?,
            when_away: self.captcha_when_away()?,
        })
    }

    fn captcha_kind(&mut self) -> Result<Kind, ConfigError> {
        let parse = |text: &str| {
            let kind = match text {
                "off" | "false" | "0" => Kind::Off,
                "slider" | "on" | "true" | "1" => Kind::Slider,
                "turnstile" => Kind::Service(Brand::Turnstile),
                "hcaptcha" => Kind::Service(Brand::Hcaptcha),
                _ => return None,
            };
            let shown = match kind {
                Kind::Off => "off",
                Kind::Slider => "slider",
                Kind::Service(brand) => brand.as_str(),
            };
            Some((kind, shown.to_owned()))
        };
        let right = "write off, slider, turnstile or hcaptcha";
        self.read("captcha", right, || (Kind::Off, "off".to_owned()), parse)
    }

    fn captcha_redis_url(&mut self) -> Result<Option<String>, ConfigError> {
        let parse = |text: &str| {
            let good = REDIS_SCHEMES
                .iter()
                .chain(&SENTINEL_SCHEMES)
                .any(|k| text.starts_with(k) && text.len() > k.len());
            good.then(|| (Some(text.to_owned()), masked_url(text)))
        };
        let right = "write it as redis_url, such as redis://HOST:PORT/DB";
        self.read(
            "captcha_redis_url",
            right,
            || (None, "none".to_owned()),
            parse,
        )
    }

    fn captcha_site_key(&mut self) -> Result<String, ConfigError> {
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let parse = |text: &str| {
            let good = !text.is_empty() && text.len() <= 128 && text.bytes().all(is_plain);
            good.then(|| (text.to_owned(), text.to_owned()))
        };
        let right = "write the public key, letters, digits, - _ and .";
        self.read(
            "captcha_site_key",
            right,
            || (String::new(), "none".to_owned()),
            parse,
        )
    }

    fn captcha_verify_url(&mut self) -> Result<Option<String>, ConfigError> {
        let parse = |text: &str| {
            let uri: axum::http::Uri = text.parse().ok()?;
            let good = matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some();
            good.then(|| (Some(text.to_owned()), masked_url(text)))
        };
        let right = "write https://HOST/PATH";
        self.read(
            "captcha_verify_url",
            right,
            || (None, "the service's own".to_owned()),
            parse,
        )
    }

    fn captcha_when_away(&mut self) -> Result<WhenAway, ConfigError> {
        let parse = |text: &str| match text {
            "refuse" => Some((WhenAway::Refuse, text.to_owned())),
            "pass" => Some((WhenAway::Pass, text.to_owned())),
            _ => None,
        };
        let right = "write refuse or pass";
        self.read(
            "captcha_when_away",
            right,
            || (WhenAway::Refuse, "refuse".to_owned()),
            parse,
        )
    }
}
