//! Look-ups in the tables of shared memory, small enough for a cache and far too
//! large for one, beside the standard library's map behind a lock.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::RwLock;

use criterion::Criterion;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::window::Window;
use seckill_core::shared::bans::{self, Ban, Bans};
use seckill_core::shared::passes::{self, PassKey, Passes};
use seckill_core::shared::products::{self, Products};
use seckill_core::shared::seen::{self, BuyerKey, RequestKey, Seen};
use seckill_core::shared::siphash::Seed;
use seckill_core::shared::{Set, WAYS};

use crate::{ITEM, USER};

const SEED: Seed = Seed::new([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]);
/// The time, epoch seconds.
const NOW_S: u64 = 1_795_406_401;
/// Entries of the small and the large tables, and how they are written in names.
const SIZES: [(usize, &str); 2] = [(10_000, "10,000"), (1_000_000, "1,000,000")];
/// Keys that are looked up in turn: so many that those of a large table are in no
/// cache, and that their own list is read ahead.
const KEYS: usize = 1 << 17;

pub(crate) fn all(criterion: &mut Criterion) {
    siphash(criterion);
    catalogue(criterion);
    for (entries, written) in SIZES {
        second_clicks(criterion, entries, written);
        banned(criterion, entries, written);
        spent_passes(criterion, entries, written);
        standard_map(criterion, entries, written);
    }
}

fn sets(bytes: usize) -> Vec<Set> {
    let count = bytes / size_of::<Set>();
    (0..count).map(|_| Set::default()).collect()
}

/// A number per look-up, in an order that no processor foresees.
fn shuffled(below: usize) -> impl FnMut() -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    }
}

/// Keys drawn beforehand, then handed out one after the other.
fn keys<T: Copy>(below: usize, key: impl Fn(usize) -> T) -> impl FnMut() -> T {
    let mut draw = shuffled(below);
    let keys: Vec<T> = (0..KEYS).map(|_| key(draw())).collect();
    let mut at = 0;
    move || {
        at = (at + 1) % KEYS;
        keys[at]
    }
}

fn siphash(criterion: &mut Criterion) {
    criterion.bench_function("SipHash of a buyer's key", |bench| {
        bench.iter(|| BuyerKey::new(SEED, ITEM.0, ITEM.1, black_box(USER)));
    });
    criterion.bench_function(
        "SipHash of a buyer's key by the standard library",
        |bench| {
            bench.iter(|| {
                let mut hasher = DefaultHasher::new();
                (ITEM.0, ITEM.1, black_box(USER)).hash(&mut hasher);
                hasher.finish()
            });
        },
    );
}

fn buyer(n: usize) -> BuyerKey {
    BuyerKey::new(SEED, ITEM.0, ITEM.1, &format!("user{n:07}"))
}

fn second_clicks(criterion: &mut Criterion, entries: usize, written: &str) {
    let (sets, counts) = (sets(seen::bytes_for(entries)), seen::Counts::default());
    let seen = Seen::new(&sets, &counts, 30);
    let (first, second) = (RequestKey::new(SEED, "a"), RequestKey::new(SEED, "b"));
    (0..entries).for_each(|n| seen.record(buyer(n), first, NOW_S));
    let mut strangers = keys(entries, |n| buyer(entries + n));
    criterion.bench_function(&format!("new buyer among {written} seen"), |bench| {
        bench.iter(|| seen.check(strangers(), second, NOW_S));
    });
    let mut known = keys(entries, buyer);
    criterion.bench_function(&format!("second click among {written} seen"), |bench| {
        bench.iter(|| seen.check(known(), second, NOW_S));
    });
}

fn address(n: usize) -> IpAddr {
    // Spread over all of IPv4, as visitors are.
    IpAddr::V4(Ipv4Addr::from_bits((n as u32).wrapping_mul(0x9e37_79b1)))
}

fn banned(criterion: &mut Criterion, entries: usize, written: &str) {
    let (sets, index) = (sets(bans::bytes_for(entries)), bans::Index::default());
    let bans = Bans::new(&sets, &index, SEED);
    for n in 0..entries {
        let ban = Ban::Address(address(n).into());
        assert!(bans.put(ban, None, 1).is_ok(), "ban {n} has room");
    }
    let mut strangers = keys(entries, |n| address(entries + n));
    criterion.bench_function(&format!("free address among {written} bans"), |bench| {
        bench.iter(|| bans.contains_address(strangers(), NOW_S));
    });
    let mut known = keys(entries, address);
    criterion.bench_function(&format!("banned address among {written} bans"), |bench| {
        bench.iter(|| bans.contains_address(known(), NOW_S));
    });
    criterion.bench_function(&format!("sweep of {written} bans"), |bench| {
        bench.iter(|| bans.sweep(1, NOW_S));
    });
}

