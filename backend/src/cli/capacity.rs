//! `seckill capacity`: the machines, connections and bytes that a sale needs.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use seckill_core::sale::capacity::{self, Capacity, Load, Measured};
use seckill_core::sale::crowd::{self, Crowd, PageWeight, Traffic};
use serde::Serialize;

use super::say;
use crate::config::Config;

/// What the benchmarks measured.
mod measured;
/// The plan for people.
mod table;
/// What a page weighs.
mod weight;

use measured::{Figure, Given};

/// Most buyers, shoppers and items: more than there are people.
const MOST: u64 = 100_000_000_000;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("demand").required(true).args(["rps", "buyers"])))]
pub(crate) struct CapacityArgs {
    /// Requests a second at the peak, of all kinds
    #[arg(long, value_name = "N", value_parser = rate)]
    rps: Option<f64>,
    /// Buyers, instead of --rps; pages and pictures are counted too
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST))]
    buyers: Option<u64>,
    /// Within how many seconds the buyers come
    #[arg(long, value_name = "S", default_value_t = 60.0, value_parser = rate, requires = "buyers")]
    seconds: f64,
    /// Requests of each buyer to the edge: time, state, path, click, result
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = rate, requires = "buyers")]
    requests_each: f64,
    /// How many times the mean the busiest second has
    #[arg(long, value_name = "N", default_value_t = 3.0, value_parser = rate, requires = "buyers")]
    peak: f64,
    /// Bytes of a product page with the scripts and style sheets that its viewer loads,
    /// compressed; weighed in the data folder's pages without it
    #[arg(long, value_name = "N", value_parser = rate, requires = "buyers")]
    page_bytes: Option<f64>,
    /// Bytes of the picture on the page of --page-bytes; none without it
    #[arg(long, value_name = "N", value_parser = rate, requires = "page_bytes")]
    picture_bytes: Option<f64>,
    /// Requests for pages that the CDN answers by itself, in percent; 0 for no CDN
    #[arg(long, value_name = "PERCENT", default_value_t = 99.0, value_parser = percent, requires = "buyers")]
    cdn_hit: f64,
    /// What the CDN takes for a gigabyte, in any currency
    #[arg(long, value_name = "PRICE", value_parser = rate, requires = "buyers")]
    gb_price: Option<f64>,
    /// Shoppers with the page open; as many as buyers, or requests a second, without it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=MOST))]
    shoppers: Option<u64>,
    /// Items that go on sale at the same instant
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(..=MOST))]
    items: u64,
    /// Cores of a machine
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    edge_cores: u32,
    /// Megabits a second of an edge's line
    #[arg(long, value_name = "N", default_value_t = 1_000.0, value_parser = rate)]
    line_megabits: f64,
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
        Ok(n) if (1e-6..=1e12).contains(&n) => Ok(n),
        _ => Err("write a number from 0.000001 to 1000000000000".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(n) if (0.0..=100.0).contains(&n) => Ok(n),
        _ => Err("write a number from 0 to 100".to_owned()),
    }
}

/// The buyers of a sale, and the bytes that they load.
#[derive(Debug, Serialize)]
struct Viewing {
    crowd: Crowd,
    weight: PageWeight,
    /// Where the bytes of the page are from.
    weighed: String,
    /// Where those of its picture are from.
    picture_weighed: String,
    cdn_hit: f64,
    traffic: Traffic,
    /// What the CDN takes for all of it, if a gigabyte's price is known.
    cdn_price: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Plan {
    load: Load,
    viewing: Option<Viewing>,
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
    let given = Given {
        edge: arguments.edge_rps,
        purchase: arguments.purchase_rps,
        redis: arguments.redis_rps,
    };
    let figures = measured::read(&results, given).map_err(anyhow::Error::msg)?;
    let orders = Figure {
        value: f64::from(config.orders_per_second),
        from: "the setting orders_per_second".to_owned(),
    };
    let measured = Measured {
        edge_per_core: figures.edge.value,
        purchase_per_core: figures.purchase.value,
        redis_per_master: figures.redis.value,
        orders_per_second: orders.value,
    };
    let viewing = viewing(config, arguments)?;
    let crowd = viewing.as_ref().map(|it| it.crowd);
    let rps = arguments.rps.or(crowd.map(|it| it.rps()));
    let rps = rps.context("write --rps N or --buyers N")?;
    let shoppers = arguments.shoppers.or(arguments.buyers);
    let load = Load {
        rps,
        shoppers: shoppers.unwrap_or(rps.ceil() as u64),
        items: arguments.items,
        edge_cores: arguments.edge_cores,
        fill: f64::from(arguments.fill) / 100.0,
        purchase_ms: arguments.purchase_ms,
        origin_megabits: viewing
            .as_ref()
            .map_or(0.0, |it| it.traffic.origin_megabits),
        line_megabits: arguments.line_megabits,
    };
    let plan = Plan {
        capacity: capacity::plan(&load, &measured),
        load,
        viewing,
        measured,
        from: [
            figures.edge.from,
            figures.purchase.from,
            figures.redis.from,
            orders.from,
        ],
    };
    if arguments.json {
        let text = serde_json::to_string_pretty(&plan).context("the plan cannot be written")?;
        return say(&format!("{text}\n"));
    }
    say(&table::of(&plan))
}

/// The buyers, if their number is given, and what they load.
fn viewing(config: &Config, arguments: &CapacityArgs) -> anyhow::Result<Option<Viewing>> {
    let Some(buyers) = arguments.buyers else {
        return Ok(None);
    };
    let (weight, weighed, picture_weighed) = match arguments.page_bytes {
        Some(page_bytes) => {
            let (picture_bytes, from) = match arguments.picture_bytes {
                Some(bytes) => (bytes, "--picture-bytes"),
                None => (0.0, "none, without --picture-bytes"),
            };
            let weight = PageWeight {
                page_bytes,
                picture_bytes,
            };
            (weight, "--page-bytes".to_owned(), from.to_owned())
        }
        None => {
            let pages = config.pages_dir();
            let weight = weight::weigh(&pages).map_err(anyhow::Error::msg)?;
            let from = pages.display().to_string();
            (weight, from.clone(), from)
        }
    };
    let crowd = Crowd {
        buyers,
        seconds: arguments.seconds,
        requests_each: arguments.requests_each,
        peak: arguments.peak,
    };
    let cdn_hit = arguments.cdn_hit / 100.0;
    let traffic = crowd::traffic(&crowd, &weight, cdn_hit);
    Ok(Some(Viewing {
        crowd,
        weight,
        weighed,
        picture_weighed,
        cdn_hit,
        traffic,
        cdn_price: arguments
            .gb_price
            .map(|price| price * traffic.cdn_gigabytes),
    }))
}
