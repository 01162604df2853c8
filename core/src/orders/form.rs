//! The order form: what a shop needs to know of an order from its buyer, such as an
//! address or a variant. Its fields are the shop's; what the buyer writes into them are
//! the order's details.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::sale::label::{self, Unfit};

/// Largest details of an order, in bytes of JSON.
pub const MAX_DETAILS: usize = 4096;
/// Most fields that one product's form may have.
pub const MAX_FIELDS: usize = 20;
/// Most options of one field.
pub const MAX_OPTIONS: usize = 100;
/// Longest label and hint, in characters.
pub const MAX_LABEL: usize = 120;
/// Longest name of a field, in bytes.
pub const MAX_NAME: usize = 32;

/// Words by the primary tag of their language: `zh`, `en`.
pub type Words = BTreeMap<String, String>;

/// What a field is filled in with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One line.
    #[default]
    Text,
    /// Any number of lines.
    Textarea,
    /// One of the options.
    Select,
}

/// One of the values that a field of [`Kind::Select`] may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// What goes into the details.
    pub value: String,
    /// What buyers read; without it, the value.
    #[serde(default, skip_serializing_if = "Words::is_empty")]
    pub label: Words,
}

/// A field of the form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name in the details.
    pub name: String,
    /// What buyers read beside it.
    pub label: Words,
    /// What it is filled in with.
    #[serde(default)]
    pub kind: Kind,
    /// Whether an order cannot be paid without it.
    #[serde(default)]
    pub required: bool,
    /// Longest text, in characters; of a text or textarea.
    #[serde(default = "usual_length")]
    pub max_length: usize,
    /// The choices of a select; empty for other fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
    /// What browsers may fill in, as HTML names it: `street-address`. Empty for nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub autocomplete: String,
    /// The products whose orders need it, by their ids; empty for all.
    #[serde(default, skip_serializing)]
    pub products: Vec<String>,
}

fn usual_length() -> usize {
    100
}

/// Why a form cannot be used: the sentence names field, value and cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FormError(String);

/// What is wrong with what a buyer filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// There is no such field.
    Unknown,
    /// It is no text.
    NotText,
    /// It is required.
    Missing,
    /// It has too many characters.
    TooLong,
    /// It is none of the options.
    NoOption,
    /// It has a character that it may not have.
    Unfit(Unfit),
}

impl Flaw {
    /// Its name in responses.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown_field",
            Self::NotText => "not_a_text",
            Self::Missing | Self::Unfit(Unfit::Empty) => "missing",
            Self::TooLong => "too_long",
            Self::NoOption => "no_option",
            Self::Unfit(Unfit::Control(_)) => "control",
            Self::Unfit(Unfit::Invisible(_)) => "invisible",
            Self::Unfit(Unfit::Direction(_)) => "direction",
            Self::Unfit(Unfit::Garbled(_)) => "garbled",
        }
    }
}

/// A field with a flaw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flawed {
    /// The field's name.
    pub field: String,
    /// What is wrong with it.
    pub flaw: Flaw,
}

impl fmt::Display for Flawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = &self.field;
        match self.flaw {
            Flaw::Unknown => write!(f, "the form has no field \"{field}\"; leave it out"),
            Flaw::NotText => write!(f, "\"{field}\" is not a text; write it in quotes"),
            Flaw::Missing | Flaw::Unfit(Unfit::Empty) => {
                write!(f, "\"{field}\" is required; fill it in")
            }
            Flaw::TooLong => write!(f, "\"{field}\" is too long; shorten it"),
            Flaw::NoOption => write!(f, "\"{field}\" is none of its options; choose one"),
            Flaw::Unfit(Unfit::Control(_)) => write!(
                f,
                "\"{field}\" has a control character in it; write it without"
            ),
            Flaw::Unfit(Unfit::Garbled(c)) => write!(
                f,
                "\"{field}\" has U+{:04X} in it, which stands for a character that could not be \
                 read; write it anew",
                u32::from(c)
            ),
            Flaw::Unfit(unfit) => write!(
                f,
                "\"{field}\" has {} in it, which is invisible or changes the direction of the \
                 text; write it anew",
                unfit.character()
            ),
        }
    }
}

