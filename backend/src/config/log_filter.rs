//! The setting `log`: which log lines are written.

use tracing_subscriber::EnvFilter;

/// Whether `text` is a level, or a list of directives `target=level`.
///
/// The filter's own parser takes any word as a target, so that a misspelt
/// level would silence everything without a complaint.
#[must_use]
pub(super) fn is_filter(text: &str) -> bool {
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
        for good in ["info", "WARN", "info,seckill::shop=debug", "off"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "verbose", "info,", "seckill=loud"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }
}
