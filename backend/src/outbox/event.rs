//! Segment events as `purchase.lua` appends them: flat fields, one `kind` each.

use redis::streams::StreamId;
use seckill_core::ids::Item;
use seckill_core::orders::message::{OrderMessage, VERSION};
use seckill_core::permits::reopening::refund_id;
use seckill_core::stock::ledger::{self, EntryId};

use crate::redis::scripts::permits::Refunded;

/// An event of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// Stock was locked: an order is to be placed.
    Purchase(OrderMessage),
    /// A permit is to be returned.
    Refund(Refund),
    /// A purchase failed, was cancelled or returned: its permit is to be returned, and the
    /// buyer may buy again.
    Release { user: String, refund: Refund },
    /// Stock came, went or moved, with which the relay has nothing to do.
    Movement,
}

/// A permit to be returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refund {
    pub(super) item: Item,
    /// Its id, so that it is done once.
    pub(super) id: String,
    pub(super) what: Refunded,
    pub(super) quantity: u32,
    pub(super) reason: String,
}

impl Event {
    /// Reads an outbox entry; the error says which field is wrong.
    pub(super) fn read(entry: &StreamId) -> Result<Self, String> {
        let text = |name: &str| {
            entry
                .get::<String>(name)
                .ok_or_else(|| format!("the event has no field \"{name}\""))
        };
        match text("kind")?.as_str() {
            "purchase" => {
                let v = number(&text("v")?, "v")?;
                if v > VERSION {
                    return Err(format!(
                        "the event has version {v}, this relay reads up to {VERSION}; upgrade it"
                    ));
                }
                Ok(Self::Purchase(OrderMessage {
                    v,
                    request: text("request")?,
                    round: text("round")?,
                    product: text("product")?,
                    segment: number(&text("segment")?, "segment")?,
                    user: text("user")?,
                    quantity: number(&text("quantity")?, "quantity")?,
                    price_cents: number(&text("price_cents")?, "price_cents")?,
                    permit: text("permit")?,
                    at_ms: number(&made(entry)?, "at_ms")?,
                    order: match entry.get::<String>("order").filter(|it| !it.is_empty()) {
                        Some(text) => Some(number(&text, "order")?),
                        None => None,
                    },
                    traceparent: entry.get("traceparent"),
                    relayed_us: None,
                }))
            }
            "refund" => Ok(Self::Refund(Refund {
                item: item(&text)?,
                id: text("permit")?,
                what: Refunded::Unspent(text("lease")?),
                quantity: number(&text("quantity")?, "quantity")?,
                reason: text("reason")?,
            })),
            "release" | "return" => {
                let user = text("user")?;
                let what = match text("permit")?.is_empty() {
                    true => Refunded::MetEmptyStock,
                    false => Refunded::Spent,
                };
                let refund = Refund {
                    item: item(&text)?,
                    id: refund_id(&user, &text("request")?, text("bought_ms")?),
                    what,
                    quantity: number(&text("quantity")?, "quantity")?,
                    reason: text("reason")?,
                };
                Ok(Self::Release { user, refund })
            }
            "preload" | "adjust" | "transfer_out" | "transfer_in" | "confirm" | "rebuild" => {
                Ok(Self::Movement)
            }
            other => Err(format!(
                "the event is of kind \"{other}\", which this relay does not know"
            )),
        }
    }
}

/// When a purchase was made: the time in its entry's id, unless it is a copy of an
/// earlier one.
fn made(entry: &StreamId) -> Result<String, String> {
    let own = || entry.id.split('-').next().map(str::to_owned);
    let made = entry.get::<String>("at_ms").or_else(own);
    made.ok_or_else(|| "the event has no id".to_owned())
}

fn item(text: &impl Fn(&str) -> Result<String, String>) -> Result<Item, String> {
    let (round, product) = (text("round")?, text("product")?);
    Item::new(&round, &product).ok_or_else(|| format!("\"{round}::{product}\" names no product"))
}

fn number<T: std::str::FromStr>(text: &str, name: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("field \"{name}\" is \"{text}\", not a number that fits"))
}

/// An entry as an event of the ledger; `None` if its id is malformed. A field that is no
/// text reads as empty.
pub(crate) fn of_ledger(entry: &StreamId) -> Option<ledger::Event> {
    let fields = entry
        .map
        .keys()
        .map(|name| (name.clone(), entry.get::<String>(name).unwrap_or_default()));
    Some(ledger::Event {
        id: EntryId::parse(&entry.id)?,
        fields: fields.collect(),
    })
}

/// An entry as JSON, for the dead letters, with the time that its id carries.
pub(super) fn as_json(entry: &StreamId) -> Vec<u8> {
    let fields = entry.map.keys().map(|name| {
        (
            name.clone(),
            serde_json::Value::from(entry.get::<String>(name).unwrap_or_default()),
        )
    });
    let mut fields: serde_json::Map<_, _> = fields.collect();
    if let Ok(made) = made(entry) {
        fields.entry("at_ms").or_insert_with(|| made.into());
    }
    serde_json::Value::Object(fields).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    fn entry(fields: &[(&str, &str)]) -> StreamId {
        let map = fields.iter().map(|(name, text)| {
            (
                (*name).to_owned(),
                Value::BulkString(text.as_bytes().to_vec()),
            )
        });
        StreamId {
            map: map.collect(),
            ..StreamId::default()
        }
    }

    #[test]
    fn an_event_that_cannot_be_read_says_which_field_is_wrong() {
        let cases: [(&[(&str, &str)], &str); 4] = [
            (&[], "kind"),
            (&[("kind", "greeting")], "greeting"),
            (&[("kind", "purchase"), ("v", "9")], "upgrade"),
            (
                &[("kind", "refund"), ("round", "a-b"), ("product", "1")],
                "a-b::1",
            ),
        ];
        for (fields, named) in cases {
            let reason = Event::read(&entry(fields)).unwrap_err();
            assert!(reason.contains(named), "{reason}");
        }
    }
}
