//! What differs between two versions of a round, and whether one person may change it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::round::{Product, Round};

/// Most differences that an entry of the audit log lists beside those that
/// [weigh](Difference::weighs).
const LISTED: usize = 100;
/// Most bytes that the list takes: the database's column has 65,535, for a reason too.
/// Hundreds of lowered prices fit.
const LISTED_BYTES: usize = 60_000;
/// Most characters of a text that an entry of the audit log quotes.
const QUOTED: usize = 200;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Difference {
    /// The field, such as `name` or `153.amount`.
    pub field: String,
    /// Its value before.
    #[schema(value_type = Object)]
    pub from: Value,
    /// Its value after.
    #[schema(value_type = Object)]
    pub to: Value,
}

impl Difference {
    /// The fields in which `after` differs from `before`, with their whole values. A
    /// product that only one of them has is a field of its own, with null on the other
    /// side.
    #[must_use]
    pub fn between(before: &Round, after: &Round) -> Vec<Self> {
        let mut found = Vec::new();
        let mut note = |field: String, from: Value, to: Value| {
            if from != to {
                found.push(Self { field, from, to });
            }
        };
        let round = |round: &Round| -> [(&'static str, Value); 4] {
            let ids: Vec<&str> = round.products.iter().map(|it| it.id.as_str()).collect();
            [
                ("name", round.name.clone().into()),
                ("starts_ms", round.opens_ms.into()),
                ("ends_ms", round.ends_ms.into()),
                ("products", ids.join(", ").into()),
            ]
        };
        for ((field, from), (_, to)) in round(before).into_iter().zip(round(after)) {
            note(field.to_owned(), from, to);
        }
        for is in &after.products {
            match before.products.iter().find(|it| it.id == is.id) {
                Some(was) => {
                    for ((name, from), (_, to)) in fields(was).into_iter().zip(fields(is)) {
                        note(format!("{}.{name}", is.id), from, to);
                    }
                }
                None => note(is.id.clone(), Value::Null, whole(is)),
            }
        }
        for was in &before.products {
            if !after.products.iter().any(|it| it.id == was.id) {
                note(was.id.clone(), whole(was), Value::Null);
            }
        }
        found
    }

    /// Whether it lowers an amount, which one person may do: nothing is promised by it.
    #[must_use]
    pub fn lowers_an_amount(&self) -> bool {
        let numbers = self.from.as_u64().zip(self.to.as_u64());
        self.field.ends_with(".amount") && numbers.is_some_and(|(from, to)| to < from)
    }

    /// Whether it raises an amount: more goes on sale.
    #[must_use]
    pub fn raises_an_amount(&self) -> bool {
        let numbers = self.from.as_u64().zip(self.to.as_u64());
        self.field.ends_with(".amount") && numbers.is_some_and(|(from, to)| to > from)
    }

    /// Whether it costs the shop money if it is wrong: a lowered price, or more items. No
    /// list leaves it out for the sake of a text.
    fn weighs(&self) -> bool {
        self.lowers_price_of().is_some() || self.raises_an_amount()
    }

    /// These differences, first those that weigh.
    fn by_weight(differences: &[Self]) -> impl Iterator<Item = &Self> {
        let weighing = differences.iter().filter(|it| it.weighs());
        weighing.chain(differences.iter().filter(|it| !it.weighs()))
    }

    /// The product whose price it lowers; `None` if it lowers none.
    #[must_use]
    pub fn lowers_price_of(&self) -> Option<&str> {
        let product = self.field.strip_suffix(".price_cents")?;
        let (from, to) = self.from.as_u64().zip(self.to.as_u64())?;
        (to < from).then_some(product)
    }

    /// These differences as the audit log keeps them, first lowered prices and raised
    /// amounts: long texts and long lists are cut.
    #[must_use]
    pub fn detail(differences: &[Self]) -> Value {
        let mut bytes = 0;
        let listed: Vec<Value> = Self::by_weight(differences)
            .enumerate()
            .take_while(|(at, it)| *at < LISTED || it.weighs())
            .map(|(_, it)| {
                json!({ "field": it.field, "from": quote(&it.from), "to": quote(&it.to) })
            })
            .take_while(|it| {
                bytes += it.to_string().len() + 1;
                bytes <= LISTED_BYTES
            })
            .collect();
        match differences.len().saturating_sub(listed.len()) {
            0 => json!({ "changes": listed }),
            left_out => json!({ "changes": listed, "left_out": left_out }),
        }
    }

    /// These differences in a sentence: `153.amount from 100 to 150`. At most three, first
    /// lowered prices and raised amounts.
    #[must_use]
    pub fn sentence(differences: &[Self]) -> String {
        let said: Vec<String> = Self::by_weight(differences)
            .take(3)
            .map(|it| match (&it.from, &it.to) {
                (Value::Number(from), Value::Number(to)) => {
                    format!("{} from {from} to {to}", it.field)
                }
                _ => it.field.clone(),
            })
            .collect();
        match differences.len().saturating_sub(said.len()) {
            0 => said.join(", "),
            more => format!("{} and {more} more", said.join(", ")),
        }
    }
}

/// Whether one person may make all of these changes of an approved round alone: only what
/// lowers an amount. Everything else was approved by two, and changes by two.
#[must_use]
pub fn one_person_may(differences: &[Difference]) -> bool {
    differences.iter().all(Difference::lowers_an_amount)
}

fn fields(product: &Product) -> [(&'static str, Value); 8] {
    [
        ("title", product.title.clone().into()),
        ("amount", product.amount.into()),
        ("price_cents", product.price_cents.into()),
        ("list_price_cents", product.list_price_cents.into()),
        ("per_buyer", product.per_buyer.into()),
        ("text", product.text.clone().into()),
        ("picture", product.picture.clone().into()),
        ("picture_alt", product.picture_alt.join("\n").into()),
    ]
}

fn whole(product: &Product) -> Value {
    let fields = fields(product);
    Value::Object(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn quote(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(QUOTED) {
            Some((at, _)) => format!("{}…", text.get(..at).unwrap_or(text)).into(),
            None => value.clone(),
        },
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), quote(value)))
                .collect(),
        ),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round() -> Round {
        let product = |id: &str| Product {
            id: id.to_owned(),
            title: "Phone".to_owned(),
            amount: 100,
            price_cents: 999,
            list_price_cents: 1_999,
            per_buyer: 2,
            segments: Vec::new(),
            text: "Folds.".to_owned(),
            picture: "a.webp".to_owned(),
            priced_ms: 0,
            picture_alt: vec!["Front".to_owned()],
        };
        Round {
            id: "1".to_owned(),
            name: "Noon".to_owned(),
            opens_ms: 1_000,
            ends_ms: 2_000,
            products: vec![product("153"), product("154")],
        }
    }

