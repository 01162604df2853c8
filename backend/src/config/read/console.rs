//! Where the console listens.

use std::net::IpAddr;

use super::{ConfigError, Values};

impl Values {
    /// `local`, or an address to listen on.
    pub(in crate::config) fn console_address(&mut self) -> Result<Option<IpAddr>, ConfigError> {
        let right = "write \"local\", or an address of this machine such as 10.0.0.5 or 0.0.0.0";
        let parse = |text: &str| match text {
            "local" => Some((None, text.to_owned())),
            _ => {
                let address: IpAddr = text.parse().ok()?;
                Some((Some(address), address.to_string()))
            }
        };
        let local = || (None, "local".to_owned());
        self.read("console_address", right, local, parse)
    }
}
