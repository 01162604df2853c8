//! Where a connection leads: to one address, or to the master that Sentinels name.

use std::time::Duration;

use redis::{Client, ConnectionAddr, ConnectionInfo};

use super::sentinel::Sentinels;

/// Where a connection leads.
#[derive(Debug)]
pub(super) enum Target {
    /// To this server.
    Server(Client),
    /// To the master that these name, whichever that is by then.
    Sentinels(Sentinels),
}

impl Target {
    /// Reads `redis://…`, `unix://…` or `redis+sentinel://…`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        if let Some(sentinels) = Sentinels::parse(url) {
            return Ok(Self::Sentinels(sentinels?));
        }
        let client = Client::open(url).map_err(|error| error.to_string())?;
        match client.get_connection_info().addr() {
            ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_) => Ok(Self::Server(client)),
            _ => Err("this kind of connection is not supported".to_owned()),
        }
    }

    /// Login and database, and of one server its address.
    pub(super) fn info(&self) -> &ConnectionInfo {
        match self {
            Self::Server(client) => client.get_connection_info(),
            Self::Sentinels(sentinels) => sentinels.template(),
        }
    }

    /// Its address, for people.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Server(client) => address(client),
            Self::Sentinels(sentinels) => sentinels.address(),
        }
    }

    /// What connects to the server that it leads to now.
    ///
    /// # Errors
    /// The Sentinels do not say, each within `patience`.
    pub(super) async fn server(&self, patience: Duration) -> Result<Client, String> {
        match self {
            Self::Server(client) => Ok(client.clone()),
            Self::Sentinels(sentinels) => sentinels.master(patience).await,
        }
    }

    /// Whether it certainly leads elsewhere by now than to this server.
    pub(super) async fn has_left(&self, server: &Client, patience: Duration) -> bool {
        match self {
            Self::Server(_) => false,
            Self::Sentinels(sentinels) => {
                let master = sentinels.master(patience).await;
                master.is_ok_and(|master| address(&master) != address(server))
            }
        }
    }
}

/// `host:port`, or the path of a socket.
fn address(client: &Client) -> String {
    match client.get_connection_info().addr() {
        ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
        ConnectionAddr::Unix(path) => path.display().to_string(),
        other => other.to_string(),
    }
}
