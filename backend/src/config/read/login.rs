//! The settings of sessions and of the shop's own login.

use seckill_core::signing::keyring::Digest;

use super::Values;
use crate::config::ConfigError;

impl Values {
    pub(in crate::config) fn digest(&mut self) -> Result<Digest, ConfigError> {
        let parse = |text: &str| Some((Digest::parse(text)?, text.to_owned()));
        let default = || (Digest::default(), Digest::default().as_str().to_owned());
        self.read("digest", "write hmac-sha256 or md5", default, parse)
    }
}
