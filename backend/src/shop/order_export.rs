//! Orders for operators, as JSON and as CSV.

use seckill_core::orders::order::{OrderId, State};
use serde_json::{Value, json};

use crate::store::Done;
use crate::store::order_search::OrderQuery;
use crate::store::orders::Order;

/// The columns of the CSV, in their order.
pub(crate) const CSV_HEAD: &str = "order,state,reason,user,round,product,quantity,price_cents,total_cents,created,pay_by,request\r\n";

/// The entry of the audit log for an export of these orders: without filters, of all.
pub(crate) fn exported(query: &OrderQuery, format: &str) -> Done {
    let OrderQuery {
        order,
        user,
        round,
        product,
        payment,
        state,
        before,
        limit: _,
    } = query;
    let number = |id: &Option<OrderId>| id.map(|id| id.to_string());
    Done {
        action: "order.export",
        target: "orders".to_owned(),
        detail: filters([
            ("order", json!(number(order))),
            ("user", json!(user)),
            ("round", json!(round)),
            ("product", json!(product)),
            ("payment", json!(payment)),
            ("state", json!(state.map(State::as_str))),
            ("before", json!(number(before))),
            ("format", json!(format)),
        ]),
    }
}

/// Those filters that are set, for the audit log.
pub(crate) fn filters<const N: usize>(all: [(&str, Value); N]) -> Value {
    let is_set = |value: &Value| !value.is_null() && *value != "";
    all.into_iter().filter(|(_, it)| is_set(it)).collect()
}

/// An order with all that is stored of it. The number is text: it is larger than what
/// JavaScript keeps exact.
pub(crate) fn full_json(order: &Order) -> Value {
    json!({
        "order": order.id.to_string(),
        "state": order.state.as_str(),
        "reason": order.reason.map(|reason| reason.as_str()),
        "user": order.user,
        "round": order.round,
        "product": order.product,
        "segment": order.segment,
        "quantity": order.quantity,
        "price_cents": order.price_cents,
        "total_cents": order.total_cents(),
        "request": order.request,
        "permit": order.permit,
        "locked_ms": order.locked_ms,
        "created_ms": order.created_ms,
        "pay_by_ms": order.pay_by_ms,
    })
}

/// An order as a line of CSV (RFC 4180).
pub(crate) fn csv_line(order: &Order) -> String {
    let fields = [
        order.id.to_string(),
        order.state.as_str().to_owned(),
        order.reason.map_or("", |reason| reason.as_str()).to_owned(),
        order.user.clone(),
        order.round.clone(),
        order.product.clone(),
        order.quantity.to_string(),
        order.price_cents.to_string(),
        order.total_cents().to_string(),
        crate::time::rfc3339(order.created_ms),
        crate::time::rfc3339(order.pay_by_ms),
        order.request.clone(),
    ];
    csv_row(&fields)
}

/// Fields as a line of CSV (RFC 4180), none of which a spreadsheet takes for a formula.
pub(crate) fn csv_row(fields: &[String]) -> String {
    let fields: Vec<String> = fields.iter().map(|field| csv_field(field)).collect();
    format!("{}\r\n", fields.join(","))
}

/// Quotes a field. One that a spreadsheet would take for a formula gets an apostrophe:
/// names of buyers are chosen by buyers.
fn csv_field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = match is_formula {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_breaks_out_of_its_field_or_becomes_a_formula() {
        assert_eq!(csv_field("li"), "li");
        assert_eq!(csv_field("a,b\"c"), "\"a,b\"\"c\"");
        assert_eq!(csv_field("=1+1"), "'=1+1");
        assert_eq!(csv_field("@x,y"), "\"'@x,y\"");
    }
}
