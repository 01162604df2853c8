//! Follows Sentinels: asks them which server is the master.
//!
//! An address `redis+sentinel://user:password@host:port,host:port/NAME/DB` names Sentinels
//! and the master by the name that they know it by. Login and database are the master's; the
//! login at the Sentinels is an option (`?sentinel_password=…`). With `rediss+sentinel://` both
//! are reached by TLS.

use std::time::Duration;

use redis::{AsyncConnectionConfig, ErrorKind, RedisConnectionInfo, RedisError};
use seckill_core::redis::role::{self, Report};
use seckill_tls::TlsClient;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::server::Server;
use crate::config::SENTINEL_SCHEME;

/// The port of a Sentinel whose address names none.
const PORT: u16 = 26379;

/// Some Sentinels, and the master that they watch.
#[derive(Debug, Clone)]
pub(super) struct Sentinels {
    addresses: Vec<(String, u16)>,
    name: String,
    /// The login there.
    login: RedisConnectionInfo,
    /// What to connect to the master with; its address is found out.
    master: Server,
}

/// The login at Sentinels, as an address gives it.
#[derive(Default)]
pub(super) struct SentinelLogin {
    user: Option<String>,
    password: Option<String>,
    /// The file that holds the password.
    password_file: Option<String>,
}

impl SentinelLogin {
    /// The names of its options, which are those of nginx's `seckill_redis`.
    pub(super) const NAMES: [&str; 3] = [
        "sentinel_user",
        "sentinel_password",
        "sentinel_password_file",
    ];

    /// Where the value of this option belongs; `None` if it is none of them.
    pub(super) fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "sentinel_user" => Some(&mut self.user),
            "sentinel_password" => Some(&mut self.password),
            "sentinel_password_file" => Some(&mut self.password_file),
            _ => None,
        }
    }

    /// # Errors
    /// What does not go together.
    pub(super) fn check(&self) -> Result<(), String> {
        match (&self.user, &self.password, &self.password_file) {
            (_, Some(_), Some(_)) => {
                Err("sentinel_password and sentinel_password_file are both given; keep one".into())
            }
            (Some(_), None, None) => Err("sentinel_user needs sentinel_password=".to_owned()),
            _ => Ok(()),
        }
    }

    /// Those that are given, with their values.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let values = [&self.user, &self.password, &self.password_file];
        let options = Self::NAMES.into_iter().zip(values);
        options.filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// The login itself.
    ///
    /// # Errors
    /// The file cannot be read.
    fn read(&self) -> Result<RedisConnectionInfo, String> {
        let mut login = RedisConnectionInfo::default();
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        let password = match &self.password_file {
            Some(file) => Some(std::fs::read_to_string(file).map_err(|error| {
                format!("sentinel_password_file={file} cannot be read: {error}")
            })?),
            None => self.password.clone(),
        };
        Ok(match password {
            Some(password) => login.set_password(password.trim_end_matches(['\n', '\r'])),
            None => login,
        })
    }
}

