//! The plan for people: what was assumed, what was measured, what is needed.

use seckill_core::sale::capacity::Capacity;

use super::{Plan, Viewing};

/// The whole text.
pub(super) fn of(plan: &Plan) -> String {
    let load = &plan.load;
    let mut text = format!(
        "{:.0} requests/s, {} shoppers, {} items, everything filled to {:.0} % at most\n",
        load.rps,
        load.shoppers,
        load.items,
        load.fill * 100.0
    );
    text.push_str("\nAssumed\n");
    for assumption in assumptions(plan) {
        text.push_str(&format!("  - {assumption}\n"));
    }
    text.push_str("\nMeasured, or given\n");
    let it = &plan.measured;
    let measured = [
        ("requests/s of an edge's core", it.edge_per_core),
        ("purchases/s of a role's core", it.purchase_per_core),
        ("purchases/s of a Redis master", it.redis_per_master),
        ("orders/s of the database", it.orders_per_second),
    ];
    for ((name, value), from) in measured.iter().zip(&plan.from) {
        text.push_str(&format!("  {name:<34} {value:>10.0}   {from}\n"));
    }
    if let Some(viewing) = &plan.viewing {
        text.push_str("\nPages and pictures\n");
        text.push_str(&pages(viewing));
    }
    text.push_str("\nNeeded\n");
    text.push_str(&needed(&plan.capacity));
    text
}

fn assumptions(plan: &Plan) -> Vec<String> {
    let load = &plan.load;
    let mut all = Vec::new();
    if let Some(Viewing { crowd, cdn_hit, .. }) = &plan.viewing {
        all.push(format!(
            "{} buyers come within {:.0} s, each with {:.0} requests to the edge; the busiest second has {:.1} times the mean",
            crowd.buyers, crowd.seconds, crowd.requests_each, crowd.peak
        ));
        all.push(format!(
            "each loads one page with its pictures once, and the CDN answers {:.1} % of that by itself",
            cdn_hit * 100.0
        ));
    }
    all.push(format!(
        "machines of {} cores and a line of {:.0} Mbit/s; one edge, one purchase role and one of each pair may die",
        load.edge_cores, load.line_megabits
    ));
    all.push(format!(
        "all {} items are wanted within one second, and a purchase takes {:.1} ms behind the edge",
        load.items, load.purchase_ms
    ));
    all.push(
        "the machines are as fast as the one that was measured; --edge-rps and its like say otherwise"
            .to_owned(),
    );
    all
}

fn pages(viewing: &Viewing) -> String {
    let Viewing {
        weight,
        weighed,
        picture_weighed,
        traffic,
        cdn_price,
        ..
    } = viewing;
    let rows = [
        (
            "page with scripts, bytes",
            weight.page_bytes,
            weighed.as_str(),
        ),
        (
            "picture of a page, bytes",
            weight.picture_bytes,
            picture_weighed.as_str(),
        ),
        ("all buyers, GB", traffic.cdn_gigabytes, "from the CDN"),
        (
            "the CDN sends, Mbit/s",
            traffic.cdn_megabits,
            "in the busiest second",
        ),
        (
            "the origin sends, Mbit/s",
            traffic.origin_megabits,
            "in the busiest second",
        ),
        (
            "the origin without the CDN, Mbit/s",
            traffic.origin_alone_megabits,
            "if its budget is used up",
        ),
    ];
    let mut text = String::new();
    for (name, value, note) in rows {
        let value = match value < 10.0 {
            true => format!("{value:.2}"),
            false => format!("{value:.0}"),
        };
        text.push_str(&format!("  {name:<34} {value:>10}   {note}\n"));
    }
    if let Some(price) = cdn_price {
        let name = "price of the CDN's bytes";
        text.push_str(&format!("  {name:<34} {price:>10.2}   --gb-price\n"));
    }
    text
}

fn needed(it: &Capacity) -> String {
    let machines = &it.machines;
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
            "when one has died; seckill tune --connections",
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
        (
            "edges send, Mbit/s",
            it.megabits,
            "pages and pictures included",
        ),
        (
            "machines for edges",
            machines.edges,
            "the more of processors and lines",
        ),
        (
            "machines for back ends",
            machines.back_ends,
            "purchase, relay, orders, ops",
        ),
        (
            "machines for Redis",
            machines.redis,
            "a master and a replica each",
        ),
        (
            "machines for the database",
            machines.databases,
            "with its replica",
        ),
        ("machines in all", machines.all, ""),
    ];
    let mut text = String::new();
    for (name, value, setting) in rows {
        let line = format!("  {name:<34} {value:>10}   {setting}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
