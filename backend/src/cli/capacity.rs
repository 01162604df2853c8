//! `seckill capacity`: how many of each part a rate of requests needs.

use std::path::{Path, PathBuf};

use crate::config::Config;
use anyhow::Context as _;
use clap::Args;
use seckill_core::sale::capacity;
use seckill_core::sale::capacity::{Capacity, Load, Measured};
use serde::Serialize;
use serde_json::Value;

use super::say;

/// Used where nothing was measured: two shared cores of 2.x GHz, rounded down.
const EDGE_PER_CORE: f64 = 60_000.0;
const PURCHASE_PER_CORE: f64 = 20_000.0;
const REDIS_PER_MASTER: f64 = 40_000.0;

#[derive(Debug, Args)]
pub(crate) struct CapacityArgs {
    /// Requests a second at the peak, of all kinds
    #[arg(long, value_name = "N", value_parser = rate)]
    rps: f64,
    /// Shoppers with the page open; as many as requests a second without it
    #[arg(long, value_name = "N")]
    shoppers: Option<u64>,
    /// Items that go on sale at the same instant
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    items: u64,
    /// Cores of an edge's box
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    edge_cores: u32,
    /// How full anything may be at the peak, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 70, value_parser = clap::value_parser!(u32).range(1..=100))]
    fill: u32,
    /// How long a purchase takes behind the edge, in ms
    #[arg(long, value_name = "MS", default_value_t = 5.0, value_parser = rate)]
    purchase_ms: f64,
    /// Requests a second of an edge's core; measured by "make bench-edge" without it
    #[arg(long, value_name = "N", value_parser = rate)]
    edge_rps: Option<f64>,
    /// Purchases a second of a purchase role's core; by "make bench-purchase" without it
    #[arg(long, value_name = "N", value_parser = rate)]
    purchase_rps: Option<f64>,
    /// Purchases a second of a Redis master; by "make bench-purchase" without it
    #[arg(long, value_name = "N", value_parser = rate)]
    redis_rps: Option<f64>,
    /// Folder with the results of the benchmarks; bench/results in the home folder
    /// without it
    #[arg(long, value_name = "FOLDER")]
    results: Option<PathBuf>,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() && n > 0.0 => Ok(n),
        _ => Err("write a number above 0".to_owned()),
    }
}

/// A measured figure and where it is from.
#[derive(Debug, Serialize)]
struct Figure {
    value: f64,
    from: String,
}

#[derive(Debug, Serialize)]
struct Plan {
    load: Load,
    measured: Measured,
    from: [String; 4],
    capacity: Capacity,
}

/// Computes and prints it.
pub(crate) fn run(config: &Config, arguments: &CapacityArgs) -> anyhow::Result<()> {
    let home = || {
        config
            .home
            .clone()
            .unwrap_or_default()
            .join("bench/results")
    };
    let results = arguments.results.clone().unwrap_or_else(home);
    let row = |file: &str, name: &str| read_row(&results.join(file), name);
    // Microseconds of CPU each, as requests that a second of CPU serves.
    let sold = |us: Option<(f64, String)>| us.map(|(us, from)| (1e6 / us, from));
    let edge = pick(
        arguments.edge_rps,
        "--edge-rps",
        || sold(row("edge.json", "admitted, module, CPU")),
        EDGE_PER_CORE,
    );
    let purchase = pick(
        arguments.purchase_rps,
        "--purchase-rps",
        || {
            sold(row(
                "purchase.json",
                "purchase role over HTTP, CPU of the role",
            ))
        },
        PURCHASE_PER_CORE,
    );
    let redis = pick(
        arguments.redis_rps,
        "--redis-rps",
        || {
            sold(row(
                "purchase.json",
                "the script by redis-benchmark, CPU of Redis",
            ))
        },
        REDIS_PER_MASTER,
    );
    let orders = Figure {
        value: f64::from(config.orders_per_second),
        from: "the setting orders_per_second".to_owned(),
    };
    let measured = Measured {
        edge_per_core: edge.value,
        purchase_per_core: purchase.value,
        redis_per_master: redis.value,
        orders_per_second: orders.value,
    };
    let load = Load {
        rps: arguments.rps,
        shoppers: arguments.shoppers.unwrap_or(arguments.rps.ceil() as u64),
        items: arguments.items,
        edge_cores: arguments.edge_cores,
        fill: f64::from(arguments.fill) / 100.0,
        purchase_ms: arguments.purchase_ms,
    };
    let plan = Plan {
        capacity: capacity::plan(&load, &measured),
        load,
        measured,
        from: [edge.from, purchase.from, redis.from, orders.from],
    };
    if arguments.json {
        let text = serde_json::to_string_pretty(&plan).context("the plan cannot be written")?;
        return say(&format!("{text}\n"));
    }
    say(&table(&plan))
}

