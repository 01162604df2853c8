use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::thread;

use proptest::prelude::*;

use super::sets::zeroed;
use super::*;

const SEED: Seed = Seed::new([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210]);
const NOW: u64 = 1_795_406_400;
const DAY_S: u64 = 86_400;

fn buyer(user: u64) -> BuyerKey {
    BuyerKey::new(SEED, "1", "153", &format!("user{user}"))
}

fn request(id: u64) -> RequestKey {
    RequestKey::new(SEED, &format!("request{id}"))
}

struct Table {
    sets: Vec<Set>,
    counts: Counts,
}

impl Table {
    fn new(sets: usize) -> Self {
        let counts = Counts::default();
        let sets = zeroed(sets);
        Self { sets, counts }
    }

    fn seen(&self) -> Seen<'_> {
        Seen::new(&self.sets, &self.counts, DAY_S)
    }
}

#[test]
fn tells_a_repeated_request_from_a_second_click() {
    let table = Table::new(4);
    let seen = table.seen();
    assert_eq!(seen.check(buyer(1), request(1), NOW), Answer::Unseen);
    seen.record(buyer(1), request(1), NOW);
    assert_eq!(seen.check(buyer(1), request(1), NOW), Answer::SameRequest);
    assert_eq!(seen.check(buyer(1), request(2), NOW), Answer::SecondClick);
    assert_eq!(seen.check(buyer(2), request(1), NOW), Answer::Unseen);
    let elsewhere = BuyerKey::new(SEED, "1", "154", "user1");
    assert_eq!(seen.check(elsewhere, request(1), NOW), Answer::Unseen);
}

#[test]
fn a_purchase_is_recalled_long_after_a_second_click_passes_again() {
    let table = Table::new(4);
    let seen = table.seen();
    seen.record(buyer(1), request(1), NOW);
    let late = NOW + 2 * DAY_S;
    assert_eq!(seen.check(buyer(1), request(1), late), Answer::Unseen);
    assert_eq!(seen.recall(buyer(1), request(1)), Answer::SameRequest);
    assert_eq!(seen.recall(buyer(1), request(2)), Answer::SecondClick);
    assert_eq!(seen.recall(buyer(2), request(1)), Answer::Unseen);
    assert!(seen.knows(buyer(1)) && !seen.knows(buyer(2)));
    // Later clicks do not displace the request that bought.
    for _ in 0..3 {
        seen.touch(buyer(1), late);
        seen.touch(buyer(2), late);
    }
    assert_eq!(seen.check(buyer(1), request(9), late), Answer::SecondClick);
    assert_eq!(seen.recall(buyer(1), request(1)), Answer::SameRequest);
    assert!(!seen.knows(buyer(2)));
}

#[test]
fn a_buyer_who_may_buy_again_is_forgotten_with_all_his_requests() {
    let table = Table::new(4);
    let seen = table.seen();
    seen.record(buyer(1), request(1), NOW);
    seen.record(buyer(1), request(2), NOW);
    assert!(seen.forget(buyer(1)));
    assert_eq!(seen.check(buyer(1), request(3), NOW), Answer::Unseen);
    assert_eq!(seen.check(buyer(1), request(1), NOW), Answer::Unseen);
    assert!(!seen.forget(buyer(1)));
    assert_eq!(table.counts.entries(), 0);
}

#[test]
fn both_requests_of_a_double_click_on_two_workers_get_their_answer_again() {
    let table = Table::new(4);
    let seen = table.seen();
    for id in 1..=2 {
        assert_eq!(table.counts.entries(), id - 1);
        seen.record(buyer(1), request(id), NOW + id);
    }
    assert_eq!(seen.check(buyer(1), request(1), NOW), Answer::SameRequest);
    assert_eq!(seen.check(buyer(1), request(2), NOW), Answer::SameRequest);
    seen.record(buyer(1), request(3), NOW + 3);
    assert_eq!(table.counts.entries(), 2, "one buyer cannot fill a set");
    assert_eq!(seen.check(buyer(1), request(1), NOW), Answer::SecondClick);
    assert_eq!(seen.check(buyer(1), request(3), NOW), Answer::SameRequest);
}

