//! TLS to Redis, and what an address says of it: `rediss://host:port/db?ca=FILE`, and the
//! same options behind the addresses of Sentinels and of a Cluster. They are named like
//! those of nginx's `seckill_redis`: `ca`, `cert`, `key`, `tls_name`.

use std::fs;

use seckill_tls::{SYSTEM_AUTHORITIES, TlsClient};

/// How TLS is spoken; files are PEM.
#[derive(Debug, Default)]
pub(super) struct TlsOptions {
    /// The authorities that are trusted; without it, those of this machine.
    ca: Option<String>,
    /// The certificate that is shown to the server.
    cert: Option<String>,
    /// The private key of `cert`.
    key: Option<String>,
    /// The host in the server's certificate, if it is not that of its address.
    tls_name: Option<String>,
}

impl TlsOptions {
    /// Their names.
    pub(super) const NAMES: [&str; 4] = ["ca", "cert", "key", "tls_name"];

    /// Where the value of this option belongs; `None` if it is none of them.
    pub(super) fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "ca" => Some(&mut self.ca),
            "cert" => Some(&mut self.cert),
            "key" => Some(&mut self.key),
            "tls_name" => Some(&mut self.tls_name),
            _ => None,
        }
    }

    /// # Errors
    /// What does not go together.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.cert.is_some() == self.key.is_some() {
            true => Ok(()),
            false => Err("cert and key belong together".to_owned()),
        }
    }

    /// Those that are given, with their values.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let values = [&self.ca, &self.cert, &self.key, &self.tls_name];
        let options = Self::NAMES.into_iter().zip(values);
        options.filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// What TLS is spoken with.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub(super) fn client(&self) -> Result<TlsClient, String> {
        let read = |name: &str, file: &str| {
            fs::read(file).map_err(|error| format!("{name}={file} cannot be read: {error}"))
        };
        let ca = read("ca", self.ca.as_deref().unwrap_or(SYSTEM_AUTHORITIES))?;
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((read("cert", cert)?, read("key", key)?)),
            _ => None,
        };
        let identity = identity.as_ref().map(|(cert, key)| (&cert[..], &key[..]));
        TlsClient::new(&ca, identity, self.tls_name.as_deref())
    }
}
