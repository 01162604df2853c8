//! The board as it is sent: members that may be missing are left out or `null`, and
//! lists that change are maps, so that patches stay small.

use std::collections::BTreeMap;

use serde::Serialize;

use super::alerts::Alert;

/// Everything that the board shows at one instant.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct View {
    /// When Redis was polled, epoch ms by this machine's clock.
    pub(super) at_ms: u64,
    /// What is wrong, the worst first.
    pub(super) alerts: Vec<Alert>,
    /// How many requests and items got how far.
    pub(super) funnel: Funnel,
    /// Edges by `host:port`.
    pub(super) edges: BTreeMap<String, EdgeView>,
    /// Edges whose heartbeat counts.
    pub(super) living_edges: u64,
    /// Messages that wait.
    pub(super) queue: QueueView,
    /// Orders placed, and refunds due.
    pub(super) orders: OrdersView,
    /// Visitors of today.
    pub(super) visitors: VisitorsView,
    /// Entries on the list of bans.
    pub(super) bans: u64,
    /// Rounds by id.
    pub(super) rounds: BTreeMap<String, RoundView>,
    /// Products by `round::product`.
    pub(super) products: BTreeMap<String, ProductView>,
}

/// How many got how far: requests at the gate since its edges started, and items of the
/// rounds on the board. A request may be for several items, so that the two are not
/// steps of one another.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Funnel {
    /// Purchase requests that reached a gate.
    pub(super) received: u64,
    /// Requests refused, by code.
    pub(super) refused: BTreeMap<String, u64>,
    /// Requests admitted.
    pub(super) admitted: u64,
    /// Items of the products on the board, sold or not; of those that were withdrawn, the
    /// ones that were taken before.
    pub(super) offered: i64,
    /// Items that were locked for a buyer, ever.
    pub(super) purchased: i64,
    /// Items in orders that were placed, ever; `None` until the database was read.
    pub(super) ordered: Option<u64>,
    /// Items paid.
    pub(super) paid: Option<u64>,
    /// Items in orders that wait for their payment.
    pub(super) unpaid: Option<u64>,
    /// Items in cancelled orders.
    pub(super) cancelled: Option<u64>,
    /// Items that were locked and released because no order could be placed.
    pub(super) failed: Option<u64>,
}

/// An edge.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct EdgeView {
    /// Whether it responds.
    pub(super) up: bool,
    /// Purchase requests per second at its gate.
    pub(super) received_per_second: Option<f64>,
    /// Requests admitted per second.
    pub(super) admitted_per_second: Option<f64>,
    /// Requests since it started, and before restarts that were seen.
    pub(super) received: u64,
    /// Requests admitted in the same time.
    pub(super) admitted: u64,
    /// Requests that wait for Redis.
    pub(super) parked: u64,
}

/// Messages on their way from a purchase to its order.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct QueueView {
    /// Messages in the queue; `None` with RocketMQ, whose own tools show it.
    pub(super) depth: Option<u64>,
    /// Messages that wait for their retry.
    pub(super) delayed: u64,
    /// How long the messages that were read last had waited, in ms.
    pub(super) age_ms: Option<u64>,
    /// Events that the relay or the archive has still to handle.
    pub(super) outbox: u64,
    /// When the oldest of these events was written, epoch ms.
    pub(super) oldest_ms: Option<u64>,
    /// Dead letters.
    pub(super) dead_letters: u64,
}

/// Orders placed, and refunds due.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct OrdersView {
    /// Orders placed per second.
    pub(super) per_second: Option<f64>,
    /// Refunds that are due.
    pub(super) refunds_due: u64,
}

/// Visitors of today, as far as the access logs were read.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct VisitorsView {
    /// Different visitors today, within a percent.
    pub(super) unique: Option<u64>,
    /// Different buyers who clicked today.
    pub(super) participants: Option<u64>,
    /// Products by views of their pages today, most first: `round::product` and views.
    pub(super) hot: Vec<(String, u64)>,
}

/// A round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RoundView {
    /// What shoppers call it.
    pub(super) name: String,
    /// Start, epoch ms.
    pub(super) starts_ms: u64,
    /// End, epoch ms.
    pub(super) ends_ms: u64,
    /// `scheduled`, `open` or `ended`, by the clock.
    pub(super) state: &'static str,
    /// `paused` or `withdrawn`, if an operator stopped the whole round.
    pub(super) stop: Option<&'static str>,
    /// Items taken per second, over the last ten; `None` until they were followed.
    pub(super) items_per_second: Option<f64>,
}

