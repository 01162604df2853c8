//! Brings stock to a buyer whose segment is empty while other segments have some.
//!
//! The stock moves to the buyer, not the buyer to the stock: a block is transferred
//! to the segment that holds the buyer's record, and the purchase is tried again. So
//! a purchase stays one atomic step on one segment, and a second purchase by the same
//! buyer always finds the first one's record.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::redis::RedisLinkError;
use crate::redis::segments::{Segment, Segments};
use crate::stock::transfer;
use crate::stock::transfer::SegmentOffer;

/// How long a buyer waits for stock that is in transit.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);
/// Pause before checking again for stock in transit.
const PAUSE: Duration = Duration::from_millis(5);
/// How long "all are empty" holds for other buyers of the same segment.
const NONE_LEFT_HOLDS: Duration = Duration::from_millis(20);

/// The result of trying to refill a buyer's segment.
#[derive(Debug)]
pub(super) enum Refilled {
    /// The buyer's segment has stock now, or had some a moment ago.
    Stocked,
    /// At one instant all segments were empty, and nothing was in transit.
    NoneLeft,
    /// Stock is in transit, and did not arrive in time.
    InTransit,
    /// A segment that may have stock is away.
    Away(RedisLinkError),
    /// A segment has no stock on record: its Redis lost it.
    Lost(Segment),
}

/// Segments whose refills are remembered before it is looked for those that nobody uses.
const REMEMBERED: usize = 1_024;

/// Refills the segments of all products; cloning it is cheap.
#[derive(Debug, Clone)]
pub(super) struct Refiller {
    segments: Segments,
    refills: Arc<Mutex<Remembered>>,
}

/// The refills of the segments that are bought from: of those alone, since a process
/// outlives thousands of rounds.
#[derive(Debug)]
struct Remembered {
    refills: HashMap<Segment, Arc<Refills>>,
    /// How many there may be before it is looked for those that nobody uses.
    most: usize,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            refills: HashMap::new(),
            most: REMEMBERED,
        }
    }
}

impl Remembered {
    fn of(&mut self, home: &Segment) -> Arc<Refills> {
        if let Some(refills) = self.refills.get(home) {
            return Arc::clone(refills);
        }
        if self.refills.len() >= self.most {
            // Whoever buys or searches holds theirs. What the others say is true for
            // milliseconds.
            self.refills
                .retain(|_, refills| Arc::strong_count(refills) > 1);
            // So that one look in many purchases suffices, however many there are at once.
            self.most = REMEMBERED.max(2 * self.refills.len());
        }
        Arc::clone(self.refills.entry(home.clone()).or_default())
    }
}

/// The refills of one segment. Of many buyers who need one at once, one searches
/// and the others wait for that search.
#[derive(Debug, Default)]
pub(super) struct Refills {
    /// How often stock was brought here.
    count: AtomicU64,
    /// Locked while somebody searches. Holds when a search found nothing, and for
    /// which quantity.
    none_left: tokio::sync::Mutex<Option<(Instant, u32)>>,
}

impl Refills {
    /// How often stock was brought here: to be read before a purchase is tried.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }
}

impl Refiller {
    pub(super) fn new(segments: Segments) -> Self {
        Self {
            segments,
            refills: Arc::default(),
        }
    }

    /// The refills of a segment.
    pub(super) fn refills_of(&self, home: &Segment) -> Arc<Refills> {
        let mut refills = self.refills.lock().unwrap_or_else(PoisonError::into_inner);
        refills.of(home)
    }

    /// Brings stock to segment `home`, one of `count`, which had less than
    /// `quantity` after `seen` refills.
    pub(super) async fn refill(
        &self,
        refills: &Refills,
        seen: u64,
        home: &Segment,
        count: u16,
        quantity: u32,
    ) -> Refilled {
        let mut none_left = refills.none_left.lock().await;
        if refills.count() != seen {
            return Refilled::Stocked;
        }
        let still_holds =
            |(at, wanted): &(Instant, u32)| *wanted <= quantity && at.elapsed() < NONE_LEFT_HOLDS;
        if none_left.as_ref().is_some_and(still_holds) {
            return Refilled::NoneLeft;
        }
        let refilled = self.search(home, count, quantity).await;
        match refilled {
            Refilled::Stocked => {
                refills.count.fetch_add(1, Ordering::Release);
            }
            Refilled::NoneLeft => *none_left = Some((Instant::now(), quantity)),
            _ => {}
        }
        refilled
    }

