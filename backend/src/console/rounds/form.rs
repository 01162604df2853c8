//! A round as the editor sends it, and the rules for it. All mistakes are reported
//! together, each at its field, with its value and what would be right.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use seckill_core::ids;
use seckill_core::orders::money::{Currency, Money};
use serde::{Deserialize, Serialize};

use crate::console::error::FieldMistake;
use crate::sale::limits::{MAX_AMOUNT, MAX_DAYS, MAX_PICTURE, MAX_PRODUCTS, is_picture};
use crate::store::round::{Product, Round};

/// The mistakes found so far, and the rules for single fields.
mod mistakes;

use mistakes::Mistakes;

/// Latest time, epoch ms: no sum of times overflows, and a typo in a year is noticed.
const LATEST_MS: u64 = 4_102_444_800_000;

/// A number as it was sent. A value that is no number is refused with a sentence that
/// quotes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Figure {
    /// A whole number.
    Whole(i64),
    /// Anything else.
    Other(serde_json::Value),
}

impl Default for Figure {
    fn default() -> Self {
        Self::Other(serde_json::Value::Null)
    }
}

impl From<u64> for Figure {
    fn from(number: u64) -> Self {
        match i64::try_from(number) {
            Ok(number) => Self::Whole(number),
            Err(_) => Self::Other(number.into()),
        }
    }
}

/// A round, as the editor sends it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoundForm {
    /// Its id: letters, digits, underscores. Left out for a new round, the next
    /// free number.
    #[serde(default)]
    pub id: Option<String>,
    /// The version that was edited; needed to save an existing round.
    #[serde(default)]
    pub version: Option<u64>,
    /// What shoppers call it.
    #[serde(default)]
    pub name: String,
    /// Start, epoch milliseconds.
    #[serde(default)]
    #[schema(value_type = i64)]
    pub starts_ms: Figure,
    /// End, epoch milliseconds, not part of the round.
    #[serde(default)]
    #[schema(value_type = i64)]
    pub ends_ms: Figure,
    /// On how many days a new round is held, one after the other. Each day becomes a
    /// round of its own, `ID_YYYYMMDD`, with its own stock.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub days: Option<Figure>,
    /// What is sold, in the order in which it is shown.
    #[serde(default)]
    pub products: Vec<ProductForm>,
}

/// A product, as the editor sends it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductForm {
    /// Its id: letters, digits, underscores.
    #[serde(default)]
    pub id: String,
    /// What shoppers call it.
    #[serde(default)]
    pub title: String,
    /// Items for sale.
    #[serde(default)]
    #[schema(value_type = i64)]
    pub amount: Figure,
    /// Price in the round, in cents.
    #[serde(default)]
    #[schema(value_type = i64)]
    pub price_cents: Figure,
    /// Price outside of it, in cents; left out, the same.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub list_price_cents: Option<Figure>,
    /// Most items of one buyer; left out, one.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub per_buyer: Option<Figure>,
    /// Items in each stock segment; left out, an even split.
    #[serde(default)]
    pub segments: Vec<u64>,
    /// The text on its page: paragraphs, `- ` lists, `**bold**`.
    #[serde(default)]
    pub text: String,
    /// The names of its pictures, divided by commas.
    #[serde(default)]
    pub picture: String,
    /// The alternative texts of its pictures, in their order; empty, the title.
    #[serde(default)]
    pub picture_alt: Vec<String>,
}

impl RoundForm {
    /// The form that describes this round.
    #[must_use]
    pub fn of(round: &Round) -> Self {
        let product = |it: &Product| ProductForm {
            id: it.id.clone(),
            title: it.title.clone(),
            amount: it.amount.into(),
            price_cents: it.price_cents.into(),
            list_price_cents: Some(it.list_price_cents.into()),
            per_buyer: Some(u64::from(it.per_buyer).into()),
            segments: Vec::new(),
            text: it.text.clone(),
            picture: it.picture.clone(),
            picture_alt: it.picture_alt.clone(),
        };
        Self {
            id: Some(round.id.clone()),
            version: None,
            name: round.name.clone(),
            starts_ms: round.opens_ms.into(),
            ends_ms: round.ends_ms.into(),
            days: None,
            products: round.products.iter().map(product).collect(),
        }
    }
}

