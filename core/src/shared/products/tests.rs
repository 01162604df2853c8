use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::permits::reopening::{KNOWN_MS, Supply};

fn counted(granted: u64, open: u64, winners: u64) -> Option<Counted> {
    Some(Counted {
        granted,
        open,
        winners,
        limit: 9,
    })
}

fn is_sold_out(products: &Products<'_>, now_ms: u64) -> bool {
    let found = products.find("1", "153").unwrap();
    found.supply(now_ms) == Supply::SoldOut
}

fn table(slots: usize) -> Vec<Slot> {
    (0..slots).map(|_| Slot::default()).collect()
}

/// A line whose every field follows from one number.
fn entry(n: u64) -> Entry {
    Entry {
        window: Window {
            opens_ms: n,
            ends_ms: n + 1,
        },
        limit: n + 2,
        per_buyer: (n + 3) as u32,
        segments: 0,
        price_cents: 0,
        halt: [None, Some(Halt::Paused), Some(Halt::Withdrawn)][n as usize % 3],
        priced_ms: 0,
    }
}

fn found(products: &Products<'_>, product: &str) -> Option<Entry> {
    products.find("1", product).map(|found| found.entry)
}

#[test]
fn finds_what_was_put_and_nothing_else() {
    let slots = table(16);
    let products = Products::new(&slots);
    assert!(products.find("1", "153").is_none());
    assert!(products.put("1", "153", &entry(7)));
    assert_eq!(found(&products, "153"), Some(entry(7)));
    assert!(products.find("11", "53").is_none() && products.find("153", "1").is_none());
    let long = "x".repeat(MAX_ID);
    assert!(products.put(&long, &long, &entry(8)));
    assert_eq!(products.find(&long, &long).unwrap().entry, entry(8));
    assert!(products.find(&long, &format!("{long}x")).is_none());
    assert!(Products::new(&[]).find("1", "153").is_none());
}

#[test]
fn permits_out_outlive_an_edit_but_not_the_product() {
    let slots = table(4);
    let products = Products::new(&slots);
    assert!(products.put("1", "153", &entry(7)));
    let product = products.find("1", "153").unwrap();
    product.set_counted(counted(9, 1, 0), 0);
    // A permit of the open lease may still come back.
    assert!(!is_sold_out(&products, 0));
    product.set_counted(counted(9, 0, 0), 0);
    assert!(is_sold_out(&products, 0));
    assert!(products.put("1", "153", &entry(7)));
    assert!(is_sold_out(&products, 0));
    products.retain(|_| false);
    assert!(products.put("1", "153", &entry(7)));
    assert!(!is_sold_out(&products, 0));
}

#[test]
fn sold_out_is_said_for_a_moment_by_one_reading() {
    let slots = table(4);
    let products = Products::new(&slots);
    assert!(products.put("1", "153", &entry(7)));
    let product = products.find("1", "153").unwrap();
    product.set_counted(counted(9, 0, 0), 5_000);
    assert_eq!(product.supply(5_000), Supply::SoldOut);
    assert_eq!(product.supply(5_000 + KNOWN_MS), Supply::WasSoldOut);
    assert!(product.is_granted_out() && product.granted() == 9);
    product.set_counted(counted(9, 0, 0), 5_700);
    assert_eq!(product.supply(5_000 + KNOWN_MS), Supply::SoldOut);
    // What another Redis counted says nothing.
    products.forget_counts();
    assert_eq!(product.supply(5_700), Supply::Perhaps);
}

#[test]
fn counts_and_limit_are_those_of_one_reply() {
    let slots = table(4);
    let products = Products::new(&slots);
    assert!(products.put("1", "153", &entry(5)));
    let product = products.find("1", "153").unwrap();
    assert_eq!(product.entry.limit, 7);
    // The amount was raised to 9, and the catalogue in the zone does not say so yet.
    product.set_counted(counted(8, 0, 0), 0);
    assert!(!is_sold_out(&products, 0));
    assert_eq!(found(&products, "153").unwrap().limit, 9);
}

#[test]
fn it_is_sold_out_only_where_the_winners_are_known() {
    let slots = table(4);
    let products = Products::new(&slots);
    assert!(products.put("1", "153", &entry(7)));
    let product = products.find("1", "153").unwrap();
    product.set_counted(counted(9, 0, 3), 0);
    assert!(!is_sold_out(&products, 0), "three winners are not known");
    product.know_winners(0, 2);
    product.know_winners(0, 3);
    assert_eq!(
        product.winners_known(),
        2,
        "what another worker knows stays"
    );
    product.know_winners(2, 3);
    product.set_counted(counted(9, 0, 3), 0);
    assert!(is_sold_out(&products, 0));
    // The list was lost with its Redis, and is read from its beginning.
    product.set_counted(counted(9, 0, 0), 0);
    assert!(!is_sold_out(&products, 0));
    products.retain(|_| false);
    assert!(products.put("1", "154", &entry(7)));
    assert_eq!(products.find("1", "154").unwrap().winners_known(), 0);
}

#[test]
fn permits_of_a_withdrawn_product_are_not_spent_on_the_next_in_its_place() {
    let slots = table(1);
    let products = Products::new(&slots);
    assert!(products.put("1", "153", &entry(7)));
    assert!(products.find("1", "153").unwrap().hand().put(1, 5, 0));
    products.retain(|_| false);
    assert!(products.put("1", "154", &entry(7)));
    assert_eq!(products.find("1", "154").unwrap().hand().left(0), 0);
}

