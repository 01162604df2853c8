//! The board as it is sent: members that may be missing are left out or `null`,
//! and lists that change are maps, so that a patch tells little.

use std::collections::BTreeMap;

use serde::Serialize;

use super::alerts::Alert;

/// Everything that the board shows at one instant.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct View {
    /// When Redis was looked at, epoch ms by this machine's clock.
    pub(super) at_ms: u64,
    /// What is wrong, the worst first.
    pub(super) alerts: Vec<Alert>,
    /// Layer by layer.
    pub(super) funnel: Funnel,
    /// Edges by `host:port`.
    pub(super) edges: BTreeMap<String, EdgeView>,
    /// Edges whose heartbeat counts.
    pub(super) living_edges: u64,
    /// Waiting messages.
    pub(super) queue: QueueView,
    /// Orders.
    pub(super) orders: OrdersView,
    /// Who came.
    pub(super) visitors: VisitorsView,
    /// Entries on the list of bans.
    pub(super) bans: u64,
    /// Rounds by id.
    pub(super) rounds: BTreeMap<String, RoundView>,
    /// Products by `round::product`.
    pub(super) products: BTreeMap<String, ProductView>,
}

/// How many got how far. The gate's numbers are since its edges started; those
/// below are items, of the rounds on the board.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Funnel {
    /// Purchases that came to a gate.
    pub(super) received: u64,
    /// Of those, refused, by code.
    pub(super) refused: BTreeMap<String, u64>,
    /// Let pass.
    pub(super) admitted: u64,
    /// Items that were locked for a buyer, ever.
    pub(super) purchased: i64,
    /// Items in orders that were placed, ever; `None` until the database has told.
    pub(super) ordered: Option<u64>,
    /// Items paid.
    pub(super) paid: Option<u64>,
    /// Items in cancelled orders.
    pub(super) cancelled: Option<u64>,
    /// Items that were locked, and no order was made.
    pub(super) failed: Option<u64>,
}

/// An edge.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct EdgeView {
    /// Whether it answers.
    pub(super) up: bool,
    /// Purchases a second at its gate.
    pub(super) received_per_second: Option<f64>,
    /// Let pass a second.
    pub(super) admitted_per_second: Option<f64>,
    /// Since it started.
    pub(super) received: u64,
    /// Since it started.
    pub(super) admitted: u64,
    /// Requests that wait for Redis.
    pub(super) parked: u64,
}

/// Messages on their way from a purchase to its order.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct QueueView {
    /// In the queue; `None` with RocketMQ, whose own tools tell.
    pub(super) depth: Option<u64>,
    /// Waiting to be tried again.
    pub(super) delayed: u64,
    /// How long those that were taken last had waited, in ms.
    pub(super) age_ms: Option<u64>,
    /// Events that relay or ledger have still to handle.
    pub(super) outbox: u64,
    /// Since when the oldest of them waits, epoch ms.
    pub(super) oldest_ms: Option<u64>,
    /// Of which no order could be made.
    pub(super) dead_letters: u64,
}

/// Orders.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct OrdersView {
    /// Placed a second.
    pub(super) per_second: Option<f64>,
    /// Payments that are to be given back.
    pub(super) refunds_due: u64,
}

/// Who came, as far as the access logs were read.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct VisitorsView {
    /// Different visitors today, within a percent.
    pub(super) unique: Option<u64>,
    /// Different buyers who clicked today.
    pub(super) participants: Option<u64>,
    /// Products by clicks, most first: `round::product` and clicks.
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
    /// `scheduled`, `open` or `ended`.
    pub(super) state: &'static str,
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
    /// Where it stands in its round.
    pub(super) position: usize,
    /// How many permits may be granted: its amount.
    pub(super) limit: i64,
    /// Permits granted and not returned.
    pub(super) permits: i64,
    /// For sale.
    pub(super) sale: i64,
    /// In orders that are not paid.
    pub(super) locked: i64,
    /// Paid.
    pub(super) saled: i64,
    /// On their way between segments.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) in_transit: i64,
    /// Items in orders that were placed, ever.
    pub(super) ordered: Option<u64>,
    /// Items in cancelled orders.
    pub(super) cancelled: Option<u64>,
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
    /// Of this view.
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
    /// Of these points, oldest first.
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
