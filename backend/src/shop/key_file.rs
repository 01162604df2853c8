//! The key ring of the purchase role, which follows its file: keys are rotated without a
//! restart, whichever of edges and back ends reads the new file first.
//!
//! A key verifies from the moment that it is read, and at once if a request comes that no
//! known key has signed. It signs only [`SETTLED`] later, as long as the key before it is
//! still in the file: edges that have not read the file yet would refuse what it signed.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use seckill_core::signing::keyring::{Key, Keyring};
use tokio_util::sync::CancellationToken;

use crate::time::periodic;

/// How long after it was read a new first key begins to sign.
const SETTLED: Duration = Duration::from_secs(60);
/// How often the file is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// How often at most it is looked at because of a request that no key has signed.
const LOOKS: Duration = Duration::from_millis(50);

/// The keys in force. Each ring that was ever read lives as long as the process: a few
/// hundred bytes a rotation, for which no request takes a lock while it verifies.
#[derive(Debug)]
pub struct Keys {
    current: RwLock<InForce>,
    file: Mutex<File>,
}

#[derive(Debug, Clone, Copy)]
struct InForce {
    ring: &'static Keyring,
    /// The ring whose first key signs, and until when, if not that of `ring`.
    signs: Option<(&'static Keyring, Instant)>,
}

#[derive(Debug, Default)]
struct File {
    path: Option<PathBuf>,
    /// What the file looked like when it was read last.
    seen: Option<(SystemTime, u64)>,
    looked: Option<Instant>,
}

impl Deref for Keys {
    type Target = Keyring;

    fn deref(&self) -> &Keyring {
        self.in_force().ring
    }
}

impl Keys {
    /// A ring that no file changes.
    #[must_use]
    pub fn fixed(ring: &Arc<Keyring>) -> Self {
        Self {
            current: RwLock::new(InForce {
                ring: kept(Keyring::clone(ring)),
                signs: None,
            }),
            file: Mutex::default(),
        }
    }

    /// The same ring, which was read from this file and follows it.
    #[must_use]
    pub fn of_file(ring: &Arc<Keyring>, path: &Path) -> Self {
        let keys = Self::fixed(ring);
        *keys.file() = File {
            path: Some(path.to_owned()),
            seen: look(path),
            looked: None,
        };
        keys
    }

    /// The key that signs.
    pub(super) fn signing(&self) -> &'static Key {
        self.signing_at(Instant::now())
    }

    fn signing_at(&self, now: Instant) -> &'static Key {
        let InForce { ring, signs } = self.in_force();
        match signs {
            Some((before, until)) if now < until => before.first(),
            _ => ring.first(),
        }
    }

    /// Reads the file again if it has changed; whether it had. Called for a request that no
    /// key has signed, it looks at the file a few times a second at most.
    pub(super) fn read_again(&self) -> bool {
        self.read_again_at(Instant::now())
    }

    fn read_again_at(&self, now: Instant) -> bool {
        let mut file = self.file();
        if file.looked.is_some_and(|at| now < at + LOOKS) {
            return false;
        }
        file.looked = Some(now);
        let Some(path) = file.path.clone() else {
            return false;
        };
        let is = look(&path);
        if is.is_none() || is == file.seen {
            return false;
        }
        file.seen = is;
        drop(file);
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        let ring = text.and_then(|text| Keyring::parse(&text).map_err(|error| error.to_string()));
        match ring {
            Ok(ring) => {
                self.replace(ring, now);
                tracing::info!(path = %path.display(), "the key ring was read again");
                true
            }
            Err(error) => {
                tracing::error!(path = %path.display(), error, "the key ring cannot be read; the keys that were read before stay in force");
                false
            }
        }
    }

    fn replace(&self, ring: Keyring, now: Instant) {
        let ring = kept(ring);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let before = current.signs.map_or(current.ring, |(before, _)| before);
        let is_known = |key: &Key| ring.keys().any(|it| it.kid() == key.kid());
        let changes = before.first().kid() != ring.first().kid();
        let signs = (changes && is_known(before.first())).then(|| (before, now + SETTLED));
        *current = InForce { ring, signs };
    }

    fn in_force(&self) -> InForce {
        *self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> std::sync::MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kept(ring: Keyring) -> &'static Keyring {
    Box::leak(Box::new(ring))
}

fn look(path: &Path) -> Option<(SystemTime, u64)> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

/// Follows the file until `stop`.
pub async fn follow(keys: Arc<Keys>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        periodic::sleep(&stop, EVERY).await;
        keys.read_again();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(lines: &str) -> String {
        let secret = "s".repeat(32);
        lines
            .split(' ')
            .map(|kid| format!("{kid} {secret}{kid}\n"))
            .collect()
    }

    fn keys(lines: &str) -> (tempfile::TempDir, Keys) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, ring(lines)).unwrap();
        let parsed = Arc::new(Keyring::parse(&ring(lines)).unwrap());
        (folder, Keys::of_file(&parsed, &path))
    }

    fn write(folder: &tempfile::TempDir, lines: &str) {
        std::fs::write(folder.path().join("keys"), ring(lines)).unwrap();
    }

    fn known(keys: &Keys) -> Vec<String> {
        keys.keys().map(|key| key.kid().to_owned()).collect()
    }

    #[test]
    fn a_new_key_verifies_at_once_and_signs_when_the_edges_know_it() {
        let (folder, keys) = keys("k1");
        let now = Instant::now();
        write(&folder, "k2 k1");
        assert!(keys.read_again_at(now));
        assert_eq!(known(&keys), ["k2", "k1"]);
        assert_eq!(keys.signing_at(now).kid(), "k1");
        assert_eq!(keys.signing_at(now + SETTLED).kid(), "k2");
        write(&folder, "k2");
        assert!(!keys.read_again_at(now), "not looked at again so soon");
        assert!(keys.read_again_at(now + LOOKS));
        assert_eq!(known(&keys), ["k2"]);
        assert_eq!(keys.signing_at(now + LOOKS).kid(), "k2");
    }

    #[test]
    fn a_key_that_is_gone_from_the_file_signs_no_more() {
        let (folder, keys) = keys("k1");
        write(&folder, "k22");
        assert!(keys.read_again());
        assert_eq!(keys.signing().kid(), "k22");
    }

    #[test]
    fn a_file_that_is_no_ring_changes_nothing_and_is_read_when_it_is_one() {
        let (folder, keys) = keys("k1");
        let now = Instant::now();
        std::fs::write(folder.path().join("keys"), "half a line").unwrap();
        assert!(!keys.read_again_at(now));
        assert_eq!(known(&keys), ["k1"]);
        write(&folder, "k2 k1");
        assert!(keys.read_again_at(now + LOOKS));
        assert_eq!(known(&keys), ["k2", "k1"]);
    }
}
