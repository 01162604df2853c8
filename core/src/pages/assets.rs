//! Content-hashed names for the shop's assets.
//!
//! Developers write `html/` with plain names and no build step; what browsers
//! get carries a hash in its name, so that they may keep it for ever. The hash
//! of a file covers all files that it leads to: when a module changes, so do
//! the names of all that import it, and a page never mixes two versions.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

mod comments;
mod pack;
mod references;

use comments::without_comments;
pub use pack::Unpackable;
use references::{Reference, last_part, path_length, references_of};

/// Where assets are served.
pub const FOLDER: &str = "/assets/";
/// Hexadecimal digits of a hash in a name: 64 bits.
const DIGITS: usize = 16;

/// A reference that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{from}:{line} refers to {to}, which is not among the assets; add the file or mend the reference"
)]
pub struct Missing {
    /// The file that refers.
    pub from: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What it refers to, as written.
    pub to: String,
}

/// Why the assets cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A reference leads nowhere.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The parts of a pack do not go into one file.
    #[error(transparent)]
    Unpackable(#[from] Unpackable),
}

/// An asset under its hashed name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Its name under [`FOLDER`], with the hash: `product.0123456789abcdef.js`.
    pub file: String,
    /// Its content, with references rewritten and without comments.
    pub bytes: Vec<u8>,
    /// The hashed names of all files that it leads to, itself included.
    pub needs: BTreeSet<String>,
}

/// All assets of one version of the shop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assets {
    by_name: BTreeMap<String, Asset>,
    /// The packs that parts went into.
    home: BTreeMap<String, String>,
}

/// A page with its references rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The HTML.
    pub html: String,
    /// The hashed names of all assets that it leads to.
    pub needs: BTreeSet<String>,
}

impl Assets {
    /// Names the files of `html/static/assets`, given by their paths below it, and
    /// puts together what is a pack.
    ///
    /// # Errors
    /// [`Unfit`]: a file refers to one that is not there, or a pack to parts that do
    /// not go together.
    pub fn new(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, Unfit> {
        let packed = pack::pack(files)?;
        let files = &packed.files;
        let mut references = BTreeMap::new();
        for (name, bytes) in files {
            references.insert(name.as_str(), references_of(name, bytes, &packed)?);
        }
        let reached: BTreeMap<&str, BTreeSet<&str>> = files
            .keys()
            .map(|name| (name.as_str(), reach(name, &references)))
            .collect();
        let hashed: BTreeMap<&str, String> = reached
            .iter()
            .map(|(name, reached)| (*name, hashed_name(name, &hash(name, reached, files))))
            .collect();
        let by_name = files.iter().map(|(name, bytes)| {
            let all = &references[name.as_str()];
            let asset = Asset {
                file: hashed[name.as_str()].clone(),
                bytes: without_comments(name, rewrite(bytes, all, &hashed)),
                needs: reached[name.as_str()]
                    .iter()
                    .map(|name| hashed[name].clone())
                    .collect(),
            };
            (name.clone(), asset)
        });
        Ok(Self {
            by_name: by_name.collect(),
            home: packed.home,
        })
    }

    /// Every asset.
    pub fn iter(&self) -> impl Iterator<Item = &Asset> {
        self.by_name.values()
    }

    /// The asset of this plain name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Asset> {
        self.by_name.get(name)
    }

    /// A page whose attributes refer to `/assets/…`, with the hashed names.
    /// `page` is what it is called, for the error. Only what directly follows
    /// `="` is taken for a reference: text that was escaped has no quotes.
    ///
    /// # Errors
    /// [`Missing`].
    pub fn rewrite_html(&self, page: &str, html: &str) -> Result<Rewritten, Missing> {
        const BEFORE: &str = "=\"/assets/";
        let mut out = String::with_capacity(html.len() + 512);
        let mut needs = BTreeSet::new();
        let mut rest = html;
        while let Some(at) = rest.find(BEFORE) {
            let (before, after) = rest.split_at(at + BEFORE.len());
            let length = path_length(after.as_bytes());
            let name = &after[..length];
            let is_at = self.home.get(name).map_or(name, String::as_str);
            let Some(asset) = self.by_name.get(is_at) else {
                let line = 1 + html[..html.len() - rest.len() + at].matches('\n').count();
                let (from, to) = (page.to_owned(), format!("{FOLDER}{name}"));
                return Err(Missing { from, line, to });
            };
            out.push_str(before);
            out.push_str(&asset.file);
            needs.extend(asset.needs.iter().cloned());
            rest = &after[length..];
        }
        out.push_str(rest);
        Ok(Rewritten { html: out, needs })
    }
}

