//! Polls everything, more than twice a second, and makes a board of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;
use std::time::Duration;

use seckill_core::ids::Item;
use seckill_core::sale::window::Phase;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::alerts::debounce::Debouncer;
use super::alerts::{self, EdgeFacts, Facts};
use super::pace::Pace;
use super::products::{self, Listing, Product};
use super::rate::GateCounts;
use super::site::{self, SiteNumbers};
use super::stock::{Stock, StockPoll};
use super::view::{
    EdgeView, Funnel, OrdersView, ProductView, QueueView, RoundView, View, VisitorsView,
};
use super::{Board, Sources, edges, orders, visitors};
use crate::now_ms;
use crate::redis::RedisLinkError;
use crate::sale::catalogue;

/// How often Redis is polled.
const EVERY: Duration = Duration::from_millis(400);
/// How often products that hardly change are polled.
const COLD_EVERY: Duration = Duration::from_secs(5);
/// How often visitors are counted.
const VISITORS_EVERY: Duration = Duration::from_secs(2);
/// How long the listing of products holds while the catalogue stays the same: rounds
/// that end leave the board.
const LISTING_HOLDS: Duration = Duration::from_secs(30);

/// Polls until the role stops, or until nobody has watched for a while.
pub(super) async fn run(board: Board) {
    let sources = board.sources();
    let (edge_states, _edge_tasks) = edges::follow(&sources.edges);
    let rounds = orders::RoundIds::default();
    let (order_counts, _order_tasks) = orders::follow(sources.store.clone(), rounds.clone());
    let mut poller = Poller::new(sources.clone());
    let mut debouncer = Debouncer::default();
    let (started, mut watched) = (Instant::now(), Instant::now());
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = sources.stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let redis_away = poller.poll().await.err().map(|error| error.to_string());
        let listed = poller.listing.rounds.iter().map(|round| round.id.clone());
        *rounds.lock().unwrap_or_else(PoisonError::into_inner) = listed.collect();
        let edges = edge_states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let orders = order_counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let facts = poller.facts(redis_away, &edges, &orders);
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let alerts = debouncer.confirmed(elapsed_ms, alerts::faults(&facts));
        board.publish(&poller.view(alerts, &edges, &orders));
        if board.is_watched() {
            watched = Instant::now();
        } else if watched.elapsed() > sources.linger && board.stop_unless_watched() {
            break;
        }
    }
}

/// What was read last, and the pipelines that read it again.
struct Poller {
    sources: Sources,
    version: Option<Option<String>>,
    listing: Listing,
    listed_at: Instant,
    /// Products that sell or ended lately.
    warm: Option<StockPoll>,
    /// Products whose numbers hardly change.
    cold: Option<StockPoll>,
    cold_at: Option<Instant>,
    stocks: HashMap<Item, Stock>,
    /// How fast rounds sell that are not over, by their ids.
    paces: BTreeMap<String, Pace>,
    site: SiteNumbers,
    visitors: VisitorsView,
    visitors_at: Option<Instant>,
    at_ms: u64,
}

type Edges = BTreeMap<String, edges::EdgeState>;

impl Poller {
    fn new(sources: Sources) -> Self {
        Self {
            sources,
            version: None,
            listing: Listing::default(),
            listed_at: Instant::now(),
            warm: None,
            cold: None,
            cold_at: None,
            stocks: HashMap::new(),
            paces: BTreeMap::new(),
            site: SiteNumbers::default(),
            visitors: VisitorsView::default(),
            visitors_at: None,
            at_ms: now_ms(),
        }
    }

    /// Polls Redis. What cannot be read stays as it was.
    async fn poll(&mut self) -> Result<(), RedisLinkError> {
        let now_ms = now_ms();
        self.follow_catalogue(now_ms).await?;
        let redis = &self.sources.redis;
        if let Some(stock) = &self.warm {
            self.stocks.extend(stock.poll(redis).await?);
        }
        let cold_is_due = self.cold_at.is_none_or(|at| at.elapsed() >= COLD_EVERY);
        if let Some(stock) = self.cold.as_ref().filter(|_| cold_is_due) {
            self.stocks.extend(stock.poll(redis).await?);
            self.cold_at = Some(Instant::now());
        }
        self.site = site::read(redis, self.sources.in_streams, now_ms).await?;
        if self
            .visitors_at
            .is_none_or(|at| at.elapsed() >= VISITORS_EVERY)
        {
            self.visitors = visitors::read(redis, &self.sources.time_zone, &self.listing).await?;
            self.visitors_at = Some(Instant::now());
        }
        self.at_ms = now_ms;
        self.follow_paces();
        Ok(())
    }

