//! Typed access to the fields of a table, which notes mistakes.

use super::{Mistake, place};

/// Optional fields.
mod optional;
use crate::config::nearest::nearest;
use crate::sale::limits::MAX_NAME;
use crate::sale::tree::{Field, Node, Value};
use crate::sale::when::{self, When};

/// The mistakes found so far, with the byte at which each begins.
#[derive(Default)]
pub(super) struct Found {
    notes: Vec<(usize, String, String)>,
}

impl Found {
    /// Notes a mistake in `field` at byte `at`.
    pub(super) fn note(&mut self, at: usize, field: impl Into<String>, problem: String) {
        self.notes.push((at, field.into(), problem));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// The mistakes in the order of the file.
    pub(super) fn into_mistakes(mut self, text: &str) -> Vec<Mistake> {
        self.notes.sort_by_key(|(at, ..)| *at);
        self.notes
            .into_iter()
            .map(|(at, field, problem)| {
                let (line, column) = place(text, at);
                Mistake {
                    line,
                    column,
                    field,
                    problem,
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
                format!("this is {}, not a table", node.value.shown()),
            );
            return None;
        };
        for field in fields
            .iter()
            .filter(|field| !known.contains(&field.name.as_str()))
        {
            let cure = match nearest(&field.name, known.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("known are {}", known.join(", ")),
            };
            let name = join(path, &field.name);
            found.note(
                field.at,
                name,
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
                    format!("is empty; write {example}"),
                );
                None
            }
            other => {
                let problem = format!("{} is not a list; write {example}", other.shown());
                found.note(node.at, self.name(name), problem);
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
                found.note(node.at, self.name("id"), problem);
                None
            }
        }
    }

    /// A required name for people.
    pub(super) fn label(&self, name: &str, example: &str, found: &mut Found) -> Option<String> {
        let node = self.required(name, &format!("{name} = \"{example}\""), found)?;
        let right = format!("write 1 to {MAX_NAME} characters on one line in quotes");
        let problem = match &node.value {
            Value::Text(text) if text.trim().is_empty() => format!("is empty; {right}"),
            Value::Text(text) if text.chars().count() > MAX_NAME => {
                format!("has {} characters; {right}", text.chars().count())
            }
            Value::Text(text) if text.chars().any(char::is_control) => {
                format!("has a line break or control character in it; {right}")
            }
            Value::Text(text) => return Some(text.clone()),
            other => format!("{} is not a name; {right}", other.shown()),
        };
        found.note(node.at, self.name(name), problem);
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
                let problem = format!("{} is not a time; write {}", other.shown(), when::FORMS);
                found.note(node.at, self.name(name), problem);
                return None;
            }
        };
        let when = When::parse(text);
        if when.is_none() {
            let problem = format!("{shown} is not a time; write {}", when::FORMS);
            found.note(node.at, self.name(name), problem);
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
        let problem = match &node.value {
            Value::List(items) if items.is_empty() => format!("is empty; {right}"),
            Value::List(items) if items.len() > most => {
                format!("has {} numbers; {right}", items.len())
            }
            Value::List(items) => match items.iter().find(|item| read(item).is_none()) {
                None => {
                    let (at, value) = (node.at, items.iter().filter_map(read).collect());
                    return Some(Placed { at, value });
                }
                Some(wrong) => {
                    let problem = format!("{} is no amount; {right}", wrong.value.shown());
                    found.note(wrong.at, self.name(name), problem);
                    return None;
                }
            },
            other => format!("{} is not a list of amounts; {right}", other.shown()),
        };
        found.note(node.at, self.name(name), problem);
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
        let problem = match &node.value {
            Value::Number(number) => match u64::try_from(*number) {
                Ok(value) if (least..=most).contains(&value) => {
                    return Some(Placed { at: node.at, value });
                }
                _ => format!("{number} is out of range; write {}", range()),
            },
            Value::Text(text) if text.trim().parse::<u64>().is_ok() => {
                format!(
                    "\"{text}\" is text; write {} without the quotes",
                    text.trim()
                )
            }
            other => format!("{} is not a whole number; write {}", other.shown(), range()),
        };
        found.note(node.at, self.name(name), problem);
        None
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}
