//! Reads a sale file and checks every field.
//!
//! All mistakes are reported at once, each with its place, its value and its cure;
//! a file with a mistake yields nothing that could be imported.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::characters;
use super::tree::{self, Node, Unreadable};
use super::when::When;
use crate::config::SiteSettings;
use crate::store::round::Round;

/// The shares of several sites.
mod division;
/// Typed access to the fields of a table, which notes mistakes.
mod fields;
/// The rules for a round and a product.
mod rules;

/// A round as the file describes it, its times fixed by the moment of the import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRound {
    /// What is sold, and when.
    pub round: Round,
    /// Whether the start moves with the import (`starts = "+10s"`).
    pub starts_relative: bool,
    /// Whether the end moves with the start (`ends = "+10m"`).
    pub ends_relative: bool,
    /// The number of successive days on which it is held; see [`super::repeat`].
    pub days: u32,
    /// The series that this is a day of.
    pub series: Option<String>,
}

/// One mistake in a sale file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The field, such as `round.product.amount`; empty if the file cannot be parsed.
    pub field: String,
    /// Names the kind of mistake.
    pub code: &'static str,
    /// The values that its sentence names, in their order.
    pub values: Vec<String>,
    /// What is wrong, and the cure.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.problem)
    }
}

/// Why a sale file was refused.
#[derive(Debug, thiserror::Error)]
pub enum SaleFileError {
    /// The file cannot be read.
    #[error("cannot read the sale file {}: {source}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is a file of another kind.
    #[error(
        "{} is {kind}; sale files are TOML, or JSON if their name ends in .json, and \"seckill \
         sale export\" prints one", path.display()
    )]
    Kind {
        /// Its path.
        path: PathBuf,
        /// What it seems to be.
        kind: &'static str,
    },
    /// It has mistakes.
    #[error("{}", mistakes_text(path, mistakes))]
    Mistakes {
        /// Its path.
        path: PathBuf,
        /// All of them, in the order of the file.
        mistakes: Vec<Mistake>,
    },
}

fn mistakes_text(path: &Path, mistakes: &[Mistake]) -> String {
    let path = path.display();
    let count = match (mistakes.len(), mistakes.last()) {
        (1, _) => "a mistake".to_owned(),
        (n, Some(last)) if last.code == fields::MORE => format!("more than {} mistakes", n - 1),
        (n, _) => format!("{n} mistakes"),
    };
    let mut text = format!("{path} has {count}, and nothing of it was imported.");
    for mistake in mistakes {
        text.push_str(&format!("\n  {path}:{mistake}"));
    }
    text
}

/// The form of a sale file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The file is TOML.
    Toml,
    /// The file is JSON.
    Json,
}

/// Why the bytes of a sale file were refused.
#[derive(Debug)]
pub enum BadBytes {
    /// They are no text, in words.
    NoText(String),
    /// They seem to be a file of another kind.
    Kind(&'static str),
    /// The text has mistakes, in the order of the file.
    Mistakes(Vec<Mistake>),
}

/// What a file that was refused seems to be instead, by the end of its name or its first
/// line.
fn other_kind(end: &str, text: &str, form: Form) -> Option<&'static str> {
    match end.to_ascii_lowercase().as_str() {
        "csv" | "tsv" => return Some("a table of values (CSV)"),
        "yaml" | "yml" => return Some("YAML"),
        "xml" => return Some("XML"),
        _ => {}
    }
    let first = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let is_row = first.contains([',', ';', '\t']) && !first.contains(['=', '[', '{', '#', '"']);
    match form {
        Form::Toml if first.starts_with('{') => Some("JSON by its content"),
        Form::Toml if is_row => Some("a table of values (CSV)"),
        _ => None,
    }
}

/// Reads the sale file at `path`: JSON if its name ends in `.json`, else TOML.
///
/// # Errors
/// [`SaleFileError`], with every mistake that was found.
pub fn read(path: &Path, now_ms: u64) -> Result<Vec<FileRound>, SaleFileError> {
    read_at(None, path, now_ms)
}

/// The same at a site: the amounts are its shares.
///
/// # Errors
/// [`SaleFileError`], with every mistake that was found.
pub fn read_at(
    site: Option<&SiteSettings>,
    path: &Path,
    now_ms: u64,
) -> Result<Vec<FileRound>, SaleFileError> {
    let unreadable = |source| SaleFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or("");
    let form = match end.eq_ignore_ascii_case("json") {
        true => Form::Json,
        false => Form::Toml,
    };
    parse_bytes(site, &bytes, (end, form), now_ms).map_err(|bad| match bad {
        BadBytes::NoText(problem) => {
            unreadable(std::io::Error::new(ErrorKind::InvalidData, problem))
        }
        BadBytes::Kind(kind) => SaleFileError::Kind {
            path: path.to_owned(),
            kind,
        },
        BadBytes::Mistakes(mistakes) => SaleFileError::Mistakes {
            path: path.to_owned(),
            mistakes,
        },
    })
}

/// Reads the bytes of a sale file of this form; `end` is how its name ends, empty if that
/// is not known.
///
/// # Errors
/// [`BadBytes`].
pub fn parse_bytes(
    site: Option<&SiteSettings>,
    bytes: &[u8],
    (end, form): (&str, Form),
    now_ms: u64,
) -> Result<Vec<FileRound>, BadBytes> {
    // A file of Excel or LibreOffice is a ZIP archive, or the older compound file.
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\xd0\xcf\x11\xe0") {
        return Err(BadBytes::Kind("a spreadsheet"));
    }
    let text = characters::text_of(bytes).map_err(BadBytes::NoText)?;
    parse_at(site, &text, form, now_ms).map_err(|mistakes| match other_kind(end, &text, form) {
        Some(kind) => BadBytes::Kind(kind),
        None => BadBytes::Mistakes(mistakes),
    })
}

/// Reads the text of a sale file; relative times count from `now_ms`.
///
/// # Errors
/// Every mistake that was found, in the order of the file.
pub fn parse(text: &str, form: Form, now_ms: u64) -> Result<Vec<FileRound>, Vec<Mistake>> {
    parse_at(None, text, form, now_ms)
}

/// The same at a site: the amounts are its shares.
///
/// # Errors
/// Every mistake that was found, in the order of the file.
pub fn parse_at(
    site: Option<&SiteSettings>,
    text: &str,
    form: Form,
    now_ms: u64,
) -> Result<Vec<FileRound>, Vec<Mistake>> {
    let text = &*characters::plain(text);
    let tree = match form {
        Form::Toml => tree::parse_toml(text),
        Form::Json => tree::parse_json(text),
    };
    let tree: Node = tree.map_err(|Unreadable { at, message }| {
        let form = if form == Form::Json { "JSON" } else { "TOML" };
        let (line, column) = place(text, at);
        let message = message.trim_end_matches('.');
        vec![Mistake {
            line,
            column,
            field: String::new(),
            code: "syntax",
            values: vec![form.to_owned(), message.to_owned()],
            problem: format!("this is not {form}: {message}"),
        }]
    })?;
    let mut found = fields::Found::default();
    let rounds = rules::rounds(&tree, site, now_ms, &mut found);
    if found.is_empty() {
        Ok(rounds)
    } else {
        Err(found.into_mistakes(text))
    }
}

/// Line and column of byte `at`, both counted from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}

/// The start and end of a round, epoch milliseconds, counted from the import.
fn fix_times(starts: When, ends: When, now_ms: u64) -> (u64, u64) {
    let opens_ms = starts.from(now_ms);
    (opens_ms, ends.from(opens_ms))
}
