//! Gathers the raw values and where each came from.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::keys::{self, FILE_KEY, KEYS, PREFIX, SECRETS};
use super::running::{self, RunningSystem};
use super::{ConfigError, DEFAULT_DATA, kubernetes};
use crate::config::nearest::nearest;

/// The file that is read if it is there and no other is named.
const DEFAULT_FILE: &str = "seckill.toml";
/// The file of the package, read by the program that a package installed if the usual
/// one is not in the current folder.
const INSTALLED_FILE: &str = "/etc/seckill/seckill.toml";
/// Where packages install programs.
const INSTALLED_PROGRAMS: &str = "/usr/bin";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The value built into the program.
    Default,
    /// A line of a file.
    File(PathBuf, usize),
    /// The system that runs in the data folder; the file that it wrote.
    Running(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(String),
    /// The file of this path, which a `KEY_file` of this source names.
    Secret(Box<Source>, PathBuf),
}

impl Source {
    /// How strong its layer is.
    fn rank(&self) -> u8 {
        match self {
            Source::Default => 0,
            Source::File(..) => 1,
            Source::Running(_) => 2,
            Source::Variable(_) => 3,
            Source::Flag(_) => 4,
            Source::Secret(named, _) => named.rank(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(path, line) => write!(f, "{}:{line}", path.display()),
            Source::Running(path) => write!(f, "running system, {}", path.display()),
            Source::Variable(name) | Source::Flag(name) => f.write_str(name),
            Source::Secret(named, _) => named.fmt(f),
        }
    }
}

/// A raw value and where it came from.
#[derive(Debug, Clone)]
pub struct Given {
    /// The value as it was written.
    pub text: String,
    /// Where it was written.
    pub source: Source,
}

/// All raw values, the strongest layer's for each key.
///
/// # Errors
/// [`ConfigError`] for a file that cannot be read, and for a name that is no key.
pub fn gather(
    file: Option<&Path>,
    environment: &[(String, String)],
    flags: Vec<(String, Given)>,
) -> Result<Vec<(&'static str, Given)>, ConfigError> {
    gather_beside(file, environment, flags, |_| None)
}

/// The same, with the settings of the system that `find` finds in the data folder.
/// These are stronger than the configuration file, which may have been changed since
/// that system was started, and weaker than variables and flags.
///
/// # Errors
/// As [`gather`].
pub fn gather_beside(
    file: Option<&Path>,
    environment: &[(String, String)],
    flags: Vec<(String, Given)>,
    find: impl FnOnce(&Path) -> Option<RunningSystem>,
) -> Result<Vec<(&'static str, Given)>, ConfigError> {
    let mut values = HashMap::new();
    let environment = from_environment(environment)?;
    if let Some((path, source)) = which_file(file, &environment) {
        values.extend(from_file(&path)?);
        values.insert(
            FILE_KEY,
            Given {
                text: path.display().to_string(),
                source,
            },
        );
    }
    let mut stronger: HashMap<_, _> = environment
        .into_iter()
        .filter(|(key, _)| *key != FILE_KEY)
        .collect();
    for (name, given) in flags {
        let Some(key) = keys::find(&name).filter(|key| key.name != FILE_KEY) else {
            let (place, cure) = (given.source.to_string(), suggestion(&name));
            return Err(ConfigError::Unknown { place, name, cure });
        };
        stronger.insert(key.name, given);
    }
    let data = stronger.get("data").or_else(|| values.get("data"));
    let data = PathBuf::from(data.map_or(DEFAULT_DATA, |given| &given.text));
    if let Some(system) = find(&data) {
        let source = Source::Running(running::file(&data));
        let found = system.settings.into_iter().filter_map(|(name, text)| {
            let key = running::taken_over(&name)?;
            let source = source.clone();
            Some((key.name, Given { text, source }))
        });
        values.extend(found);
    }
    values.extend(stronger);
    read_secrets(&mut values)?;
    Ok(values.into_iter().collect())
}

/// The usual file, or the package's for the package's program: a clone on a machine
/// that has the package too is not configured by it.
fn usual_file() -> Option<PathBuf> {
    let is_installed = || {
        std::env::current_exe().is_ok_and(|path| path.parent() == Some(INSTALLED_PROGRAMS.as_ref()))
    };
    let here = Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists());
    let installed = || {
        let path = PathBuf::from(INSTALLED_FILE);
        Some(path).filter(|path| path.exists() && is_installed())
    };
    here.or_else(installed)
}

