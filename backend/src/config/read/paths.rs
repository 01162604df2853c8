//! Paths: of files, folders and programs.

use std::path::{Path, PathBuf};

use super::Values;
use crate::config::{ConfigError, Source};

impl Values {
    /// A path, made absolute so that it means the same to every child process.
    pub(in crate::config) fn path(
        &mut self,
        key: &'static str,
        default: &Path,
    ) -> Result<PathBuf, ConfigError> {
        let parse = |text: &str| {
            let path = std::path::absolute(text).ok()?;
            let shown = path.display().to_string();
            Some((path, shown))
        };
        let fallback = std::path::absolute(default).unwrap_or_else(|_| default.to_owned());
        let shown = fallback.display().to_string();
        let path = self.read(key, "write a path", || (fallback, shown), parse)?;
        self.restate(key, path.display().to_string());
        Ok(path)
    }

    /// The data folder: a path that can stand inside an nginx configuration.
    pub(in crate::config) fn folder(
        &mut self,
        key: &'static str,
        default: &Path,
    ) -> Result<PathBuf, ConfigError> {
        let path = self.path(key, default)?;
        let text = path.display().to_string();
        let source = self.taken.get(key).map(|(_, source)| source.to_string());
        if path.to_str().is_none() || text.contains(['"', '\'', '\\', '$', ';', '{', '}', '\n']) {
            return Err(ConfigError::Wrong {
                key,
                value: text,
                source_name: source.unwrap_or_default(),
                right: "nginx cannot take quotes, backslashes, $ ; { or } in a path; choose \
                        another folder"
                    .to_owned(),
            });
        }
        // By default, addresses are made of it, in which these signs end or begin something.
        let is_in_address = !self.is_given("redis_url") || !self.is_given("database_url");
        if is_in_address && text.contains(['#', '%', '?']) {
            return Err(ConfigError::Wrong {
                key,
                value: text,
                source_name: source.unwrap_or_default(),
                right:
                    "the addresses of Redis and database cannot take # % or ? of a path; choose \
                        another folder"
                        .to_owned(),
            });
        }
        Ok(path)
    }

    /// A folder that `search` finds unless it is set.
    pub(in crate::config) fn found_folder(
        &mut self,
        key: &'static str,
        search: impl FnOnce() -> Option<PathBuf>,
    ) -> Result<Option<PathBuf>, ConfigError> {
        self.found(
            key,
            "write the path of a folder that is there",
            search,
            Path::is_dir,
        )
    }

    /// A file that `search` finds unless it is set.
    pub(in crate::config) fn found_file(
        &mut self,
        key: &'static str,
        search: impl FnOnce() -> Option<PathBuf>,
    ) -> Result<Option<PathBuf>, ConfigError> {
        self.found(
            key,
            "write the path of a file that is there",
            search,
            Path::is_file,
        )
    }

    fn found(
        &mut self,
        key: &'static str,
        right: &str,
        search: impl FnOnce() -> Option<PathBuf>,
        exists: impl Fn(&Path) -> bool,
    ) -> Result<Option<PathBuf>, ConfigError> {
        let shown = |path: &Path| path.display().to_string();
        let default = || {
            let path = search();
            let text = path
                .as_deref()
                .map_or_else(|| "not found".to_owned(), shown);
            (path, text)
        };
        let parse = |text: &str| {
            let path = std::path::absolute(text).ok().filter(|path| exists(path))?;
            let text = shown(&path);
            Some((Some(path), text))
        };
        if self.has_gone(key, &exists) {
            self.given.remove(key);
        }
        let path = self.read(key, right, default, parse)?;
        if let Some(path) = &path {
            self.restate(key, shown(path));
        }
        Ok(path)
    }

    /// Whether a running system was started with a file that is no longer there, as after
    /// an upgrade: no reason to refuse the command that stops its sale.
    fn has_gone(&self, key: &str, exists: &impl Fn(&Path) -> bool) -> bool {
        let given = self.given.get(key);
        given.is_some_and(|given| {
            matches!(given.source, Source::Running(_)) && !exists(Path::new(&given.text))
        })
    }

    /// A program: a path, or a name to be looked up.
    pub(in crate::config) fn program(&mut self, key: &'static str, default: &str) -> PathBuf {
        let (text, source) = match self.given.get(key) {
            Some(given) => (given.text.clone(), given.source.clone()),
            None => (default.to_owned(), Source::Default),
        };
        let text = match std::path::absolute(&text) {
            Ok(path) if text.contains('/') => path.display().to_string(),
            _ => text,
        };
        self.restate(key, text.clone());
        let path = PathBuf::from(&text);
        self.taken.insert(key, (text, source));
        path
    }
}