/// A product.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct ProductView {
    /// Round id.
    pub(super) round: String,
    /// Product id.
    pub(super) product: String,
    /// What shoppers call it.
    pub(super) title: String,
    /// Its place in its round, from 0.
    pub(super) position: usize,
    /// `paused`, `withdrawn` or `ended`, alone or with its round; `None` while it sells, or
    /// will.
    pub(super) stop: Option<&'static str>,
    /// How many permits may be granted: its amount.
    pub(super) limit: i64,
    /// Price of one item, in cents.
    pub(super) price_cents: u64,
    /// Permits granted and not returned.
    pub(super) permits: i64,
    /// Items for sale.
    pub(super) sale: i64,
    /// Items in orders that are not paid.
    pub(super) locked: i64,
    /// Items paid.
    pub(super) saled: i64,
    /// Items in transit between segments.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) in_transit: i64,
    /// Items in orders that were placed, ever.
    pub(super) ordered: Option<u64>,
    /// Items in cancelled orders.
    pub(super) cancelled: Option<u64>,
    /// What was paid, in cents: each order at its own price.
    pub(super) paid_cents: Option<u64>,
    /// What orders that wait for their payment will cost, in cents.
    pub(super) unpaid_cents: Option<u64>,
    /// Segments that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) missing: Vec<String>,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// One point of the charts.
#[derive(Debug, Clone, Default)]
pub(super) struct Point {
    pub(super) at_ms: u64,
    pub(super) edges: BTreeMap<String, f64>,
    pub(super) admitted: Option<f64>,
    pub(super) orders: Option<f64>,
    pub(super) depth: Option<u64>,
    pub(super) age_ms: Option<u64>,
}

impl Point {
    /// The point of this view.
    pub(super) fn of(view: &View) -> Self {
        let edges = view.edges.iter();
        let rate =
            |(name, edge): (&String, &EdgeView)| Some((name.clone(), edge.received_per_second?));
        let admitted: Vec<f64> = view
            .edges
            .values()
            .filter_map(|edge| edge.admitted_per_second)
            .collect();
        Self {
            at_ms: view.at_ms,
            edges: edges.filter_map(rate).collect(),
            admitted: (!admitted.is_empty()).then(|| admitted.iter().sum()),
            orders: view.orders.per_second,
            depth: view.queue.depth,
            age_ms: view.queue.age_ms,
        }
    }
}

/// The points column by column, as charts take them.
#[derive(Debug, Serialize)]
pub(super) struct History {
    at_ms: Vec<u64>,
    edges: BTreeMap<String, Vec<Option<f64>>>,
    admitted: Vec<Option<f64>>,
    orders: Vec<Option<f64>>,
    depth: Vec<Option<u64>>,
    age_ms: Vec<Option<u64>>,
}

impl History {
    /// The columns of these points, oldest first.
    pub(super) fn of<'a>(points: impl Iterator<Item = &'a Point> + Clone) -> Self {
        let names = points.clone().flat_map(|point| point.edges.keys());
        let mut edges: BTreeMap<String, Vec<Option<f64>>> =
            names.map(|name| (name.clone(), Vec::new())).collect();
        for point in points.clone() {
            for (name, column) in &mut edges {
                column.push(point.edges.get(name).copied());
            }
        }
        Self {
            at_ms: points.clone().map(|point| point.at_ms).collect(),
            edges,
            admitted: points.clone().map(|point| point.admitted).collect(),
            orders: points.clone().map(|point| point.orders).collect(),
            depth: points.clone().map(|point| point.depth).collect(),
            age_ms: points.map(|point| point.age_ms).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_edge_that_came_later_has_gaps_before() {
        let point = |at_ms, edges: &[(&str, f64)]| Point {
            at_ms,
            edges: edges
                .iter()
                .map(|(name, rate)| ((*name).to_owned(), *rate))
                .collect(),
            ..Point::default()
        };
        let points = [point(1, &[("a", 1.0)]), point(2, &[("a", 2.0), ("b", 3.0)])];
        let history = serde_json::to_value(History::of(points.iter())).unwrap();
        assert_eq!(history["edges"], json!({"a": [1.0, 2.0], "b": [null, 3.0]}));
        assert_eq!(history["at_ms"], json!([1, 2]));
    }
}
