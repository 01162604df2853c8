//! What a page weighs over the wire: weighed in the CDN origin that the renderer wrote.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use seckill_core::sale::crowd::PageWeight;

/// Weighs the heaviest product page of an origin, all scripts and style sheets once, and
/// the heaviest picture.
///
/// # Errors
/// There is no page: a sentence with the cure.
pub(super) fn weigh(origin: &Path) -> Result<PageWeight, String> {
    let pages = sizes(&origin.join("product"), |path| {
        path.extension()
            .is_some_and(|it| it == "html")
            .then(|| compressed(path))?
    });
    let Some(page) = pages.into_iter().max() else {
        return Err(format!(
            "no page was weighed: {} has none; approve a sale while the ops role runs, name its \
             data folder by --data, or give --page-bytes N",
            origin.join("product").display()
        ));
    };
    let assets = sizes(&origin.join("assets"), asset);
    let pictures = sizes(&origin.join("pictures"), |path| {
        Some(fs::metadata(path).ok()?.len())
    });
    Ok(PageWeight {
        page_bytes: (page + assets.iter().sum::<u64>()) as f64,
        picture_bytes: pictures.into_iter().max().unwrap_or(0) as f64,
    })
}

/// Sizes of the files in a folder, those below it included.
fn sizes(folder: &Path, size: fn(&Path) -> Option<u64>) -> Vec<u64> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(sizes(&path, size)),
            false => found.extend(size(&path)),
        }
    }
    found
}

/// A script or style sheet, as the compressed copy beside it; others load when needed.
fn asset(path: &Path) -> Option<u64> {
    let kind = path.extension()?.to_str()?;
    let is_loaded = matches!(kind, "js" | "mjs" | "css");
    let copy = path.with_extension(format!("{kind}.gz"));
    match (is_loaded, fs::metadata(copy)) {
        (false, _) => None,
        (true, Ok(copy)) => Some(copy.len()),
        (true, Err(_)) => compressed(path),
    }
}

/// The size after compression, as nginx does it.
fn compressed(path: &Path) -> Option<u64> {
    let text = fs::read(path).ok()?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
    encoder.write_all(&text).ok()?;
    Some(encoder.finish().ok()?.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_page_is_weighed_with_what_it_loads() {
        let origin = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let path = origin.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert!(weigh(origin.path()).unwrap_err().contains("--page-bytes"));
        write("product/1-1.html", &[b'a'; 9_000]);
        write("assets/shop.abc.js", &[b'a'; 9_000]);
        write("assets/shop.abc.js.gz", &[b'z'; 1_000]);
        write("assets/shop.png", &[b'z'; 5_000]);
        write("pictures/a.jpg", &[b'z'; 300]);
        write("pictures/b.jpg", &[b'z'; 700]);
        let weight = weigh(origin.path()).unwrap();
        assert!((weight.picture_bytes - 700.0).abs() < 0.5);
        // 9,000 equal letters compress to next to nothing.
        assert!(weight.page_bytes > 1_010.0 && weight.page_bytes < 1_200.0);
    }
}
