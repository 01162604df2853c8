//! Looks at everything, twice a second and more, and makes a board of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;
use std::time::Duration;

use seckill_core::ids::Item;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::alerts::{self, EdgeFacts, Facts};
use super::shelves::{self, Shelf, Shelves};
use super::stocks::{self, Plan, Queues, Stock};
use super::view::{
    EdgeView, Funnel, OrdersView, ProductView, QueueView, RoundView, View, VisitorsView,
};
use super::{Board, Sources, edges, tally, visitors};
use crate::now_ms;
use crate::redis::RedisLinkError;
use crate::sale::catalogue;

/// How often Redis is looked at.
const EVERY: Duration = Duration::from_millis(400);
/// How often products that hardly change are.
const COLD_EVERY: Duration = Duration::from_secs(5);
/// How often it is asked who came.
const VISITORS_EVERY: Duration = Duration::from_secs(2);
/// How long the names and times of products are good for if the catalogue stays
/// the same: rounds grow old.
const SHELVES_LAST: Duration = Duration::from_secs(30);
/// Looks until told to stop, or until nobody has watched for a while.
pub(super) async fn run(board: Board) {
    let sources = board.sources();
    let (seen_edges, _edge_tasks) = edges::follow(&sources.edges);
    let (seen_orders, _order_tasks) = tally::follow(sources.store.clone());
    let mut eyes = Eyes::new(sources.clone());
    let mut watch = alerts::Watch::default();
    let (started, mut watched) = (Instant::now(), Instant::now());
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = sources.stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let away = eyes.look().await.err().map(|error| error.to_string());
        let edges = seen_edges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let orders = seen_orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let facts = eyes.facts(away, &edges, &orders);
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let alerts = watch.steady(elapsed_ms, alerts::faults(&facts));
        board.publish(&eyes.view(alerts, &edges, &orders));
        if board.is_watched() {
            watched = Instant::now();
        } else if watched.elapsed() > sources.linger && board.put_away() {
            break;
        }
    }
}

/// What was seen last, and how to look again.
struct Eyes {
    sources: Sources,
    version: Option<Option<String>>,
    shelves: Shelves,
    read_at: Instant,
    warm: Option<Plan>,
    cold: Option<Plan>,
    cold_at: Option<Instant>,
    stocks: HashMap<Item, Stock>,
    queues: Queues,
    visitors: VisitorsView,
    visitors_at: Option<Instant>,
    at_ms: u64,
}

type Edges = BTreeMap<String, edges::EdgeSeen>;

impl Eyes {
    fn new(sources: Sources) -> Self {
        Self {
            sources,
            version: None,
            shelves: Shelves::default(),
            read_at: Instant::now(),
            warm: None,
            cold: None,
            cold_at: None,
            stocks: HashMap::new(),
            queues: Queues::default(),
            visitors: VisitorsView::default(),
            visitors_at: None,
            at_ms: now_ms(),
        }
    }

    /// Looks at Redis. What cannot be read stays as it was.
    async fn look(&mut self) -> Result<(), RedisLinkError> {
        let now_ms = now_ms();
        self.follow_catalogue(now_ms).await?;
        let redis = &self.sources.redis;
        if let Some(plan) = &self.warm {
            self.stocks.extend(plan.look(redis).await?);
        }
        let cold_is_due = self.cold_at.is_none_or(|at| at.elapsed() >= COLD_EVERY);
        if let Some(plan) = self.cold.as_ref().filter(|_| cold_is_due) {
            self.stocks.extend(plan.look(redis).await?);
            self.cold_at = Some(Instant::now());
        }
        self.queues = stocks::queues(redis, self.sources.in_streams, now_ms).await?;
        if self
            .visitors_at
            .is_none_or(|at| at.elapsed() >= VISITORS_EVERY)
        {
            self.visitors = visitors::read(redis, &self.sources.time_zone, &self.shelves).await?;
            self.visitors_at = Some(Instant::now());
        }
        self.at_ms = now_ms;
        Ok(())
    }

    async fn follow_catalogue(&mut self, now_ms: u64) -> Result<(), RedisLinkError> {
        let mut conn = self.sources.redis.conn().await?;
        let version = Some(catalogue::version(&mut conn).await?);
        if self.version == version && self.read_at.elapsed() < SHELVES_LAST {
            return Ok(());
        }
        let shelves = shelves::read(&mut conn, now_ms).await?;
        let (cold, warm): (Vec<Shelf>, Vec<Shelf>) = shelves
            .products
            .iter()
            .cloned()
            .partition(|shelf| shelf.is_cold(now_ms));
        self.warm = Some(Plan::new(&self.sources.segments, &warm).await?);
        self.cold = Some(Plan::new(&self.sources.segments, &cold).await?);
        self.cold_at = None;
        self.stocks
            .retain(|item, _| shelves.products.iter().any(|shelf| shelf.item == *item));
        (self.shelves, self.version, self.read_at) = (shelves, version, Instant::now());
        Ok(())
    }