/// What the form of round `id`, which exists, cannot change: its id and its days, and, once
/// it is approved, how its products are divided.
///
/// # Errors
/// The fields that say otherwise: what is sent and cannot be done is not dropped.
pub fn check_kept(
    form: &RoundForm,
    id: &str,
    approved: Option<[&Round; 2]>,
) -> Result<(), Vec<FieldMistake>> {
    let mut mistakes = Mistakes::default();
    if let Some(other) = form.id.as_deref().map(str::trim)
        && !other.is_empty()
        && other != id
    {
        let message = format!(
            "\"{other}\" is another id, and this round stays \"{id}\"; leave the id out, or copy \
             the round"
        );
        mistakes.add("id", "fixed_id", &[other, id], message);
    }
    if form
        .days
        .as_ref()
        .is_some_and(|days| *days != Figure::Whole(1))
    {
        let message = "A round that exists is held on one day; leave the days out, and make a \
                       new round for several"
            .to_owned();
        mistakes.add("days", "fixed_days", &[], message);
    }
    for (at, product) in form.products.iter().enumerate() {
        let Some(rounds) = approved.filter(|_| !product.segments.is_empty()) else {
            continue;
        };
        let known = rounds.map(|round| round.products.iter().find(|it| it.id == product.id));
        let known: Vec<&Vec<u64>> = known.into_iter().flatten().map(|it| &it.segments).collect();
        if !known.is_empty() && !known.contains(&&product.segments) {
            let message = "After the approval the items stay divided as they are, and follow the \
                           amount by themselves; leave the segments out"
                .to_owned();
            let field = format!("products.{at}.segments");
            mistakes.add(&field, "fixed_segments", &[], message);
        }
    }
    match mistakes.0.is_empty() {
        true => Ok(()),
        false => Err(mistakes.0),
    }
}

/// A round without mistakes, and on how many days it is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The round.
    pub round: Round,
    /// On how many days, one after the other, the round is held.
    pub days: u32,
}

/// What the rules depend on besides the form.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Now, epoch milliseconds.
    pub now_ms: u64,
    /// The time zone of times in sentences.
    pub zone: &'a TimeZone,
    /// The currency of prices.
    pub currency: Currency,
    /// Whether the start may be past, and amounts nothing: for a round that was approved.
    pub may_have_begun: bool,
}

/// Checks a form. `id` is the round's id.
///
/// # Errors
/// All mistakes.
pub fn check(form: &RoundForm, id: &str, rules: Rules<'_>) -> Result<Checked, Vec<FieldMistake>> {
    let mut mistakes = Mistakes::default();
    if !ids::is_id(id) {
        mistakes.add(
            "id",
            "id_form",
            &[id],
            format!(
                "\"{id}\" cannot be an id; write 1 to {} letters, digits or underscores",
                ids::MAX_ID
            ),
        );
    }
    mistakes.label("name", &form.name);
    let times = times(form, rules, &mut mistakes);
    let days = match &form.days {
        None => 1,
        Some(days) => mistakes
            .number("days", days, (1, u64::from(MAX_DAYS)))
            .unwrap_or(1),
    };
    if form.products.is_empty() {
        let message = "There is no product in the round; add at least one".to_owned();
        mistakes.add("products", "no_products", &[], message);
    }
    if form.products.len() > MAX_PRODUCTS {
        let count = form.products.len().to_string();
        mistakes.add(
            "products",
            "too_many_products",
            &[&count],
            format!("These are {count} products; make several rounds of at most {MAX_PRODUCTS}"),
        );
    }
    let mut seen = std::collections::HashSet::new();
    let products: Vec<Option<Product>> = form
        .products
        .iter()
        .take(MAX_PRODUCTS)
        .enumerate()
        .map(|(at, product)| {
            if !seen.insert(product.id.as_str()) && !product.id.is_empty() {
                let field = format!("products.{at}.id");
                mistakes.add(
                    &field,
                    "twice",
                    &[&product.id],
                    format!(
                        "\"{}\" is used twice; give each product an id of its own",
                        product.id
                    ),
                );
            }
            check_product(&format!("products.{at}."), product, rules, &mut mistakes)
        })
        .collect();
    match (times, products.into_iter().collect::<Option<Vec<_>>>()) {
        (Some((opens_ms, ends_ms)), Some(products)) if mistakes.0.is_empty() => Ok(Checked {
            round: Round {
                id: id.to_owned(),
                name: form.name.trim().to_owned(),
                opens_ms,
                ends_ms,
                products,
            },
            days: u32::try_from(days).unwrap_or(1),
        }),
        _ => Err(mistakes.0),
    }
}

