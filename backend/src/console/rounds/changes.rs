//! What an edit changed, as the audit log keeps it.

use serde_json::{Value, json};

use crate::store::round::{Product, Round};

/// Most changes that one entry lists.
const MOST: usize = 100;
/// Most characters of a text that an entry quotes.
const QUOTED: usize = 200;

/// Every field that differs, as `{"changes":[{"field","from","to"}]}`.
pub(super) fn between(before: &Round, after: &Round) -> Value {
    let mut found = Vec::new();
    let mut note = |field: String, from: Value, to: Value| {
        if from != to {
            found.push(json!({ "field": field, "from": from, "to": to }));
        }
    };
    note("name".into(), quote(&before.name), quote(&after.name));
    note(
        "starts_ms".into(),
        before.opens_ms.into(),
        after.opens_ms.into(),
    );
    note(
        "ends_ms".into(),
        before.ends_ms.into(),
        after.ends_ms.into(),
    );
    let ids = |round: &Round| -> Value {
        let ids: Vec<&str> = round.products.iter().map(|it| it.id.as_str()).collect();
        quote(&ids.join(", "))
    };
    note("products".into(), ids(before), ids(after));
    for is in &after.products {
        if let Some(was) = before.products.iter().find(|it| it.id == is.id) {
            for ((name, from), (_, to)) in fields(was).into_iter().zip(fields(is)) {
                note(format!("{}.{name}", is.id), from, to);
            }
        }
    }
    let left_out = found.len().saturating_sub(MOST);
    found.truncate(MOST);
    match left_out {
        0 => json!({ "changes": found }),
        _ => json!({ "changes": found, "left_out": left_out }),
    }
}

fn fields(product: &Product) -> [(&'static str, Value); 7] {
    [
        ("title", quote(&product.title)),
        ("amount", product.amount.into()),
        ("price_cents", product.price_cents.into()),
        ("list_price_cents", product.list_price_cents.into()),
        ("per_buyer", product.per_buyer.into()),
        ("text", quote(&product.text)),
        ("picture", quote(&product.picture)),
    ]
}

fn quote(text: &str) -> Value {
    match text.char_indices().nth(QUOTED) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or(text)).into(),
        None => text.into(),
    }
}
