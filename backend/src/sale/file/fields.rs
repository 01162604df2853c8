//! Typed access to the fields of a table, which notes mistakes.

use std::fmt::Display;

use seckill_core::sale::label::{self, Unfit};

use super::{Mistake, place};

/// Optional fields.
mod optional;
use crate::config::nearest::nearest;
use crate::sale::limits::MAX_NAME;
use crate::sale::tree::{Field, Node, Value};
use crate::sale::when::{self, When};

/// Most mistakes that are reported at once: a person reads no more, and each looks for its
/// line from the beginning of the file.
pub(super) const MOST_MISTAKES: usize = 100;
/// The code of the last one, which says how many more there are.
pub(super) const MORE: &str = "more_mistakes";

/// A mistake and the byte at which it begins.
struct Note {
    at: usize,
    field: String,
    code: &'static str,
    values: Vec<String>,
    problem: String,
}

/// The mistakes found so far.
#[derive(Default)]
pub(super) struct Found {
    notes: Vec<Note>,
}

impl Found {
    /// Notes a mistake in `field` at byte `at`: `problem` in English, and the code and
    /// values by which the console says it in other languages.
    pub(super) fn note(
        &mut self,
        at: usize,
        field: impl Into<String>,
        code: &'static str,
        values: &[&dyn Display],
        problem: String,
    ) {
        self.notes.push(Note {
            at,
            field: field.into(),
            code,
            values: values.iter().map(ToString::to_string).collect(),
            problem,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// The mistakes in the order of the file, at most [`MOST_MISTAKES`], and a last one that
    /// says how many more there are.
    pub(super) fn into_mistakes(mut self, text: &str) -> Vec<Mistake> {
        self.notes.sort_by_key(|note| note.at);
        let more = self.notes.len().saturating_sub(MOST_MISTAKES);
        let rest = self.notes.get(MOST_MISTAKES).map(|next| Note {
            at: next.at,
            field: String::new(),
            code: MORE,
            values: vec![more.to_string()],
            problem: format!("from here on there are {more} more mistakes; correct these first"),
        });
        self.notes.truncate(MOST_MISTAKES);
        self.notes
            .into_iter()
            .chain(rest)
            .map(|note| {
                let (line, column) = place(text, note.at);
                Mistake {
                    line,
                    column,
                    field: note.field,
                    code: note.code,
                    values: note.values,
                    problem: note.problem,
                }
            })
            .collect()
    }
}

/// A value and the byte at which it begins.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub(super) at: usize,
    pub(super) value: T,
}

/// A table being read: its path in the file, its fields.
pub(super) struct Table<'a> {
    at: usize,
    path: &'static str,
    fields: &'a [Field],
}

impl<'a> Table<'a> {
    /// `node` as a table whose fields must be among `known`.
    pub(super) fn open(
        node: &'a Node,
        path: &'static str,
        known: &[&str],
        found: &mut Found,
    ) -> Option<Self> {
        let Value::Table(fields) = &node.value else {
            found.note(
                node.at,
                path,
                "not_a_table",
                &[&node.value.shown()],
                format!("this is {}, not a table", node.value.shown()),
            );
            return None;
        };
        for field in fields
            .iter()
            .filter(|field| !known.contains(&field.name.as_str()))
        {
            let (code, value, cure) = match nearest(&field.name, known.iter().copied()) {
                Some(near) => (
                    "near_field",
                    near.to_owned(),
                    format!("did you mean \"{near}\"?"),
                ),
                None => {
                    let known = known.join(", ");
                    ("unknown_field", known.clone(), format!("known are {known}"))
                }
            };
            let name = join(path, &field.name);
            found.note(
                field.at,
                name,
                code,
                &[&field.name, &value],
                format!("there is no field \"{}\"; {cure}", field.name),
            );
        }
        Some(Self {
            at: node.at,
            path,
            fields,
        })
    }

    /// The full name of a field of this table.
    pub(super) fn name(&self, field: &str) -> String {
        join(self.path, field)
    }

    pub(super) fn optional(&self, name: &str) -> Option<&'a Node> {
        self.fields
            .iter()
            .find(|field| field.name == name)
            .map(|field| &field.node)
    }