    /// Counts what is taken of each round that is not over.
    fn follow_paces(&mut self) {
        let rounds = self.listing.rounds.iter();
        let on = rounds.filter(|round| round.window.phase(self.at_ms) != Phase::Ended);
        let mut taken: BTreeMap<&str, Option<i64>> =
            on.map(|round| (round.id.as_str(), Some(0))).collect();
        for product in &self.listing.products {
            let Some(of_round) = taken.get_mut(product.item.round()) else {
                continue;
            };
            let stock = self.stocks.get(&product.item);
            let known = stock.filter(|stock| stock.missing.is_empty());
            let items = known.map(|stock| stock.locked + stock.saled);
            *of_round = of_round.zip(items).map(|(sum, items)| sum + items);
        }
        self.paces.retain(|id, _| taken.contains_key(id.as_str()));
        for (id, taken) in taken {
            let pace = self.paces.entry(id.to_owned()).or_default();
            pace.add(self.at_ms, taken);
        }
    }

    async fn follow_catalogue(&mut self, now_ms: u64) -> Result<(), RedisLinkError> {
        let mut conn = self.sources.redis.conn().await?;
        let version = Some(catalogue::version(&mut conn).await?);
        if self.version == version && self.listed_at.elapsed() < LISTING_HOLDS {
            return Ok(());
        }
        let listing = products::read(&mut conn, now_ms).await?;
        let (cold, warm): (Vec<Product>, Vec<Product>) = listing
            .products
            .iter()
            .cloned()
            .partition(|product| product.is_cold(now_ms));
        self.warm = Some(StockPoll::new(&self.sources.segments, &warm).await?);
        self.cold = Some(StockPoll::new(&self.sources.segments, &cold).await?);
        self.cold_at = None;
        self.stocks
            .retain(|item, _| listing.products.iter().any(|product| product.item == *item));
        (self.listing, self.version, self.listed_at) = (listing, version, Instant::now());
        Ok(())
    }

