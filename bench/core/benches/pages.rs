//! Naming the shop's assets by their content.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::Criterion;
use seckill_core::pages::assets::{Assets, content_hash};

/// Files of a shop, about as many and as large as those in `html/static/assets`.
const FILES: usize = 80;
const LINES: usize = 150;

pub(crate) fn all(criterion: &mut Criterion) {
    let files: BTreeMap<String, Vec<u8>> = (0..FILES)
        .map(|n| {
            let import = format!("import {{ f }} from './m{}.js';\n", (n * 7 + 1) % FILES);
            let line = "  const shown = label.textContent.trim() || t('buy');\n";
            let text = format!("{import}{}", line.repeat(LINES));
            (format!("m{n}.js"), text.into_bytes())
        })
        .collect();
    assert!(Assets::new(&files).is_ok(), "every import is there");
    criterion.bench_function("80 assets named", |bench| {
        bench.iter(|| Assets::new(black_box(&files)).map(|assets| assets.iter().count()));
    });
    criterion.bench_function("80 assets hashed once", |bench| {
        bench.iter(|| {
            let hashes = black_box(&files).values().map(|bytes| content_hash(bytes));
            hashes.map(|hash| hash.len()).sum::<usize>()
        });
    });
}