/// The files under [`FOLDER`] that a page's attributes refer to, each once.
#[must_use]
pub fn files_of(html: &str) -> BTreeSet<&str> {
    html.split("=\"")
        .skip(1)
        .filter(|text| text.starts_with(FOLDER))
        .filter_map(|text| text.split(['"', '#']).next())
        .collect()
}

/// The files that a published script or style sheet loads as soon as it is there, as it
/// names them: what it imports, and what an `import()` at the beginning of a line does,
/// outside of every function. Any other `import()` waits for somebody who needs its file.
pub fn loaded_at_once(text: &str) -> impl Iterator<Item = &str> {
    const QUOTES: [char; 2] = ['\'', '"'];
    text.lines().filter_map(|line| {
        let (before, rest) = line.split_once(QUOTES)?;
        let imports = ["import ", "import(", "@import ", "@import url("];
        let is_loaded = imports.contains(&before) || before.ends_with(" from ");
        let path = rest.split(QUOTES).next()?;
        (is_loaded && path.starts_with('.')).then_some(path)
    })
}

/// All files that `name` leads to, itself included. Modules may import each
/// other in a circle.
fn reach<'a>(name: &'a str, references: &'a BTreeMap<&str, Vec<Reference>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::from([name]);
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        for reference in references.get(name).into_iter().flatten() {
            if reached.insert(&reference.name) {
                open.push(&reference.name);
            }
        }
    }
    reached
}

fn hash(name: &str, reached: &BTreeSet<&str>, files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        // Lengths keep two different lists from reading the same.
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    add(name.as_bytes());
    for name in reached {
        add(name.as_bytes());
        add(files.get(*name).map_or(&[], Vec::as_slice));
    }
    hex(&hash.finalize())
}

/// The hash of some bytes, as it stands in names.
#[must_use]
pub fn content_hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    let digits = digest.iter().take(DIGITS / 2);
    digits.map(|byte| format!("{byte:02x}")).collect()
}

/// `words.js` and a hash make `words.0123456789abcdef.js`.
fn hashed_name(name: &str, hash: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !extension.contains('/') => format!("{stem}.{hash}.{extension}"),
        _ => format!("{name}.{hash}"),
    }
}

