//! Why the configuration is refused.

use std::path::PathBuf;

/// Why the configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The configuration file is not TOML.
    #[error("{}:{line} is not TOML: {message}", path.display())]
    NotToml {
        /// Its path.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The parser's message.
        message: String,
    },
    /// A name that is no setting.
    #[error("{place} sets \"{name}\", which is no setting; {cure}")]
    Unknown {
        /// The file and line, the variable or the flag.
        place: String,
        /// The name as written.
        name: String,
        /// The nearest right one, or where to find them all.
        cure: String,
    },
    /// A value that the setting cannot have.
    #[error("{key} = \"{value}\" (from {source_name}) is wrong; {right}")]
    Wrong {
        /// The key.
        key: &'static str,
        /// The value as given, masked if it is secret.
        value: String,
        /// Where it came from.
        source_name: String,
        /// What would be right.
        right: String,
    },
}