    fn facts<'a>(
        &'a self,
        redis_away: Option<String>,
        edges: &Edges,
        orders: &orders::OrderCounts,
    ) -> Facts<'a> {
        let edge = |(name, state): (&String, &edges::EdgeState)| EdgeFacts {
            name: name.clone(),
            away: state.away.clone(),
            bans_unmirrored: state.metrics.bans_unmirrored,
            products_left_out: state.metrics.products_left_out,
        };
        Facts {
            redis_away,
            database_away: orders.away.clone(),
            edges: edges.iter().map(edge).collect(),
            living_edges: self.site.living_edges,
            queue_age_ms: self.site.age_ms,
            queue_depth: self.site.depth.unwrap_or(0),
            dead_letters: self.site.dead_letters,
            stocks: self
                .stocks
                .iter()
                .map(|(item, stock)| (item.to_string(), stock))
                .collect(),
            now_ms: self.at_ms,
        }
    }

    fn view(
        &self,
        alerts: Vec<alerts::Alert>,
        edges: &Edges,
        orders: &orders::OrderCounts,
    ) -> View {
        let round = |round: &products::Round| {
            let view = RoundView {
                name: round.name.clone(),
                starts_ms: round.window.opens_ms,
                ends_ms: round.window.ends_ms,
                state: round.state(self.at_ms),
                stop: round.stop(self.at_ms),
                items_per_second: self
                    .paces
                    .get(&round.id)
                    .and_then(Pace::per_second)
                    .map(tenths),
            };
            (round.id.clone(), view)
        };
        let stocks = self.stocks.values();
        View {
            at_ms: self.at_ms,
            alerts,
            funnel: self.funnel(edges, orders),
            edges: edges.iter().map(edge_view).collect(),
            living_edges: self.site.living_edges,
            queue: QueueView {
                depth: self.site.depth,
                delayed: self.site.delayed,
                age_ms: self.site.age_ms,
                outbox: stocks.clone().map(|stock| stock.outbox).sum(),
                oldest_ms: stocks.filter_map(|stock| stock.oldest_ms).min(),
                dead_letters: self.site.dead_letters,
            },
            orders: OrdersView {
                per_second: orders.per_second,
                refunds_due: orders.refunds_due,
            },
            visitors: self.visitors.clone(),
            bans: self.site.bans,
            rounds: self.listing.rounds.iter().map(round).collect(),
            products: self
                .listing
                .products
                .iter()
                .map(|product| (product.item.to_string(), self.product(product, orders)))
                .collect(),
        }
    }

    fn product(&self, product: &Product, orders: &orders::OrderCounts) -> ProductView {
        let empty = Stock::default();
        let stock = self.stocks.get(&product.item).unwrap_or(&empty);
        let tally = orders
            .products
            .as_ref()
            .map(|all| all.get(&product.item).copied().unwrap_or_default());
        ProductView {
            round: product.item.round().to_owned(),
            product: product.item.product().to_owned(),
            title: product.title.clone(),
            position: product.position,
            stop: product.stop(self.at_ms),
            limit: stock.limit.unwrap_or(0),
            price_cents: product.entry.price_cents,
            permits: stock.permits,
            sale: stock.sale,
            locked: stock.locked,
            saled: stock.saled,
            in_transit: stock.in_transit,
            ordered: tally.map(|tally| tally.ordered()),
            cancelled: tally.map(|tally| tally.cancelled),
            paid_cents: tally.map(|tally| tally.paid_cents),
            unpaid_cents: tally.map(|tally| tally.unpaid_cents),
            missing: stock.missing.clone(),
        }
    }

    fn funnel(&self, edges: &Edges, orders: &orders::OrderCounts) -> Funnel {
        let mut gate = GateCounts::default();
        for edge in edges.values() {
            gate.add(&edge.total);
        }
        let mut tally = crate::store::tally::Tally::default();
        let shown = self.listing.products.iter();
        for product in shown.clone() {
            if let Some(of) = orders
                .products
                .as_ref()
                .and_then(|all| all.get(&product.item))
            {
                tally.add(of);
            }
        }
        let is_counted = orders.products.is_some();
        let counted = |n: u64| is_counted.then_some(n);
        // Every purchase is locked or sold now, or was cancelled or failed since.
        let (mut held, mut offered) = (0, 0);
        for product in shown {
            let Some(stock) = self.stocks.get(&product.item) else {
                continue;
            };
            let (taken, limit) = (stock.locked + stock.saled, stock.limit.unwrap_or(0));
            held += taken;
            offered += if product.is_withdrawn() {
                taken.min(limit)
            } else {
                limit
            };
        }
        let undone = i64::try_from(tally.cancelled + tally.failed).unwrap_or(i64::MAX);
        Funnel {
            received: gate.received(),
            admitted: gate.admitted,
            refused: gate.refused.into_iter().filter(|(_, n)| *n > 0).collect(),
            offered,
            purchased: held.saturating_add(undone),
            ordered: counted(tally.ordered()),
            paid: counted(tally.paid),
            unpaid: counted(tally.created),
            cancelled: counted(tally.cancelled),
            failed: counted(tally.failed),
        }
    }
}

fn edge_view((name, state): (&String, &edges::EdgeState)) -> (String, EdgeView) {
    let view = EdgeView {
        up: state.away.is_none(),
        received_per_second: state.rate.map(|rate| tenths(rate.received)),
        admitted_per_second: state.rate.map(|rate| tenths(rate.admitted)),
        received: state.total.received(),
        admitted: state.total.admitted,
        parked: state.metrics.parked,
    };
    (name.clone(), view)
}

/// Rounded to tenths: nobody reads more, and what does not change need not be sent.
fn tenths(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}