fn rewrite(bytes: &[u8], references: &[Reference], hashed: &BTreeMap<&str, String>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + references.len() * (DIGITS + 1));
    let mut done = 0;
    for reference in references {
        let Some(file) = hashed.get(reference.name.as_str()) else {
            continue;
        };
        out.extend_from_slice(&bytes[done..reference.start]);
        // The folder part of the path stays as it was written.
        out.extend_from_slice(last_part(file).as_bytes());
        done = reference.end;
    }
    out.extend_from_slice(&bytes[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(of: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        of.iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
            .collect()
    }

    fn shop(words: &str) -> Assets {
        Assets::new(&files(&[
            (
                "start.js",
                "import { t } from './i18n.js';\nuse(`/assets/art.svg#${id}`);",
            ),
            (
                "i18n.js",
                "import * as words from \"./words.js\";\nimport './start.js';",
            ),
            ("words.js", words),
            (
                "shop.css",
                "@import './base.css'; a { background: url(./art.svg) }",
            ),
            ("base.css", "a {}"),
            ("art.svg", "<svg><use href='./nothing.svg'/></svg>"),
        ]))
        .unwrap()
    }

    fn name(assets: &Assets, plain: &str) -> String {
        assets.get(plain).unwrap().file.clone()
    }

    #[test]
    fn references_are_rewritten_to_hashed_names() {
        let shop = shop("export const zh = {};");
        let text = String::from_utf8(shop.get("start.js").unwrap().bytes.clone()).unwrap();
        let (i18n, art) = (name(&shop, "i18n.js"), name(&shop, "art.svg"));
        assert_eq!(
            text,
            format!("import {{ t }} from './{i18n}';\nuse(`/assets/{art}#${{id}}`);")
        );
        let css = String::from_utf8(shop.get("shop.css").unwrap().bytes.clone()).unwrap();
        assert!(css.contains(&format!("url(./{art})")), "{css}");
        assert!(
            shop.get("start.js")
                .unwrap()
                .needs
                .contains(&name(&shop, "words.js"))
        );
    }

    #[test]
    fn what_waits_for_somebody_who_needs_it_is_not_loaded_at_once() {
        let script = "import { t } from './i18n.1.js';\nimport {\n  a,\n} from \"./a.1.js\";\n\
            import './b.1.js';\nexport * from './c.1.js';\nimport('./watch.1.js').then(watch);\n\
            const ar = { load: () => import('./lang/ar.1.js') };\n\
            async function remind() {\n  await import('./remind.1.js');\n}\n\
            const worker = new URL('./worker.1.js', import.meta.url);\n";
        let loaded: Vec<_> = loaded_at_once(script).collect();
        let at_once = ["i18n", "a", "b", "c", "watch"].map(|name| format!("./{name}.1.js"));
        assert_eq!(loaded, at_once);
        let style = "@import './base.1.css';\na { background: url('./art.svg') }";
        assert_eq!(loaded_at_once(style).collect::<Vec<_>>(), ["./base.1.css"]);
    }

    #[test]
    fn a_change_renames_all_that_lead_to_it_and_nothing_else() {
        let (old, new) = (shop("old"), shop("new"));
        for plain in ["start.js", "i18n.js", "words.js"] {
            assert_ne!(name(&old, plain), name(&new, plain), "{plain}");
        }
        for plain in ["shop.css", "base.css", "art.svg"] {
            assert_eq!(name(&old, plain), name(&new, plain), "{plain}");
        }
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_named_with_its_line() {
        let error = Assets::new(&files(&[("a.js", "\n\nimport './b.js';")])).unwrap_err();
        let missing = Missing {
            from: "a.js".to_owned(),
            line: 3,
            to: "./b.js".to_owned(),
        };
        assert_eq!(error, Unfit::Missing(missing));
        let error = shop("").rewrite_html("index.html", "<p>\n<img src=\"/assets/x.svg\">");
        assert_eq!(error.unwrap_err().line, 2);
    }

    #[test]
    fn whoever_imports_a_part_gets_the_pack() {
        let shop = Assets::new(&files(&[
            ("i18n.js", "export const t = 1;\n"),
            ("api.js", "export const get = 1;\n"),
            (
                "shop.js",
                "export * from './i18n.js';\nexport * from './api.js';\n",
            ),
            (
                "start.js",
                "import { t } from './i18n.js';\nimport('./api.js');",
            ),
        ]))
        .unwrap();
        let pack = name(&shop, "shop.js");
        let text = String::from_utf8(shop.get("start.js").unwrap().bytes.clone()).unwrap();
        assert_eq!(
            text,
            format!("import {{ t }} from './{pack}';\nimport('./{pack}');")
        );
        assert!(shop.get("api.js").is_none());
        let page = shop.rewrite_html("p", "<link href=\"/assets/api.js\">");
        assert_eq!(
            page.unwrap().html,
            format!("<link href=\"/assets/{pack}\">")
        );
    }

    #[test]
    fn addresses_of_the_shop_are_left_alone() {
        let text = "call('/api/time'); go('/'); f('./'); `/product/${id}.html`; g('..');";
        let assets = Assets::new(&files(&[("a.js", text)])).unwrap();
        assert_eq!(assets.get("a.js").unwrap().bytes, text.as_bytes());
    }

    #[test]
    fn a_page_leads_to_hashed_names_but_its_text_stays() {
        let shop = shop("");
        let html = "<link href=\"/assets/shop.css\"><use href=\"/assets/art.svg#a\"/>\
                    <p>href=&#34;/assets/shop.css&#34; /assets/none.js</p>";
        let page = shop.rewrite_html("p", html).unwrap();
        let (css, art) = (name(&shop, "shop.css"), name(&shop, "art.svg"));
        assert_eq!(
            page.html,
            format!(
                "<link href=\"/assets/{css}\"><use href=\"/assets/{art}#a\"/>\
                 <p>href=&#34;/assets/shop.css&#34; /assets/none.js</p>"
            )
        );
        let (art_at, css_at) = (format!("{FOLDER}{art}"), format!("{FOLDER}{css}"));
        assert_eq!(files_of(&page.html), [&*art_at, &*css_at].into());
        assert_eq!(page.needs, [art, css, name(&shop, "base.css")].into());
    }
}