/// The fields that a shop wants filled in, in the order of its pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    fields: Vec<Field>,
}

impl Form {
    /// The form of these fields.
    ///
    /// # Errors
    /// A field makes no sense, two fields of a product have one name, or what they hold at
    /// most does not fit into an order's details.
    pub fn new(fields: Vec<Field>) -> Result<Self, FormError> {
        for field in &fields {
            field
                .check()
                .map_err(|problem| FormError(format!("the field \"{}\" {problem}", field.name)))?;
        }
        let form = Self { fields };
        let named = form.fields.iter().flat_map(|field| &field.products);
        // The fields of all products are those of a product that no field names.
        let products: Vec<&str> = named.map(String::as_str).chain([""]).collect();
        products.iter().try_for_each(|id| form.check_product(id))?;
        Ok(form)
    }

    /// The fields of a product's orders.
    pub fn of(&self, product: &str) -> impl Iterator<Item = &Field> {
        let is_for = move |field: &&Field| {
            field.products.is_empty() || field.products.iter().any(|id| id == product)
        };
        self.fields.iter().filter(is_for)
    }

    /// Whether there is nothing to fill in for any product.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// What a buyer filled in for a product's order, trimmed and without what is empty.
    ///
    /// # Errors
    /// The first field with a flaw, in the order of the form.
    pub fn read(&self, product: &str, given: &Map<String, Value>) -> Result<Value, Flawed> {
        let mut kept = Map::new();
        for field in self.of(product) {
            let flawed = |flaw| Flawed {
                field: field.name.clone(),
                flaw,
            };
            let text = match given.get(&field.name) {
                None | Some(Value::Null) => "",
                Some(Value::String(text)) => text.trim(),
                Some(_) => return Err(flawed(Flaw::NotText)),
            };
            if text.is_empty() {
                if field.required {
                    return Err(flawed(Flaw::Missing));
                }
                continue;
            }
            field.read(text).map_err(flawed)?;
            kept.insert(field.name.clone(), text.into());
        }
        let known = |name: &String| self.of(product).any(|field| field.name == *name);
        match given.keys().find(|name| !known(name)) {
            Some(name) => Err(Flawed {
                field: name.clone(),
                flaw: Flaw::Unknown,
            }),
            None => Ok(Value::Object(kept)),
        }
    }

    /// Whether an order of a product still lacks what it cannot be paid without.
    #[must_use]
    pub fn is_due(&self, product: &str, details: Option<&Value>) -> bool {
        let has = |name: &str| {
            let text = details.and_then(|it| it.get(name)).and_then(Value::as_str);
            text.is_some_and(|text| !text.is_empty())
        };
        self.of(product)
            .any(|field| field.required && !has(&field.name))
    }

    fn check_product(&self, product: &str) -> Result<(), FormError> {
        let fields: Vec<&Field> = self.of(product).collect();
        let of = match product {
            "" => String::new(),
            product => format!(" of product {product}"),
        };
        if fields.len() > MAX_FIELDS {
            return Err(FormError(format!(
                "the form{of} has {} fields and may have {MAX_FIELDS}; leave some out",
                fields.len()
            )));
        }
        for (at, field) in fields.iter().enumerate() {
            if fields[..at].iter().any(|it| it.name == field.name) {
                return Err(FormError(format!(
                    "the form{of} has two fields \"{}\"; give each a name of its own",
                    field.name
                )));
            }
        }
        let most = 2 + fields.iter().map(|it| it.most_bytes()).sum::<usize>();
        if most > MAX_DETAILS {
            return Err(FormError(format!(
                "the fields{of} may hold {most} bytes, and details {MAX_DETAILS}; lower max_length"
            )));
        }
        Ok(())
    }
}

impl Field {
    /// The bytes of JSON that it takes at most: four for each character.
    fn most_bytes(&self) -> usize {
        let value = match self.kind {
            Kind::Select => self.options.iter().map(|it| it.value.len()).max(),
            Kind::Text | Kind::Textarea => Some(4 * self.max_length),
        };
        self.name.len() + value.unwrap_or(0) + "\"\":\"\",".len()
    }

