//! Exports rounds as a sale file, which imports to the same rounds.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::store::round::{Product, Round, RoundState, StoredRound};

/// The rounds as TOML, times in `zone`, each under a comment with its state.
#[must_use]
pub fn to_toml(rounds: &[StoredRound], zone: &TimeZone) -> String {
    let mut text = String::new();
    for stored in rounds {
        let state = match (stored.state, stored.published_ms) {
            (RoundState::Approved, None) => "approved, not yet published",
            (state, _) => state.as_str(),
        };
        let series = stored.trail.series.as_deref();
        text.push_str(&format!(
            "# {state}\n{}\n",
            round_toml(&stored.in_force(), series, zone)
        ));
    }
    text
}

fn round_toml(round: &Round, series: Option<&str>, zone: &TimeZone) -> String {
    let mut text = format!(
        "[[round]]\nid = {}\nname = {}\nstarts = {}\nends = {}\n",
        quoted(&round.id),
        quoted(&round.name),
        quoted(&time(round.opens_ms, zone)),
        quoted(&time(round.ends_ms, zone)),
    );
    if let Some(series) = series {
        text.push_str(&format!("series = {}\n", quoted(series)));
    }
    for product in &round.products {
        text.push_str(&format!(
            "\n[[round.product]]\nid = {}\ntitle = {}\namount = {}\nprice_cents = {}\n\
             list_price_cents = {}\nper_buyer = {}\n",
            quoted(&product.id),
            quoted(&product.title),
            product.amount,
            product.price_cents,
            product.list_price_cents,
            product.per_buyer,
        ));
        if !product.segments.is_empty() {
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
    }
    text
}

/// The rounds as JSON of the same shape, times in `zone`.
#[must_use]
pub fn to_json(rounds: &[StoredRound], zone: &TimeZone) -> String {
    let rounds: Vec<serde_json::Value> = rounds
        .iter()
        .map(|stored| round_json(&stored.in_force(), stored.trail.series.as_deref(), zone))
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
