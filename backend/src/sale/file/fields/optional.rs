//! Optional fields: text, picture, series.

use seckill_core::sale::label;

use super::{Found, Table, unfit_problem};
use crate::sale::limits::{MAX_ALT, MAX_PICTURE, is_picture};
use crate::sale::tree::{Node, Value};

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
        let (code, value, problem) = match &node.value {
            Value::Text(text) if text.chars().count() > most => {
                let count = text.chars().count();
                (
                    "too_long",
                    count.to_string(),
                    format!("has {count} characters; {right}"),
                )
            }
            Value::Text(text) => match label::check_text(text) {
                Ok(()) => return Some(text.clone()),
                Err(unfit) => {
                    let (code, problem) = unfit_problem(unfit);
                    (code, unfit.character(), format!("{problem}; {right}"))
                }
            },
            other => {
                let shown = other.shown();
                let problem = format!("{shown} is not a text; {right}");
                ("not_a_text", shown, problem)
            }
        };
        found.note(node.at, self.name(name), code, &[&value, &most], problem);
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
             {MAX_PICTURE} letters, digits or _ - . without a folder; up to {} with commas \
             between them",
            seckill_core::pages::picture::MOST
        );
        found.note(node.at, self.name(name), "picture_form", &[&shown], problem);
        None
    }

    /// The optional alternative texts of `pictures` pictures (not known if those are
    /// wrong); none if they are missing.
    pub(in crate::sale::file) fn alts(
        &self,
        name: &str,
        pictures: Option<usize>,
        found: &mut Found,
    ) -> Option<Vec<String>> {
        let Some(node) = self.optional(name) else {
            return Some(Vec::new());
        };
        let Value::List(items) = &node.value else {
            let shown = node.value.shown();
            let problem = format!(
                "{shown} is not a list; write a text for each picture, such as [\"Front\", \
                 \"Back\"], or leave it out"
            );
            let field = self.name(name);
            found.note(node.at, field, "not_alts", &[&shown], problem);
            return None;
        };
        let alts: Option<Vec<String>> = items.iter().map(|it| self.alt(name, it, found)).collect();
        let mut alts = alts?;
        while alts.last().is_some_and(String::is_empty) {
            alts.pop();
        }
        let (count, pictures) = (alts.len(), pictures?);
        if count > pictures {
            let problem = format!(
                "has {count} texts, and the product has {pictures} pictures; write at most one \
                 for each picture"
            );
            let field = self.name(name);
            found.note(node.at, field, "alts_count", &[&count, &pictures], problem);
            return None;
        }
        Some(alts)
    }

    /// The alternative text of one picture, which may be empty.
    fn alt(&self, name: &str, node: &Node, found: &mut Found) -> Option<String> {
        let right = format!("write at most {MAX_ALT} characters on one line in quotes");
        let (code, value, problem) = match &node.value {
            Value::Text(text) if text.trim().is_empty() => return Some(String::new()),
            Value::Text(text) if text.chars().count() > MAX_ALT => {
                let count = text.chars().count();
                let problem = format!("has {count} characters; {right}");
                ("too_long", count.to_string(), problem)
            }
            Value::Text(text) => match label::check_label(text) {
                Ok(()) => return Some(text.trim().to_owned()),
                Err(unfit) => {
                    let (code, problem) = unfit_problem(unfit);
                    (code, unfit.character(), format!("{problem}; {right}"))
                }
            },
            other => {
                let shown = other.shown();
                let problem = format!("{shown} is not a text; {right}");
                ("not_a_text", shown, problem)
            }
        };
        let field = self.name(name);
        found.note(node.at, field, code, &[&value, &MAX_ALT], problem);
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
                let (shown, most) = (other.shown(), seckill_core::ids::MAX_ID);
                let problem = format!(
                    "{shown} cannot be an id; write 1 to {most} letters, digits or underscores in \
                     quotes"
                );
                found.note(
                    node.at,
                    self.name(name),
                    "file_id",
                    &[&shown, &most, &"1"],
                    problem,
                );
                None
            }
        }
    }
}
