//! Removes orphans: pages of rounds that are over or unknown, and assets and pictures
//! that no page needs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use seckill_core::pages::picture::{self, Picture};
use tokio_util::sync::CancellationToken;

use super::apply::{Changed, Record, SHOP_NOTE, ShopRecord, file_of, note_of, recorded};
use super::origin::{Locked, Origin};
use super::purge::Purges;
use super::{Options, blocking};
use crate::now_ms;
use crate::sale::page::path_of;
use crate::store::LazyStore;

/// How long the record of a round without pages is kept: it prevents a renderer that
/// lags behind from writing them again.
const KEEP_EMPTY_MS: u64 = 86_400_000;
/// The note of assets that are no longer needed, each with the time since when.
const LEAVING_NOTE: &str = "leaving.json";
/// The note of pictures that are no longer needed, each with the time since when.
const LEAVING_PICTURES_NOTE: &str = "leaving-pictures.json";

/// How long files are kept that are no longer needed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    /// Keeps pages, after their round's end.
    pub(super) pages: Duration,
    /// Keeps assets, after the last page that needed them was replaced: open pages may
    /// still load them.
    pub(super) assets: Duration,
}

/// Removes pages of rounds that are over, pages without a record, and assets that no
/// page needs any more.
pub(super) fn pages(
    origin: &Origin,
    purges: &Purges,
    keep: Keep,
    now_ms: u64,
) -> io::Result<Changed> {
    let locked = origin.lock()?;
    for folder in ["product", "assets", "pictures"] {
        locked.remove_drafts(folder)?;
    }
    let shop: ShopRecord = origin.note(SHOP_NOTE).unwrap_or_default();
    let (mut needed, mut known) = (shop.assets, BTreeSet::new());
    let mut changed = Changed::default();
    for round in recorded(origin)? {
        let note = note_of(&round);
        let Some(record) = origin.note::<Record>(&note) else {
            continue;
        };
        let is_over = record.ends_ms.saturating_add(millis(keep.pages)) <= now_ms;
        if is_over && !record.products.is_empty() {
            for product in &record.products {
                purges.note(&locked, [path_of(&round, product)])?;
                locked.remove(&file_of(&round, product))?;
                changed.removed += 1;
            }
            let empty = Record {
                version: record.version,
                ends_ms: now_ms,
                ..Record::default()
            };
            locked.write_note(&note, &empty)?;
        } else if record.products.is_empty() {
            if record.ends_ms.saturating_add(KEEP_EMPTY_MS) <= now_ms {
                locked.remove_note(&note)?;
            }
        } else {
            known.extend(record.products.iter().map(|it| file_of(&round, it)));
            needed.extend(record.assets);
        }
    }
    for name in origin.files("product")? {
        let file = format!("product/{name}");
        if !known.contains(&file) {
            purges.note(&locked, [format!("/{file}")])?;
            locked.remove(&file)?;
            changed.removed += 1;
        }
    }
    sweep_assets(origin, &locked, &needed, keep.assets, now_ms)?;
    Ok(changed)
}

fn sweep_assets(
    origin: &Origin,
    locked: &Locked<'_>,
    needed: &BTreeSet<String>,
    keep: Duration,
    now_ms: u64,
) -> io::Result<()> {
    let since: BTreeMap<String, u64> = origin.note(LEAVING_NOTE).unwrap_or_default();
    let mut leaving = BTreeMap::new();
    for file in origin.files("assets")? {
        let name = file.strip_suffix(".gz").unwrap_or(&file);
        if needed.contains(name) {
            continue;
        }
        let since = since.get(name).copied().unwrap_or(now_ms);
        if since.saturating_add(millis(keep)) <= now_ms {
            locked.remove(&format!("assets/{file}"))?;
        } else {
            leaving.insert(name.to_owned(), since);
        }
    }
    locked.write_note(LEAVING_NOTE, &leaving)
}