fn times(form: &RoundForm, rules: Rules<'_>, mistakes: &mut Mistakes) -> Option<(u64, u64)> {
    let opens = mistakes.time("starts_ms", &form.starts_ms);
    let ends = mistakes.time("ends_ms", &form.ends_ms);
    let shown = |ms| shown_time(ms, rules.zone);
    if let Some(opens) = opens
        && opens <= rules.now_ms
        && !rules.may_have_begun
    {
        let value = shown(opens);
        mistakes.add(
            "starts_ms",
            "past",
            &[&value],
            format!("{value} is in the past; choose a start that is still to come"),
        );
    }
    let (opens, ends) = (opens?, ends?);
    if ends <= opens {
        let values = [shown(ends), shown(opens)];
        mistakes.add(
            "ends_ms",
            "ends_before_start",
            &[&values[0], &values[1]],
            format!(
                "{} is not after the start, {}; choose a later end",
                values[0], values[1]
            ),
        );
        return None;
    }
    if ends <= rules.now_ms {
        let value = shown(ends);
        mistakes.add(
            "ends_ms",
            "over",
            &[&value],
            format!("The end, {value}, is in the past; choose an end that is still to come"),
        );
        return None;
    }
    Some((opens, ends))
}

fn check_product(
    at: &str,
    form: &ProductForm,
    rules: Rules<'_>,
    mistakes: &mut Mistakes,
) -> Option<Product> {
    let field = |name: &str| format!("{at}{name}");
    if !ids::is_id(&form.id) {
        mistakes.add(
            &field("id"),
            "id_form",
            &[&form.id],
            format!(
                "\"{}\" cannot be an id; write 1 to {} letters, digits or underscores",
                form.id,
                ids::MAX_ID
            ),
        );
    }
    mistakes.label(&field("title"), &form.title);
    // What is on sale may be lowered to nothing, and below the cap, which stays.
    let least = u64::from(!rules.may_have_begun);
    let amount = mistakes.number(&field("amount"), &form.amount, (least, MAX_AMOUNT));
    let price = mistakes.price(&field("price_cents"), &form.price_cents, rules.currency);
    let list = match &form.list_price_cents {
        None => price,
        Some(list) => mistakes.price(&field("list_price_cents"), list, rules.currency),
    };
    let per_buyer = match &form.per_buyer {
        None => Some(1),
        Some(cap) => mistakes.number(&field("per_buyer"), cap, (1, u64::from(u32::MAX))),
    };
    if let (Some(price), Some(list)) = (price, list)
        && price > list
    {
        let values = [price, list].map(|it| money(it, rules.currency));
        mistakes.add(&field("price_cents"), "price_above_list", &[&values[0], &values[1]], format!(
            "The price, {}, is above the list price, {}; lower the price or raise the list price",
            values[0], values[1]
        ));
    }
    if let (Some(cap), Some(amount)) = (per_buyer, amount)
        && cap > amount
        && !rules.may_have_begun
    {
        let values = [cap.to_string(), amount.to_string()];
        mistakes.add(&field("per_buyer"), "cap_above_amount", &[&values[0], &values[1]], format!(
            "{cap} for one buyer is more than the amount, {amount}; write a number from 1 to {amount}"
        ));
    }
    mistakes.segments(&field("segments"), &form.segments, amount);
    mistakes.text(&field("text"), &form.text);
    if !is_picture(&form.picture) {
        mistakes.add(
            &field("picture"),
            "picture_form",
            &[&form.picture],
            format!(
                "\"{}\" cannot be a picture's name; choose one that was uploaded: at most \
             {MAX_PICTURE} letters, digits or _ - . without a folder",
                form.picture
            ),
        );
    }
    let picture_alt = mistakes.alts(&field("picture_alt"), form);
    Some(Product {
        id: form.id.clone(),
        title: form.title.trim().to_owned(),
        amount: amount?,
        price_cents: price?,
        list_price_cents: list?,
        per_buyer: u32::try_from(per_buyer?).ok()?,
        segments: form.segments.clone(),
        text: form.text.replace("\r\n", "\n"),
        picture: form.picture.clone(),
        priced_ms: 0,
        picture_alt,
    })
}

/// An amount as people type it.
pub(super) fn money(minor: u64, currency: Currency) -> String {
    Money::new(minor, currency).decimal()
}

/// A time as the shop's clock shows it.
pub(super) fn shown_time(at_ms: u64, zone: &TimeZone) -> String {
    i64::try_from(at_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .map_or_else(
            || at_ms.to_string(),
            |moment| {
                let shown = moment.to_zoned(zone.clone());
                shown.strftime("%Y-%m-%d %H:%M:%S").to_string()
            },
        )
}
