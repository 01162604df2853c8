//! Log format and level. Lines go to standard error, so that what a command
//! answers can be piped on.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Starts logging as configured. Called once, before anything is logged; a
/// second call changes nothing.
pub fn start(config: &Config) {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // An error means that logging runs already.
    let _ = match config.log_format {
        LogFormat::Human => lines
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .compact()
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// Whether `text` is a level, or a list of directives `target=level`.
///
/// The filter's own parser takes any word as a target, so that a misspelt
/// level would silence everything without a complaint.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let is_level = |word: &str| LEVELS.contains(&word.to_ascii_lowercase().as_str());
    !text.trim().is_empty()
        && text.split(',').all(|part| {
            let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
            is_level(level.trim())
        })
        && EnvFilter::try_new(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused() {
        for good in ["info", "WARN", "info,seckill::purchase=debug", "off"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "verbose", "info,", "seckill=loud"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }
}
