//! How much of everything a rate of requests needs.
//!
//! Worked example. 100,000 requests a second, an edge's core serves 60,000, boxes
//! of four cores, filled to 70 %: one box serves 168,000, so that one would do and
//! two are planned, since one may die. 10,000 items may all be bought within the
//! first second: a core of the purchase role serves 20,000 purchases, so again two
//! processes; Redis executes 40,000, one master. The two edges hold 50,000 shoppers'
//! connections each when both live, and all 100,000 when one is left.

use serde::Serialize;

/// What one unit serves, as measured on the machines in question.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// Requests a second that one core of an edge answers.
    pub edge_per_core: f64,
    /// Purchases a second that one core of the purchase role makes.
    pub purchase_per_core: f64,
    /// Purchases a second that one Redis master executes (it uses one core).
    pub redis_per_master: f64,
    /// Orders a second that the database is to take (`orders_per_second`).
    pub orders_per_second: f64,
}

/// The load that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Load {
    /// Requests a second, of all kinds, at the peak.
    pub rps: f64,
    /// Shoppers with the page open, each with a connection.
    pub shoppers: u64,
    /// Items on sale at the same instant: as many purchases pass the gate.
    pub items: u64,
    /// Cores of an edge's box.
    pub edge_cores: u32,
    /// How full anything may be at the peak, 0 to 1.
    pub fill: f64,
    /// How long a purchase takes behind the edge, in ms.
    pub purchase_ms: f64,
    /// Megabits a second of pages and pictures that the edges send besides, as the origin.
    pub origin_megabits: f64,
    /// Megabits a second that one edge's line carries.
    pub line_megabits: f64,
}

/// The capacity that a load needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capacity {
    /// Edges, one to spare.
    pub edges: u64,
    /// nginx workers of each, one a core.
    pub workers: u64,
    /// Purchases a second at the peak.
    pub purchases_per_second: u64,
    /// Processes of the purchase role, one to spare, each on one core.
    pub purchase_roles: u64,
    /// Redis masters, and so segments of a product's stock.
    pub redis_masters: u64,
    /// Shoppers' connections of an edge when one of the edges has died.
    pub connections_per_edge: u64,
    /// `worker_connections`: shoppers' and back ends'.
    pub worker_connections: u64,
    /// Files that a worker may open: `worker_rlimit_nofile`.
    pub open_files_per_worker: u64,
    /// Connections that a worker keeps to the purchase role (`keepalive`).
    pub keepalive: u64,
    /// `net.core.somaxconn` and `backlog=`.
    pub backlog: u64,
    /// Local ports of an edge that its connections to one back end may use up.
    pub local_ports: u64,
    /// Permits that an edge takes at a time while many sell.
    pub permit_block: u64,
    /// `seckill_rate` of the site.
    pub site_rate: u64,
    /// Megabytes of `seckill_zone`.
    pub zone_mib: u64,
    /// Megabytes of Redis for buyers' records and events not yet archived.
    pub redis_mib: u64,
    /// Seconds until all orders are in the database.
    pub orders_done_s: u64,
    /// Megabits a second that all edges send, pages included.
    pub megabits: u64,
    /// The machines to rent.
    pub machines: Machines,
}

/// Machines, each of as many cores as an edge's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Machines {
    /// Machines for the edges.
    pub edges: u64,
    /// Machines for the purchase roles, with relay, orders and ops roles beside them: two at
    /// least, since one may die.
    pub back_ends: u64,
    /// A master and a replica for each segment, the main Redis among them.
    pub redis: u64,
    /// The database and its replica.
    pub databases: u64,
    /// All of them.
    pub all: u64,
}

impl Machines {
    fn new(edges: u64, purchase_roles: u64, redis_masters: u64, cores: u64) -> Self {
        // A role uses one core; one core of each machine is left to the other roles.
        let back_ends = purchase_roles.div_ceil((cores - 1).max(1)).max(2);
        let (redis, databases) = (redis_masters * 2, 2);
        Self {
            edges,
            back_ends,
            redis,
            databases,
            all: edges + back_ends + redis + databases,
        }
    }
}

