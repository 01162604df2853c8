//! The permits that an edge has in hand for one product, shared by its workers.
//!
//! Lives in shared memory: atomics only, all-zero bytes are an empty hand, and
//! no worker that is killed at any instruction can wedge it. What a killed
//! worker had just taken out is lost to this edge and comes back by way of the
//! back end (see [`crate::permits::lease`], rule 4).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::permits::lease;
use crate::permits::lease::{Spent, Word};

/// Leases that a hand holds at once: the one being spent, the next one, and two
/// for answers that come while both are there.
const PLACES: usize = 4;
/// Linux process ids have at most 22 bits.
const PID_BITS: u32 = 22;

/// The permits in hand; see the module.
#[repr(C)]
#[derive(Default)]
pub struct Hand {
    words: [AtomicU64; PLACES],
    asked_ms: [AtomicU64; PLACES],
    /// `until_ms << PID_BITS | pid` of the worker that is taking a lease now.
    flight: AtomicU64,
    /// The block size that demand suggests; 0 before the first lease.
    block: AtomicU64,
    /// When the last lease came in, monotonic ms.
    filled_ms: AtomicU64,
}

/// The claim of one worker that is taking a lease.
#[derive(Debug, PartialEq, Eq)]
pub struct Flight(u64);

impl Hand {
    /// Spends `quantity` permits of one lease, if one has them. `now_ms` is
    /// monotonic, as everywhere here.
    pub fn spend(&self, quantity: u32, now_ms: u64) -> Option<Spent> {
        for (place, asked) in self.words.iter().zip(&self.asked_ms) {
            let mut word = place.load(Ordering::Acquire);
            loop {
                // A place's time is written before its word: read after the word
                // it can only belong to this lease or to a later one, and then
                // the exchange fails.
                let fresh = lease::may_spend(asked.load(Ordering::Acquire), now_ms);
                let Some(spent) = Word(word).spend(quantity).filter(|_| fresh) else {
                    break;
                };
                match place.compare_exchange_weak(
                    word,
                    spent.word.0,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                ) {
                    Ok(_) => return Some(spent),
                    Err(current) => word = current,
                }
            }
        }
        None
    }

    /// Permits that can be spent now.
    #[must_use]
    pub fn left(&self, now_ms: u64) -> u64 {
        self.words
            .iter()
            .zip(&self.asked_ms)
            .map(|(word, asked)| {
                let left = Word(word.load(Ordering::Acquire)).left();
                if lease::may_spend(asked.load(Ordering::Acquire), now_ms) {
                    left
                } else {
                    0
                }
            })
            .sum()
    }

    /// Puts a lease into the hand. False if there is no place for it; then the caller
    /// returns it.
    pub fn put(&self, number: u64, amount: u64, asked_ms: u64) -> bool {
        for (place, asked) in self.words.iter().zip(&self.asked_ms) {
            let word = place.load(Ordering::Acquire);
            if Word(word).left() > 0 {
                continue;
            }
            // Reserved with a number of no permits, so that the time can be
            // written before anybody can spend by it.
            let reserved = Word::new(number, 0).0;
            let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
            if place.compare_exchange(word, reserved, done, failed).is_ok() {
                asked.store(asked_ms, Ordering::Release);
                let fresh = Word::new(number, amount).0;
                return place
                    .compare_exchange(reserved, fresh, done, failed)
                    .is_ok();
            }
        }
        false
    }

    /// Takes out what may not be spent any more: lease numbers with the permits left
    /// on each, for the caller to return. With `all` set, everything.
    pub fn lapse(&self, now_ms: u64, all: bool) -> Vec<(u64, u64)> {
        let mut lapsed = Vec::new();
        for (place, asked) in self.words.iter().zip(&self.asked_ms) {
            let word = place.load(Ordering::Acquire);
            let fresh = lease::may_spend(asked.load(Ordering::Acquire), now_ms);
            if Word(word).left() == 0 || (fresh && !all) {
                continue;
            }
            let empty = Word::new(Word(word).lease(), 0).0;
            let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
            // A worker that spends from it in this moment wins; the next turn sees the rest.
            if place.compare_exchange(word, empty, done, failed).is_ok() {
                lapsed.push((Word(word).lease(), Word(word).left()));
            }
        }
        lapsed
    }

    /// Claims the right to take a lease, until `until_ms`, for process `pid`: one
    /// flight per product and edge. The claim lapses if its worker dies.
    pub fn claim_flight(&self, pid: u32, now_ms: u64, until_ms: u64) -> Option<Flight> {
        let word = self.flight.load(Ordering::Acquire);
        let claim = until_ms << PID_BITS | u64::from(pid);
        (word >> PID_BITS <= now_ms && self.change_flight(word, claim)).then_some(Flight(claim))
    }

    /// Keeps a claim until `until_ms`: the reply is late, and may still come. Without
    /// effect if the claim lapsed.
    pub fn keep_flight(&self, flight: &mut Flight, until_ms: u64) {
        let claim = until_ms << PID_BITS | flight.0 & ((1 << PID_BITS) - 1);
        if self.change_flight(flight.0, claim) {
            flight.0 = claim;
        }
    }

