//! The file with the order form: which fields the shop wants filled in, and for what.

use std::io;
use std::path::{Path, PathBuf};

use seckill_core::orders::form::{Field, Form, FormError};
use serde::Deserialize;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FormFileError {
    /// It is there and cannot be read.
    #[error("the order form {} cannot be read: {source}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is not TOML of a form.
    #[error("the order form {} is wrong: {source}", path.display())]
    Syntax {
        /// Its path.
        path: PathBuf,
        /// The place, and what is wrong there.
        source: Box<toml::de::Error>,
    },
    /// Its form makes no sense.
    #[error("the order form {} is wrong: {source}", path.display())]
    Form {
        /// Its path.
        path: PathBuf,
        /// What is wrong, and the cure.
        source: FormError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    field: Vec<Field>,
}

/// Reads the form; an empty one if there is no file.
///
/// # Errors
/// [`FormFileError`].
pub fn read(path: &Path) -> Result<Form, FormFileError> {
    let path = path.to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Form::default()),
        Err(source) => return Err(FormFileError::Unreadable { path, source }),
    };
    let file: File = match toml::from_str(&text) {
        Ok(file) => file,
        Err(source) => {
            let source = Box::new(source);
            return Err(FormFileError::Syntax { path, source });
        }
    };
    Form::new(file.field).map_err(|source| FormFileError::Form { path, source })
}