#[test]
fn entries_end_with_their_life_and_bear_a_clock_that_jumps() {
    let table = Table::new(4);
    let seen = table.seen();
    seen.record(buyer(1), request(1), NOW);
    let at = |now| seen.check(buyer(1), request(2), now);
    assert_eq!(at(NOW + DAY_S), Answer::SecondClick);
    assert_eq!(at(NOW + DAY_S + 1), Answer::Unseen);
    // Another worker's clock may be a little behind.
    assert_eq!(at(NOW - 1), Answer::SecondClick);
    // Set back by an hour: the table forgets rather than refuse for an hour.
    assert_eq!(at(NOW - 3_600), Answer::Unseen);
    // The clock's extremes must not stop the worker.
    assert_eq!(at(0), Answer::Unseen);
    seen.record(buyer(1), request(2), NOW + DAY_S + 2);
    assert_eq!(
        table.counts.entries(),
        1,
        "what has expired gives way first"
    );
}

#[test]
fn the_oldest_gives_way_and_that_is_counted() {
    let table = Table::new(2);
    let seen = table.seen();
    for user in 0..40 {
        seen.record(buyer(user), request(user), NOW + user);
    }
    let is_there =
        |user: &u64| seen.check(buyer(*user), request(*user), NOW + 40) != Answer::Unseen;
    let kept: Vec<_> = (0..40).filter(is_there).collect();
    assert_eq!(kept, (24..40).collect::<Vec<_>>());
    assert_eq!((table.counts.entries(), table.counts.evicted()), (16, 24));
}

#[test]
fn a_table_without_room_lets_everybody_through() {
    let table = Table::new(0);
    table.seen().record(buyer(1), request(1), NOW);
    assert!(!table.seen().forget(buyer(1)));
    assert_eq!(
        table.seen().check(buyer(1), request(2), NOW),
        Answer::Unseen
    );
}

#[test]
fn a_million_buyers_in_24_mib_without_losing_one() {
    assert!(bytes_for(1_000_000) <= 24 << 20);
    let table = Table::new(bytes_for(1_000_000) / size_of::<Set>());
    assert!(holds(table.sets.len()) >= 1_000_000);
    let seen = table.seen();
    // Tags as a keyed hash gives them, without its cost in a debug build.
    let buyer = |user: u64| BuyerKey(SEED.hash_words([user]).max(1));
    for user in 0..1_000_000 {
        seen.record(buyer(user), RequestKey(user as u32), NOW);
    }
    assert_eq!(
        (table.counts.entries(), table.counts.evicted()),
        (1_000_000, 0)
    );
    for user in (0..1_000_000).step_by(7) {
        assert_eq!(
            seen.check(buyer(user), RequestKey(user as u32), NOW),
            Answer::SameRequest
        );
        assert_eq!(
            seen.check(buyer(user), RequestKey(0x8000_0000), NOW),
            Answer::SecondClick
        );
        assert_eq!(
            seen.check(buyer(user + 1_000_000), RequestKey(0), NOW),
            Answer::Unseen
        );
    }
}

/// Why this can happen: a worker is killed, or overtaken, between claiming a slot
/// and writing its mark. What this simulates: the new tag over the old mark.
#[test]
fn a_half_written_entry_counts_as_unseen_and_is_mended_by_the_next_record() {
    let table = Table::new(1);
    let seen = table.seen();
    for user in 0..8 {
        seen.record(buyer(user), request(user), NOW + user);
    }
    let (slot, old) = seen.victim(buyer(100), NOW + 8).unwrap();
    assert!(slot.claim(old, buyer(100).0));
    assert_eq!(seen.check(buyer(100), request(100), NOW), Answer::Unseen);
    assert_eq!(seen.check(buyer(0), request(0), NOW), Answer::Unseen);
    seen.record(buyer(100), request(100), NOW + 9);
    assert_eq!(
        seen.check(buyer(100), request(100), NOW),
        Answer::SameRequest
    );
    assert_eq!(table.counts.evicted(), 0, "no second slot was taken");
}

