//! This site among others.

use std::path::Path;
use std::time::Duration;

use axum::http::Uri;
use seckill_core::sites::division::is_name;

use super::{Values, list};
use crate::config::site::{SitePeer, SiteSettings};
use crate::config::{ConfigError, Listen, masked_url};

/// What stands for "no site".
const NONE: &str = "none";

impl Values {
    /// The settings `site…`; `None` if this site sells alone.
    pub(in crate::config) fn site(
        &mut self,
        data: &Path,
    ) -> Result<Option<SiteSettings>, ConfigError> {
        let right = "write a name of letters, digits and underscores, such as east";
        let name = self.site_name("site", right)?;
        let peers = self.site_peers(name.as_deref())?;
        let home = match &name {
            None => self.site_name("site_home", right)?,
            Some(own) => {
                let known: Vec<String> = std::iter::once(own.clone())
                    .chain(peers.iter().map(|peer| peer.name.clone()))
                    .collect();
                let right = format!("write the same at every site: one of {}", known.join(", "));
                let parse = |text: &str| {
                    let text = text.trim();
                    let is_known = known.iter().any(|name| name == text);
                    is_known.then(|| (Some(text.to_owned()), text.to_owned()))
                };
                let fallback = || (None, NONE.to_owned());
                self.read("site_home", &right, fallback, parse)?
            }
        };
        let keys = self.path("site_keys", &data.join("site-keys"))?;
        let listen: Option<Listen> = self.optional_listen("site_listen")?;
        let lost_after = self.number("site_lost_after", 600, 10..=604_800)?;
        let Some(name) = name else {
            return Ok(None);
        };
        let home = self.needed_with_site(
            "site_home",
            home,
            "site_home = \"east\", the same at every site",
        )?;
        let example = "site_listen = \"10.0.0.5:7004\", where the other sites reach the relay role";
        let listen = self.needed_with_site("site_listen", listen, example)?;
        Ok(Some(SiteSettings {
            name,
            peers,
            home,
            keys,
            listen,
            lost_after: Duration::from_secs(lost_after),
        }))
    }

    /// A setting without which a site cannot be one among others.
    fn needed_with_site<T>(
        &self,
        key: &'static str,
        value: Option<T>,
        example: &str,
    ) -> Result<T, ConfigError> {
        value.ok_or_else(|| ConfigError::Wrong {
            key,
            value: NONE.to_owned(),
            source_name: self
                .taken
                .get(key)
                .map(|(_, source)| source.to_string())
                .unwrap_or_default(),
            right: format!("\"site\" is set, which needs it: write {example}"),
        })
    }

    fn site_name(&mut self, key: &'static str, right: &str) -> Result<Option<String>, ConfigError> {
        let parse = |text: &str| match text.trim() {
            "" | NONE => Some((None, NONE.to_owned())),
            name => is_name(name).then(|| (Some(name.to_owned()), name.to_owned())),
        };
        self.read(key, right, || (None, NONE.to_owned()), parse)
    }

    /// Name and address of every other site: a TOML list, or separated by commas.
    fn site_peers(&mut self, own: Option<&str>) -> Result<Vec<SitePeer>, ConfigError> {
        let right = "write name and address of every other site, such as [\"west \
                     http://10.1.0.5:7004\"]";
        let parse = |text: &str| {
            let peers: Option<Vec<SitePeer>> =
                list(text).filter(|peer| *peer != NONE).map(peer).collect();
            let peers = peers?;
            let mut names: Vec<&str> = peers.iter().map(|peer| peer.name.as_str()).collect();
            names.extend(own);
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            (names.len() == all).then(|| shown(peers))
        };
        self.read("site_peers", right, || shown(Vec::new()), parse)
    }
}

fn peer(text: &str) -> Option<SitePeer> {
    let (name, url) = text.split_once(char::is_whitespace)?;
    let url: Uri = url.trim().parse().ok()?;
    let is_web = matches!(url.scheme_str(), Some("http" | "https"));
    let is_whole = is_web && url.host().is_some_and(|host| !host.is_empty());
    (is_name(name) && is_whole && matches!(url.path(), "" | "/") && url.query().is_none()).then(
        || SitePeer {
            name: name.to_owned(),
            url,
        },
    )
}

fn shown(peers: Vec<SitePeer>) -> (Vec<SitePeer>, String) {
    let text = |peer: &SitePeer| format!("{} {}", peer.name, masked_url(&peer.url.to_string()));
    let texts: Vec<String> = peers.iter().map(text).collect();
    let text = match texts.is_empty() {
        true => NONE.to_owned(),
        false => texts.join(", "),
    };
    (peers, text)
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, gather};

    fn config(given: &[(&str, &str)]) -> Result<Config, String> {
        let variables: Vec<(String, String)> = given
            .iter()
            .map(|(name, value)| (format!("SECKILL_SITE{name}"), (*value).to_owned()))
            .collect();
        let given = gather(None, &variables, Vec::new()).map_err(|error| error.to_string())?;
        Config::from_layers(given).map_err(|error| error.to_string())
    }

    #[test]
    fn a_site_has_peers_a_home_and_a_place_to_listen() {
        assert!(config(&[]).unwrap().site.is_none());
        let peers = "[\"west http://10.1.0.5:7004\", \"north https://n:7004\"]";
        let good = [
            ("", "east"),
            ("_PEERS", peers),
            ("_HOME", "west"),
            ("_LISTEN", "127.0.0.1:7004"),
        ];
        let site = config(&good).unwrap().site.unwrap();
        assert_eq!(site.names(), ["east", "west", "north"]);
        assert!(!site.is_home());
        assert_eq!(site.lost_after.as_secs(), 600);
        let wrongs = [
            ("", "the east", "letters, digits"),
            ("_PEERS", "west", "http://10.1.0.5:7004"),
            ("_PEERS", "west ftp://w", "http://10.1.0.5:7004"),
            ("_PEERS", "east http://e:1", "http://10.1.0.5:7004"),
            ("_HOME", "south", "one of east, west, north"),
            ("_HOME", "", "site_home"),
            ("_LISTEN", "none", "site_listen"),
            ("_LOST_AFTER", "1", "10"),
        ];
        for (name, value, said) in wrongs {
            let mut given = good.to_vec();
            given.retain(|(known, _)| *known != name);
            given.push((name, value));
            let error = config(&given).unwrap_err();
            assert!(error.contains(said), "{name}={value}: {error}");
        }
    }
}
