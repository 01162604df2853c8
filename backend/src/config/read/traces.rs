//! Where traces are sent.

use seckill_core::signing::trace::Ratio;

use super::Values;
use crate::config::{ConfigError, Traces};

impl Values {
    pub(in crate::config) fn traces(&mut self) -> Result<Traces, ConfigError> {
        let (ratio, ratio_text) = self.trace_ratio()?;
        Ok(Traces {
            url: self.web_hook("otlp_url")?,
            ratio,
            ratio_text,
        })
    }

    fn trace_ratio(&mut self) -> Result<(Ratio, String), ConfigError> {
        let shown = |ratio, text: &str| ((ratio, text.to_owned()), text.to_owned());
        let parse = |text: &str| Ratio::parse(text).map(|ratio| shown(ratio, text));
        let right = "write a share from 0 to 1, such as 0.01";
        let fallback = || shown(Ratio::DEFAULT, "0.01");
        self.read("trace_ratio", right, fallback, parse)
    }
}
