//! The settings of single sign-on at the console, and the console's own address.

use seckill_core::gate::origin;
use seckill_core::ids;

use super::Values;
use crate::config::ConfigError;
use crate::config::oidc::{self, Oidc, RoleClaim, Secret};

/// Longest issuer, in bytes.
const MAX_ISSUER: usize = 255;

impl Values {
    /// The console's address as browsers know it: an origin.
    pub(in crate::config) fn console_url(&mut self, port: u16) -> Result<String, ConfigError> {
        let parse = |text: &str| {
            let text = text.strip_suffix('/').unwrap_or(text);
            let of = origin::of_url(text).filter(|of| *of == text.to_ascii_lowercase())?;
            let is_web = of.starts_with("https://") || of.starts_with("http://");
            let uri: axum::http::Uri = of.parse().ok()?;
            let has_host = uri.host().is_some_and(|host| !host.is_empty());
            (is_web && has_host && !of.contains('@')).then(|| (of.clone(), of))
        };
        let default = format!("http://localhost:{port}");
        let right = "write https://HOST or http://HOST:PORT, without a path";
        self.read("console_url", right, || (default.clone(), default), parse)
    }

    /// Single sign-on; `None` unless there is an issuer.
    pub(in crate::config) fn oidc(&mut self) -> Result<Option<Oidc>, ConfigError> {
        let issuer = self.oidc_issuer()?;
        let client_id = self.line("console_oidc_client_id", "write the client id")?;
        let client_secret = self.client_secret()?;
        let name = self.line("console_oidc_name", "write a name such as Example")?;
        let scope = self.scope()?;
        let roles = RoleClaim {
            claim: self.claim("console_oidc_role_claim", "groups")?,
            supervisors: self.claim_values("console_oidc_supervisors")?,
            operators: self.claim_values("console_oidc_operators")?,
        };
        let creates = self.switch("console_oidc_create", false)?;
        let logs_out = self.switch("console_oidc_logout", true)?;
        let only = self.switch("console_oidc_only", false)?;
        let break_glass = self.break_glass()?;
        let Some(issuer) = issuer else {
            let right = "set console_oidc_issuer too, or nobody could log in";
            return match only {
                true => Err(self.wrong("console_oidc_only", right)),
                false => Ok(None),
            };
        };
        if creates && !roles.decides() {
            let right = "say which values of the claim make which role, in \
                         console_oidc_supervisors and console_oidc_operators";
            return Err(self.wrong("console_oidc_create", right));
        }
        let Some(client_id) = client_id else {
            let right = "write the console's client id at the issuer";
            return Err(self.wrong("console_oidc_client_id", right));
        };
        let host = issuer.split('/').nth(2).unwrap_or_default().to_owned();
        Ok(Some(Oidc {
            name: name.unwrap_or(host),
            issuer,
            client_id,
            client_secret,
            scope,
            roles,
            creates,
            logs_out,
            only,
            break_glass,
        }))
    }

    fn oidc_issuer(&mut self) -> Result<Option<String>, ConfigError> {
        let parse = |text: &str| {
            if text == "none" {
                return Some((None, text.to_owned()));
            }
            let good = oidc::is_trusted(text)
                && text.len() <= MAX_ISSUER
                && !text.contains(['?', '#'])
                && text.bytes().all(|byte| byte.is_ascii_graphic());
            good.then(|| (Some(text.to_owned()), text.to_owned()))
        };
        let right = "write the provider's issuer, https://HOST or https://HOST/PATH (http:// on \
                     this machine only), or none";
        self.read(
            "console_oidc_issuer",
            right,
            || (None, "none".to_owned()),
            parse,
        )
    }

    /// A short text of one line; none by default.
    fn line(&mut self, key: &'static str, right: &str) -> Result<Option<String>, ConfigError> {
        let parse = |text: &str| {
            let good = (1..=255).contains(&text.len()) && !text.contains(char::is_control);
            let line = (text != "none").then(|| text.to_owned());
            good.then(|| (line, text.to_owned()))
        };
        self.read(key, right, || (None, "none".to_owned()), parse)
    }

    /// Any text is taken: one that is refused would be shown.
    fn client_secret(&mut self) -> Result<Option<Secret>, ConfigError> {
        let parse = |text: &str| {
            let is_set = !text.is_empty() && text != "none";
            let shown = if is_set { "******" } else { "none" };
            let secret = is_set.then(|| Secret(text.to_owned()));
            Some((secret, shown.to_owned()))
        };
        self.read(
            "console_oidc_client_secret",
            "write the secret, or none",
            || (None, "none".to_owned()),
            parse,
        )
    }

    fn scope(&mut self) -> Result<String, ConfigError> {
        let default = "openid profile email";
        let parse = |text: &str| {
            let is_scope = |it: &str| it.bytes().all(|byte| matches!(byte, 0x21..=0x7e));
            let all: Vec<&str> = text.split(' ').filter(|it| !it.is_empty()).collect();
            let good = all.contains(&"openid") && all.iter().all(|it| is_scope(it));
            good.then(|| (all.join(" "), all.join(" ")))
        };
        let right = "write scopes separated by spaces, openid among them";
        self.read(
            "console_oidc_scope",
            right,
            || (default.to_owned(), default.to_owned()),
            parse,
        )
    }

    fn claim_values(&mut self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let parse = |text: &str| {
            let values = text.split(',').map(|it| it.trim().to_owned());
            let all: Vec<String> = values.filter(|_| text != "none").collect();
            let good = all.iter().all(|it| !it.is_empty());
            good.then(|| (all, text.to_owned()))
        };
        let right = "write values of the claim, separated by commas, or none";
        self.read(key, right, || (Vec::new(), "none".to_owned()), parse)
    }

    fn break_glass(&mut self) -> Result<Option<String>, ConfigError> {
        let parse = |text: &str| {
            let name = (text != "none").then(|| text.to_owned());
            ids::is_account(text).then(|| (name, text.to_owned()))
        };
        let right = "write the name of an account, or none";
        self.read(
            "console_oidc_break_glass",
            right,
            || (None, "none".to_owned()),
            parse,
        )
    }

    /// The refusal of a value that does not go with the others.
    fn wrong(&self, key: &'static str, right: &str) -> ConfigError {
        let (value, source) = match self.taken.get(key) {
            Some((shown, source)) => (shown.clone(), source.to_string()),
            None => Default::default(),
        };
        ConfigError::Wrong {
            key,
            value,
            source_name: source,
            right: right.to_owned(),
        }
    }
}
