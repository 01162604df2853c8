//! Follows Sentinels: asks them which server is the master.
//!
//! An address `redis+sentinel://user:password@host:port,host:port/NAME/DB` names Sentinels
//! and the master by the name that they know it by. Login and database are the master's. With
//! `rediss+sentinel://` both are reached by TLS.

use std::time::Duration;

use redis::RedisResult;
use seckill_core::redis::role::Report;
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
    /// What to connect to the master with; its address is found out.
    master: Server,
}

impl Sentinels {
    /// Reads an address; `None` if it is none of Sentinels.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(url: &str, tls: Option<&TlsClient>) -> Option<Result<Self, String>> {
        let rest = url.strip_prefix(SENTINEL_SCHEME)?;
        Some(Self::parse_rest(rest, tls.cloned()))
    }

    fn parse_rest(rest: &str, tls: Option<TlsClient>) -> Result<Self, String> {
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
            let name = self.name.clone();
            let sentinel = self.master.at(host, port)?;
            asked.spawn(async move {
                let report = timeout(patience, report(sentinel, &name)).await;
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
async fn report(sentinel: Server, name: &str) -> RedisResult<Option<Report>> {
    // The login is the master's.
    let mut conn = sentinel.open_as_nobody().await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_the_sentinels_and_their_master() {
        let url = "redis+sentinel://app:s3cret@a:26380,[fd00::7],c/shop/2";
        let sentinels = Sentinels::parse(url, None).unwrap().unwrap();
        assert_eq!(
            sentinels.address(),
            "shop at a:26380, fd00::7:26379, c:26379"
        );
        assert!(Sentinels::parse("redis://a:1", None).is_none());
        for wrong in ["a,b", "a:x/shop", ":1/shop", "a/"] {
            let url = format!("{SENTINEL_SCHEME}{wrong}");
            assert!(Sentinels::parse(&url, None).unwrap().is_err(), "{wrong}");
        }
    }
}