/// Replaces `KEY_file` by `KEY`, with what its file holds. Of the two the stronger layer's
/// wins; in one layer both are refused.
fn read_secrets(values: &mut HashMap<&'static str, Given>) -> Result<(), ConfigError> {
    for (name, file_key) in SECRETS {
        let Some(file) = values.remove(file_key) else {
            continue;
        };
        if let Some(given) = values.get(name) {
            let (plain, of_file) = (given.source.rank(), file.source.rank());
            if plain > of_file {
                continue;
            }
            if plain == of_file {
                return Err(ConfigError::Unknown {
                    place: file.source.to_string(),
                    name: file_key.to_owned(),
                    cure: format!("{name} is set there too; keep one of the two"),
                });
            }
        }
        let path = PathBuf::from(&file.text);
        let text =
            std::fs::read_to_string(&path).map_err(|source| ConfigError::UnreadableSecret {
                key: file_key,
                source_name: file.source.to_string(),
                what: named(&path),
                source,
            })?;
        // Nobody sees the mark that some editors put in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let text = text.trim_end_matches(['\n', '\r']).to_owned();
        let source = Source::Secret(Box::new(file.source), path);
        values.insert(name, Given { text, source });
    }
    Ok(())
}

/// A path as it may be shown: only one that leads somewhere. Any other may be the secret
/// itself, written in the place of its file's path.
fn named(path: &Path) -> String {
    let folder = path.parent().filter(|it| it.parent().is_some());
    match path.exists() || folder.is_some_and(Path::is_dir) {
        true => path.display().to_string(),
        false => {
            let length = path.to_string_lossy().chars().count();
            format!("a path of {length} characters (not shown)")
        }
    }
}

/// The file to read: the flag's, the variable's, or the usual one if it is there.
fn which_file(
    flag: Option<&Path>,
    environment: &[(&'static str, Given)],
) -> Option<(PathBuf, Source)> {
    let variable = || environment.iter().find(|(key, _)| *key == FILE_KEY);
    flag.map(|path| (path.to_owned(), Source::Flag("--config".to_owned())))
        .or_else(|| variable().map(|(_, given)| (PathBuf::from(&given.text), given.source.clone())))
        .or_else(|| usual_file().map(|path| (path, Source::Default)))
}

fn suggestion(name: &str) -> String {
    match nearest(name, settable()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "\"seckill config\" lists them all".to_owned(),
    }
}

/// Names that may stand in a file.
fn settable() -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .map(|key| key.name)
        .filter(|name| *name != FILE_KEY)
}

fn from_file(path: &Path) -> Result<Vec<(&'static str, Given)>, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let line_of = |at: usize| text.get(..at).unwrap_or(&text).matches('\n').count() + 1;
    let table = DeTable::parse(&text).map_err(|error| ConfigError::NotToml {
        path: path.to_owned(),
        line: line_of(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let mut values = Vec::new();
    for (name, value) in table.into_inner() {
        let line = line_of(name.span().start);
        let Some(key) = keys::find(name.get_ref()).filter(|key| key.name != FILE_KEY) else {
            return Err(ConfigError::Unknown {
                place: format!("{}:{line}", path.display()),
                name: name.get_ref().to_string(),
                cure: suggestion(name.get_ref()),
            });
        };
        let written = text.get(value.span()).unwrap_or_default().to_owned();
        let text = match value.into_inner() {
            DeValue::String(text) => text.into_owned(),
            _ => written,
        };
        values.push((
            key.name,
            Given {
                text,
                source: Source::File(path.to_owned(), line),
            },
        ));
    }
    Ok(values)
}

/// Variables that are named like a setting and were set by Kubernetes, not by a
/// person: they are ignored.
pub(super) fn ignored(environment: &[(String, String)]) -> Vec<(String, String)> {
    let is_ignored = |(name, value): &&(String, String)| {
        KEYS.iter().any(|key| key.variable() == *name) && kubernetes::is_service_link(name, value)
    };
    environment.iter().filter(is_ignored).cloned().collect()
}

/// Variables of ours. One whose name is close to a key's is a slip and is
/// refused; any other may belong to a script around us and is left alone.
fn from_environment(
    environment: &[(String, String)],
) -> Result<Vec<(&'static str, Given)>, ConfigError> {
    let mut values = Vec::new();
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let source = Source::Variable(name.clone());
        match KEYS.iter().find(|key| key.variable() == *name) {
            // An empty variable is how a shell unsets one for a single command.
            Some(_) if value.is_empty() => {}
            Some(_) if kubernetes::is_service_link(name, value) => {}
            Some(key) => values.push((
                key.name,
                Given {
                    text: value.clone(),
                    source,
                },
            )),
            None if kubernetes::is_service_link(name, value) => {}
            None => {
                if let Some(near) = nearest(rest, KEYS.iter().map(|key| key.name)) {
                    return Err(ConfigError::Unknown {
                        place: "the environment".to_owned(),
                        name: name.clone(),
                        cure: format!("did you mean {PREFIX}{}?", near.to_uppercase()),
                    });
                }
            }
        }
    }
    Ok(values)
}
