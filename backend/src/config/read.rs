//! Reads one raw value as what it must be.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use jiff::tz::TimeZone;
use seckill_core::orders::money::Currency;

use super::keys::{self, KEYS};
use super::running::{self, ADDRESSES};
use super::shown::MASK;
use super::{ConfigError, Given, Listen, LogFormat, RefundStock, Setting, Source, masked_url};

/// What the analysis does, and where the logs are.
mod analysis;
/// How buyers show that they are people.
mod captcha;
/// Where the console listens.
mod console;
/// Where the metrics of the edges are.
mod edges;
/// Which of the shop's own systems follow the orders.
mod feed;
/// How long what is in the database is kept.
mod keep;
/// How buyers log in.
mod login;
/// The names under which the shop's pages are served.
mod names;
/// How buyers are notified of their orders.
mod notify;
/// Single sign-on at the console.
mod oidc;
/// Paths of files, folders and programs.
mod paths;
/// Which queue, and where it is.
mod queue;
/// This site among others.
mod site;
/// Which caches are purged when a page changes.
mod targets;
/// Where traces are sent.
mod traces;

use super::addresses::{
    CLUSTER_SCHEMES, REDIS_SCHEMES, SENTINEL_SCHEMES, cluster_node, is_of_sentinels,
};

/// The parts of a TOML list, or of a text that separates them by commas. Brackets at one
/// end only are of an IPv6 address.
fn list(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    let inside = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inside
        .unwrap_or(text)
        .split([',', '\n'])
        .map(|part| part.trim().trim_matches(['"', '\'']))
        .filter(|part| !part.is_empty())
}

/// How the address of a database begins.
const DATABASES: [&str; 5] = [
    "sqlite:",
    "mysql://",
    "mariadb://",
    "postgres://",
    "postgresql://",
];

/// Raw values on their way to becoming settings.
pub(super) struct Values {
    given: HashMap<&'static str, Given>,
    taken: HashMap<&'static str, (String, Source)>,
}

