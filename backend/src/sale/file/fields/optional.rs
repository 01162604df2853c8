//! Optional fields: text, picture, series.

use super::{Found, Table};
use crate::sale::limits::{MAX_PICTURE, is_picture};
use crate::sale::tree::Value;

impl Table<'_> {
    /// An optional text of any number of lines; empty if it is missing.
    pub(in crate::sale::file) fn text(
        &self,
        name: &str,
        most: usize,
        found: &mut Found,
    ) -> Option<String> {
        let Some(node) = self.optional(name) else {
            return Some(String::new());
        };
        let right = format!("write at most {most} characters in quotes, or leave it out");
        let problem = match &node.value {
            Value::Text(text) if text.chars().count() > most => {
                format!("has {} characters; {right}", text.chars().count())
            }
            Value::Text(text) if text.chars().any(|c| c.is_control() && c != '\n') => {
                format!("has a control character in it; {right}")
            }
            Value::Text(text) => return Some(text.clone()),
            other => format!("{} is not a text; {right}", other.shown()),
        };
        found.note(node.at, self.name(name), problem);
        None
    }

    /// An optional name of a picture; empty if it is missing.
    pub(in crate::sale::file) fn picture(&self, name: &str, found: &mut Found) -> Option<String> {
        let Some(node) = self.optional(name) else {
            return Some(String::new());
        };
        let shown = match &node.value {
            Value::Text(text) if is_picture(text) => return Some(text.clone()),
            other => other.shown(),
        };
        let problem = format!(
            "{shown} cannot be a picture; write the name of one that was uploaded: at most \
             {MAX_PICTURE} letters, digits or _ - . without a folder"
        );
        found.note(node.at, self.name(name), problem);
        None
    }

    /// An optional id.
    #[expect(clippy::option_option, reason = "wrong, left out, or there")]
    pub(in crate::sale::file) fn optional_id(
        &self,
        name: &str,
        found: &mut Found,
    ) -> Option<Option<String>> {
        let Some(node) = self.optional(name) else {
            return Some(None);
        };
        match &node.value {
            Value::Text(id) if seckill_core::ids::is_id(id) => Some(Some(id.clone())),
            other => {
                let problem = format!(
                    "{} cannot be an id; write 1 to {} letters, digits or underscores in quotes",
                    other.shown(),
                    seckill_core::ids::MAX_ID
                );
                found.note(node.at, self.name(name), problem);
                None
            }
        }
    }
}
