//! The rules for a round and a product.

use std::collections::HashSet;
use std::fmt::Display;

use super::division::share;
use super::fields::{Found, Placed, Table};
use super::{FileRound, fix_times};
use crate::config::SiteSettings;
use crate::sale::limits::{
    MAX_AMOUNT, MAX_DAYS, MAX_PRICE_CENTS, MAX_PRODUCTS, MAX_SEGMENTS, MAX_TEXT, picture_count,
};
use crate::sale::tree::Node;
use crate::sale::when::When;
use crate::store::round::{Product, Round};
use crate::time::rfc3339;

const ROUND: &str = "round";
const PRODUCT: &str = "round.product";
/// The position of a product without one.
const LAST: u64 = 1_000_000;
const ROUND_FIELDS: [&str; 7] = ["id", "name", "starts", "ends", "days", "series", "product"];
const PRODUCT_FIELDS: [&str; 12] = [
    "id",
    "title",
    "amount",
    "price_cents",
    "list_price_cents",
    "per_buyer",
    "segments",
    "sites",
    "position",
    "text",
    "picture",
    "picture_alt",
];

/// Reads all rounds; mistakes go to `found`.
pub(super) fn rounds(
    tree: &Node,
    site: Option<&SiteSettings>,
    now_ms: u64,
    found: &mut Found,
) -> Vec<FileRound> {
    let Some(file) = Table::open(tree, "", &[ROUND], found) else {
        return Vec::new();
    };
    let Some(items) = file.list(ROUND, "at least one [[round]]", found) else {
        return Vec::new();
    };
    let mut ids = Ids::default();
    items
        .iter()
        .filter_map(|node| round(node, (site, now_ms), &mut ids, found))
        .collect()
}

fn round(
    node: &Node,
    (site, now_ms): (Option<&SiteSettings>, u64),
    ids: &mut Ids,
    found: &mut Found,
) -> Option<FileRound> {
    let table = Table::open(node, ROUND, &ROUND_FIELDS, found)?;
    // Every field is checked before the first mistake ends the round, so that one run
    // of the import reports all mistakes.
    let id = table.id("1", found);
    if let Some(id) = &id {
        ids.check(id, &table, found);
    }
    let name = table.label("name", "Noon", found);
    let starts = table.when("starts", "2026-11-23T12:00:00+08:00", found);
    let ends = table.when("ends", "+10m", found);
    let times = starts.as_ref().zip(ends).map(|(starts, ends)| {
        let fixed = fix_times(starts.value, ends.value, now_ms);
        check_times(fixed, &ends, now_ms, &table, found);
        (starts.value, ends.value, fixed)
    });
    let days = table.number("days", (1, u64::from(MAX_DAYS)), Some(1), found);
    if let (Some(days), Some(starts)) = (&days, &starts)
        && days.value > 1
        && starts.value.is_relative()
    {
        let problem = format!(
            "a round on {} days needs a fixed start, such as \"2026-11-23T12:00:00+08:00\"",
            days.value
        );
        found.note(
            days.at,
            table.name("days"),
            "days_need_start",
            &[&days.value],
            problem,
        );
    }
    let series = table.optional_id("series", found);
    let products = table
        .list("product", "at least one [[round.product]]", found)
        .map(|items| products(items, site, found));
    let (starts, ends, (opens_ms, ends_ms)) = times?;
    Some(FileRound {
        round: Round {
            id: id?.value,
            name: name?,
            opens_ms,
            ends_ms,
            products: products?,
        },
        starts_relative: starts.is_relative(),
        ends_relative: ends.is_relative(),
        days: u32::try_from(days?.value).ok()?,
        series: series?,
    })
}

/// Reads products in the order of their positions, then of the file.
fn products(items: &[Node], site: Option<&SiteSettings>, found: &mut Found) -> Vec<Product> {
    if let Some(first) = items.get(MAX_PRODUCTS) {
        let count = items.len();
        let problem =
            format!("these are {count} products; make several rounds of at most {MAX_PRODUCTS}");
        found.note(first.at, PRODUCT, "too_many_products", &[&count], problem);
        return Vec::new();
    }
    let mut ids = Ids::default();
    let mut products: Vec<(u64, Product)> = items
        .iter()
        .filter_map(|node| product(node, site, &mut ids, found))
        .collect();
    products.sort_by_key(|(position, _)| *position);
    products.into_iter().map(|(_, product)| product).collect()
}