impl Values {
    pub(super) fn new(given: Vec<(&'static str, Given)>) -> Self {
        let given: HashMap<_, _> = given.into_iter().collect();
        let mut taken = HashMap::new();
        let file = given.get("config");
        let source = file.map_or(Source::Default, |given| given.source.clone());
        taken.insert(
            "config",
            (file.map_or("none", |given| &given.text).to_owned(), source),
        );
        Self { given, taken }
    }

    pub(super) fn is_given(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// Whether the value of `key` is `text` because a running system wrote it down.
    pub(super) fn is_running(&self, key: &str, text: &str) -> bool {
        let given = self.given.get(key);
        given.is_some_and(|given| matches!(given.source, Source::Running(_)) && given.text == text)
    }

    /// What a command beside this system takes over: what was set, as it was written, and
    /// the addresses. A default that cannot be written as a value is left out.
    pub(super) fn in_force(&self) -> BTreeMap<String, String> {
        let addresses = ADDRESSES.into_iter().filter_map(|key| {
            let (shown, _) = self.taken.get(key)?;
            (shown != "none").then(|| (key.to_owned(), shown.clone()))
        });
        let defaults = addresses.filter(|(key, _)| !self.is_given(key));
        let given = self.given.iter();
        let given = given.filter(|(key, _)| running::taken_over(key).is_some());
        defaults
            .chain(given.map(|(key, given)| written(key, given)))
            .collect()
    }

    /// Writes a value anew, as it means the same in whatever folder it is read.
    fn restate(&mut self, key: &str, text: String) {
        if let Some(given) = self.given.get_mut(key) {
            given.text = text;
        }
    }

    /// Reads the value of `key` by `parse`; if it is not set, it is `default`.
    fn read<T>(
        &mut self,
        key: &'static str,
        right: &str,
        default: impl FnOnce() -> (T, String),
        parse: impl FnOnce(&str) -> Option<(T, String)>,
    ) -> Result<T, ConfigError> {
        let (value, shown, source) = match self.given.get(key) {
            None => {
                let (value, shown) = default();
                (value, shown, Source::Default)
            }
            Some(given) => match parse(&given.text) {
                Some((value, _)) if matches!(given.source, Source::Secret(..)) => {
                    (value, MASK.to_owned(), given.source.clone())
                }
                Some((value, shown)) => (value, shown, given.source.clone()),
                None => return Err(wrong(key, given, right)),
            },
        };
        self.taken.insert(key, (shown, source));
        Ok(value)
    }

    /// A whole number in `range`.
    pub(super) fn number<T>(
        &mut self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
    ) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let right = format!(
            "write a whole number from {} to {}",
            range.start(),
            range.end()
        );
        let parse = |text: &str| {
            let number: T = text.trim().replace('_', "").parse().ok()?;
            range
                .contains(&number)
                .then(|| (number, number.to_string()))
        };
        self.read(key, &right, || (default, default.to_string()), parse)
    }

    /// A number, or the word `none` for no number, which is the default.
    pub(super) fn optional_number(
        &mut self,
        key: &'static str,
        none: &str,
        range: RangeInclusive<u16>,
    ) -> Result<Option<u16>, ConfigError> {
        let (from, to) = (range.start(), range.end());
        let right = format!("write \"{none}\" or a whole number from {from} to {to}");
        let parse = |text: &str| match text.parse::<u16>() {
            Ok(number) if range.contains(&number) => Some((Some(number), number.to_string())),
            _ => (text == none).then(|| (None, none.to_owned())),
        };
        self.read(key, &right, || (None, none.to_owned()), parse)
    }

    /// `on` or `off`.
    pub(super) fn switch(&mut self, key: &'static str, default: bool) -> Result<bool, ConfigError> {
        let shown = |on: bool| (on, if on { "on" } else { "off" }.to_owned());
        let parse = |text: &str| match text {
            "on" | "true" | "1" => Some(shown(true)),
            "off" | "false" | "0" => Some(shown(false)),
            _ => None,
        };
        self.read(key, "write on or off", || shown(default), parse)
    }

    pub(super) fn redis_url(&mut self, default: &str) -> Result<String, ConfigError> {
        let known = [&REDIS_SCHEMES[..], &SENTINEL_SCHEMES[..]].concat();
        let right = "write redis://HOST:PORT/DB, unix:///PATH, or for Sentinels \
                     redis+sentinel://HOST:PORT,HOST:PORT/NAME; for TLS, rediss in place of redis";
        self.url("redis_url", default, &known, right)
    }

    /// A list of addresses: a TOML list, or separated by commas in one text.
    pub(super) fn redis_segments(&mut self) -> Result<Vec<String>, ConfigError> {
        let known = [
            &REDIS_SCHEMES[..],
            &SENTINEL_SCHEMES[..],
            &CLUSTER_SCHEMES[..],
        ]
        .concat();
        let right = "write a list such as [\"redis://HOST1:PORT\", \"redis://HOST2:PORT\"], or \
                     any nodes of one Redis Cluster as \"redis+cluster://HOST:PORT\"";
        let parse = |text: &str| {
            let mut urls: Vec<String> = Vec::new();
            for part in list(text) {
                match urls.last_mut() {
                    // The second of the Sentinels in one address.
                    Some(last) if is_of_sentinels(last) && !part.contains("://") => {
                        last.push(',');
                        last.push_str(part);
                    }
                    _ => urls.push(part.to_owned()),
                }
            }
            let good = |url: &String| {
                known
                    .iter()
                    .any(|k| url.starts_with(k) && url.len() > k.len())
            };
            let nodes = urls.iter().filter_map(|url| cluster_node(url)).count();
            let mixed = nodes > 0 && nodes < urls.len();
            let shown = match urls.as_slice() {
                [] => "none".to_owned(),
                urls => urls
                    .iter()
                    .map(|url| masked_url(url))
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            (urls.iter().all(good) && !mixed).then_some((urls, shown))
        };
        self.read(
            "redis_segments",
            right,
            || (Vec::new(), "none".to_owned()),
            parse,
        )
    }

    pub(super) fn database_url(&mut self, default: &str) -> Result<String, ConfigError> {
        let right = "write sqlite:/PATH, mysql://USER:PASSWORD@HOST/DATABASE or \
                     postgres://USER:PASSWORD@HOST/DATABASE";
        self.url("database_url", default, &DATABASES, right)
    }

    /// Database addresses separated by spaces; none by default.
    pub(super) fn database_urls(&mut self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let right = "write addresses such as sqlite:/PATH, mysql://USER:PASSWORD@HOST/DATABASE or \
                     postgres://USER:PASSWORD@HOST/DATABASE, separated by spaces";
        let parse = |text: &str| {
            let urls: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let known = |url: &String| DATABASES.iter().any(|known| url.starts_with(known));
            let shown: Vec<String> = urls.iter().map(|url| masked_url(url)).collect();
            urls.iter().all(known).then(|| (urls, shown.join(" ")))
        };
        self.read(key, right, || (Vec::new(), "none".to_owned()), parse)
    }

    fn url(
        &mut self,
        key: &'static str,
        default: &str,
        known: &[&str],
        right: &str,
    ) -> Result<String, ConfigError> {
        let parse = |text: &str| {
            let good = known
                .iter()
                .any(|k| text.starts_with(k) && text.len() > k.len());
            good.then(|| (text.to_owned(), masked_url(text)))
        };
        self.read(
            key,
            right,
            || (default.to_owned(), default.to_owned()),
            parse,
        )
    }

    pub(super) fn time_zone(&mut self, default: &str) -> Result<TimeZone, ConfigError> {
        let parse = |text: &str| TimeZone::get(text).ok().map(|zone| (zone, text.to_owned()));
        let fallback = || {
            // The database of zones is compiled in, so that the default is in it.
            (
                TimeZone::get(default).unwrap_or(TimeZone::UTC),
                default.to_owned(),
            )
        };
        self.read(
            "time_zone",
            "write a zone such as Asia/Shanghai or UTC",
            fallback,
            parse,
        )
    }

    pub(super) fn currency(&mut self) -> Result<Currency, ConfigError> {
        let shown = |currency: Currency| (currency, currency.to_string());
        let parse = |text: &str| Currency::parse(text).map(shown);
        let right = "write the three letters of a currency, such as CNY or EUR";
        self.read("currency", right, || shown(Currency::CNY), parse)
    }

    pub(super) fn refund_stock(&mut self) -> Result<RefundStock, ConfigError> {
        let parse = |text: &str| match text {
            "keep" => Some((RefundStock::Keep, text.to_owned())),
            "release" => Some((RefundStock::Release, text.to_owned())),
            _ => None,
        };
        let fallback = || (RefundStock::Keep, "keep".to_owned());
        self.read("refund_stock", "write keep or release", fallback, parse)
    }

    pub(super) fn log_format(&mut self) -> Result<LogFormat, ConfigError> {
        let parse = |text: &str| match text {
            "human" => Some((LogFormat::Human, text.to_owned())),
            "json" => Some((LogFormat::Json, text.to_owned())),
            _ => None,
        };
        let fallback = || (LogFormat::Human, "human".to_owned());
        self.read("log_format", "write human or json", fallback, parse)
    }

    pub(super) fn log_level(&mut self, default: &str) -> Result<String, ConfigError> {
        let right = "write error, warn, info, debug, trace or off, or directives such as \
                     \"info,seckill::shop=debug\"";
        let parse = |text: &str| {
            super::log_filter::is_filter(text).then(|| (text.to_owned(), text.to_owned()))
        };
        self.read(
            "log",
            right,
            || (default.to_owned(), default.to_owned()),
            parse,
        )
    }

    pub(super) fn listen(
        &mut self,
        key: &'static str,
        default: &Path,
    ) -> Result<Listen, ConfigError> {
        let fallback = || {
            let listen = Listen::Unix(default.to_owned());
            let shown = listen.to_string();
            (listen, shown)
        };
        let parse = |text: &str| Listen::parse(text).map(|listen| (listen, text.to_owned()));
        self.read(
            key,
            "write unix:/PATH or ADDRESS:PORT such as 127.0.0.1:9000",
            fallback,
            parse,
        )
    }

    /// Where to listen, or `none`.
    pub(super) fn optional_listen(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Listen>, ConfigError> {
        let parse = |text: &str| match text {
            "none" | "" => Some((None, "none".to_owned())),
            _ => Listen::parse(text).map(|listen| (Some(listen), text.to_owned())),
        };
        self.read(
            key,
            "write unix:/PATH, ADDRESS:PORT such as 127.0.0.1:9000, or none",
            || (None, "none".to_owned()),
            parse,
        )
    }

    /// What was read, in the order of [`KEYS`].
    pub(super) fn into_settings(mut self) -> Vec<Setting> {
        KEYS.iter()
            .filter_map(|key| {
                let (value, source) = self.taken.remove(key.name)?;
                Some(Setting {
                    key: key.name,
                    meaning: key.meaning,
                    value,
                    source,
                })
            })
            .collect()
    }
}

/// A value for another process. What a file holds stays there, unless it is none that
/// another process could read, such as a pipe.
fn written(key: &str, given: &Given) -> (String, String) {
    match &given.source {
        Source::Secret(_, file) if file.is_file() => {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            (format!("{key}_file"), file.display().to_string())
        }
        _ => (key.to_owned(), given.text.clone()),
    }
}

/// The refusal of a value. One that was not understood may be a secret in the wrong place,
/// and where secrets may stand it is not shown.
fn wrong(key: &'static str, given: &Given, right: &str) -> ConfigError {
    let may_be_secret = keys::may_be_secret(key)
        || matches!(given.source, Source::Secret(..))
        || given.text.contains('@')
        || given.text.contains("://");
    let (source_name, right) = (given.source.to_string(), right.to_owned());
    if may_be_secret {
        return ConfigError::WrongSecret {
            key,
            length: given.text.chars().count(),
            source_name,
            right,
        };
    }
    ConfigError::Wrong {
        key,
        value: given.text.clone(),
        source_name,
        right,
    }
}
