//! What happens when a buyer's segment is empty and others are not.
//!
//! The stock comes to the buyer, not the buyer to the stock: a block is moved
//! to his segment, where his record lies, and the purchase is tried again. So a
//! purchase stays one atomic step on one segment, and whoever buys twice always
//! meets his own record.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::redis::RedisLinkError;
use crate::redis::segments::{Segment, Segments};
use crate::stock::transfer;
use crate::stock::transfer::Shelf;

/// How long a buyer waits for stock that is on its way.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Pause before looking again for what is on its way.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How long "all are empty" holds for others who come to the same segment.
const KNOWN_GONE: Duration = Duration::from_millis(20);

/// What a look at the other segments came to.
#[derive(Debug)]
pub(super) enum Found {
    /// There is stock in the buyer's segment now, or was a moment ago.
    Stock,
    /// At one instant all segments were empty, and nothing was on its way.
    Nothing,
    /// Stock is on its way, and did not arrive in time.
    OnItsWay,
    /// A segment that may have stock cannot be asked.
    CannotTell(RedisLinkError),
    /// A segment has no stock on record: its Redis lost it.
    Lost(Segment),
}

/// Brings stock to where buyers are; cloning it is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Handover {
    segments: Segments,
    gates: Arc<Mutex<HashMap<Segment, Arc<Gate>>>>,
}

/// Where buyers of one segment wait while one of them looks.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// How often stock was brought here.
    brought: AtomicU64,
    /// Held by whoever looks: when all was gone, and how much was not to be had.
    looking: tokio::sync::Mutex<Option<(Instant, u32)>>,
}

impl Gate {
    /// A mark to be taken before a purchase is tried.
    pub(super) fn mark(&self) -> u64 {
        self.brought.load(Ordering::Acquire)
    }
}

impl Handover {
    pub(crate) fn new(segments: Segments) -> Self {
        Self {
            segments,
            gates: Arc::default(),
        }
    }

    /// The gate of a segment.
    pub(super) fn gate(&self, home: &Segment) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(home.clone()).or_default())
    }

    /// Brings stock to segment `home`, one of `count`, whose `quantity` was not
    /// to be had after `mark`. Of many buyers who ask at once, one looks.
    pub(super) async fn bring(
        &self,
        gate: &Gate,
        mark: u64,
        home: &Segment,
        count: u16,
        quantity: u32,
    ) -> Found {
        let mut gone = gate.looking.lock().await;
        if gate.mark() != mark {
            return Found::Stock;
        }
        let same = |(at, wanted): &(Instant, u32)| *wanted <= quantity && at.elapsed() < KNOWN_GONE;
        if gone.as_ref().is_some_and(same) {
            return Found::Nothing;
        }
        let found = self.search(home, count, quantity).await;
        match found {
            Found::Stock => {
                gate.brought.fetch_add(1, Ordering::Release);
            }
            Found::Nothing => *gone = Some((Instant::now(), quantity)),
            _ => {}
        }
        found
    }

    async fn search(&self, home: &Segment, count: u16, quantity: u32) -> Found {
        let until = Instant::now() + PATIENCE;
        // "Nothing" is true at an instant if two looks at all segments saw the
        // same: stock only comes to an empty segment by a transfer, which counts.
        // (What a cancelled order gives back meanwhile is for those who come later.)
        let mut before = None;
        loop {
            let shelves = match self.survey(home, count).await {
                Ok(shelves) => shelves,
                Err(found) => return found,
            };
            let wanted = u64::from(quantity);
            let here = shelves[usize::from(home.number) - 1].sale.unwrap_or(0);
            if here >= wanted {
                return Found::Stock;
            }
            let others = (1..=count).zip(&shelves).filter(|(n, _)| *n != home.number);
            let richest = others.max_by_key(|(_, shelf)| shelf.sale);
            let mut pause = LOOK_AGAIN;
            match richest {
                Some((
                    from,
                    Shelf {
                        sale: Some(1..), ..
                    },
                )) => {
                    let missing = wanted - here;
                    let pulled =
                        transfer::transfer(&self.segments, &home.item, from, home.number, missing);
                    match pulled.await {
                        Ok(moved) if moved >= missing => return Found::Stock,
                        Ok(_) => {}
                        Err(error) => return Found::CannotTell(error),
                    }
                    // Two that pull at each other must not do so in step.
                    pause = LOOK_AGAIN.mul_f64(f64::from(random_byte()) / 255.0);
                }
                _ if shelves.iter().any(|shelf| shelf.leaving > 0) => {}
                _ if before.as_ref() == Some(&shelves) => return Found::Nothing,
                _ => {
                    before = Some(shelves);
                    continue;
                }
            }
            if Instant::now() >= until {
                return Found::OnItsWay;
            }
            before = None;
            tokio::time::sleep(pause).await;
        }
    }

    /// Looks at all segments at once. One that cannot be asked is passed over as
    /// long as another has stock.
    async fn survey(&self, home: &Segment, count: u16) -> Result<Vec<Shelf>, Found> {
        let mut looks = tokio::task::JoinSet::new();
        for number in 1..=count {
            let (segments, item) = (self.segments.clone(), home.item.clone());
            looks.spawn(async move {
                let segment = Segment { item, number };
                let shelf = transfer::look(&segments, &segment).await;
                (segment, shelf)
            });
        }
        let mut shelves = vec![Shelf::default(); usize::from(count)];
        let mut missing = None;
        while let Some(look) = looks.join_next().await {
            // A look neither panics nor is it aborted.
            let Ok((segment, shelf)) = look else { continue };
            match shelf {
                Ok(Shelf { sale: None, .. }) => missing = Some(Found::Lost(segment)),
                Ok(shelf) => shelves[usize::from(segment.number) - 1] = shelf,
                Err(error) if segment == *home => return Err(Found::CannotTell(error)),
                Err(error) => missing = missing.or(Some(Found::CannotTell(error))),
            }
        }
        let has_stock = shelves.iter().any(|shelf| shelf.sale > Some(0));
        match missing {
            Some(found) if !has_stock => Err(found),
            _ => Ok(shelves),
        }
    }
}

/// Anything; without randomness, the middle.
fn random_byte() -> u8 {
    let mut random = [128];
    let _ = getrandom::fill(&mut random);
    random[0]
}