fn check_times(
    (opens_ms, ends_ms): (u64, u64),
    ends: &Placed<When>,
    now_ms: u64,
    table: &Table<'_>,
    found: &mut Found,
) {
    // Far enough that no sum of times overflows, and a typing slip in a year shows.
    const LATEST_MS: u64 = 4_102_444_800_000;
    let field = table.name("ends");
    if ends_ms <= opens_ms {
        let (opens, ends_text) = (rfc3339(opens_ms), rfc3339(ends_ms));
        let cure = "write a later end, or \"+10m\" for ten minutes after the start";
        let problem = format!("{ends_text} is not after the start, {opens}; {cure}");
        found.note(
            ends.at,
            field,
            "ends_before_start",
            &[&ends_text, &opens],
            problem,
        );
    } else if ends_ms <= now_ms {
        let ended = rfc3339(ends_ms);
        let problem = format!(
            "the round ended at {ended}; write an end in the future, or leave the round out"
        );
        found.note(ends.at, field, "over", &[&ended], problem);
    } else if ends_ms > LATEST_MS {
        let problem = "lies after the year 2099; write an end that a buyer can live to see";
        found.note(ends.at, field, "time_form", &[], problem.to_owned());
    }
}

fn product(
    node: &Node,
    site: Option<&SiteSettings>,
    ids: &mut Ids,
    found: &mut Found,
) -> Option<(u64, Product)> {
    let table = Table::open(node, PRODUCT, &PRODUCT_FIELDS, found)?;
    let id = table.id("153", found);
    if let Some(id) = &id {
        ids.check(id, &table, found);
    }
    let title = table.label("title", "Phone", found);
    let amount = table.number("amount", (1, MAX_AMOUNT), None, found);
    // From here on the amount is what this site has of it.
    let amount = amount.and_then(|amount| share(&table, &amount, site, found));
    let price = table.number("price_cents", (0, MAX_PRICE_CENTS), None, found);
    let list_default = price.as_ref().map_or(0, |price| price.value);
    let list_price = table.number(
        "list_price_cents",
        (0, MAX_PRICE_CENTS),
        Some(list_default),
        found,
    );
    let per_buyer = table.number("per_buyer", (1, u64::from(u32::MAX)), Some(1), found);

    let segments = table.amounts("segments", MAX_SEGMENTS, MAX_AMOUNT, found);
    if let (Some(segments), Some(amount)) = (&segments, &amount) {
        check_segments(segments, amount, &table, found);
    }
    if let (Some(price), Some(list)) = (&price, &list_price)
        && price.value > list.value
    {
        let problem = format!(
            "{} is above list_price_cents, {}; lower the price or raise the list price",
            price.value, list.value
        );
        let values: [&dyn Display; 2] = [&price.value, &list.value];
        found.note(
            price.at,
            table.name("price_cents"),
            "price_above_list",
            &values,
            problem,
        );
    }
    if let (Some(cap), Some(amount)) = (&per_buyer, &amount)
        && cap.value > amount.value
    {
        let problem = format!(
            "{} is more than the amount, {}; write a number from 1 to {}",
            cap.value, amount.value, amount.value
        );
        let values: [&dyn Display; 2] = [&cap.value, &amount.value];
        found.note(
            cap.at,
            table.name("per_buyer"),
            "cap_above_amount",
            &values,
            problem,
        );
    }
    // Products without a position come last, in the order of the file.
    let position = table.number("position", (1, LAST), Some(LAST), found);
    let text = table.text("text", MAX_TEXT, found);
    let picture = table.picture("picture", found);
    let pictures = picture.as_deref().map(picture_count);
    let picture_alt = table.alts("picture_alt", pictures, found);
    let product = Product {
        id: id?.value,
        title: title?,
        amount: amount?.value,
        price_cents: price?.value,
        list_price_cents: list_price?.value,
        per_buyer: u32::try_from(per_buyer?.value).ok()?,
        segments: segments?.value,
        text: text?,
        picture: picture?,
        priced_ms: 0,
        picture_alt: picture_alt?,
    };
    Some((position?.value, product))
}

/// The amounts of segments must add up to the product's amount.
fn check_segments(
    segments: &Placed<Vec<u64>>,
    amount: &Placed<u64>,
    table: &Table<'_>,
    found: &mut Found,
) {
    let sum: u64 = segments.value.iter().sum();
    if !segments.value.is_empty() && sum != amount.value {
        let problem = format!(
            "these add up to {sum}, and the amount is {}; make them equal, or leave the segments \
             out for an even split",
            amount.value
        );
        let values: [&dyn Display; 2] = [&sum, &amount.value];
        found.note(
            segments.at,
            table.name("segments"),
            "segments_sum",
            &values,
            problem,
        );
    }
}

/// The ids seen so far among siblings.
#[derive(Default)]
struct Ids {
    seen: HashSet<String>,
}

impl Ids {
    fn check(&mut self, id: &Placed<String>, table: &Table<'_>, found: &mut Found) {
        if !self.seen.insert(id.value.clone()) {
            let problem = format!("\"{}\" is used twice; give each an id of its own", id.value);
            found.note(id.at, table.name("id"), "twice", &[&id.value], problem);
        }
    }
}
