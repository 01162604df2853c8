//! What a page weighs over the wire: weighed in the CDN origin that the renderer wrote.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use seckill_core::pages::assets::{files_of, loaded_at_once};
use seckill_core::pages::picture;
use seckill_core::sale::crowd::PageWeight;

/// Weighs what one viewer of the heaviest product page loads: the page, the scripts and
/// style sheets that it leads to, and the heaviest of its pictures, of which it shows one
/// at a time. What a script imports later, when somebody needs it, and the files of pages
/// before an upgrade are not counted.
///
/// # Errors
/// There is no page: a sentence with the cure.
pub(super) fn weigh(origin: &Path) -> Result<PageWeight, String> {
    let mut scales = Scales::default();
    let pages = files_in(&origin.join("product"));
    let weights = pages.iter().filter_map(|page| scales.weigh(origin, page));
    weights
        .max_by(|a, b| {
            (a.page_bytes + a.picture_bytes).total_cmp(&(b.page_bytes + b.picture_bytes))
        })
        .ok_or_else(|| {
            format!(
                "no page was weighed: {} has none; approve a sale while the ops role runs, name \
                 its data folder by --data, or give --page-bytes N",
                origin.join("product").display()
            )
        })
}

/// Weighs pages; each file that several of them load is read once.
#[derive(Default)]
struct Scales {
    /// The bytes of an asset over the wire, and the files that it loads at once.
    assets: HashMap<PathBuf, (u64, Vec<PathBuf>)>,
}

impl Scales {
    /// `None` if the file is no page, or was removed meanwhile.
    fn weigh(&mut self, origin: &Path, page: &Path) -> Option<PageWeight> {
        if page.extension()? != "html" {
            return None;
        }
        let html = fs::read_to_string(page).ok()?;
        let served = |path: &str| origin.join(path.trim_start_matches('/'));
        let assets = self.loaded(files_of(&html).into_iter().map(served).collect());
        let pictures = pictures_of(&html).filter_map(|path| length(&served(path)));
        Some(PageWeight {
            page_bytes: (compressed(html.as_bytes())? + assets) as f64,
            picture_bytes: pictures.max().unwrap_or(0) as f64,
        })
    }

    /// The bytes of these assets and of all that they load at once.
    fn loaded(&mut self, mut open: Vec<PathBuf>) -> u64 {
        let mut seen = BTreeSet::new();
        let mut bytes = 0;
        while let Some(path) = open.pop() {
            let Ok(path) = path.canonicalize() else {
                continue;
            };
            if seen.insert(path.clone()) {
                let (size, loads) = self
                    .assets
                    .entry(path)
                    .or_insert_with_key(|path| asset(path));
                bytes += *size;
                open.extend(loads.iter().cloned());
            }
        }
        bytes
    }
}

/// The bytes of an asset, as the compressed copy beside it, and the files that it loads.
fn asset(path: &Path) -> (u64, Vec<PathBuf>) {
    let kind = path.extension().and_then(|it| it.to_str()).unwrap_or("");
    if !matches!(kind, "js" | "mjs" | "css" | "svg") {
        return (length(path).unwrap_or(0), Vec::new());
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    let copy = length(&path.with_extension(format!("{kind}.gz")));
    let size = copy.or_else(|| compressed(text.as_bytes())).unwrap_or(0);
    let folder = path.parent().unwrap_or(Path::new(""));
    let loads = loaded_at_once(&text).map(|name| folder.join(name));
    (size, loads.collect())
}

/// The addresses of the pictures that a page shows, in each of their widths.
fn pictures_of(html: &str) -> impl Iterator<Item = &str> {
    html.match_indices(picture::FOLDER).map(|(at, _)| {
        let rest = &html[at..];
        &rest[..rest.find(['"', ' ', ',']).unwrap_or(rest.len())]
    })
}

/// The files of a folder.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn length(path: &Path) -> Option<u64> {
    Some(fs::metadata(path).ok()?.len())
}

/// The size after compression, as nginx does it.
fn compressed(text: &[u8]) -> Option<u64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
    encoder.write_all(text).ok()?;
    Some(encoder.finish().ok()?.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_page_is_weighed_with_what_its_viewer_loads() {
        let origin = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let path = origin.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert!(weigh(origin.path()).unwrap_err().contains("--page-bytes"));
        let page = "<link href=\"/assets/shop.new.css\"><script src=\"/assets/shop.new.js\"></script>\
            <img src=\"/pictures/a-480.jpg\" srcset=\"/pictures/a-480.jpg 480w, /pictures/a-960.jpg 960w\">";
        write("product/1-1.html", page.as_bytes());
        write("product/1-2.html", b"<p>nothing but this</p>");
        // The page's script imports one file, loads another as soon as it runs, and a
        // third for those who read its language. Modules import each other in a circle.
        let script = "import { t } from './words.new.js';\nimport('./watch.new.js');\n\
            const ar = () => import('./lang/ar.new.js');\n";
        for (name, text, copy) in [
            ("shop.new.css", "a {}", 1_000),
            ("shop.new.js", script, 2_000),
            ("words.new.js", "import './shop.new.js';", 4_000),
            ("watch.new.js", "", 8_000),
            ("lang/ar.new.js", "", 16_000),
            // Of the version before, and of another page.
            ("shop.old.js", "", 32_000),
            ("orders.new.js", "", 64_000),
        ] {
            write(&format!("assets/{name}"), text.as_bytes());
            write(&format!("assets/{name}.gz"), &vec![b'z'; copy]);
        }
        write("pictures/a-480.jpg", &[b'z'; 300]);
        write("pictures/a-960.jpg", &[b'z'; 700]);
        write("pictures/of-no-page.jpg", &[b'z'; 9_000]);
        let weight = weigh(origin.path()).unwrap();
        assert!((weight.picture_bytes - 700.0).abs() < 0.5, "{weight:?}");
        // 15,000 bytes of assets, and the page itself.
        assert!(
            (15_050.0..15_300.0).contains(&weight.page_bytes),
            "{weight:?}"
        );
    }
}