impl Sentinels {
    /// Reads an address without options.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(
        url: &str,
        login: &SentinelLogin,
        tls: Option<TlsClient>,
    ) -> Result<Self, String> {
        let at_sentinels = login.read()?;
        let rest = url.trim_start_matches(SENTINEL_SCHEME);
        let (login, places) = match rest.rsplit_once('@') {
            Some((login, places)) => (format!("{login}@"), places),
            None => (String::new(), rest),
        };
        let (hosts, path) = places.split_once('/').unwrap_or((places, ""));
        let (name, db) = path.split_once('/').unwrap_or((path, "0"));
        if name.is_empty() {
            return Err("behind the Sentinels there is no /NAME of their master".to_owned());
        }
        let addresses: Result<Vec<_>, _> = hosts.split(',').map(host_port).collect();
        let master = format!("redis://{login}unknown:6379/{db}");
        Ok(Self {
            addresses: addresses?,
            name: name.to_owned(),
            login: at_sentinels,
            master: Server::parse(&master, tls)?,
        })
    }

    /// The master's name, and where the Sentinels are: `NAME at HOST:PORT, HOST:PORT`.
    pub(super) fn address(&self) -> String {
        let places = self.places().map(|(host, port)| format!("{host}:{port}"));
        format!("{} at {}", self.name, places.collect::<Vec<_>>().join(", "))
    }

    /// The name that they know the master by.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where they are.
    pub(super) fn places(&self) -> impl Iterator<Item = &(String, u16)> {
        self.addresses.iter()
    }

    /// What every connection to the master has in common.
    pub(super) fn template(&self) -> &Server {
        &self.master
    }

    /// The master: by the newest report of a majority of the Sentinels.
    ///
    /// # Errors
    /// Too few of them respond, each within `patience`, or know a master of this name.
    pub(super) async fn master(&self, patience: Duration) -> Result<Server, String> {
        let address = self.ask(patience).await?;
        let (host, port) = host_port(&address)?;
        self.master.at(host, port)
    }

    /// The master's address, `host:port`.
    ///
    /// # Errors
    /// As [`Sentinels::master`].
    pub(super) async fn ask(&self, patience: Duration) -> Result<String, String> {
        let mut asked = JoinSet::new();
        for (host, port) in self.addresses.clone() {
            let (name, login) = (self.name.clone(), self.login.clone());
            let sentinel = self.master.at(host, port)?;
            asked.spawn(async move {
                let report = timeout(patience, report(sentinel, &login, &name)).await;
                report.unwrap_or(Ok(None))
            });
        }
        let most = self.addresses.len();
        let mut reports = Vec::with_capacity(most);
        let mut refused = None;
        // No longer than for a majority: a Sentinel that is away must not cost its patience.
        while reports.len() < role::majority(most)
            && let Some(report) = asked.join_next().await
        {
            match report {
                Ok(Ok(report)) => reports.extend(report),
                Ok(Err(error)) => refused = refused.or_else(|| refusal(&error)),
                Err(_) => {}
            }
        }
        match Report::by_majority(reports, most) {
            Ok(report) => Ok(report.address),
            Err(minority) => {
                let why = refused.unwrap_or_default();
                Err(format!("{minority} \"{}\"{why}", self.name))
            }
        }
    }
}

/// What one Sentinel says of the master. Its login is not the master's.
async fn report(
    sentinel: Server,
    login: &RedisConnectionInfo,
    name: &str,
) -> Result<Option<Report>, RedisError> {
    let config = AsyncConnectionConfig::new();
    let (mut conn, _) = sentinel.open_as(login, config).await?;
    let mut ask = redis::cmd("SENTINEL");
    let fields: Vec<String> = ask.arg("MASTER").arg(name).query_async(&mut conn).await?;
    Ok(Report::parse(&fields))
}

/// What to do where a Sentinel refuses the login, or has none and needs one.
fn refusal(error: &RedisError) -> Option<String> {
    let is_login = error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
    is_login.then(|| {
        "; a Sentinel refuses the login: give it by ?sentinel_password=… (and sentinel_user=…) at \
         the end of the address"
            .to_owned()
    })
}

/// Reads `host:port`; an IPv6 address is in brackets.
fn host_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            // It may be a password whose host is missing.
            let port = port
                .parse()
                .map_err(|_| "behind a colon is no port".to_owned())?;
            (host, port)
        }
        _ => (text, PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.is_empty() {
        true => Err("a Sentinel has no host".to_owned()),
        false => Ok((host.to_owned(), port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_the_sentinels_and_their_master() {
        let url = "redis+sentinel://app:s3cret@a:26380,[fd00::7],c/shop/2";
        let parse = |url: &str| Sentinels::parse(url, &SentinelLogin::default(), None);
        let sentinels = parse(url).unwrap();
        assert_eq!(
            sentinels.address(),
            "shop at a:26380, fd00::7:26379, c:26379"
        );
        for wrong in ["a,b", "app:s3cret/shop", ":1/shop", "a/"] {
            let error = parse(&format!("{SENTINEL_SCHEME}{wrong}")).unwrap_err();
            assert!(!error.contains("s3cret"), "{wrong}: {error}");
        }
    }
}