    fn change_flight(&self, from: u64, to: u64) -> bool {
        self.flight
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Whether a worker is taking a lease now.
    #[must_use]
    pub fn in_flight(&self, now_ms: u64) -> bool {
        self.flight.load(Ordering::Acquire) >> PID_BITS > now_ms
    }

    /// Ends the flight, unless its claim lapsed and it is another one's by now.
    pub fn end_flight(&self, flight: Flight) {
        self.change_flight(flight.0, 0);
    }

    /// The block size that demand suggests.
    #[must_use]
    pub fn block(&self) -> u64 {
        self.block.load(Ordering::Relaxed).max(1)
    }

    /// A lease has come in: the next block follows how long the last one lasted.
    pub fn adapt(&self, now_ms: u64) {
        let before = self.filled_ms.swap(now_ms, Ordering::Relaxed);
        let next = lease::next_block(self.block(), now_ms.saturating_sub(before));
        self.block.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;
    use std::thread;

    use super::*;
    use crate::permits::lease::LIFE_MS;

    #[test]
    fn spends_what_was_put_and_no_more() {
        let hand = Hand::default();
        assert_eq!(hand.spend(1, 0), None);
        assert!(hand.put(1, 3, 0));
        assert_eq!(hand.left(0), 3);
        assert!(hand.spend(2, 0).is_some());
        assert_eq!(hand.spend(2, 0), None);
        assert!(hand.spend(1, 0).is_some());
        assert_eq!(hand.left(0), 0);
    }

    #[test]
    fn a_lease_lapses_on_time_and_is_given_back_once() {
        let hand = Hand::default();
        assert!(hand.put(9, 5, 1_000));
        assert!(hand.spend(1, 1_500).is_some());
        assert_eq!(hand.lapse(1_000 + LIFE_MS - 1, false), []);
        assert_eq!(hand.spend(1, 1_000 + LIFE_MS), None);
        assert_eq!(hand.lapse(1_000 + LIFE_MS, false), [(9, 4)]);
        assert_eq!(hand.lapse(1_000 + LIFE_MS, false), []);
    }

    #[test]
    fn a_full_hand_takes_no_more() {
        let hand = Hand::default();
        for number in 1..=PLACES as u64 {
            assert!(hand.put(number, 1, 0));
        }
        assert!(!hand.put(99, 1, 0));
        assert!(hand.spend(1, 0).is_some());
        assert!(hand.put(99, 1, 0));
    }

    #[test]
    fn one_flight_at_a_time_and_a_dead_one_ends_by_itself() {
        let hand = Hand::default();
        let first = hand.claim_flight(1, 100, 600).unwrap();
        assert_eq!(hand.claim_flight(2, 599, 1_099), None);
        assert!(hand.in_flight(599));
        let second = hand.claim_flight(2, 600, 1_100).unwrap();
        // The first one's reply came after all: it ends nobody else's flight.
        hand.end_flight(first);
        assert!(hand.in_flight(700));
        hand.end_flight(second);
        assert!(!hand.in_flight(700));
    }

    #[test]
    fn a_flight_goes_on_while_its_reply_is_late() {
        let hand = Hand::default();
        let mut flight = hand.claim_flight(1, 100, 600).unwrap();
        hand.keep_flight(&mut flight, 900);
        assert_eq!(hand.claim_flight(2, 700, 1_200), None);
        hand.end_flight(flight);
        assert!(hand.claim_flight(2, 700, 1_200).is_some());
    }

    #[test]
    fn workers_that_race_spend_every_permit_exactly_once() {
        let hand = Hand::default();
        let spent = Mutex::new(HashSet::new());
        let returned = AtomicU64::new(0);
        let put = AtomicU64::new(0);
        thread::scope(|scope| {
            for worker in 0..4u64 {
                let (hand, spent, returned, put) = (&hand, &spent, &returned, &put);
                scope.spawn(move || {
                    for turn in 0..20_000u64 {
                        match hand.spend(1, turn) {
                            Some(one) => assert!(spent.lock().unwrap().insert((one.lease, one.n))),
                            None => {
                                let number = 1 + worker * 1_000_000 + turn;
                                if hand.put(number, 7, turn) {
                                    put.fetch_add(7, Ordering::Relaxed);
                                }
                            }
                        }
                        if turn % 64 == 0 {
                            let lapsed = hand.lapse(turn, true);
                            returned.fetch_add(
                                lapsed.iter().map(|(_, left)| left).sum(),
                                Ordering::Relaxed,
                            );
                        }
                    }
                });
            }
        });
        let left: u64 = hand.lapse(0, true).iter().map(|(_, left)| left).sum();
        let spent = spent.lock().unwrap().len() as u64;
        assert_eq!(spent + returned.into_inner() + left, put.into_inner());
    }
}
