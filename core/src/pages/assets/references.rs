//! What scripts and style sheets refer to.

use super::pack::Packed;
use super::{FOLDER, Missing};

/// A reference inside of a file.
pub(super) struct Reference {
    /// Where the last part of the path stands, which the hash changes.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The asset's plain name.
    pub(super) name: String,
}

pub(super) fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// How many bytes at the beginning can stand in a path.
pub(super) fn path_length(bytes: &[u8]) -> usize {
    let is_path = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._-/".contains(byte);
    bytes.iter().take_while(is_path).count()
}

/// The references of a script or a style sheet; other files have none.
pub(super) fn references_of(
    file: &str,
    bytes: &[u8],
    packed: &Packed,
) -> Result<Vec<Reference>, Missing> {
    let is_style = file.ends_with(".css");
    if !is_style && !file.ends_with(".js") && !file.ends_with(".mjs") {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for at in 1..bytes.len() {
        let opens = match bytes[at - 1] {
            b'\'' | b'"' | b'`' => true,
            b'(' => is_style,
            _ => false,
        };
        let path = &bytes[at..at + path_length(&bytes[at..])];
        let (true, Ok(path)) = (opens, std::str::from_utf8(path)) else {
            continue;
        };
        let Some(name) = resolve(file, path) else {
            continue;
        };
        let name = packed.home.get(&name).cloned().unwrap_or(name);
        if !packed.files.contains_key(&name) {
            let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
            let (from, to) = (file.to_owned(), path.to_owned());
            return Err(Missing { from, line, to });
        }
        let end = at + path.len();
        found.push(Reference {
            start: end - last_part(path).len(),
            end,
            name,
        });
    }
    Ok(found)
}

/// The asset that `path`, written in `file`, names; `None` if it names none:
/// an address of the shop, or a text that only looks like a path.
fn resolve(file: &str, path: &str) -> Option<String> {
    if !last_part(path).contains('.') || last_part(path).ends_with('.') {
        return None;
    }
    if let Some(name) = path.strip_prefix(FOLDER) {
        return Some(name.to_owned());
    }
    if !path.starts_with("./") && !path.starts_with("../") {
        return None;
    }
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
