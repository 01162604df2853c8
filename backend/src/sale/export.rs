//! Exports rounds as a sale file, which imports to the same rounds. What no sale file may
//! have, such as a product that is withdrawn, is left out, in TOML as a comment.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use seckill_core::sale::halt::Halt;

use crate::store::round::{Product, Round, RoundState, StoredRound};

/// The rounds as TOML, times in `zone`, each under a comment with its state. What an import
/// at `now_ms` would refuse is commented out, under the reason.
#[must_use]
pub fn to_toml(rounds: &[StoredRound], zone: &TimeZone, now_ms: u64) -> String {
    let mut text = String::new();
    for stored in rounds {
        let round = round_toml(stored, zone);
        match omitted(stored, now_ms) {
            Some(reason) => text.push_str(&format!("# {reason}\n{}\n", commented(&round))),
            None => text.push_str(&format!("# {}\n{round}\n", state(stored))),
        }
    }
    text
}

/// The state of a round that is exported.
fn state(stored: &StoredRound) -> &'static str {
    match (stored.state, stored.published_ms) {
        (RoundState::Approved, None) => "approved, not yet published",
        (RoundState::Approved, _) if halt(stored) == Some(Halt::Paused) => "approved, paused",
        (state, _) => state.as_str(),
    }
}

/// What stopped the whole round.
fn halt(stored: &StoredRound) -> Option<Halt> {
    stored.stops.round.and_then(|stop| stop.kind.halt())
}

/// A round as a sale file can have it: as it sells, without the products that are off sale,
/// and without a division that is that of another amount. Without products if none is left.
#[must_use]
pub fn offered(stored: &StoredRound) -> Round {
    let mut round = stored.in_force();
    round
        .products
        .retain(|product| off_sale(stored, product).is_none());
    for product in &mut round.products {
        if !has_division(product) {
            product.segments.clear();
        }
    }
    round
}

/// Why a whole round is left out; `None` if it is not.
fn omitted(stored: &StoredRound, now_ms: u64) -> Option<&'static str> {
    if halt(stored) == Some(Halt::Withdrawn) {
        Some("withdrawn")
    } else if stored.round.ends_ms <= now_ms {
        Some("over")
    } else if offered(stored).products.is_empty() {
        Some("nothing of it is for sale")
    } else {
        None
    }
}

/// Why a product is left out; `None` if it is not.
fn off_sale(stored: &StoredRound, product: &Product) -> Option<&'static str> {
    match stored.stops.halt(&product.id) {
        Some(Halt::Withdrawn) => Some("withdrawn"),
        _ if product.amount == 0 => Some("no items"),
        _ => None,
    }
}

/// A text of which every line is a comment.
fn commented(text: &str) -> String {
    text.lines().map(|line| format!("# {line}\n")).collect()
}

fn round_toml(stored: &StoredRound, zone: &TimeZone) -> String {
    let round = stored.in_force();
    let mut text = format!(
        "[[round]]\nid = {}\nname = {}\nstarts = {}\nends = {}\n",
        quoted(&round.id),
        quoted(&round.name),
        quoted(&time(round.opens_ms, zone)),
        quoted(&time(round.ends_ms, zone)),
    );
    if let Some(series) = stored.trail.series.as_deref() {
        text.push_str(&format!("series = {}\n", quoted(series)));
    }
    for product in &round.products {
        let lines = product_toml(product);
        match (
            off_sale(stored, product),
            stored.stops.products.get(&product.id),
        ) {
            (Some(reason), _) => {
                text.push_str(&format!("\n# {reason}\n{}", commented(&lines)));
            }
            (None, Some(stop)) => {
                text.push_str(&format!("\n# {}\n{lines}", stop.kind.as_str()));
            }
            (None, None) => text.push_str(&format!("\n{lines}")),
        }
    }
    text
}

fn product_toml(product: &Product) -> String {
    let mut text = format!(
        "[[round.product]]\nid = {}\ntitle = {}\namount = {}\nprice_cents = {}\n\
         list_price_cents = {}\nper_buyer = {}\n",
        quoted(&product.id),
        quoted(&product.title),
        product.amount,
        product.price_cents,
        product.list_price_cents,
        product.per_buyer,
    );
    if has_division(product) {
        text.push_str(&format!("segments = {:?}\n", product.segments));
    }
    for (name, value) in [("text", &product.text), ("picture", &product.picture)] {
        if !value.is_empty() {
            text.push_str(&format!("{name} = {}\n", quoted(value)));
        }
    }
    if !product.picture_alt.is_empty() {
        let alts: Vec<String> = product.picture_alt.iter().map(|it| quoted(it)).collect();
        text.push_str(&format!("picture_alt = [{}]\n", alts.join(", ")));
    }
    text
}

/// Whether a product has a division into segments that is that of its amount: an amount
/// that was adjusted since has none.
fn has_division(product: &Product) -> bool {
    !product.segments.is_empty() && product.segments.iter().sum::<u64>() == product.amount
}

/// The rounds as JSON of the same shape, times in `zone`, without what an import at
/// `now_ms` would refuse.
#[must_use]
pub fn to_json(rounds: &[StoredRound], zone: &TimeZone, now_ms: u64) -> String {
    let rounds: Vec<serde_json::Value> = rounds
        .iter()
        .filter(|stored| omitted(stored, now_ms).is_none())
        .map(|stored| round_json(&offered(stored), stored.trail.series.as_deref(), zone))
        .collect();
    let mut text = format!("{:#}", serde_json::json!({ "round": rounds }));
    text.push('\n');
    text
}

fn round_json(round: &Round, series: Option<&str>, zone: &TimeZone) -> serde_json::Value {
    let products: Vec<serde_json::Value> = round.products.iter().map(product_json).collect();
    let mut value = serde_json::json!({
        "id": round.id,
        "name": round.name,
        "starts": time(round.opens_ms, zone),
        "ends": time(round.ends_ms, zone),
        "product": products,
    });
    if let Some(series) = series {
        value["series"] = series.into();
    }
    value
}

fn product_json(product: &Product) -> serde_json::Value {
    let mut value = serde_json::json!({
        "id": product.id,
        "title": product.title,
        "amount": product.amount,
        "price_cents": product.price_cents,
        "list_price_cents": product.list_price_cents,
        "per_buyer": product.per_buyer,
    });
    if !product.segments.is_empty() {
        value["segments"] = product.segments.clone().into();
    }
    for (name, text) in [("text", &product.text), ("picture", &product.picture)] {
        if !text.is_empty() {
            value[name] = text.clone().into();
        }
    }
    if !product.picture_alt.is_empty() {
        value["picture_alt"] = product.picture_alt.clone().into();
    }
    value
}

/// A TOML string. The import has refused names with control characters.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn time(at_ms: u64, zone: &TimeZone) -> String {
    let moment = i64::try_from(at_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(
        || at_ms.to_string(),
        |moment| {
            let offset = zone.to_offset(moment);
            moment.display_with_offset(offset).to_string()
        },
    )
}
