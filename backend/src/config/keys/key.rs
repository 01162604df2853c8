//! One key of the settings.

/// A setting that can be given.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name in the file, and for `--set`.
    pub name: &'static str,
    /// What it means, for people.
    pub meaning: &'static str,
}

impl Key {
    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_uppercase())
    }
}

/// What every variable begins with.
pub const PREFIX: &str = "SECKILL_";
/// The key that names the configuration file itself: a variable and a flag, but
/// not something that can stand in the file.
pub const FILE_KEY: &str = "config";

/// A key of this name and meaning.
pub(super) const fn key(name: &'static str, meaning: &'static str) -> Key {
    Key { name, meaning }
}