fn spent_passes(criterion: &mut Criterion, entries: usize, written: &str) {
    let key = |n: usize| {
        let nonce = format!("{n:016x}");
        PassKey::new(SEED, USER, ITEM, &nonce, (NOW_S + 120) * 1_000)
    };
    let (sets, counts) = (sets(passes::bytes_for(entries)), passes::Counts::default());
    let passes = Passes::new(&sets, &counts);
    let (first, second) = (RequestKey::new(SEED, "a"), RequestKey::new(SEED, "b"));
    for n in 0..entries {
        let _ = passes.claim(key(n), first, NOW_S);
    }
    let mut known = keys(entries, key);
    criterion.bench_function(&format!("spent pass among {written}"), |bench| {
        bench.iter(|| passes.claim(known(), second, NOW_S));
    });
    let mut fresh = keys(entries, |n| key(entries + n));
    criterion.bench_function(
        &format!("pass claimed and released among {written}"),
        |bench| {
            bench.iter(|| {
                let pass = fresh();
                let claimed = passes.claim(pass, second, NOW_S);
                passes.release(pass, second);
                claimed
            });
        },
    );
}

/// What an edge would have without tables of its own: a map behind a lock, its keys
/// hashed beforehand as ours are.
fn standard_map(criterion: &mut Criterion, entries: usize, written: &str) {
    let mut draw = shuffled(usize::MAX);
    let numbers: Vec<u64> = (0..2 * entries).map(|_| draw() as u64).collect();
    let map: HashMap<u64, u64> = numbers[..entries].iter().map(|n| (*n, 1)).collect();
    let map = RwLock::new(map);
    let mut find = |name: String, mut key: Box<dyn FnMut() -> u64>| {
        criterion.bench_function(&name, |bench| {
            bench.iter(|| {
                let map = map
                    .read()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                map.get(&key()).copied()
            });
        });
    };
    let (held, others) = (numbers[..entries].to_vec(), numbers[entries..].to_vec());
    find(
        format!("key missed in a locked map of {written}"),
        Box::new(keys(entries, move |n| others[n])),
    );
    find(
        format!("key found in a locked map of {written}"),
        Box::new(keys(entries, move |n| held[n])),
    );
}

fn catalogue(criterion: &mut Criterion) {
    const ENTRIES: usize = 10_000;
    let entry = Entry {
        window: Window {
            opens_ms: 0,
            ends_ms: u64::MAX,
        },
        limit: 1_000,
        per_buyer: 1,
        segments: 1,
        price_cents: 1,
        halt: None,
        priced_ms: 0,
    };
    let slots = products::bytes_for(ENTRIES) / size_of::<products::Slot>();
    let slots: Vec<products::Slot> = (0..slots).map(|_| products::Slot::default()).collect();
    let products = Products::new(&slots);
    let mut names = vec![String::new(); 2 * ENTRIES];
    for (n, name) in names.iter_mut().enumerate() {
        let _ = write!(name, "p{n:05}");
        let is_put = n >= ENTRIES || products.put("1", name, &entry);
        assert!(is_put, "{name} has room");
    }
    let mut draw = shuffled(ENTRIES);
    criterion.bench_function("product found among 10,000", |bench| {
        bench.iter(|| products.find("1", &names[draw()]).map(|found| found.entry));
    });
    criterion.bench_function("product missed among 10,000", |bench| {
        bench.iter(|| products.find("1", &names[ENTRIES + draw()]).is_none());
    });
    let map: HashMap<(String, String), Entry> = names[..ENTRIES]
        .iter()
        .map(|name| (("1".to_owned(), name.clone()), entry))
        .collect();
    let map = RwLock::new(map);
    criterion.bench_function("product found in a locked map of 10,000", |bench| {
        bench.iter(|| {
            let key = ("1".to_owned(), names[draw()].clone());
            let map = map
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            map.get(&key).copied()
        });
    });
    assert_eq!(WAYS, 8, "the tables' sets are as the comments say");
}