#[test]
fn a_full_table_takes_no_more_until_a_product_leaves() {
    let slots = table(8);
    let products = Products::new(&slots);
    for n in 0..8 {
        assert!(products.put("1", &n.to_string(), &entry(n)));
    }
    assert!(!products.put("1", "8", &entry(8)));
    assert!(products.put("1", "3", &entry(33)), "an edit needs no room");
    products.retain(|name| name != "1::5");
    assert!(products.put("1", "8", &entry(8)));
    assert_eq!(found(&products, "8"), Some(entry(8)));
    assert_eq!(found(&products, "3"), Some(entry(33)));
    assert!(found(&products, "5").is_none());
}

#[test]
fn searches_stay_short_when_rounds_come_and_go() {
    let slots = table(bytes_for(1_000) / size_of::<Slot>());
    assert_eq!(holds(slots.len()), 1_000);
    let products = Products::new(&slots);
    for round in 0..20 {
        let round = round.to_string();
        products.retain(|_| false);
        for n in 0..1_000 {
            assert!(products.put(&round, &n.to_string(), &entry(n)));
        }
    }
    let steps = |name: &str| {
        let probe = products.probe(hash_of(&key_of("none", name).unwrap()));
        let used = probe.take_while(|slot| slot.hash.load(Ordering::Relaxed) != 0);
        used.count()
    };
    let total: usize = (0..1_000).map(|n| steps(&n.to_string())).sum();
    assert!(total < 6_000, "{total} slots passed in 1,000 searches");
    products.retain(|_| false);
    assert!(
        slots
            .iter()
            .all(|slot| slot.hash.load(Ordering::Relaxed) == 0)
    );
}

#[test]
fn readers_never_see_a_mix_of_two_versions() {
    let slots = table(8);
    let products = Products::new(&slots);
    assert!(products.put("1", "a", &entry(0)) && products.put("1", "b", &entry(0)));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let Some(now) = found(&products, "a") else {
                        continue;
                    };
                    assert_eq!(now, entry(now.limit - 2));
                    assert!(now.limit >= last, "went back from {last} to {}", now.limit);
                    last = now.limit;
                    // Comes and goes, and its slot is used for others.
                    if let Some(other) = found(&products, "b") {
                        assert_eq!(other, entry(other.limit - 2));
                    }
                }
            });
        }
        for n in 0..30_000 {
            assert!(products.put("1", "a", &entry(n)));
            if n % 16 == 0 {
                products.retain(|name| name == "1::a");
                let other = if n % 32 == 0 { "b" } else { "c" };
                assert!(products.put("1", other, &entry(1_000_000 + n)));
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Why this can happen: a worker is killed with -9 between two stores of
/// [`Slot::write`]. What this simulates: its state after each of them.
#[test]
fn what_a_killed_writer_left_is_repaired_by_the_next_put() {
    for stores in 0..=4 {
        let slots = table(4);
        let products = Products::new(&slots);
        assert!(products.put("1", "old", &entry(1)));
        products.retain(|_| false);
        assert!(products.put("1", "a", &entry(7)));
        let key = key_of("1", "b").unwrap();
        let hash = hash_of(&key);
        let victim = products.probe(hash).find(|slot| slot.is_free()).unwrap();
        if stores >= 1 {
            victim.sequence.fetch_or(1, Ordering::Relaxed);
        }
        if stores >= 2 {
            victim.key[0].store(key[0], Ordering::Relaxed);
        }
        if stores >= 3 {
            victim.listed.store(1, Ordering::Relaxed);
            victim.limit.store(99, Ordering::Relaxed);
        }
        if stores >= 4 {
            victim.sequence.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(
            found(&products, "a"),
            Some(entry(7)),
            "after {stores} stores"
        );
        assert!(found(&products, "b").is_none(), "after {stores} stores");
        assert!(products.put("1", "a", &entry(8)) && products.put("1", "b", &entry(9)));
        products.retain(|name| name == "1::a" || name == "1::b");
        assert_eq!(
            found(&products, "a"),
            Some(entry(8)),
            "after {stores} stores"
        );
        assert_eq!(
            found(&products, "b"),
            Some(entry(9)),
            "after {stores} stores"
        );
        // Nothing leaked: all four slots can be had.
        assert!(products.put("1", "c", &entry(3)) && products.put("1", "d", &entry(4)));
    }
}

#[test]
fn a_half_written_edit_is_not_found_until_it_is_written_again() {
    let slots = table(4);
    let products = Products::new(&slots);
    assert!(products.put("1", "a", &entry(7)));
    let slot = slots.iter().find(|slot| !slot.is_free()).unwrap();
    slot.sequence.fetch_or(1, Ordering::Relaxed);
    slot.opens_ms.store(99, Ordering::Relaxed);
    assert!(found(&products, "a").is_none());
    assert!(products.put("1", "a", &entry(8)));
    assert_eq!(found(&products, "a"), Some(entry(8)));
    assert_eq!(slots.iter().filter(|slot| !slot.is_free()).count(), 1);
}

proptest! {
    #[test]
    fn behaves_like_a_map_of_limited_size(
        steps in prop::collection::vec((0..8_u8, 0..20_u64, 0..1_000_u64), 1..100),
    ) {
        let slots = table(13);
        let products = Products::new(&slots);
        let mut model = HashMap::new();
        for (action, product, n) in steps {
            let name = product.to_string();
            if action > 0 {
                let fits = model.contains_key(&product) || model.len() < slots.len();
                prop_assert_eq!(products.put("1", &name, &entry(n)), fits);
                if fits {
                    model.insert(product, n);
                }
            } else {
                let keep = |product: u64| !(product + n).is_multiple_of(3);
                model.retain(|&product, _| keep(product));
                products.retain(|name| keep(name["1::".len()..].parse().unwrap()));
            }
            for product in 0..20 {
                let wanted = model.get(&product).map(|&n| entry(n));
                prop_assert_eq!(found(&products, &product.to_string()), wanted);
            }
        }
    }
}