/// How long a permit block should last, in seconds: the module doubles blocks that are used
/// up sooner (ARCHITECTURE.md, "Permits, exactly").
const BLOCK_S: f64 = 0.1;
/// Bytes of a response with headers and frames, as `bench-edge` measures it.
const ANSWER_BYTES: f64 = 700.0;
/// Megabytes of zone for a million admitted buyers, products and bans included.
const ZONE_MIB_A_MILLION: f64 = 64.0;
/// Bytes of a purchase in Redis: record, event, share of the queue.
const PURCHASE_BYTES: f64 = 1_500.0;
/// Connections of a worker that are no shopper's: to Redis, and those to back ends that do
/// not fit into `keepalive` at a peak. They cost no more than some kilobytes each.
const OWN_CONNECTIONS: u64 = 512;

/// Computes the capacity that `load` needs.
///
/// Machines by utilisation (`n = peak / (capacity × fill)`, rounded up), and one
/// to spare where a death must not be felt; connections by Little's law
/// (`L = λ·W`: how many are under way is how many come in a second times how long
/// each takes; J. D. C. Little, "A Proof for the Queuing Formula L = λW", 1961).
#[must_use]
pub fn plan(load: &Load, measured: &Measured) -> Capacity {
    let needed = |peak: f64, each: f64| up(peak / (each * load.fill).max(1e-9)).max(1);
    let megabits = load.rps * ANSWER_BYTES * 8.0 / 1e6 + load.origin_megabits;
    // Whichever fills up first, processors or lines.
    let by_processor = needed(
        load.rps,
        measured.edge_per_core * f64::from(load.edge_cores),
    );
    let edges = by_processor.max(needed(megabits, load.line_megabits)) + 1;
    // As if all items were wanted within one second; never more than come.
    let purchases = (load.items as f64).min(load.rps);
    let workers = u64::from(load.edge_cores.max(1));
    let left = (edges - 1).max(1);
    let connections = load.shoppers.div_ceil(left);
    let of_worker = connections.div_ceil(workers);
    let share = purchases / (left * workers) as f64;
    let under_way = up(share * load.purchase_ms / 1_000.0).max(1);
    // Twice what is under way on average: arrivals come in bursts.
    let keepalive = (2 * under_way).max(16);
    let limits = WorkerLimits::new(of_worker, keepalive);
    let purchase_roles = needed(purchases, measured.purchase_per_core) + 1;
    let redis_masters = needed(purchases, measured.redis_per_master);
    Capacity {
        edges,
        workers,
        purchases_per_second: up(purchases),
        purchase_roles,
        redis_masters,
        connections_per_edge: connections,
        worker_connections: limits.connections,
        open_files_per_worker: limits.files,
        keepalive,
        backlog: backlog(of_worker),
        local_ports: keepalive * workers,
        permit_block: up(share * BLOCK_S).max(1),
        site_rate: up(purchases * 1.2).max(1),
        zone_mib: up(load.items as f64 / 1e6 * ZONE_MIB_A_MILLION).max(16),
        redis_mib: up(load.items as f64 * PURCHASE_BYTES / 1_048_576.0).max(64),
        orders_done_s: up(load.items as f64 / measured.orders_per_second.max(1e-9)),
        megabits: up(megabits),
        machines: Machines::new(edges, purchase_roles, redis_masters, workers),
    }
}

/// What an nginx worker may hold open at the same time, as `seckill capacity` plans it and
/// `seckill tune` wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerLimits {
    /// `worker_connections`: shoppers', and its own to back ends and Redis.
    pub connections: u64,
    /// `worker_rlimit_nofile`: a connection is an open file, and what is sent through it, a
    /// page or a picture, is a second one.
    pub files: u64,
}

impl WorkerLimits {
    /// Those of a worker with `of_worker` shoppers, which keeps `keepalive` connections to
    /// the purchase role.
    ///
    /// Worked example: 25,000 shoppers and 50 connections kept are 25,512 connections, and
    /// 51,024 files.
    #[must_use]
    pub fn new(of_worker: u64, keepalive: u64) -> Self {
        let connections = of_worker.saturating_add(keepalive.max(OWN_CONNECTIONS));
        Self {
            connections,
            files: connections.saturating_mul(2),
        }
    }
}