    fn changed(change: impl Fn(&mut Round)) -> Vec<Difference> {
        let mut after = round();
        change(&mut after);
        Difference::between(&round(), &after)
    }

    #[test]
    fn one_person_may_lower_amounts_and_nothing_else() {
        assert!(one_person_may(&changed(|_| {})));
        assert!(one_person_may(&changed(|it| it.products[0].amount = 99)));
        assert!(one_person_may(&changed(|it| it.products[1].amount = 0)));
        let two: [fn(&mut Round); 13] = [
            |it| it.products[0].amount = 101,
            |it| it.products[0].price_cents = 1,
            |it| it.products[0].price_cents = 9_999,
            |it| it.products[0].list_price_cents = 1,
            |it| it.products[0].per_buyer = 1,
            |it| it.products[0].title.push('s'),
            |it| it.products[0].text.clear(),
            |it| it.products[0].picture.clear(),
            |it| it.products[0].picture_alt.clear(),
            |it| it.name.push('s'),
            |it| it.opens_ms += 1,
            |it| it.ends_ms += 1,
            |it| it.products.reverse(),
        ];
        for change in two {
            let found = changed(change);
            assert!(!one_person_may(&found), "{found:?}");
        }
        let both = changed(|it| {
            it.products[0].amount = 99;
            it.products[1].amount = 101;
        });
        assert!(!one_person_may(&both), "{both:?}");
    }

    #[test]
    fn a_product_that_comes_or_goes_is_a_difference_with_all_its_fields() {
        let gone = changed(|it| {
            it.products.pop();
        });
        assert_eq!(gone.len(), 2, "{gone:?}");
        assert_eq!(gone[1].field, "154");
        assert_eq!(
            (&gone[1].from["amount"], &gone[1].to),
            (&json!(100), &Value::Null)
        );
    }

    #[test]
    fn the_audit_log_cuts_long_texts_and_the_comparison_does_not() {
        let long = changed(|it| it.products[0].text = "x".repeat(5_000));
        assert_eq!(long[0].to.as_str().unwrap().len(), 5_000);
        let detail = Difference::detail(&long);
        let quoted = detail["changes"][0]["to"].as_str().unwrap();
        assert_eq!(quoted.chars().count(), QUOTED + 1);
    }

    /// Many products, each with other texts, of which the last is cheaper and the one before
    /// it more.
    fn much() -> Vec<Difference> {
        let mut before = round();
        before.products = (0..200)
            .map(|n| Product {
                id: n.to_string(),
                ..before.products[0].clone()
            })
            .collect();
        let mut after = before.clone();
        for product in &mut after.products {
            product.text = "折".repeat(1_000);
        }
        after.products[198].amount += 1;
        after.products[199].price_cents -= 1;
        Difference::between(&before, &after)
    }

    #[test]
    fn a_long_list_names_lowered_prices_and_raised_amounts_before_texts() {
        let detail = Difference::detail(&much());
        let listed = detail["changes"].as_array().unwrap();
        assert_eq!(listed[0]["field"], "198.amount");
        assert_eq!(listed[1]["field"], "199.price_cents");
        assert_eq!(detail["left_out"], 202 - listed.len());
        let said = Difference::sentence(&much());
        assert!(
            said.starts_with("198.amount from 100 to 101, 199.price_cents"),
            "{said}"
        );
    }

    #[test]
    fn hundreds_of_lowered_prices_are_listed_and_any_list_fits_the_audit_log() {
        let mut before = round();
        before.products = (0..500)
            .map(|n| Product {
                id: n.to_string(),
                ..before.products[0].clone()
            })
            .collect();
        let mut after = before.clone();
        for product in &mut after.products {
            product.price_cents -= 1;
        }
        let detail = Difference::detail(&Difference::between(&before, &after));
        assert_eq!(detail["changes"].as_array().unwrap().len(), 500);
        assert!(detail.get("left_out").is_none(), "{detail}");
        for product in &mut after.products {
            product.text = "折".repeat(1_000);
        }
        let bytes = |differences: &[Difference]| Difference::detail(differences).to_string().len();
        assert!(bytes(&Difference::between(&before, &after)) < 61_000);
        assert!(bytes(&much()) < 61_000);
    }
}
