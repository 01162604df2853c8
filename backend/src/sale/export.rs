//! The way back: rounds as a sale file, which imports to the same rounds.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Round, RoundState, StoredRound};

/// The rounds as TOML, times in `zone`, each under a comment with its state.
#[must_use]
pub fn to_toml(rounds: &[StoredRound], zone: &TimeZone) -> String {
    let mut text = String::new();
    for stored in rounds {
        let state = match (stored.state, stored.published_ms) {
            (RoundState::Approved, None) => "approved, not yet published",
            (state, _) => state.as_str(),
        };
        text.push_str(&format!(
            "# {state}\n{}\n",
            round_toml(&stored.in_force(), zone)
        ));
    }
    text
}

fn round_toml(round: &Round, zone: &TimeZone) -> String {
    let mut text = format!(
        "[[round]]\nid = {}\nname = {}\nstarts = {}\nends = {}\n",
        quoted(&round.id),
        quoted(&round.name),
        quoted(&time(round.opens_ms, zone)),
        quoted(&time(round.ends_ms, zone)),
    );
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
    }
    text
}

/// A TOML string. Names hold no control characters, as the import sees to.
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
