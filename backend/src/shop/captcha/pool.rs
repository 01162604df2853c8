//! Ready-made pictures.
//!
//! Drawing takes a millisecond or two, a rush wants thousands in a second. So each
//! process keeps some hundred pictures, hands them out by turns, and a thread of its own
//! draws new ones for those that were used, with a quarter of one core at most.
//! With fewer shoppers than that, each sees a picture that nobody has seen; in a rush
//! many see the same one. A program that recognises a picture need not search for the
//! hole; it still has to send a drag of its own, in real time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use super::picture::{self, Picture};

/// Pictures that are kept: 16 KB each.
const SIZE: usize = 256;
/// Longest rest of the thread that draws.
const REST: Duration = Duration::from_millis(50);
/// It rests this many times as long as it draws, once the pool is full.
const RESTS: u32 = 3;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The system gives no random numbers.
    #[error("the system gives no random numbers ({0}), so that no puzzle can be made")]
    Random(#[from] getrandom::Error),
    /// The encoder refused.
    #[error("a puzzle's picture cannot be encoded: {0}")]
    Encoding(#[from] jpeg_encoder::EncodingError),
    /// No thread.
    #[error("the thread that draws puzzles cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Pictures, shared by all who hand them out.
#[derive(Debug, Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    slots: RwLock<Vec<Slot>>,
    turn: AtomicUsize,
    /// How many pictures are kept.
    size: usize,
}

#[derive(Debug)]
struct Slot {
    picture: Arc<Picture>,
    is_used: AtomicBool,
}

impl Pool {
    /// Draws the first picture, and the others by and by. The thread that does it
    /// ends when the last clone is dropped.
    ///
    /// # Errors
    /// [`PoolError`].
    pub fn open() -> Result<Self, PoolError> {
        let shared = Arc::new(Shared {
            slots: RwLock::new(vec![fresh()?]),
            turn: AtomicUsize::new(0),
            size: SIZE,
        });
        let pool = Arc::downgrade(&shared);
        std::thread::Builder::new()
            .name("puzzles".to_owned())
            .spawn(move || keep_fresh(&pool))?;
        Ok(Self { shared })
    }

    /// The next picture.
    #[must_use]
    pub fn draw(&self) -> Arc<Picture> {
        let slots = self
            .shared
            .slots
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let turn = self.shared.turn.fetch_add(1, Ordering::Relaxed);
        let slot = &slots[turn % slots.len()];
        slot.is_used.store(true, Ordering::Relaxed);
        Arc::clone(&slot.picture)
    }
}

fn fresh() -> Result<Slot, PoolError> {
    let mut bytes = [[0; 8]; 2];
    getrandom::fill(bytes.as_flattened_mut())?;
    let [place, seed] = bytes.map(u64::from_ne_bytes);
    Ok(Slot {
        picture: Arc::new(picture::draw(place, seed)?),
        is_used: AtomicBool::new(false),
    })
}

/// Fills the pool, then replaces what was used, slot by slot.
fn keep_fresh(pool: &Weak<Shared>) {
    let mut next = 0;
    while let Some(shared) = pool.upgrade() {
        let began = Instant::now();
        let rest = match shared.renew(&mut next) {
            Ok(true) => Some(began.elapsed() * RESTS),
            Ok(false) => Some(REST),
            Err(error) => {
                tracing::error!(%error, "no new puzzle was drawn; older ones are handed out again");
                Some(REST)
            }
        };
        drop(shared);
        if let Some(rest) = rest {
            // Nothing unparks it: this is a sleep.
            std::thread::park_timeout(rest);
        }
    }
}

impl Shared {
    /// Adds a picture, or replaces one that was used; `false` if there was none to
    /// replace.
    fn renew(&self, next: &mut usize) -> Result<bool, PoolError> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let has_room = slots.len() < self.size;
        let used = (0..slots.len())
            .map(|step| (*next + step) % slots.len())
            .find(|index| slots[*index].is_used.load(Ordering::Relaxed));
        drop(slots);
        if !has_room && used.is_none() {
            return Ok(false);
        }
        let picture = fresh()?;
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        match used {
            Some(index) if !has_room => {
                slots[index] = picture;
                *next = index + 1;
            }
            _ => slots.push(picture),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_picture_that_was_used_is_replaced_and_one_that_was_not_stays() {
        let shared = Shared {
            slots: RwLock::default(),
            turn: AtomicUsize::new(0),
            size: 8,
        };
        let pool = Pool {
            shared: Arc::new(shared),
        };
        let mut next = 0;
        for _ in 0..8 {
            assert!(pool.shared.renew(&mut next).unwrap());
        }
        assert!(
            !pool.shared.renew(&mut next).unwrap(),
            "nothing was used yet"
        );
        let before = pool.draw();
        assert!(pool.shared.renew(&mut next).unwrap());
        let seen: HashSet<String> = (0..8).map(|_| pool.draw().json.clone()).collect();
        assert_eq!(seen.len(), 8);
        assert!(!seen.contains(&before.json));
    }
}