/// Removes orphaned pictures regularly until `stop`, in a task of its own: rendering
/// must not wait for a database.
pub(super) async fn run(origin: Origin, options: Arc<Options>, stop: CancellationToken) {
    let Some(rounds) = &options.rounds else {
        return stop.cancelled().await;
    };
    while !stop.is_cancelled() {
        match remove_pictures(&origin, rounds, options.keep_pictures).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "orphaned pictures removed"),
            // The roles that depend on the database warn that it is away.
            Err(error) => tracing::debug!(%error, "orphaned pictures are left for now"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(options.sweep) => {}
        }
    }
}

async fn remove_pictures(origin: &Origin, rounds: &LazyStore, keep: Duration) -> io::Result<usize> {
    let reading = origin.clone();
    if !blocking(move || has_unshown(&reading)).await? {
        return Ok(0);
    }
    let store = rounds.get().await.map_err(io::Error::other)?;
    let named = store.pictures().await.map_err(io::Error::other)?;
    let origin = origin.clone();
    blocking(move || pictures(&origin, &named, keep, now_ms())).await
}

/// Whether there are pictures that no page shows: only then the database is queried
/// for rounds that use them.
fn has_unshown(origin: &Origin) -> io::Result<bool> {
    let Some(shown) = shown(origin)? else {
        return Ok(false);
    };
    let files = origin.files("pictures")?;
    Ok(files
        .iter()
        .any(|file| is_ours(file) && !shown.contains(file)))
}

/// Removes pictures that for the time `keep` neither a page shows nor a round names
/// (`named`, from the database). An upload of the same picture starts that time anew.
fn pictures(
    origin: &Origin,
    named: &BTreeSet<String>,
    keep: Duration,
    now_ms: u64,
) -> io::Result<usize> {
    let locked = origin.lock()?;
    let Some(mut needed) = shown(origin)? else {
        return Ok(0);
    };
    needed.extend(named.iter().flat_map(|name| files_of(name)));
    let since: BTreeMap<String, u64> = origin.note(LEAVING_PICTURES_NOTE).unwrap_or_default();
    let mut leaving = BTreeMap::new();
    let mut removed = 0;
    for name in origin.files("pictures")? {
        if needed.contains(&name) || !is_ours(&name) {
            continue;
        }
        let file = format!("pictures/{name}");
        let since = since.get(&name).copied().unwrap_or(now_ms);
        let since = since.max(origin.changed_ms(&file).unwrap_or_default());
        if since.saturating_add(millis(keep)) <= now_ms {
            locked.remove(&file)?;
            removed += 1;
        } else {
            leaving.insert(name, since);
        }
    }
    locked.write_note(LEAVING_PICTURES_NOTE, &leaving)?;
    Ok(removed)
}

/// The files of all pictures on pages; `None` while there is a record without
/// pictures.
fn shown(origin: &Origin) -> io::Result<Option<BTreeSet<String>>> {
    let mut shown = BTreeSet::new();
    for round in recorded(origin)? {
        let Some(record) = origin.note::<Record>(&note_of(&round)) else {
            return Ok(None);
        };
        match record.pictures {
            Some(pictures) => shown.extend(pictures.iter().flat_map(|name| files_of(name))),
            None if record.products.is_empty() => {}
            None => return Ok(None),
        }
    }
    Ok(Some(shown))
}

/// The files of a product's pictures.
fn files_of(picture: &str) -> Vec<String> {
    let pictures = picture::parse_all(picture).into_iter();
    pictures
        .flat_map(|it| it.renditions())
        .map(|it| it.file)
        .collect()
}

/// Whether the file is a rendition of an upload, `{hash}-{width}.jpg`: files that
/// people put there are left alone.
fn is_ours(file: &str) -> bool {
    let size = |name: &str| Picture::parse(&format!("{name}x1")).is_some();
    file.strip_suffix(".jpg").is_some_and(size)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