/// Workers that record into few sets at once evict each other all the time; what
/// is found must still be what was recorded for that very buyer.
#[test]
fn no_buyer_is_ever_refused_for_what_another_did() {
    let table = Table::new(3);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..3_u64)
            .map(|worker| {
                let seen = table.seen();
                scope.spawn(move || {
                    for n in 0..20_000_u64 {
                        let user = 3 * (n % 500) + worker;
                        seen.record(buyer(user), request(user), NOW + n / 1_000);
                        if n % 5 == 0 {
                            seen.forget(buyer(user));
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let seen = table.seen();
            let mut wrong = 0;
            while !done.load(Ordering::Relaxed) {
                for user in 0..1_500 {
                    let answer = seen.check(buyer(user), request(user), NOW + 20);
                    wrong += usize::from(answer == Answer::SecondClick);
                    // Never recorded at all.
                    let stranger = seen.check(buyer(user + 10_000), request(0), NOW);
                    assert_eq!(stranger, Answer::Unseen);
                }
            }
            // The check bits let one mixed entry in 256 through, and an entry is
            // mixed only for an instant or after a race for the same slot.
            assert!(
                wrong < 200,
                "{wrong} repeated requests seemed second clicks"
            );
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let used = sets::run(&table.sets, 0, 3).filter(|slot| slot.tag.load(Ordering::Relaxed) != 0);
    assert_eq!(used.count() as u64, table.counts.entries());
}

#[test]
fn workers_that_record_the_same_buyers_at_once_agree_on_them() {
    let table = Table::new(2_000);
    thread::scope(|scope| {
        for worker in 0..4 {
            let seen = table.seen();
            scope.spawn(move || {
                for user in 0..2_000 {
                    seen.record(buyer(user), request(worker), NOW);
                }
            });
        }
    });
    let seen = table.seen();
    for user in 0..2_000 {
        let same = |id: &u64| seen.check(buyer(user), request(*id), NOW) == Answer::SameRequest;
        assert!((1..=4).contains(&(0..4).filter(same).count()));
        assert_eq!(
            seen.check(buyer(user), request(9), NOW),
            Answer::SecondClick
        );
        assert!(seen.forget(buyer(user)));
        assert_eq!(seen.check(buyer(user), request(9), NOW), Answer::Unseen);
    }
    assert_eq!(table.counts.entries(), 0);
    assert_eq!(table.counts.evicted(), 0);
}

proptest! {
    /// While nothing has to give way, the table is a map from buyer to the last
    /// two requests.
    #[test]
    fn behaves_like_a_map_of_the_last_two_requests(
        steps in prop::collection::vec((0..6_u8, 0..8_u64, 0..4_u64), 1..80),
    ) {
        let table = Table::new(64);
        let seen = table.seen();
        let mut model: HashMap<u64, Vec<u64>> = HashMap::new();
        for (now, (action, user, id)) in (NOW..).zip(steps) {
            if action == 0 {
                prop_assert_eq!(seen.forget(buyer(user)), model.remove(&user).is_some());
            } else {
                seen.record(buyer(user), request(id), now);
                let requests = model.entry(user).or_default();
                requests.retain(|other| *other != id);
                requests.push(id);
                if requests.len() > 2 {
                    requests.remove(0);
                }
            }
            for (user, id) in (0..8).flat_map(|user| (0..4).map(move |id| (user, id))) {
                let wanted = match model.get(&user) {
                    None => Answer::Unseen,
                    Some(requests) if requests.contains(&id) => Answer::SameRequest,
                    Some(_) => Answer::SecondClick,
                };
                prop_assert_eq!(seen.check(buyer(user), request(id), now), wanted);
            }
        }
    }
}