    fn required(&self, name: &str, example: &str, found: &mut Found) -> Option<&'a Node> {
        let node = self.optional(name);
        if node.is_none() {
            found.note(
                self.at,
                self.name(name),
                "missing",
                &[&example],
                format!("is missing; write {example}"),
            );
        }
        node
    }

    /// A required list that is not empty.
    pub(super) fn list(
        &self,
        name: &str,
        example: &str,
        found: &mut Found,
    ) -> Option<&'a Vec<Node>> {
        let node = self.required(name, example, found)?;
        match &node.value {
            Value::List(items) if !items.is_empty() => Some(items),
            Value::List(_) => {
                found.note(
                    node.at,
                    self.name(name),
                    "empty_list",
                    &[&example],
                    format!("is empty; write {example}"),
                );
                None
            }
            other => {
                let shown = other.shown();
                let problem = format!("{shown} is not a list; write {example}");
                found.note(
                    node.at,
                    self.name(name),
                    "not_a_list",
                    &[&shown, &example],
                    problem,
                );
                None
            }
        }
    }

    /// The required id.
    pub(super) fn id(&self, example: &str, found: &mut Found) -> Option<Placed<String>> {
        let node = self.required("id", &format!("id = \"{example}\""), found)?;
        match &node.value {
            Value::Text(id) if seckill_core::ids::is_id(id) => Some(Placed {
                at: node.at,
                value: id.clone(),
            }),
            other => {
                let shown = match other {
                    Value::Text(id) => format!("\"{id}\""),
                    other => other.shown(),
                };
                let problem = format!(
                    "{shown} cannot be an id; write 1 to {} letters, digits or underscores in \
                     quotes, such as \"{example}\"",
                    seckill_core::ids::MAX_ID
                );
                let values: [&dyn Display; 3] = [&shown, &seckill_core::ids::MAX_ID, &example];
                found.note(node.at, self.name("id"), "file_id", &values, problem);
                None
            }
        }
    }

    /// A required name for people.
    pub(super) fn label(&self, name: &str, example: &str, found: &mut Found) -> Option<String> {
        let node = self.required(name, &format!("{name} = \"{example}\""), found)?;
        let right = format!("write 1 to {MAX_NAME} characters on one line in quotes");
        let (code, value, problem) = match &node.value {
            Value::Text(text) if text.chars().count() > MAX_NAME => {
                let count = text.chars().count();
                (
                    "too_long",
                    count.to_string(),
                    format!("has {count} characters; {right}"),
                )
            }
            Value::Text(text) => match label::check_label(text) {
                Ok(()) => return Some(text.clone()),
                Err(unfit) => {
                    let (code, problem) = unfit_problem(unfit);
                    (code, unfit.character(), format!("{problem}; {right}"))
                }
            },
            other => {
                let shown = other.shown();
                let problem = format!("{shown} is not a name; {right}");
                ("not_a_name", shown, problem)
            }
        };
        let field = self.name(name);
        if code == "empty" {
            found.note(node.at, field, code, &[&MAX_NAME], problem);
        } else {
            found.note(node.at, field, code, &[&value, &MAX_NAME], problem);
        }
        None
    }

    /// A required time.
    pub(super) fn when(
        &self,
        name: &str,
        example: &str,
        found: &mut Found,
    ) -> Option<Placed<When>> {
        let node = self.required(name, &format!("{name} = \"{example}\""), found)?;
        let (text, shown) = match &node.value {
            Value::Text(text) => (text, format!("\"{text}\"")),
            Value::Time(text) => (text, text.clone()),
            other => {
                let shown = other.shown();
                let problem = format!("{shown} is not a time; write {}", when::FORMS);
                found.note(node.at, self.name(name), "not_a_time", &[&shown], problem);
                return None;
            }
        };
        let when = When::parse(text);
        if when.is_none() {
            let problem = format!("{shown} is not a time; write {}", when::FORMS);
            found.note(node.at, self.name(name), "not_a_time", &[&shown], problem);
        }
        Some(Placed {
            at: node.at,
            value: when?,
        })
    }

    /// An optional list of 1 to `most` whole numbers up to `largest`; empty if it is
    /// missing.
    pub(super) fn amounts(
        &self,
        name: &str,
        most: usize,
        largest: u64,
        found: &mut Found,
    ) -> Option<Placed<Vec<u64>>> {
        let Some(node) = self.optional(name) else {
            let (at, value) = (self.at, Vec::new());
            return Some(Placed { at, value });
        };
        let right = format!(
            "write 1 to {most} whole numbers from 0 to {largest}, such as [3000, 3000, 4000], or \
             leave it out"
        );
        let read = |item: &Node| match &item.value {
            Value::Number(number) => u64::try_from(*number).ok().filter(|n| *n <= largest),
            _ => None,
        };
        let (code, value, problem) = match &node.value {
            Value::List(items) if items.is_empty() || items.len() > most => {
                let count = items.len();
                let problem = match count {
                    0 => format!("is empty; {right}"),
                    _ => format!("has {count} numbers; {right}"),
                };
                ("amounts_count", count.to_string(), problem)
            }
            Value::List(items) => match items.iter().find(|item| read(item).is_none()) {
                None => {
                    let (at, value) = (node.at, items.iter().filter_map(read).collect());
                    return Some(Placed { at, value });
                }
                Some(wrong) => {
                    let shown = wrong.value.shown();
                    let problem = format!("{shown} is no amount; {right}");
                    let values: [&dyn Display; 3] = [&shown, &most, &largest];
                    found.note(wrong.at, self.name(name), "no_amount", &values, problem);
                    return None;
                }
            },
            other => {
                let shown = other.shown();
                let problem = format!("{shown} is not a list of amounts; {right}");
                ("not_amounts", shown, problem)
            }
        };
        let values: [&dyn Display; 3] = [&value, &most, &largest];
        found.note(node.at, self.name(name), code, &values, problem);
        None
    }

    /// A whole number from `least` to `most`, required unless it has a `default`.
    pub(super) fn number(
        &self,
        name: &str,
        (least, most): (u64, u64),
        default: Option<u64>,
        found: &mut Found,
    ) -> Option<Placed<u64>> {
        let node = match (self.optional(name), default) {
            (None, Some(value)) => return Some(Placed { at: self.at, value }),
            (node, _) => match node {
                Some(node) => node,
                None => self.required(name, &format!("{name} = {}", least.max(1)), found)?,
            },
        };
        let range = || format!("a whole number from {least} to {most}");
        let (code, value, problem) = match &node.value {
            Value::Number(number) => match u64::try_from(*number) {
                Ok(value) if (least..=most).contains(&value) => {
                    return Some(Placed { at: node.at, value });
                }
                _ => {
                    let problem = format!("{number} is out of range; write {}", range());
                    ("number_range", number.to_string(), problem)
                }
            },
            Value::Text(text) if text.trim().parse::<u64>().is_ok() => {
                let number = text.trim();
                let problem = format!("\"{text}\" is text; write {number} without the quotes");
                ("quoted_number", number.to_owned(), problem)
            }
            other => {
                let shown = other.shown();
                let problem = format!("{shown} is not a whole number; write {}", range());
                ("number_range", shown, problem)
            }
        };
        let values: [&dyn Display; 3] = [&value, &least, &most];
        found.note(node.at, self.name(name), code, &values, problem);
        None
    }
}

/// The code and the sentence for a text with a character that it may not have.
fn unfit_problem(unfit: Unfit) -> (&'static str, String) {
    let character = unfit.character();
    match unfit {
        Unfit::Empty => ("empty", "is empty".to_owned()),
        Unfit::Control(_) => (
            "control",
            format!("has a line break or control character in it, {character}"),
        ),
        Unfit::Invisible(_) => (
            "invisible",
            format!("has an invisible character in it, {character}"),
        ),
        Unfit::Direction(_) => {
            let problem = format!("has {character} in it, which changes the direction of the text");
            ("direction", problem)
        }
        Unfit::Garbled(_) => {
            let problem = format!(
                "has {character} in it, which stands for a character that could not be read; \
                 write it anew, and save the file in UTF-8"
            );
            ("garbled", problem)
        }
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}
