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
    /// The file that a setting names, which holds a secret, cannot be read.
    #[error(
        "{key} (from {source_name}) names {what}, which cannot be read: {source}; write the path \
         of a file that this user may read"
    )]
    UnreadableSecret {
        /// The key that names the file.
        key: &'static str,
        /// Where the key was set.
        source_name: String,
        /// Its path, or only how long that is: it may be the secret itself.
        what: String,
        /// The system's error.
        source: std::io::Error,
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
    /// A variable that is no text.
    #[error("{name} is not UTF-8, and is not passed over; write it anew, in UTF-8")]
    NoText {
        /// Its name.
        name: String,
    },
    /// A value that the setting cannot have.
    #[error("{key} = \"{value}\" (from {source_name}) is wrong; {right}")]
    Wrong {
        /// The key.
        key: &'static str,
        /// The value as given.
        value: String,
        /// Where it came from.
        source_name: String,
        /// What would be right.
        right: String,
    },
    /// A value that the setting cannot have, and that may be or hold a secret.
    #[error(
        "{key} (from {source_name}; {length} characters, which are not shown) is wrong; {right}"
    )]
    WrongSecret {
        /// The key.
        key: &'static str,
        /// How many characters the value has.
        length: usize,
        /// Where it came from.
        source_name: String,
        /// What would be right.
        right: String,
    },
}
