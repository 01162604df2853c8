//! TOML and JSON as one tree of values with their positions, so that a mistake is
//! shown at its line and column, whichever form the file has.

use jsonc_parser::{CollectOptions, ParseOptions, ast};
use toml::de::{DeTable, DeValue};

/// A value and the byte at which it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) value: Value,
}

/// A value in a sale file.
#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    /// A whole number, as far as it fits.
    Number(i128),
    /// A TOML date or time, as written.
    Time(String),
    List(Vec<Node>),
    Table(Vec<Field>),
    /// A value that fits no field, such as a fraction, a boolean or null: its kind and
    /// its text.
    Other(&'static str, String),
}

/// A named value in a table.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) at: usize,
    pub(super) node: Node,
}

/// Why a file cannot be parsed: the parser's message and the byte it stopped at.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) at: usize,
    pub(super) message: String,
}

impl Value {
    /// The value for a message: `"12:00" (text)`, `1.5 (a fraction)`.
    pub(super) fn shown(&self) -> String {
        match self {
            Value::Text(text) => format!("\"{text}\" (text)"),
            Value::Number(number) => format!("{number} (a number)"),
            Value::Time(text) => format!("{text} (a date)"),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
            Value::Other(kind, text) => format!("{text} ({kind})"),
        }
    }
}

/// Reads TOML.
pub(super) fn parse_toml(text: &str) -> Result<Node, Unreadable> {
    let table = DeTable::parse(text).map_err(|error| Unreadable {
        at: error.span().map_or(0, |span| span.start),
        message: error.message().to_owned(),
    })?;
    let at = table.span().start;
    Ok(Node {
        at,
        value: toml_table(text, table.into_inner()),
    })
}

fn toml_table(source: &str, table: DeTable<'_>) -> Value {
    let mut fields: Vec<Field> = table
        .into_iter()
        .map(|(key, value)| {
            let at = key.span().start;
            let span = value.span();
            let value = toml_value(source, &span, value.into_inner());
            Field {
                name: key.into_inner().into_owned(),
                at,
                node: Node {
                    at: span.start,
                    value,
                },
            }
        })
        .collect();
    // The parser sorts by name; mistakes are listed in the order of the file.
    fields.sort_by_key(|field| field.at);
    Value::Table(fields)
}

fn toml_value(source: &str, span: &std::ops::Range<usize>, value: DeValue<'_>) -> Value {
    let written = || source.get(span.clone()).unwrap_or_default().to_owned();
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Other("too large", written()), Value::Number),
        DeValue::Datetime(_) => Value::Time(written()),
        DeValue::Float(_) => Value::Other("a fraction", written()),
        DeValue::Boolean(_) => Value::Other("yes or no", written()),
        DeValue::Array(items) => Value::List(
            items
                .into_iter()
                .map(|item| {
                    let span = item.span();
                    let value = toml_value(source, &span, item.into_inner());
                    Node {
                        at: span.start,
                        value,
                    }
                })
                .collect(),
        ),
        DeValue::Table(table) => toml_table(source, table),
    }
}

/// Reads JSON, strictly: no comments, no trailing commas, no name twice.
pub(super) fn parse_json(text: &str) -> Result<Node, Unreadable> {
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed =
        jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &strict).map_err(|error| {
            Unreadable {
                at: error.range().start,
                message: error.kind().to_string(),
            }
        })?;
    let value = parsed.value.ok_or_else(|| Unreadable {
        at: 0,
        message: "the file is empty".to_owned(),
    })?;
    json_node(value)
}

fn json_node(value: ast::Value<'_>) -> Result<Node, Unreadable> {
    let (at, value) = match value {
        ast::Value::StringLit(text) => (text.range.start, Value::Text(text.value.into_owned())),
        ast::Value::NumberLit(number) => {
            let value = match number.value.parse() {
                Ok(whole) => Value::Number(whole),
                Err(_) => Value::Other("a fraction", number.value.to_owned()),
            };
            (number.range.start, value)
        }
        ast::Value::BooleanLit(truth) => (
            truth.range.start,
            Value::Other("yes or no", truth.value.to_string()),
        ),
        ast::Value::NullKeyword(null) => {
            (null.range.start, Value::Other("nothing", "null".to_owned()))
        }
        ast::Value::Array(array) => {
            let items: Result<_, _> = array.elements.into_iter().map(json_node).collect();
            (array.range.start, Value::List(items?))
        }
        ast::Value::Object(object) => (object.range.start, json_table(object)?),
    };
    Ok(Node { at, value })
}

fn json_table(object: ast::Object<'_>) -> Result<Value, Unreadable> {
    let mut fields: Vec<Field> = Vec::new();
    for property in object.properties {
        let at = property.range.start;
        let name = property.name.into_string();
        if fields.iter().any(|field| field.name == name) {
            return Err(Unreadable {
                at,
                message: format!("\"{name}\" is given twice"),
            });
        }
        fields.push(Field {
            name,
            at,
            node: json_node(property.value)?,
        });
    }
    Ok(Value::Table(fields))
}
