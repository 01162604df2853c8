//! The variables of the process.

use std::ffi::OsString;

use super::ConfigError;
use super::keys::PREFIX;

/// The variables that are text. Those of this program have to be: one that was passed over
/// would leave a default in force, such as an empty database in place of the shop's.
///
/// # Errors
/// [`ConfigError::NoText`].
pub(super) fn read(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut read = Vec::new();
    for (name, value) in variables {
        let shown = name.to_string_lossy().into_owned();
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => read.push((name, value)),
            _ if shown.starts_with(PREFIX) => return Err(ConfigError::NoText { name: shown }),
            _ => {}
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn variable(name: &[u8], value: &[u8]) -> (OsString, OsString) {
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        (text(name), text(value))
    }

    #[test]
    fn a_variable_of_this_program_that_is_no_text_is_refused_without_its_value() {
        let secret = variable(b"SECKILL_DATABASE_URL", b"mysql://u:s3cret\xff@h/d");
        let refused = read([secret].into_iter()).unwrap_err().to_string();
        assert!(refused.contains("SECKILL_DATABASE_URL"), "{refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
        let misspelt = variable(b"SECKILL_PORT\xff", b"1");
        assert!(read([misspelt].into_iter()).is_err());
        let others = [variable(b"OTHER", b"\xff"), variable(b"SECKILL_PORT", b"1")];
        let read = read(others.into_iter()).unwrap();
        assert_eq!(read, [("SECKILL_PORT".to_owned(), "1".to_owned())]);
    }
}
