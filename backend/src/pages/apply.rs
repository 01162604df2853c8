//! Brings the CDN origin to what shoppers are to see, one round at a time, and
//! takes away what nobody leads to any more.
//!
//! A record of each round says of which version its pages are and which files
//! they need. It is written before the pages, too, so that a renderer that dies
//! in the middle leaves no page of which nobody knows.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use seckill_core::assets::Assets;
use serde::{Deserialize, Serialize};

use super::message::Version;
use super::origin::{Locked, Origin};
use super::purge::Purges;
use crate::sale::page::path_of;

/// How long the record of a round that has no pages any more is kept: it keeps a
/// renderer that lags behind from bringing them back.
const KEEP_EMPTY_MS: u64 = 86_400_000;
/// The note about the shop's own pages.
const SHOP_NOTE: &str = "shop.json";
/// Since when which assets are no longer needed.
const LEAVING_NOTE: &str = "leaving.json";

/// Tells open pages the version of what shoppers see.
const VERSION_FILE: &str = "shop/version.json";

/// What is known of a round's pages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Record {
    version: String,
    ends_ms: u64,
    products: BTreeSet<String>,
    assets: BTreeSet<String>,
}

/// What is known of the shop's own pages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct ShopRecord {
    pages: BTreeSet<String>,
    assets: BTreeSet<String>,
}

/// A round's pages as they are to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Rendered {
    pub(super) ends_ms: u64,
    /// HTML by product.
    pub(super) pages: BTreeMap<String, String>,
    pub(super) assets: BTreeSet<String>,
}

/// What was changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) written: usize,
    pub(super) removed: usize,
}

fn note_of(round: &str) -> String {
    format!("rounds/{round}.json")
}

fn file_of(round: &str, product: &str) -> String {
    path_of(round, product).trim_start_matches('/').to_owned()
}

/// Puts the shop's own pages and all assets into the origin.
pub(super) fn shop(
    origin: &Origin,
    purges: &Purges,
    assets: &Assets,
    pages: &BTreeMap<String, Vec<u8>>,
    needs: BTreeSet<String>,
) -> io::Result<Changed> {
    let locked = origin.lock()?;
    for asset in assets.iter() {
        put_asset(origin, &locked, &asset.file, &asset.bytes)?;
    }
    let old: ShopRecord = origin.note(SHOP_NOTE).unwrap_or_default();
    let names: BTreeSet<String> = pages.keys().cloned().collect();
    let both = ShopRecord {
        pages: &old.pages | &names,
        assets: &old.assets | &needs,
    };
    locked.write_note(SHOP_NOTE, &both)?;
    let mut changed = Changed::default();
    for (name, bytes) in pages {
        let file = format!("shop/{name}");
        if locked.differs(&file, bytes) {
            note_shop_page(purges, &locked, name)?;
            locked.write(&file, bytes)?;
            changed.written += 1;
        }
    }
    for name in old.pages.difference(&names) {
        note_shop_page(purges, &locked, name)?;
        locked.remove(&format!("shop/{name}"))?;
        changed.removed += 1;
    }
    let (pages, assets) = (names, needs);
    locked.write_note(SHOP_NOTE, &ShopRecord { pages, assets })?;
    Ok(changed)
}

fn note_shop_page(purges: &Purges, locked: &Locked<'_>, name: &str) -> io::Result<()> {
    if name == "index.html" {
        purges.note(locked, "/")?;
    }
    purges.note(locked, &format!("/{name}"))
}

/// An asset never changes under its name, so that one that is there is right.
fn put_asset(origin: &Origin, locked: &Locked<'_>, file: &str, bytes: &[u8]) -> io::Result<()> {
    let file = format!("assets/{file}");
    let packed = format!("{file}.gz");
    let is_text = [".js", ".mjs", ".css", ".svg", ".json"]
        .iter()
        .any(|extension| file.ends_with(extension));
    if is_text && !origin.has(&packed) {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(bytes)?;
        locked.write(&packed, &gzip.finish()?)?;
    }
    if !origin.has(&file) {
        locked.write(&file, bytes)?;
    }
    Ok(())
}

