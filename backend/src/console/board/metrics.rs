//! The board's numbers for Prometheus: what no single process counts, because it is in
//! Redis, in the database, or at the edges.

use super::alerts::Code;
use super::view::View;
use crate::metrics::{Kind, Text};

/// The metrics of this view; `None` before the first poll.
pub(super) fn text(view: Option<&View>) -> String {
    let mut text = Text::default();
    text.family(
        "seckill_board_up",
        Kind::Gauge,
        "1 if the figures of the site could be read; 0: the others are missing.",
    )
    .sample(&[], u8::from(view.is_some()));
    if let Some(view) = view {
        parts(view, &mut text);
        queue(view, &mut text);
        products(view, &mut text);
        alerts(view, &mut text);
    }
    text.finish()
}

fn parts(view: &View, text: &mut Text) {
    let is_away = |code| view.alerts.iter().any(|alert| alert.code == code);
    text.family("seckill_part_up", Kind::Gauge, "1 if this part responds.");
    for (part, code) in [("redis", Code::RedisAway), ("database", Code::DatabaseAway)] {
        text.sample(&[("part", part)], u8::from(!is_away(code)));
    }
    for (name, edge) in &view.edges {
        text.sample(&[("part", "edge"), ("edge", name)], u8::from(edge.up));
    }
    text.family(
        "seckill_edges_alive",
        Kind::Gauge,
        "Edges whose heartbeat counts.",
    )
    .sample(&[], view.living_edges);
    text.family(
        "seckill_bans_listed",
        Kind::Gauge,
        "Entries on the list of bans.",
    )
    .sample(&[], view.bans);
}

fn queue(view: &View, text: &mut Text) {
    let queue = &view.queue;
    if let Some(depth) = queue.depth {
        text.family(
            "seckill_queue_messages",
            Kind::Gauge,
            "Messages that wait in the queue or are being worked on.",
        )
        .sample(&[], depth);
    }
    text.family(
        "seckill_queue_delayed_messages",
        Kind::Gauge,
        "Messages that wait for their retry.",
    )
    .sample(&[], queue.delayed);
    if let Some(age_ms) = queue.age_ms {
        text.family(
            "seckill_queue_age_seconds",
            Kind::Gauge,
            "How long the messages that were read last had waited; missing: nobody reads them.",
        )
        .sample(&[], age_ms as f64 / 1e3);
    }
    text.family("seckill_dead_letters", Kind::Gauge, "Dead letters.")
        .sample(&[], queue.dead_letters);
    text.family(
        "seckill_outbox_events",
        Kind::Gauge,
        "Events that the relay or the archive has still to handle.",
    )
    .sample(&[], queue.outbox);
    let waited = queue
        .oldest_ms
        .map_or(0, |ms| view.at_ms.saturating_sub(ms));
    text.family(
        "seckill_outbox_age_seconds",
        Kind::Gauge,
        "How long the oldest of these events has waited.",
    )
    .sample(&[], waited as f64 / 1e3);
    text.family("seckill_refunds_due", Kind::Gauge, "Refunds that are due.")
        .sample(&[], view.orders.refunds_due);
}

fn products(view: &View, text: &mut Text) {
    let each = |text: &mut Text,
                name,
                help: &str,
                value: &dyn Fn(&super::view::ProductView) -> Option<i64>| {
        text.family(name, Kind::Gauge, help);
        for product in view.products.values() {
            if let Some(value) = value(product) {
                let labels = [
                    ("round", product.round.as_str()),
                    ("product", &product.product),
                ];
                text.sample(&labels, value);
            }
        }
    };
    text.family(
        "seckill_stock_items",
        Kind::Gauge,
        "Items by what became of them: for sale, locked in unpaid orders, sold, in transit between segments.",
    );
    for product in view.products.values() {
        let amounts = [
            ("sale", product.sale),
            ("locked", product.locked),
            ("saled", product.saled),
            ("transit", product.in_transit),
        ];
        for (state, items) in amounts {
            let labels = [
                ("round", product.round.as_str()),
                ("product", &product.product),
                ("state", state),
            ];
            text.sample(&labels, items);
        }
    }
    let signed = |n: Option<u64>| n.and_then(|n| i64::try_from(n).ok());
    each(
        text,
        "seckill_stock_amount",
        "Items that were preloaded, and adjusted since: what the stock must add up to.",
        &|it| Some(it.limit),
    );
    each(
        text,
        "seckill_permits_granted",
        "Permits granted and not returned.",
        &|it| Some(it.permits),
    );
    each(
        text,
        "seckill_ordered_items",
        "Items in orders that were placed, ever.",
        &|it| signed(it.ordered),
    );
    each(
        text,
        "seckill_cancelled_items",
        "Items in cancelled orders.",
        &|it| signed(it.cancelled),
    );
    each(
        text,
        "seckill_segments_missing",
        "Segments of the stock that cannot be read.",
        &|it| i64::try_from(it.missing.len()).ok(),
    );
}

/// One series for each thing that is wrong now, by its stable name, so that an alert
/// manager needs no rule of its own for what the board judges.
fn alerts(view: &View, text: &mut Text) {
    text.family(
        "seckill_alert",
        Kind::Gauge,
        "What the live board says is wrong now: 1 for each.",
    );
    for alert in &view.alerts {
        let name = |value: serde_json::Result<serde_json::Value>| {
            let value = value.ok();
            value
                .and_then(|it| it.as_str().map(str::to_owned))
                .unwrap_or_default()
        };
        let code = name(serde_json::to_value(alert.code));
        let level = name(serde_json::to_value(alert.level));
        let labels = [
            ("code", code.as_str()),
            ("level", &level),
            ("subject", &alert.subject),
        ];
        text.sample(&labels, 1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::alerts::{Alert, Level};
    use super::super::view::ProductView;
    use super::*;

    #[test]
    fn what_is_wrong_and_what_is_left_has_a_series_each() {
        let product = ProductView {
            round: "1".into(),
            product: "153".into(),
            limit: 10,
            sale: 4,
            locked: 5,
            saled: 1,
            ordered: Some(6),
            ..ProductView::default()
        };
        let view = View {
            alerts: vec![Alert {
                code: Code::RedisAway,
                level: Level::Critical,
                subject: String::new(),
                values: BTreeMap::new(),
                message: String::new(),
            }],
            products: BTreeMap::from([("1::153".to_owned(), product)]),
            ..View::default()
        };
        let text = text(Some(&view));
        for line in [
            "seckill_board_up 1\n",
            "seckill_part_up{part=\"redis\"} 0\n",
            "seckill_part_up{part=\"database\"} 1\n",
            "seckill_stock_items{round=\"1\",product=\"153\",state=\"locked\"} 5\n",
            "seckill_stock_amount{round=\"1\",product=\"153\"} 10\n",
            "seckill_ordered_items{round=\"1\",product=\"153\"} 6\n",
            "seckill_alert{code=\"redis_away\",level=\"critical\",subject=\"\"} 1\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(
            !text.contains("seckill_queue_age_seconds"),
            "nobody reads the queue"
        );
    }

    #[test]
    fn before_the_first_poll_nothing_is_claimed() {
        let text = text(None);
        assert!(text.contains("seckill_board_up 0\n"));
        assert!(!text.contains("seckill_part_up"), "{text}");
    }
}
