//! Packs: several modules published as one file.
//!
//! Over HTTP/1.1 a browser fetches six files at a time, so that a page of fifteen
//! modules waits for the line three times before it answers to a finger. A module
//! of nothing but `export * from './part.js';` is a pack. In `html/` it is ordinary
//! JavaScript, and pages work from it as it stands. What the renderer publishes
//! under its name are its parts, one after the other; who imports a part imports
//! the pack, so that there is one copy of each part in a page.
//!
//! Nothing is parsed: parts are written so that statements begin where lines do,
//! and what could go wrong by putting them into one scope is refused by name.

use std::collections::{BTreeMap, BTreeSet};

/// Parts that cannot stand in one file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pack} cannot be published as one file: {part} {why}")]
pub struct Unpackable {
    /// The pack.
    pub pack: String,
    /// The part.
    pub part: String,
    /// What is wrong with it, and the cure.
    pub why: String,
}

/// The files with packs in the place of their parts.
#[derive(Debug, Default)]
pub(super) struct Packed {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Where each part went.
    pub(super) home: BTreeMap<String, String>,
}

/// Puts the parts of every pack together.
pub(super) fn pack(files: &BTreeMap<String, Vec<u8>>) -> Result<Packed, Unpackable> {
    let mut packed = Packed {
        files: files.clone(),
        home: BTreeMap::new(),
    };
    for (name, bytes) in files {
        let Some(parts) = parts_of(name, bytes) else {
            continue;
        };
        let mut joined = Joined::new(name, &parts);
        for part in &parts {
            let Some(text) = files.get(part).and_then(|it| std::str::from_utf8(it).ok()) else {
                return Err(joined.refused(part, "is not there; add it or drop its line"));
            };
            if let Some(other) = packed.home.insert(part.clone(), name.clone()) {
                let why = format!("is a part of {other} already; keep it in one of them");
                return Err(joined.refused(part, &why));
            }
            joined.add(part, text)?;
            packed.files.remove(part);
        }
        packed.files.insert(name.clone(), joined.text().into());
    }
    Ok(packed)
}

/// The parts of a pack; `None` for every other file.
fn parts_of(name: &str, bytes: &[u8]) -> Option<Vec<String>> {
    if !name.ends_with(".js") {
        return None;
    }
    let folder = name.rfind('/').map_or("", |at| &name[..=at]);
    let mut parts = Vec::new();
    for line in std::str::from_utf8(bytes).ok()?.lines() {
        if line.trim().is_empty() || line.starts_with("//") {
            continue;
        }
        let part = line.strip_prefix("export * from './")?.strip_suffix("';")?;
        parts.push(format!("{folder}{part}"));
    }
    (!parts.is_empty()).then_some(parts)
}

/// A pack that grows by one part after the other.
struct Joined<'a> {
    pack: &'a str,
    parts: &'a [String],
    added: BTreeSet<&'a str>,
    /// Names of the one scope, and whose they are.
    names: BTreeMap<String, String>,
    /// What is imported from elsewhere: by source, names and namespaces.
    imports: BTreeMap<String, BTreeSet<String>>,
    body: String,
}

impl<'a> Joined<'a> {
    fn new(pack: &'a str, parts: &'a [String]) -> Self {
        Self {
            pack,
            parts,
            added: BTreeSet::new(),
            names: BTreeMap::new(),
            imports: BTreeMap::new(),
            body: String::new(),
        }
    }

    fn refused(&self, part: &str, why: &str) -> Unpackable {
        Unpackable {
            pack: self.pack.to_owned(),
            part: part.to_owned(),
            why: why.to_owned(),
        }
    }

