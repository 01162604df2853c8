//! What is left of the products that sell now: `/left.json`, written anew every second.
//!
//! A crowd that wants to know reads one small file, at most a second old, that a cache
//! may serve as well. It names the moment it is of: pages do not show an old one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use seckill_core::ids::Item;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::window::Phase;
use serde::Serialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::now_ms;
use crate::redis::segments::Segments;
use crate::redis::{RedisLink, RedisLinkError};
use crate::sale::catalogue::Mirror;
use crate::stock::levels;

/// The pause between two files.
const EVERY: Duration = Duration::from_millis(800);
/// Most products in the file: nobody looks at more, and it stays small.
const MOST: usize = 500;

/// The file.
#[derive(Debug, Serialize)]
struct Left {
    /// When it was counted, epoch milliseconds.
    at_ms: u64,
    /// Items for sale and items in all, by `round-product`.
    left: BTreeMap<String, (u64, u64)>,
}

/// Writes the file into the origin until `stop`, while something sells.
pub async fn run(origin: PathBuf, redis: RedisLink, segments: Segments, stop: CancellationToken) {
    let catalogue = Mirror::following(redis.clone());
    let file = origin.join("shop/left.json");
    let mut is_empty = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(EVERY) => {}
        }
        let Some(products) = catalogue.products() else {
            continue;
        };
        let at_ms = now_ms();
        let mut open: Vec<(&Item, &Entry)> = products
            .iter()
            .filter(|(_, entry)| entry.window.phase(at_ms) == Phase::Open)
            .collect();
        // The same ones each time, if there are too many.
        open.sort_by(|a, b| a.0.cmp(b.0));
        open.truncate(MOST);
        if open.is_empty() && is_empty {
            continue;
        }
        is_empty = open.is_empty();
        match count(&redis, &segments, &open).await {
            Ok(left) => write(&file, Left { at_ms, left }).await,
            Err(error) => tracing::debug!(%error, "what is left was not counted"),
        }
    }
}

async fn count(
    redis: &RedisLink,
    segments: &Segments,
    open: &[(&Item, &Entry)],
) -> Result<BTreeMap<String, (u64, u64)>, RedisLinkError> {
    let mut conn = redis.conn().await?;
    let mut left = BTreeMap::new();
    for (item, entry) in open {
        let levels = levels::read(&mut conn, segments, item, entry).await?;
        // Less than all of it would be a wrong number.
        if levels.missing.is_empty() {
            let id = format!("{}-{}", item.round(), item.product());
            left.insert(id, (levels.sale + levels.in_transit, levels.limit));
        }
    }
    Ok(left)
}

async fn write(file: &Path, left: Left) {
    let file = file.to_owned();
    let written = super::blocking(move || {
        // Numbers and ids always serialize.
        let text = serde_json::to_string(&left).unwrap_or_default();
        put(&file, &text)
    });
    if let Err(error) = written.await {
        tracing::debug!(%error, "what is left was not written");
    }
}

/// Replaces the file without waiting for the disk: it is worth nothing after a crash.
pub(super) fn put(file: &Path, text: &str) -> io::Result<()> {
    let draft = file.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&draft, text)?;
    std::fs::rename(draft, file)
}