/// Brings the pages of `round` to `rendered`, read at `version`; `None` takes them
/// away. Does nothing if they are of a later version already.
pub(super) fn round(
    origin: &Origin,
    purges: &Purges,
    round: &str,
    version: Version,
    rendered: Option<Rendered>,
) -> io::Result<Changed> {
    let locked = origin.lock()?;
    let note = note_of(round);
    let old: Option<Record> = origin.note(&note);
    if old.is_none() && rendered.is_none() {
        return Ok(Changed::default());
    }
    let old = old.unwrap_or_default();
    if Version::parse(&old.version).is_some_and(|old| old > version) {
        return Ok(Changed::default());
    }
    let Rendered {
        ends_ms,
        pages,
        assets,
    } = rendered.unwrap_or_default();
    let products: BTreeSet<String> = pages.keys().cloned().collect();
    let new = Record {
        version: version.to_string(),
        ends_ms,
        products,
        assets,
    };
    let both = Record {
        products: &old.products | &new.products,
        assets: &old.assets | &new.assets,
        ..new.clone()
    };
    locked.write_note(&note, &both)?;
    let mut changed = Changed::default();
    for (product, html) in &pages {
        let file = file_of(round, product);
        if locked.differs(&file, html.as_bytes()) {
            purges.note(&locked, &path_of(round, product))?;
            locked.write(&file, html.as_bytes())?;
            changed.written += 1;
        }
    }
    for product in old.products.difference(&new.products) {
        purges.note(&locked, &path_of(round, product))?;
        locked.remove(&file_of(round, product))?;
        changed.removed += 1;
    }
    locked.write_note(&note, &new)?;
    Ok(changed)
}

/// The rounds of which there is a record.
fn recorded(origin: &Origin) -> io::Result<BTreeSet<String>> {
    let notes = origin.notes("rounds")?;
    let rounds = notes.iter().filter_map(|name| name.strip_suffix(".json"));
    Ok(rounds.map(str::to_owned).collect())
}

/// Writes down the version of what shoppers see where their pages look for it: an
/// open page asks for the day's rounds again when it changes.
pub(super) fn tell_version(origin: &Origin, purges: &Purges, version: Version) -> io::Result<()> {
    let locked = origin.lock()?;
    let text = format!("{{\"version\":\"{version}\"}}\n");
    if locked.differs(VERSION_FILE, text.as_bytes()) {
        purges.note(&locked, "/version.json")?;
        locked.write(VERSION_FILE, text.as_bytes())?;
    }
    Ok(())
}

/// The rounds of which there is a record, and the latest version among them.
pub(super) fn recorded_versions(origin: &Origin) -> io::Result<(BTreeSet<String>, Version)> {
    let rounds = recorded(origin)?;
    let version = |round: &String| {
        let record = origin.note::<Record>(&note_of(round))?;
        Version::parse(&record.version)
    };
    let latest = rounds.iter().filter_map(version).max();
    Ok((rounds, latest.unwrap_or_default()))
}

/// Lets pages of any version replace those that are there.
pub(super) fn forget_versions(origin: &Origin) -> io::Result<()> {
    let locked = origin.lock()?;
    for round in recorded(origin)? {
        if let Some(record) = origin.note::<Record>(&note_of(&round)) {
            let version = Version::default().to_string();
            locked.write_note(&note_of(&round), &Record { version, ..record })?;
        }
    }
    Ok(())
}

/// How many product pages there are.
pub(super) fn pages(origin: &Origin) -> io::Result<usize> {
    Ok(origin.files("product")?.len())
}

/// How long things that nobody needs any more are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    /// Pages, after their round's end.
    pub(super) pages: Duration,
    /// Assets, after the last page that needed them was replaced: pages that are
    /// open may still load them.
    pub(super) assets: Duration,
}

/// Takes away pages of rounds that are over, pages of which nobody knows, and
/// assets that no page needs any more.
pub(super) fn sweep(
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
                purges.note(&locked, &path_of(&round, product))?;
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
            purges.note(&locked, &format!("/{file}"))?;
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
