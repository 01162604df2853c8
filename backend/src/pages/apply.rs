//! Brings the pages in the CDN origin up to date, one round at a time.
//!
//! A record of each round holds the version of its pages and the files that they
//! need. It is written before the pages as well as after, so that a renderer that
//! dies in between leaves no page without a record.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use seckill_core::pages::assets::{Assets, Rewritten};
use serde::{Deserialize, Serialize};

use super::PagesError;
use super::content::RoundContent;
use super::origin::{Locked, Origin};
use super::purge::Purges;
use crate::sale::message::Version;
use crate::sale::page::{PageContent, path_of};

/// The note with the record of the shop's own pages.
pub(super) const SHOP_NOTE: &str = "shop.json";
/// Most pages that are rendered and written together, and so held in memory.
const PAGES_AT_ONCE: usize = 500;

/// The file from which open pages learn the current version.
const VERSION_FILE: &str = "shop/version.json";

/// The record of a round's pages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) version: String,
    pub(super) ends_ms: u64,
    pub(super) products: BTreeSet<String>,
    pub(super) assets: BTreeSet<String>,
    /// Names of the pictures on the pages; `None` in a record of an early version.
    #[serde(default)]
    pub(super) pictures: Option<BTreeSet<String>>,
}

/// The record of the shop's own pages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct ShopRecord {
    pub(super) pages: BTreeSet<String>,
    pub(super) assets: BTreeSet<String>,
}

/// Why the pages of a round were not brought up to date, or only some of them.
#[derive(Debug)]
pub(super) enum Failed {
    /// A file could not be read or written.
    Disk(io::Error),
    /// A page could not be rendered.
    Page(PagesError),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// The number of pages that were changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) written: usize,
    pub(super) removed: usize,
}

pub(super) fn note_of(round: &str) -> String {
    format!("rounds/{round}.json")
}

pub(super) fn file_of(round: &str, product: &str) -> String {
    path_of(round, product).trim_start_matches('/').to_owned()
}

/// Writes the shop's own pages and all assets to the origin.
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
        purges.note(locked, ["/".to_owned()])?;
    }
    purges.note(locked, [format!("/{name}")])
}

/// Writes an asset unless it exists: its content never changes under its name.
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

/// Writes the pages of `round` with `content`, read at `version`, as `fill_in` renders
/// them; `None` removes them. Does nothing if they are of a later version.
pub(super) fn round(
    origin: &Origin,
    purges: &Purges,
    round: &str,
    (version, content): (Version, Option<RoundContent>),
    fill_in: impl Fn(&PageContent) -> Result<Rewritten, PagesError>,
) -> Result<Changed, Failed> {
    let locked = origin.lock()?;
    let note = note_of(round);
    let old: Option<Record> = origin.note(&note);
    if old.is_none() && content.is_none() {
        return Ok(Changed::default());
    }
    let old = old.unwrap_or_default();
    if Version::parse(&old.version).is_some_and(|old| old > version) {
        return Ok(Changed::default());
    }
    let content = content.unwrap_or_default();
    let pictures = content.pages.values().flat_map(|it| &it.pictures);
    let pictures: BTreeSet<String> = pictures.map(|it| it.picture.to_string()).collect();
    let mut new = Record {
        version: version.to_string(),
        ends_ms: content.ends_ms,
        products: content.pages.keys().cloned().collect(),
        assets: BTreeSet::new(),
        pictures: Some(pictures),
    };
    let mut both = Record {
        products: &old.products | &new.products,
        assets: old.assets,
        pictures: old.pictures.zip(new.pictures.clone()).map(|(a, b)| &a | &b),
        ..new.clone()
    };
    locked.write_note(&note, &both)?;
    let mut changed = Changed::default();
    let pages: Vec<_> = content.pages.iter().collect();
    for batch in pages.chunks(PAGES_AT_ONCE) {
        let mut files = Vec::new();
        for (product, page) in batch {
            let page = fill_in(page).map_err(Failed::Page)?;
            new.assets.extend(page.needs);
            let (file, html) = (file_of(round, product), page.html.into_bytes());
            if locked.differs(&file, &html) {
                files.push((file, html));
            }
        }
        if !new.assets.is_subset(&both.assets) {
            both.assets.extend(new.assets.iter().cloned());
            locked.write_note(&note, &both)?;
        }
        purges.note(&locked, files.iter().map(|(file, _)| format!("/{file}")))?;
        locked.write_all(&files)?;
        changed.written += files.len();
    }
    for product in old.products.difference(&new.products) {
        purges.note(&locked, [path_of(round, product)])?;
        locked.remove(&file_of(round, product))?;
        changed.removed += 1;
    }
    locked.write_note(&note, &new)?;
    Ok(changed)
}

/// The rounds that have a record.
pub(super) fn recorded(origin: &Origin) -> io::Result<BTreeSet<String>> {
    let notes = origin.notes("rounds")?;
    let rounds = notes.iter().filter_map(|name| name.strip_suffix(".json"));
    Ok(rounds.map(str::to_owned).collect())
}

/// Publishes the current version in the file that open pages poll: when it changes,
/// they request the day's rounds again.
pub(super) fn publish_version(
    origin: &Origin,
    purges: &Purges,
    version: Version,
) -> io::Result<()> {
    let locked = origin.lock()?;
    let text = format!("{{\"version\":\"{version}\"}}\n");
    if locked.differs(VERSION_FILE, text.as_bytes()) {
        purges.note(&locked, ["/version.json".to_owned()])?;
        locked.write(VERSION_FILE, text.as_bytes())?;
    }
    Ok(())
}

/// The rounds that have a record, and the latest version among them.
pub(super) fn recorded_versions(origin: &Origin) -> io::Result<(BTreeSet<String>, Version)> {
    let rounds = recorded(origin)?;
    let version = |round: &String| {
        let record = origin.note::<Record>(&note_of(round))?;
        Version::parse(&record.version)
    };
    let latest = rounds.iter().filter_map(version).max();
    Ok((rounds, latest.unwrap_or_default()))
}

/// Lets pages of any version replace the present ones.
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

/// The number of product pages.
pub(super) fn pages(origin: &Origin) -> io::Result<usize> {
    Ok(origin.files("product")?.len())
}
