//! Which caches are purged when a page changes.

use axum::http::{HeaderName, HeaderValue, Uri};

use super::Values;
use crate::config::targets::{PurgeMethod, Targets};
use crate::config::{ConfigError, masked_url};

impl Values {
    pub(in crate::config) fn targets(&mut self) -> Result<Targets, ConfigError> {
        let site = self.web_addresses("site_url")?.into_iter().next();
        Ok(Targets {
            purge: self.web_addresses("purge_urls")?,
            method: self.purge_method()?,
            header: self.purge_header()?,
            site,
            prewarm: self.web_addresses("prewarm_urls")?,
        })
    }

    /// Web addresses separated by spaces; none by default.
    fn web_addresses(&mut self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let right = "write addresses such as http://cache.example.com, separated by spaces";
        let parse = |text: &str| {
            let urls: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let shown: Vec<String> = urls.iter().map(|url| masked_url(url)).collect();
            let all = urls.iter().all(|url| is_web_address(url));
            all.then(|| (urls, shown.join(" ")))
        };
        self.read(key, right, || (Vec::new(), "none".to_owned()), parse)
    }

    fn purge_method(&mut self) -> Result<PurgeMethod, ConfigError> {
        let parse = |text: &str| match text {
            "PURGE" => Some((PurgeMethod::Purge, text.to_owned())),
            "POST" => Some((PurgeMethod::Post, text.to_owned())),
            _ => None,
        };
        let fallback = || (PurgeMethod::Purge, "PURGE".to_owned());
        self.read("purge_method", "write PURGE or POST", fallback, parse)
    }

    /// A secret, of which only the name is shown.
    fn purge_header(&mut self) -> Result<Option<(HeaderName, HeaderValue)>, ConfigError> {
        let parse = |text: &str| {
            let (name, value) = text.split_once(':')?;
            let name: HeaderName = name.trim().parse().ok()?;
            let shown = format!("{name}: ******");
            let mut value: HeaderValue = value.trim().parse().ok()?;
            value.set_sensitive(true);
            Some((Some((name, value)), shown))
        };
        let right = "write a header such as \"Authorization: Bearer TOKEN\"";
        self.read("purge_header", right, || (None, "none".to_owned()), parse)
    }
}

fn is_web_address(text: &str) -> bool {
    let uri: Option<Uri> = text.parse().ok();
    uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_targets() {
        for good in ["http://cache", "https://api.example.com/v1/purge?zone=1"] {
            assert!(is_web_address(good), "{good}");
        }
        for bad in ["cache", "redis://cache", "http:", "/purge", ""] {
            assert!(!is_web_address(bad), "{bad}");
        }
    }
}
