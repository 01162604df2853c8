//! Where the console listens, and whether it wants a second factor.

use std::net::IpAddr;

use super::{ConfigError, Values};

impl Values {
    /// `optional`, or `required`.
    pub(in crate::config) fn second_factor(&mut self) -> Result<bool, ConfigError> {
        let parse = |text: &str| match text {
            "optional" => Some((false, text.to_owned())),
            "required" => Some((true, text.to_owned())),
            _ => None,
        };
        let optional = || (false, "optional".to_owned());
        let right = "write optional or required";
        self.read("console_second_factor", right, optional, parse)
    }

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