    fn add(&mut self, part: &'a str, text: &str) -> Result<(), Unpackable> {
        let mut import = String::new();
        for line in text.split_inclusive('\n') {
            if !import.is_empty() || line.starts_with("import ") {
                import.push_str(line);
                if line.trim_end().ends_with(';') {
                    self.import(part, &std::mem::take(&mut import))?;
                }
                continue;
            }
            if line.starts_with("export default") {
                return Err(self.refused(part, "has a default export; give it a name"));
            }
            for name in declared(line) {
                self.claim(part, name, part)?;
            }
            self.body.push_str(line);
        }
        if !import.is_empty() {
            return Err(self.refused(part, "has an import without a semicolon; add it"));
        }
        // What ends in a comment must not swallow what follows.
        if !self.body.ends_with('\n') {
            self.body.push('\n');
        }
        self.added.insert(part);
        Ok(())
    }

    /// Takes an import out of a part: to the top of the pack, or away when what it
    /// names stands in the pack itself.
    fn import(&mut self, part: &str, statement: &str) -> Result<(), Unpackable> {
        let flat: Vec<&str> = statement.split_whitespace().collect();
        let flat = flat.join(" ");
        let named = flat
            .strip_prefix("import ")
            .and_then(|it| it.strip_suffix("';"))
            .and_then(|it| it.split_once(" from '"));
        let Some((clause, source)) = named else {
            let why = format!("imports in a way that packs do not know: {flat} Name what it takes");
            return Err(self.refused(part, &why));
        };
        let names = match clause
            .strip_prefix("{ ")
            .and_then(|it| it.strip_suffix(" }"))
        {
            Some(names) => names.trim_end_matches(',').split(", ").collect(),
            None => vec![clause],
        };
        let folder = self.pack.rfind('/').map_or("", |at| &self.pack[..=at]);
        let inside = source.strip_prefix("./").map(|it| format!("{folder}{it}"));
        if let Some(inside) = inside.filter(|it| self.parts.contains(it)) {
            if !self.added.contains(inside.as_str()) {
                let why = format!("needs {inside}, which comes later; put {inside} before it");
                return Err(self.refused(part, &why));
            }
            if names.iter().any(|it| it.contains(" as ")) {
                let why =
                    format!("imports {inside} under other names; in a pack each has one name");
                return Err(self.refused(part, &why));
            }
            return Ok(());
        }
        for name in names {
            let local = name.rsplit(" as ").next().unwrap_or(name);
            self.claim(part, local, &format!("{name} of {source}"))?;
            let of = self.imports.entry(source.to_owned()).or_default();
            of.insert(name.to_owned());
        }
        Ok(())
    }

    /// Notes that `name` means what `owner` says. Two imports may mean the same.
    fn claim(&mut self, part: &str, name: &str, owner: &str) -> Result<(), Unpackable> {
        match self.names.insert(name.to_owned(), owner.to_owned()) {
            Some(other) if other != owner => {
                let why = format!("calls something {name}, as {other} does; rename one of them");
                Err(self.refused(part, &why))
            }
            _ => Ok(()),
        }
    }

    fn text(self) -> String {
        let mut lines = Vec::new();
        for (source, names) in &self.imports {
            let (whole, single): (Vec<&str>, Vec<&str>) = names
                .iter()
                .map(String::as_str)
                .partition(|it| it.starts_with("* as "));
            let whole = whole.into_iter();
            lines.extend(whole.map(|it| format!("import {it} from '{source}';\n")));
            if !single.is_empty() {
                let single = single.join(", ");
                lines.push(format!("import {{ {single} }} from '{source}';\n"));
            }
        }
        lines.concat() + &self.body
    }
}

