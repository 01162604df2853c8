//! Where a connection leads: to one address, or to the master that Sentinels name.

use std::time::Duration;

use redis::ConnectionInfo;

use super::options::Options;
use super::sentinel::Sentinels;
use super::server::Server;

/// Where a connection leads.
#[derive(Debug)]
pub(super) enum Target {
    /// The connection leads to this server.
    Server(Server),
    /// To the master that these name, whichever that is by then.
    Sentinels(Sentinels),
}

impl Target {
    /// Reads `redis://…`, `unix://…` or `redis+sentinel://…`; by TLS with `rediss` in place
    /// of `redis`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (url, options) = Options::split(url)?;
        let tls = options.client()?;
        match options.sentinel() {
            Some(login) => Ok(Self::Sentinels(Sentinels::parse(&url, login, tls)?)),
            None => Ok(Self::Server(Server::parse(&url, tls)?)),
        }
    }

    /// Login and database, and of one server its address.
    pub(super) fn info(&self) -> &ConnectionInfo {
        self.template().info()
    }

    /// A server with the same login and TLS.
    pub(super) fn beside(&self, host: String, port: u16) -> Result<Self, String> {
        self.template().at(host, port).map(Self::Server)
    }

    fn template(&self) -> &Server {
        match self {
            Self::Server(server) => server,
            Self::Sentinels(sentinels) => sentinels.template(),
        }
    }

    /// Its address, for people.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Server(server) => server.address(),
            Self::Sentinels(sentinels) => sentinels.address(),
        }
    }

    /// The server that it leads to now.
    ///
    /// # Errors
    /// The Sentinels do not say, each within `patience`.
    pub(super) async fn server(&self, patience: Duration) -> Result<Server, String> {
        match self {
            Self::Server(server) => Ok(server.clone()),
            Self::Sentinels(sentinels) => sentinels.master(patience).await,
        }
    }

    /// Whether it certainly leads elsewhere by now than to this server.
    pub(super) async fn has_left(&self, server: &Server, patience: Duration) -> bool {
        match self {
            Self::Server(_) => false,
            Self::Sentinels(sentinels) => {
                let master = sentinels.master(patience).await;
                master.is_ok_and(|master| master.address() != server.address())
            }
        }
    }
}
