//! Follows Sentinels: asks them which server is the master.
//!
//! An address `redis+sentinel://user:password@host:port,host:port/NAME/DB` names Sentinels
//! and the master by the name that they know it by. Login and database are the master's.

use std::time::Duration;

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisResult};
use seckill_core::redis::role::Report;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::SENTINEL_SCHEME;

/// The port of a Sentinel whose address names none.
const PORT: u16 = 26379;

/// Some Sentinels, and the master that they watch.
#[derive(Debug, Clone)]
pub(super) struct Sentinels {
    addresses: Vec<(String, u16)>,
    name: String,
    /// What to connect to the master with; its address is found out.
    master: ConnectionInfo,
}

impl Sentinels {
    /// Reads an address; `None` if it is none of Sentinels.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(url: &str) -> Option<Result<Self, String>> {
        url.strip_prefix(SENTINEL_SCHEME).map(Self::parse_rest)
    }

    fn parse_rest(rest: &str) -> Result<Self, String> {
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
            master: master
                .into_connection_info()
                .map_err(|error| error.to_string())?,
        })
    }

    /// The master's name, and where the Sentinels are: `NAME at HOST:PORT, HOST:PORT`.
    pub(super) fn address(&self) -> String {
        format!("{} at {}", self.name, self.places(", "))
    }

    /// The arguments of nginx's `seckill_redis` for the same master.
    fn directive(&self) -> String {
        format!("{} sentinel={}", self.places(" "), self.name)
    }

    fn places(&self, between: &str) -> String {
        let places: Vec<String> = self
            .addresses
            .iter()
            .map(|(host, port)| format!("{host}:{port}"))
            .collect();
        places.join(between)
    }

    /// What every connection to the master has in common.
    pub(super) fn template(&self) -> &ConnectionInfo {
        &self.master
    }

    /// The master: by the newest report of a majority of the Sentinels.
    ///
    /// # Errors
    /// Too few of them respond, each within `patience`, or know a master of this name.
    pub(super) async fn master(&self, patience: Duration) -> Result<Client, String> {
        let address = self.ask(patience).await?;
        let (host, port) = host_port(&address)?;
        let info = self
            .master
            .clone()
            .set_addr(ConnectionAddr::Tcp(host, port));
        Client::open(info).map_err(|error| error.to_string())
    }

    /// The master's address, `host:port`.
    ///
    /// # Errors
    /// As [`Sentinels::master`].
    pub(super) async fn ask(&self, patience: Duration) -> Result<String, String> {
        let mut asked = JoinSet::new();
        for place in self.addresses.clone() {
            let name = self.name.clone();
            asked.spawn(async move {
                let report = timeout(patience, report(place, &name)).await;
                report.ok().and_then(Result::ok).flatten()
            });
        }
        let most = self.addresses.len();
        let mut reports = Vec::with_capacity(most);
        // No longer than for a majority: a Sentinel that is away must not cost its patience.
        while reports.len() * 2 <= most
            && let Some(report) = asked.join_next().await
        {
            reports.extend(report.ok().flatten());
        }
        if reports.len() * 2 <= most {
            let (name, heard) = (&self.name, reports.len());
            return Err(format!(
                "only {heard} of {most} Sentinels name a master \"{name}\""
            ));
        }
        let newest = Report::newest(reports);
        newest
            .map(|report| report.address)
            .ok_or_else(|| "no Sentinel responds".to_owned())
    }
}

/// What one Sentinel says of the master.
async fn report((host, port): (String, u16), name: &str) -> RedisResult<Option<Report>> {
    let client = Client::open(format!("redis://{host}:{port}"))?;
    let mut conn = client.get_multiplexed_async_connection().await?;
    let mut ask = redis::cmd("SENTINEL");
    let fields: Vec<String> = ask.arg("MASTER").arg(name).query_async(&mut conn).await?;
    Ok(Report::parse(&fields))
}

/// Reads `host:port`; an IPv6 address is in brackets.
fn host_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port = port.parse().map_err(|_| format!("\"{port}\" is no port"))?;
            (host, port)
        }
        _ => (text, PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.is_empty() {
        true => Err(format!("\"{text}\" names no host")),
        false => Ok((host.to_owned(), port)),
    }
}

/// The arguments of nginx's `seckill_redis` for the master of this address, with its login;
/// `None` if it is no address of Sentinels.
#[must_use]
pub fn directive(url: &str) -> Option<String> {
    let sentinels = Sentinels::parse(url)?.ok()?;
    let settings = sentinels.template().redis_settings();
    let mut text = sentinels.directive();
    if let Some(user) = settings.username() {
        text.push_str(&format!(" \"user={user}\""));
    }
    if let Some(password) = settings.password() {
        text.push_str(&format!(" \"password={password}\""));
    }
    if settings.db() != 0 {
        text.push_str(&format!(" db={}", settings.db()));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_the_sentinels_and_their_master() {
        let url = "redis+sentinel://app:s3cret@a:26380,[fd00::7],c/shop/2";
        let sentinels = Sentinels::parse(url).unwrap().unwrap();
        assert_eq!(
            sentinels.address(),
            "shop at a:26380, fd00::7:26379, c:26379"
        );
        assert_eq!(sentinels.template().redis_settings().db(), 2);
        assert_eq!(
            directive("redis+sentinel://app:s3cret@a,b:1/shop/2").unwrap(),
            "a:26379 b:1 sentinel=shop \"user=app\" \"password=s3cret\" db=2"
        );
        assert!(Sentinels::parse("redis://a:1").is_none());
        for wrong in ["a,b", "a:x/shop", ":1/shop", "a/"] {
            let url = format!("{SENTINEL_SCHEME}{wrong}");
            assert!(Sentinels::parse(&url).unwrap().is_err(), "{wrong}");
        }
    }
}