/// The names that a line at the outermost level gives to something.
fn declared(line: &str) -> Vec<&str> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    let ident = |text: &'_ str| -> usize {
        text.find(|it: char| !it.is_alphanumeric() && it != '_' && it != '$')
            .unwrap_or(text.len())
    };
    if let Some(rest) = ["function ", "class "]
        .iter()
        .find_map(|it| line.strip_prefix(it))
    {
        return vec![&rest[..ident(rest)]];
    }
    let Some(rest) = ["const ", "let "]
        .iter()
        .find_map(|it| line.strip_prefix(it))
    else {
        return Vec::new();
    };
    let Some(inner) = rest.strip_prefix(['{', '[']) else {
        return vec![&rest[..ident(rest)]];
    };
    let inner = &inner[..inner.find(['}', ']']).unwrap_or(inner.len())];
    let names = inner.split(',').map(|it| {
        let local = it
            .rsplit(':')
            .next()
            .unwrap_or(it)
            .trim()
            .trim_start_matches("...");
        &local[..ident(local)]
    });
    names.filter(|it| !it.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(of: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        of.iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
            .collect()
    }

    const PACK: &str = "// All of it.\nexport * from './a.js';\nexport * from './b.js';\n";

    fn refusal(a: &str, b: &str) -> String {
        let packed = pack(&files(&[("a.js", a), ("b.js", b), ("ab.js", PACK)]));
        packed.unwrap_err().to_string()
    }

    #[test]
    fn the_parts_stand_in_one_file_and_need_nothing_of_each_other() {
        let packed = pack(&files(&[
            (
                "a.js",
                "import { t } from './t.js';\nexport const one = t('1');\n",
            ),
            (
                "b.js",
                "import {\n  one,\n} from './a.js';\nimport { more, t } from './t.js';\n\
                 import * as api from './api.js';\nexport const two = () => one + t + more + api;\n\
                 import('./later.js');\n",
            ),
            ("ab.js", PACK),
            ("t.js", ""),
        ]))
        .unwrap();
        assert_eq!(
            String::from_utf8(packed.files["ab.js"].clone()).unwrap(),
            "import * as api from './api.js';\nimport { more, t } from './t.js';\n\
             export const one = t('1');\nexport const two = () => one + t + more + api;\n\
             import('./later.js');\n"
        );
        assert_eq!(packed.home["b.js"], "ab.js");
        let left: Vec<&String> = packed.files.keys().collect();
        assert_eq!(left, ["ab.js", "t.js"]);
    }

    #[test]
    fn a_name_that_two_parts_use_is_reported_with_both() {
        let refusal = refusal("const HOUR = 1;\n", "let { x: HOUR } = page;\n");
        assert!(
            refusal.contains("ab.js cannot be published as one file: b.js"),
            "{refusal}"
        );
        assert!(
            refusal.contains("HOUR, as a.js does; rename one"),
            "{refusal}"
        );
    }

    #[test]
    fn a_part_that_ends_in_a_comment_swallows_nothing() {
        let (a, b) = ("const a = 1; // one", "const b = 2;");
        let packed = pack(&files(&[("a.js", a), ("b.js", b), ("ab.js", PACK)])).unwrap();
        assert_eq!(packed.files["ab.js"], format!("{a}\n{b}\n").into_bytes());
    }

    #[test]
    fn names_inside_of_functions_do_not_matter() {
        let part = "export function f() {\n  const x = 1;\n}\n";
        let other = "export function g() {\n  const x = 2;\n}\n";
        assert!(pack(&files(&[("a.js", part), ("b.js", other), ("ab.js", PACK)])).is_ok());
    }

    #[test]
    fn what_packs_cannot_do_is_reported_with_its_cure() {
        let later = refusal("import { b } from './b.js';\n", "export const b = 1;\n");
        assert!(later.contains("put b.js before it"), "{later}");
        let renamed = refusal(
            "export const a = 1;\n",
            "import { a as c } from './a.js';\n",
        );
        assert!(renamed.contains("under other names"), "{renamed}");
        let default = refusal("export default 1;\n", "");
        assert!(default.contains("give it a name"), "{default}");
        let gone = pack(&files(&[("ab.js", PACK)])).unwrap_err().to_string();
        assert!(gone.contains("a.js is not there"), "{gone}");
        let twice = files(&[("a.js", ""), ("b.js", ""), ("ab.js", PACK), ("ba.js", PACK)]);
        let twice = pack(&twice).unwrap_err().to_string();
        assert!(twice.contains("a part of ab.js already"), "{twice}");
    }
}