/// Connections of a worker that may wait to be accepted: a quarter of its shoppers, who
/// click within the moment that it is busy with others.
///
/// Worked example: of 25,000 shoppers 6,250 click at once, and the next power of two is
/// 8,192.
#[must_use]
pub fn backlog(of_worker: u64) -> u64 {
    (of_worker / 4).next_power_of_two().clamp(1_024, 65_536)
}

fn up(number: f64) -> u64 {
    // What is beyond any sale stays small enough to be added and multiplied.
    number.ceil().clamp(0.0, 1e15) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MEASURED: Measured = Measured {
        edge_per_core: 60_000.0,
        purchase_per_core: 20_000.0,
        redis_per_master: 40_000.0,
        orders_per_second: 500.0,
    };

    fn load(rps: f64) -> Load {
        Load {
            rps,
            shoppers: 100_000,
            items: 10_000,
            edge_cores: 4,
            fill: 0.7,
            purchase_ms: 5.0,
            origin_megabits: 0.0,
            line_megabits: 1_000.0,
        }
    }

    #[test]
    fn a_line_that_is_full_wants_another_edge_as_a_processor_does() {
        // 560 Mbit/s of responses fit a line filled to 70 %; 5,200 of pages do not.
        let pages = Load {
            origin_megabits: 5_200.0,
            ..load(100_000.0)
        };
        assert_eq!(plan(&load(100_000.0), &MEASURED).edges, 2);
        let plan = plan(&pages, &MEASURED);
        assert_eq!((plan.megabits, plan.edges), (5_760, 10));
    }

    #[test]
    fn figures_beyond_any_sale_overflow_nothing() {
        let least = Measured {
            edge_per_core: 1e-6,
            purchase_per_core: 1e-6,
            redis_per_master: 1e-6,
            orders_per_second: 1.0,
        };
        let most = Load {
            rps: f64::MAX,
            shoppers: 100_000_000_000,
            items: 100_000_000_000,
            edge_cores: 1_024,
            fill: 0.01,
            purchase_ms: 1e12,
            origin_megabits: f64::MAX,
            line_megabits: 1e-6,
        };
        assert!(plan(&most, &least).machines.edges > 1_000_000);
        assert!(plan(&most, &MEASURED).machines.edges > 1_000_000);
    }

    #[test]
    fn machines_are_counted_with_those_that_may_die() {
        let plan = plan(&load(100_000.0), &MEASURED);
        let it = plan.machines;
        assert_eq!(
            (it.edges, it.back_ends, it.redis, it.databases),
            (2, 2, 2, 2)
        );
        assert_eq!(it.all, 8);
    }

    #[test]
    fn the_worked_example_comes_out() {
        let plan = plan(&load(100_000.0), &MEASURED);
        assert_eq!(
            (plan.edges, plan.purchase_roles, plan.redis_masters),
            (2, 2, 1)
        );
        assert_eq!(plan.connections_per_edge, 100_000);
        assert_eq!(
            (plan.worker_connections, plan.open_files_per_worker),
            (25_512, 51_024)
        );
        assert_eq!((plan.permit_block, plan.orders_done_s), (250, 20));
    }

    proptest! {
        /// More load never needs less, and nothing is filled beyond what it may be
        /// when one of each has died.
        #[test]
        fn it_grows_with_the_load(rps in 1.0..1e7_f64, more in 1.0..10.0_f64) {
            let (one, two) = (plan(&load(rps), &MEASURED), plan(&load(rps * more), &MEASURED));
            prop_assert!(two.edges >= one.edges && two.purchase_roles >= one.purchase_roles);
            let bears = (one.edges - 1) as f64 * 4.0 * MEASURED.edge_per_core * 0.7;
            prop_assert!(bears >= rps * 0.999);
            let sells = (one.purchase_roles - 1) as f64 * MEASURED.purchase_per_core;
            prop_assert!(sells >= one.purchases_per_second as f64 * 0.999);
        }
    }
}