    fn facts<'a>(
        &'a self,
        away: Option<String>,
        edges: &Edges,
        orders: &tally::Counted,
    ) -> Facts<'a> {
        let edge = |(name, seen): (&String, &edges::EdgeSeen)| EdgeFacts {
            name: name.clone(),
            away: seen.away.clone(),
            bans_unmirrored: seen.reading.bans_unmirrored,
            products_left_out: seen.reading.products_left_out,
        };
        Facts {
            redis_away: away,
            database_away: orders.away.clone(),
            edges: edges.iter().map(edge).collect(),
            living_edges: self.queues.living_edges,
            queue_age_ms: self.queues.age_ms,
            queue_depth: self.queues.depth.unwrap_or(0),
            dead_letters: self.queues.dead_letters,
            stocks: self
                .stocks
                .iter()
                .map(|(item, stock)| (item.to_string(), stock))
                .collect(),
            now_ms: self.at_ms,
        }
    }

    fn view(&self, alerts: Vec<alerts::Alert>, edges: &Edges, orders: &tally::Counted) -> View {
        let round = |round: &shelves::Heading| {
            let view = RoundView {
                name: round.name.clone(),
                starts_ms: round.window.opens_ms,
                ends_ms: round.window.ends_ms,
                state: round.state(self.at_ms),
            };
            (round.id.clone(), view)
        };
        let stocks = self.stocks.values();
        View {
            at_ms: self.at_ms,
            alerts,
            funnel: self.funnel(edges, orders),
            edges: edges.iter().map(edge_view).collect(),
            living_edges: self.queues.living_edges,
            queue: QueueView {
                depth: self.queues.depth,
                delayed: self.queues.delayed,
                age_ms: self.queues.age_ms,
                outbox: stocks.clone().map(|stock| stock.outbox).sum(),
                oldest_ms: stocks.filter_map(|stock| stock.oldest_ms).min(),
                dead_letters: self.queues.dead_letters,
            },
            orders: OrdersView {
                per_second: orders.per_second,
                refunds_due: orders.refunds_due,
            },
            visitors: self.visitors.clone(),
            bans: self.queues.bans,
            rounds: self.shelves.rounds.iter().map(round).collect(),
            products: self
                .shelves
                .products
                .iter()
                .map(|shelf| (shelf.item.to_string(), self.product(shelf, orders)))
                .collect(),
        }
    }

    fn product(&self, shelf: &Shelf, orders: &tally::Counted) -> ProductView {
        let empty = Stock::default();
        let stock = self.stocks.get(&shelf.item).unwrap_or(&empty);
        let tally = orders
            .products
            .as_ref()
            .map(|all| all.get(&shelf.item).copied().unwrap_or_default());
        ProductView {
            round: shelf.item.round().to_owned(),
            product: shelf.item.product().to_owned(),
            title: shelf.title.clone(),
            position: shelf.position,
            limit: stock.limit.unwrap_or(0),
            permits: stock.permits,
            sale: stock.sale,
            locked: stock.locked,
            saled: stock.saled,
            in_transit: stock.in_transit,
            ordered: tally.map(|tally| tally.ordered()),
            cancelled: tally.map(|tally| tally.cancelled),
            missing: stock.missing.clone(),
        }
    }

    fn funnel(&self, edges: &Edges, orders: &tally::Counted) -> Funnel {
        let mut gate = super::meter::Counted::default();
        for edge in edges.values() {
            gate.add(&edge.total);
        }
        let mut tally = crate::store::tally::Tally::default();
        let shown = self.shelves.products.iter();
        for shelf in shown.clone() {
            if let Some(of) = orders
                .products
                .as_ref()
                .and_then(|all| all.get(&shelf.item))
            {
                tally.add(of);
            }
        }
        let is_counted = orders.products.is_some();
        let told = |n: u64| is_counted.then_some(n);
        // Every purchase is locked or sold now, or came to nothing since.
        let stocks = shown.filter_map(|shelf| self.stocks.get(&shelf.item));
        let held: i64 = stocks.map(|stock| stock.locked + stock.saled).sum();
        let undone = i64::try_from(tally.cancelled + tally.failed).unwrap_or(i64::MAX);
        Funnel {
            received: gate.received(),
            admitted: gate.admitted,
            refused: gate.refused.into_iter().filter(|(_, n)| *n > 0).collect(),
            purchased: held.saturating_add(undone),
            ordered: told(tally.ordered()),
            paid: told(tally.paid),
            cancelled: told(tally.cancelled),
            failed: told(tally.failed),
        }
    }
}

fn edge_view((name, seen): (&String, &edges::EdgeSeen)) -> (String, EdgeView) {
    let view = EdgeView {
        up: seen.away.is_none(),
        received_per_second: seen.rate.map(|rate| tenths(rate.received)),
        admitted_per_second: seen.rate.map(|rate| tenths(rate.admitted)),
        received: seen.total.received(),
        admitted: seen.total.admitted,
        parked: seen.reading.parked,
    };
    (name.clone(), view)
}

/// Rounded: nobody reads more, and what does not change need not be sent.
fn tenths(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}
