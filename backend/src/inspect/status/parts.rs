//! The parts of the system, and which of them serve. What runs on this machine is known
//! only beside a running `seckill up`: roles have the same settings on every machine.

use axum::http::Uri;

use super::{DATABASE, EDGE, Part, SEGMENTS};
use crate::config::running::RunningSystem;
use crate::config::{Config, Listen, Source, masked_url};
use crate::inspect::probe;
use crate::redis::segments::Segments;

impl Part {
    fn new(name: &'static str, up: Option<bool>, address: String) -> Self {
        Self { name, up, address }
    }
}

/// Whether these are the settings of a `seckill up`, running or not: with a Redis
/// elsewhere, what is away was started by something else.
pub(super) fn are_of_up(config: &Config, running: Option<&RunningSystem>) -> bool {
    running.is_some() || !config.redis_is_external
}

/// Edges and roles.
pub(super) async fn servers(config: &Config, running: Option<&RunningSystem>) -> Vec<Part> {
    let mut parts = edges(config, running).await;
    let is_up_here = running.is_some();
    for (name, listen) in [
        ("purchase", &config.purchase_listen),
        ("ops", &config.ops_listen),
    ] {
        parts.push(role(name, listen, is_up_here).await);
    }
    parts
}

/// The edge of `seckill up`, and those that `edges` names.
async fn edges(config: &Config, running: Option<&RunningSystem>) -> Vec<Part> {
    let own = format!("http://127.0.0.1:{}/metrics", config.port);
    let has_own = are_of_up(config, running) && running.is_none_or(|it| it.edge);
    let mut parts = Vec::new();
    if has_own {
        let listen = Listen::Tcp((std::net::Ipv4Addr::LOCALHOST, config.port).into());
        let up = probe::is_well(&listen, "/api/time").await;
        let address = format!("http://localhost:{}/", config.port);
        parts.push(Part::new(EDGE, Some(up), address));
    }
    let of_up = running.is_some() || !is_set(config, "edges");
    let others = config.edges.iter();
    for uri in others.filter(|uri| !of_up || uri.to_string() != own) {
        let up = is_well_at(uri).await;
        parts.push(Part::new(EDGE, Some(up), masked_url(&uri.to_string())));
    }
    if parts.is_empty() {
        let address = "not asked; \"edges\" names those to ask".to_owned();
        parts.push(Part::new(EDGE, None, address));
    }
    parts
}

fn is_set(config: &Config, key: &str) -> bool {
    let mut settings = config.settings().iter();
    settings.any(|it| it.key == key && it.source != Source::Default)
}

async fn is_well_at(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(80);
    matches!(probe::status_at(host, port, uri.path()).await, Ok(200))
}

/// A role. One that would listen on every address of its machine, and does not on this
/// one, runs elsewhere, unless `seckill up` runs it here.
async fn role(name: &'static str, listen: &Listen, is_up_here: bool) -> Part {
    let may_be_elsewhere =
        !is_up_here && matches!(listen, Listen::Tcp(address) if address.ip().is_unspecified());
    match probe::status(listen, "/healthz").await {
        Ok(status) => Part::new(name, Some(status == 200), listen.to_string()),
        Err(_) if may_be_elsewhere => Part::new(name, None, format!("{listen}, not here")),
        Err(_) => Part::new(name, Some(false), listen.to_string()),
    }
}

/// The main Redis, the masters that hold stock besides, and the database.
pub(super) async fn stores(
    config: &Config,
    redis: bool,
    segments: Option<&Segments>,
    database: bool,
) -> Vec<Part> {
    let mut parts = vec![Part::new(
        "redis",
        Some(redis),
        masked_url(&config.redis_url),
    )];
    if !config.redis_segments.is_empty() {
        parts.extend(masters(config, segments).await);
    }
    let address = masked_url(&config.database_url);
    parts.push(Part::new(DATABASE, Some(database), address));
    parts
}

async fn masters(config: &Config, segments: Option<&Segments>) -> Vec<Part> {
    let masters = match segments {
        Some(segments) => segments.masters().await.ok(),
        None => None,
    };
    let Some(masters) = masters else {
        // No node of a Cluster says which masters there are.
        let urls: Vec<String> = config
            .redis_segments
            .iter()
            .map(|it| masked_url(it))
            .collect();
        return vec![Part::new(SEGMENTS, Some(false), urls.join(", "))];
    };
    let mut parts = Vec::new();
    for master in masters {
        let up = master.conn().await.is_ok();
        parts.push(Part::new(SEGMENTS, Some(up), master.address().to_owned()));
    }
    parts
}