    fn read(&self, text: &str) -> Result<(), Flaw> {
        if self.kind == Kind::Select {
            let is_one = self.options.iter().any(|it| it.value == text);
            return is_one.then_some(()).ok_or(Flaw::NoOption);
        }
        if text.chars().count() > self.max_length {
            return Err(Flaw::TooLong);
        }
        match self.kind {
            Kind::Textarea => label::check_text(text),
            Kind::Text | Kind::Select => label::check_label(text),
        }
        .map_err(Flaw::Unfit)
    }

    fn check(&self) -> Result<(), String> {
        let is_name = |name: &str| {
            (1..=MAX_NAME).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if !is_name(&self.name) {
            return Err(format!(
                "has no name that can be used; write 1 to {MAX_NAME} letters, digits or underscores"
            ));
        }
        check_words("label", &self.label)?;
        if self.label.is_empty() {
            return Err("has no label; write label = { zh = \"…\", en = \"…\" }".to_owned());
        }
        let is_mark = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"- ".contains(&b);
        if self.autocomplete.len() > 64 || !self.autocomplete.bytes().all(is_mark) {
            return Err(format!(
                "has autocomplete = \"{}\"; write what HTML has, such as \"street-address\"",
                self.autocomplete
            ));
        }
        match (self.kind, self.options.len()) {
            (Kind::Select, 0) => Err("is a select without options; write some".to_owned()),
            (Kind::Select, count) if count > MAX_OPTIONS => Err(format!(
                "has {count} options and may have {MAX_OPTIONS}; leave some out"
            )),
            (Kind::Select, _) => self.check_options(),
            (Kind::Text | Kind::Textarea, 0) if self.max_length == 0 => {
                Err("has max_length = 0; write 1 or more".to_owned())
            }
            (Kind::Text | Kind::Textarea, 0) => Ok(()),
            (Kind::Text | Kind::Textarea, _) => {
                Err("has options and is no select; write kind = \"select\"".to_owned())
            }
        }
    }

    fn check_options(&self) -> Result<(), String> {
        for (at, option) in self.options.iter().enumerate() {
            let value = &option.value;
            let is_trimmed = value.trim() == value && value.chars().count() <= MAX_LABEL;
            if label::check_label(value).is_err() || !is_trimmed {
                return Err(format!(
                    "has the option \"{value}\"; write 1 to {MAX_LABEL} visible characters, \
                     without spaces around them"
                ));
            }
            if self.options[..at].iter().any(|it| it.value == *value) {
                return Err(format!("has the option \"{value}\" twice; leave one out"));
            }
            check_words("an option's label", &option.label)?;
        }
        Ok(())
    }
}

fn check_words(what: &str, words: &Words) -> Result<(), String> {
    for (lang, text) in words {
        if !(2..=3).contains(&lang.len()) || !lang.bytes().all(|b| b.is_ascii_lowercase()) {
            return Err(format!(
                "has {what} in \"{lang}\"; write a language such as zh or en"
            ));
        }
        if label::check_label(text).is_err() || text.chars().count() > MAX_LABEL {
            return Err(format!(
                "has {what} \"{text}\"; write 1 to {MAX_LABEL} visible characters on one line"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(name: &str) -> Field {
        serde_json::from_value(json!({ "name": name, "label": { "en": "A" } })).unwrap()
    }

    fn form() -> Form {
        let fields = json!([
            { "name": "size", "label": { "zh": "尺码", "en": "Size" }, "kind": "select",
              "required": true, "options": [{ "value": "M" }, { "value": "L" }], "products": ["7"] },
            { "name": "name", "label": { "en": "Name" }, "required": true, "max_length": 5 },
            { "name": "address", "label": { "en": "Address" }, "kind": "textarea",
              "autocomplete": "street-address" },
        ]);
        Form::new(serde_json::from_value(fields).unwrap()).unwrap()
    }

    fn read(product: &str, given: Value) -> Result<Value, (String, &'static str)> {
        let flawed = |it: Flawed| (it.field, it.flaw.code());
        form()
            .read(product, given.as_object().unwrap())
            .map_err(flawed)
    }

    #[test]
    fn what_fits_is_kept_trimmed_and_what_is_empty_is_left_out() {
        let given = json!({ "size": "L", "name": " 李雷 ", "address": "长安街 1\n北京" });
        let kept = json!({ "size": "L", "name": "李雷", "address": "长安街 1\n北京" });
        assert_eq!(read("7", given), Ok(kept));
        let given = json!({ "name": "Li", "address": "  " });
        assert_eq!(read("8", given), Ok(json!({ "name": "Li" })));
    }

    #[test]
    fn a_flaw_names_its_field() {
        let flaw = |field: &str, code| Err((field.to_owned(), code));
        for (product, given, wanted) in [
            ("7", json!({ "name": "Li" }), flaw("size", "missing")),
            (
                "7",
                json!({ "size": "S", "name": "Li" }),
                flaw("size", "no_option"),
            ),
            ("8", json!({ "name": " " }), flaw("name", "missing")),
            ("8", json!({ "name": "Li Lei" }), flaw("name", "too_long")),
            ("8", json!({ "name": 5 }), flaw("name", "not_a_text")),
            ("8", json!({ "name": "L\ni" }), flaw("name", "control")),
            (
                "8",
                json!({ "name": "L\u{200b}i" }),
                flaw("name", "invisible"),
            ),
            (
                "8",
                json!({ "name": "L\u{202e}i" }),
                flaw("name", "direction"),
            ),
            (
                "8",
                json!({ "name": "Li", "size": "M" }),
                flaw("size", "unknown_field"),
            ),
        ] {
            assert_eq!(read(product, given.clone()), wanted, "{given}");
        }
    }

    #[test]
    fn an_order_is_due_until_all_that_it_requires_is_there() {
        let due = |product, details: Value| form().is_due(product, Some(&details));
        assert!(form().is_due("8", None));
        assert!(due("7", json!({ "name": "Li" })));
        assert!(!due("8", json!({ "name": "Li" })));
        // What the shop's own pages kept before there was a form is no text of the form.
        assert!(due("8", json!({ "name": { "first": "Li" } })));
        assert!(!Form::default().is_due("8", None));
    }

    #[test]
    fn a_form_that_makes_no_sense_is_refused_with_the_cure() {
        let refused = |field: Field| Form::new(vec![field]).unwrap_err().to_string();
        let with = |change: fn(&mut Field)| {
            let mut field = field("note");
            change(&mut field);
            refused(field)
        };
        assert!(with(|it| it.name = "a-b".into()).contains("letters, digits"));
        assert!(with(|it| it.label.clear()).contains("has no label"));
        assert!(
            with(|it| drop(it.label.insert("English".into(), "A".into()))).contains("zh or en")
        );
        assert!(
            with(|it| drop(it.label.insert("en".into(), "a\u{202e}".into()))).contains("visible")
        );
        assert!(with(|it| it.kind = Kind::Select).contains("without options"));
        assert!(with(|it| it.max_length = 0).contains("1 or more"));
        assert!(with(|it| it.max_length = 2_000).contains("lower max_length"));
        assert!(with(|it| it.autocomplete = "\"onfocus".into()).contains("street-address"));
        let option = |value: &str| Choice {
            value: value.to_owned(),
            label: Words::new(),
        };
        let select = |values: &[&str]| Field {
            kind: Kind::Select,
            options: values.iter().map(|it| option(it)).collect(),
            ..field("size")
        };
        assert!(refused(select(&["M", "M"])).contains("twice"));
        assert!(refused(select(&[" M"])).contains("without spaces"));
        let twice = Form::new(vec![field("a"), field("a")]).unwrap_err();
        assert!(twice.to_string().contains("two fields \"a\""), "{twice}");
        // Two products may use one name for two things.
        let of = |product: &str| Field {
            products: vec![product.to_owned()],
            ..field("size")
        };
        assert!(Form::new(vec![of("7"), of("8")]).is_ok());
    }
}