    async fn search(&self, home: &Segment, count: u16, quantity: u32) -> Refilled {
        let deadline = Instant::now() + TIMEOUT;
        // "None left" is true at an instant if two surveys of all segments read the
        // same: stock only comes to an empty segment by a transfer, which counts.
        // (What cancelled orders release meanwhile is for buyers who come later.)
        let mut before = None;
        // Segments that were healed and serve others first.
        let mut barred = Vec::new();
        let mut halted = None;
        loop {
            let levels = match self.survey(home, count).await {
                Ok(levels) => levels,
                Err(refilled) => return refilled,
            };
            let wanted = u64::from(quantity);
            let here = levels[usize::from(home.number) - 1].sale.unwrap_or(0);
            if here >= wanted {
                return Refilled::Stocked;
            }
            let others = (1..=count).zip(&levels);
            let others = others.filter(|(n, _)| *n != home.number && !barred.contains(n));
            let richest = others.max_by_key(|(_, level)| level.sale);
            let mut pause = PAUSE;
            match richest {
                Some((
                    from,
                    SegmentOffer {
                        sale: Some(1..), ..
                    },
                )) => {
                    let missing = wanted - here;
                    let transferred =
                        transfer::transfer(&self.segments, &home.item, from, home.number, missing);
                    match transferred.await {
                        Ok(moved) if moved >= missing => return Refilled::Stocked,
                        Ok(_) => {}
                        Err(error) if error.is_halted() => {
                            barred.push(from);
                            halted = Some(error);
                            continue;
                        }
                        Err(error) => return Refilled::Away(error),
                    }
                    // Two segments that pull at each other must not do so in step.
                    pause = PAUSE.mul_f64(f64::from(random_byte()) / 255.0);
                }
                _ if levels.iter().any(|level| level.leaving > 0) => {}
                _ => {
                    if let Some(error) = halted {
                        return Refilled::Away(error);
                    }
                    if before.as_ref() == Some(&levels) {
                        return Refilled::NoneLeft;
                    }
                    before = Some(levels);
                    continue;
                }
            }
            if Instant::now() >= deadline {
                return Refilled::InTransit;
            }
            before = None;
            tokio::time::sleep(pause).await;
        }
    }

    /// Reads all segments at once. One that is away or halted is passed over as long as
    /// another has stock.
    async fn survey(&self, home: &Segment, count: u16) -> Result<Vec<SegmentOffer>, Refilled> {
        let mut reads = tokio::task::JoinSet::new();
        for number in 1..=count {
            let (segments, item) = (self.segments.clone(), home.item.clone());
            reads.spawn(async move {
                let segment = Segment { item, number };
                let level = transfer::offer(&segments, &segment).await;
                (segment, level)
            });
        }
        let mut levels = vec![SegmentOffer::default(); usize::from(count)];
        let mut missing = None;
        while let Some(read) = reads.join_next().await {
            // A read neither panics nor is it aborted.
            let Ok((segment, level)) = read else { continue };
            match level {
                Ok(SegmentOffer { sale: None, .. }) => missing = Some(Refilled::Lost(segment)),
                Ok(SegmentOffer {
                    is_halted: true, ..
                }) => {
                    let error = RedisLinkError::Halted(segment.to_string());
                    if segment == *home {
                        return Err(Refilled::Away(error));
                    }
                    missing = missing.or(Some(Refilled::Away(error)));
                }
                Ok(level) => levels[usize::from(segment.number) - 1] = level,
                Err(error) if segment == *home => return Err(Refilled::Away(error)),
                Err(error) => missing = missing.or(Some(Refilled::Away(error))),
            }
        }
        let has_stock = levels.iter().any(|level| level.sale > Some(0));
        match missing {
            Some(refilled) if !has_stock => Err(refilled),
            _ => Ok(levels),
        }
    }
}

/// Any byte; without randomness, the middle.
fn random_byte() -> u8 {
    let mut random = [128];
    let _ = getrandom::fill(&mut random);
    random[0]
}

#[cfg(test)]
mod tests {
    use seckill_core::ids::Item;

    use super::*;

    fn segment(round: usize, number: u16) -> Segment {
        Segment {
            item: Item::new(&round.to_string(), "153").unwrap(),
            number,
        }
    }

    #[test]
    fn of_a_thousand_rounds_those_are_remembered_that_are_bought_from() {
        let mut all = Remembered::default();
        let used = all.of(&segment(1, 1));
        for round in 2..100_000 {
            drop(all.of(&segment(round, 1)));
            assert!(all.refills.len() <= REMEMBERED, "round {round}");
        }
        used.count.fetch_add(1, Ordering::Relaxed);
        assert_eq!(all.of(&segment(1, 1)).count(), 1, "it is still the same");
    }

    #[test]
    fn none_is_forgotten_while_it_is_used() {
        let mut all = Remembered::default();
        let used: Vec<_> = (0..5_000).map(|n| all.of(&segment(n, 1))).collect();
        for (n, refills) in used.iter().enumerate() {
            assert!(Arc::ptr_eq(refills, &all.of(&segment(n, 1))));
        }
    }
}