fn pick(
    given: Option<f64>,
    flag: &str,
    read: impl FnOnce() -> Option<(f64, String)>,
    assumed: f64,
) -> Figure {
    let figure = given.map(|value| (value, flag.to_owned())).or_else(read);
    let (value, from) =
        figure.unwrap_or_else(|| (assumed, "assumed; run \"make bench\" to measure".to_owned()));
    Figure { value, from }
}

/// The value of a benchmark's row; none if there is no such result.
fn read_row(path: &Path, name: &str) -> Option<(f64, String)> {
    let text = std::fs::read_to_string(path).ok()?;
    let result: Value = serde_json::from_str(&text).ok()?;
    let rows = result["rows"].as_array()?;
    let row = rows.iter().find(|row| row["name"] == name)?;
    let value = row["value"].as_f64().filter(|value| *value > 0.0)?;
    Some((value, path.display().to_string()))
}

fn table(plan: &Plan) -> String {
    let Plan {
        load,
        measured,
        from,
        capacity: it,
    } = plan;
    let measured = [
        ("requests/s of an edge's core", measured.edge_per_core),
        ("purchases/s of a role's core", measured.purchase_per_core),
        ("purchases/s of a Redis master", measured.redis_per_master),
        ("orders/s of the database", measured.orders_per_second),
    ];
    let mut text = format!(
        "{:.0} requests/s, {} shoppers, {} items, everything filled to {:.0} % at most\n\n",
        load.rps,
        load.shoppers,
        load.items,
        load.fill * 100.0
    );
    for ((name, value), from) in measured.iter().zip(from) {
        text.push_str(&format!("  {name:<34} {value:>10.0}   {from}\n"));
    }
    text.push('\n');
    let rows = [
        ("edges (one may die)", it.edges, ""),
        ("nginx workers of each", it.workers, "worker_processes"),
        ("purchases/s at the peak", it.purchases_per_second, ""),
        (
            "purchase roles (one may die)",
            it.purchase_roles,
            "upstream seckill_purchase",
        ),
        (
            "Redis masters, segments",
            it.redis_masters,
            "redis_segments",
        ),
        (
            "shoppers' connections of an edge",
            it.connections_per_edge,
            "when one has died",
        ),
        (
            "connections of a worker",
            it.worker_connections,
            "worker_connections",
        ),
        (
            "open files of a worker",
            it.open_files_per_worker,
            "worker_rlimit_nofile",
        ),
        (
            "connections kept to back ends",
            it.keepalive,
            "keepalive, of a worker",
        ),
        (
            "waiting connections",
            it.backlog,
            "backlog=, net.core.somaxconn",
        ),
        (
            "local ports to one back end",
            it.local_ports,
            "net.ipv4.ip_local_port_range",
        ),
        (
            "permits taken at a time",
            it.permit_block,
            "found by the edge itself",
        ),
        (
            "site's rate, requests/s",
            it.site_rate,
            "seckill_rate, site_rate",
        ),
        ("zone, MiB", it.zone_mib, "seckill_zone"),
        ("Redis, MiB", it.redis_mib, "maxmemory, all masters"),
        ("all orders written after, s", it.orders_done_s, ""),
        ("edges send, Mbit/s", it.megabits, ""),
    ];
    for (name, value, setting) in rows {
        let line = format!("  {name:<34} {value:>10}   {setting}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
