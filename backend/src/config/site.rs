//! The settings of a site among others.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;

use crate::config::Listen;

/// Another site that sells the same rounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePeer {
    /// Its name.
    pub name: String,
    /// Where its relay role listens for sites.
    pub url: Uri,
}

/// This site among others.
#[derive(Debug, Clone)]
pub struct SiteSettings {
    /// Its name.
    pub name: String,
    /// The others.
    pub peers: Vec<SitePeer>,
    /// The site that never stops by itself, and may declare others lost.
    pub home: String,
    /// Key ring file shared by all sites.
    pub keys: PathBuf,
    /// Where the relay role listens for the others.
    pub listen: Listen,
    /// After how long without a word a site counts as lost.
    pub lost_after: Duration,
}

impl SiteSettings {
    /// Whether this is the home site.
    #[must_use]
    pub fn is_home(&self) -> bool {
        self.name == self.home
    }

    /// The names of all sites, this one included.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let peers = self.peers.iter().map(|peer| peer.name.as_str());
        std::iter::once(self.name.as_str()).chain(peers).collect()
    }
}
