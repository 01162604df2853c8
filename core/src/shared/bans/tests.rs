use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::AtomicBool;
use std::thread;

use proptest::prelude::*;

use super::prefix::Prefix;
use super::sets::zeroed;
use super::*;

mod sessions;

const SEED: Seed = Seed::new([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210]);
const NOW: u64 = 1_795_406_400;

struct Table {
    sets: Vec<Set>,
    index: Index,
}

impl Table {
    fn new(sets: usize) -> Self {
        let index = Index::default();
        let sets = zeroed(sets);
        Self { sets, index }
    }

    fn bans(&self) -> Bans<'_> {
        Bans::new(&self.sets, &self.index, SEED)
    }

    fn lengths(&self, is_v4: bool) -> Vec<u8> {
        self.index
            .in_use
            .of_family(is_v4)
            .map(Kind::length)
            .collect()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> Ban<'static> {
    Ban::address(text).unwrap()
}

fn v4(n: u32) -> Ban<'static> {
    Ban::Address(IpAddr::V4(Ipv4Addr::from_bits(n)).into())
}

#[test]
fn bans_addresses_networks_and_users_until_they_expire() {
    let table = Table::new(16);
    let bans = table.bans();
    assert!(!bans.contains_address(ip("1.2.3.4"), NOW));
    bans.put(net("1.2.3.0/24"), Some(NOW + 10), 1).unwrap();
    bans.put(net("2001:db8::/33"), None, 1).unwrap();
    bans.put(Ban::user("eve").unwrap(), Some(u64::MAX), 1)
        .unwrap();
    let at = |address, now| bans.contains_address(ip(address), now);
    assert!(at("1.2.3.4", NOW + 9) && !at("1.2.3.4", NOW + 10) && !at("1.2.4.4", NOW));
    assert!(
        at("::ffff:1.2.3.255", NOW),
        "a mapped address is one of IPv4"
    );
    assert!(at("2001:db8:7fff::1", u64::MAX) && !at("2001:db8:8000::1", NOW));
    assert!(bans.contains_user("eve", u64::MAX) && !bans.contains_user("eva", NOW));
    bans.put(net("1.2.3.0/24"), Some(NOW + 20), 1).unwrap();
    assert!(at("1.2.3.4", NOW + 19), "an edit prolongs it");
    assert_eq!(table.index.entries(), 3);
}

#[test]
fn a_user_who_is_called_like_an_address_is_not_one() {
    let table = Table::new(16);
    let bans = table.bans();
    bans.put(Ban::user("1.2.3.4").unwrap(), None, 1).unwrap();
    assert!(!bans.contains_address(ip("1.2.3.4"), NOW));
    bans.put(net("5.6.7.8"), None, 1).unwrap();
    assert!(!bans.contains_user("5.6.7.8", NOW));
}

#[test]
fn a_lifted_ban_disappears_at_once_or_with_the_next_sweep() {
    let table = Table::new(16);
    let bans = table.bans();
    for text in ["1.2.3.0/24", "1.2.3.4", "4.0.0.0/8", "::1"] {
        bans.put(net(text), None, 1).unwrap();
    }
    assert!(bans.remove(net("1.2.3.4")) && !bans.remove(net("1.2.3.4")));
    assert!(
        bans.contains_address(ip("1.2.3.4"), NOW),
        "its network still is"
    );
    bans.put(net("4.0.0.0/8"), None, 2).unwrap();
    bans.put(net("::1"), Some(NOW), 2).unwrap();
    assert_eq!(
        bans.sweep(2, NOW),
        Swept {
            removed: 2,
            kept: 1
        }
    );
    assert!(!bans.contains_address(ip("1.2.3.4"), NOW));
    assert!(bans.contains_address(ip("4.5.6.7"), NOW));
    assert_eq!(
        (table.lengths(true), table.lengths(false)),
        (vec![8], vec![])
    );
    assert_eq!(table.index.entries(), 1);
}

#[test]
fn garbage_is_refused_with_its_value() {
    let address = Ban::address("1.2.3.400").unwrap_err().to_string();
    let user = Ban::user("eve adams").unwrap_err().to_string();
    assert!(address.contains("\"1.2.3.400\"") && user.contains("\"eve adams\""));
    assert!(Ban::user(&"x".repeat(9_999)).unwrap_err().to_string().len() < 300);
}

#[test]
fn a_full_table_says_so_and_drops_nothing() {
    let table = Table::new(2);
    let bans = table.bans();
    for n in 0..16 {
        bans.put(v4(n), None, 1).unwrap();
    }
    let full = bans.put(v4(16), None, 1).unwrap_err();
    assert_eq!((full.held, full.made_for), (16, 8));
    assert!(full.needed_bytes > size_of_val(table.sets.as_slice()));
    assert!(holds(full.needed_bytes / size_of::<Set>()) >= full.needed);
    let message = full.to_string();
    assert!(message.contains("0.0.0.16/32") && message.contains(&full.needed_bytes.to_string()));
    bans.put(v4(3), Some(NOW), 1).unwrap();
    for n in 0..17 {
        let banned = bans.contains_address(Ipv4Addr::from_bits(n).into(), NOW);
        assert_eq!(banned, n != 3 && n != 16, "{n}");
    }
    assert!(bans.remove(v4(3)));
    bans.put(v4(16), None, 1).unwrap();
    let empty = Table::new(0);
    assert!(empty.bans().put(v4(1), None, 1).is_err());
    assert!(!empty.bans().contains_address(ip("0.0.0.1"), NOW));
    assert_eq!(empty.bans().sweep(1, NOW), Swept::default());
}

#[test]
fn a_million_bans_of_all_sorts_in_40_mib() {
    assert!(bytes_for(1_000_000) <= 40 << 20);
    let table = Table::new(bytes_for(1_000_000) / size_of::<Set>());
    let bans = table.bans();
    let mixed = |n: u32| n.wrapping_mul(0x9e37_79b1);
    let v6 = |n: u32| {
        IpAddr::V6(Ipv6Addr::from_bits(
            0x2001_0db8 << 96 | u128::from(mixed(n)) << 64,
        ))
    };
    let names: Vec<String> = (0..100_000).map(|n| format!("user{n}")).collect();
    for n in 0..600_000 {
        bans.put(v4(mixed(n)), None, 1).unwrap();
    }
    for n in 0..300_000 {
        bans.put(Ban::Address(Prefix::new(v6(n), 64).unwrap()), None, 1)
            .unwrap();
    }
    for name in &names {
        bans.put(Ban::User(name), None, 1).unwrap();
    }
    assert_eq!(table.index.entries(), 1_000_000);
    // A pass that finds a quarter more before the old ones are swept has room.
    for n in 600_000..850_000 {
        bans.put(v4(mixed(n)), None, 2).unwrap();
    }
    for n in (0..300_000).step_by(11) {
        assert!(bans.contains_address(Ipv4Addr::from_bits(mixed(n)).into(), NOW));
        assert!(!bans.contains_address(Ipv4Addr::from_bits(mixed(n + 850_000)).into(), NOW));
        assert!(bans.contains_address(v6(n), NOW));
        assert!(!bans.contains_address(v6(n + 300_000), NOW));
        assert_eq!(bans.contains_user(&format!("user{n}"), NOW), n < 100_000);
    }
    let swept = bans.sweep(2, NOW);
    assert_eq!((swept.removed, swept.kept), (1_000_000, 250_000));
    assert_eq!(
        (table.lengths(true), table.lengths(false)),
        (vec![32], vec![])
    );
}

#[test]
fn what_is_put_between_the_parts_of_a_sweep_is_kept() {
    let table = Table::new(32);
    let bans = table.bans();
    bans.put(net("9.0.0.0/9"), None, 1).unwrap();
    let mut sweep = bans.begin_sweep(2);
    let mut parts = 0;
    while bans.sweep_part(&mut sweep, 1, NOW).is_none() {
        let length = 10 + parts % 20;
        bans.put(net(&format!("1.2.3.4/{length}")), None, 2)
            .unwrap();
        parts += 1;
    }
    assert_eq!(parts, 31);
    assert_eq!(table.lengths(true), (10..=29).rev().collect::<Vec<_>>());
    for length in 10..=29 {
        assert!(bans.remove(net(&format!("1.2.3.4/{length}"))));
    }
    assert_eq!(
        bans.sweep(2, NOW),
        Swept {
            removed: 0,
            kept: 0
        }
    );
    assert_eq!(table.index.entries(), 0);
}

/// Why this can happen: the worker that mirrors is stopped for longer than its
/// claim lasts, another takes over, and the first goes on.
#[test]
fn a_sweep_that_was_overtaken_removes_no_more() {
    let table = Table::new(80);
    let bans = table.bans();
    (0..50).for_each(|n| bans.put(v4(n), None, 1).unwrap());
    let mut stopped = bans.begin_sweep(1);
    assert_eq!(bans.sweep_part(&mut stopped, 1, NOW), None);
    (0..50).for_each(|n| bans.put(v4(n), None, 2).unwrap());
    assert_eq!(bans.sweep(2, NOW).kept, 50);
    assert!(bans.sweep_part(&mut stopped, usize::MAX, NOW).is_some());
    assert!((0..50).all(|n| bans.contains_address(Ipv4Addr::from_bits(n).into(), NOW)));
}

/// Why this can happen: the writer is killed between the tag and the value of a
/// new entry. What this simulates: the tag alone.
#[test]
fn a_half_written_ban_is_completed_by_the_next_put_or_swept() {
    for is_put_again in [true, false] {
        let table = Table::new(4);
        let bans = table.bans();
        let (_, tag) = bans.key(net("1.2.3.4"));
        bans.index.in_use.add(Kind::of_network(true, 32));
        assert!(sets::vacancy(&table.sets, tag).unwrap().claim(0, tag));
        assert!(!bans.contains_address(ip("1.2.3.4"), NOW));
        if is_put_again {
            bans.put(net("1.2.3.4"), None, 1).unwrap();
            assert!(bans.contains_address(ip("1.2.3.4"), NOW));
        }
        let kept = bans.sweep(1, NOW).kept;
        assert_eq!(kept, u64::from(is_put_again));
        let used =
            sets::run(&table.sets, 0, 4).filter(|slot| slot.tag.load(Ordering::Relaxed) != 0);
        assert_eq!(used.count() as u64, kept);
    }
}

/// One worker mirrors generation after generation, others read: what is banned
/// throughout is found at every look, what never is, never.
#[test]
fn readers_miss_no_ban_while_others_come_and_go() {
    let table = Table::new(200);
    let bans = table.bans();
    let lasting: Vec<u32> = (0..200).map(|n| 0x0a00_0000 + 2 * n).collect();
    for &n in &lasting {
        bans.put(v4(n), Some(NOW + 1), 0).unwrap();
    }
    bans.put(net("2001:db8::/32"), None, 0).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for &n in &lasting {
                        assert!(bans.contains_address(Ipv4Addr::from_bits(n).into(), NOW));
                        assert!(!bans.contains_address(Ipv4Addr::from_bits(n + 1).into(), NOW));
                    }
                    assert!(bans.contains_address(ip("2001:db8::7"), NOW));
                    assert!(!bans.contains_user("nobody", NOW));
                }
            });
        }
        for generation in 1..300 {
            let passing = (0..200).map(|n| 0x0b00_0000 + 1_000 * generation + n);
            passing.for_each(|n| bans.put(v4(n), None, generation).unwrap());
            bans.put(
                net(&format!("172.16.0.0/{}", 12 + generation % 12)),
                None,
                generation,
            )
            .unwrap();
            for &n in &lasting {
                bans.put(v4(n), Some(NOW + 1 + u64::from(generation)), generation)
                    .unwrap();
            }
            bans.put(net("2001:db8::/32"), None, generation).unwrap();
            if generation % 2 == 0 {
                assert_eq!(bans.sweep(generation, NOW).kept, 402);
            } else {
                for n in (0..200).map(|n| 0x0b00_0000 + 1_000 * generation + n) {
                    assert!(bans.remove(v4(n)));
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Networks and addresses that lie within each other often.
fn network() -> impl Strategy<Value = Prefix> {
    (any::<bool>(), 0..4_u128, 0..=128_u8).prop_map(|(is_v4, tail, length)| {
        if is_v4 {
            Prefix::new(
                Ipv4Addr::from_bits(0x0a00_0000 | tail as u32).into(),
                length % 33,
            )
            .unwrap()
        } else {
            Prefix::new(Ipv6Addr::from_bits(0x2001 << 112 | tail).into(), length).unwrap()
        }
    })
}

proptest! {
    #[test]
    fn behaves_like_a_list_of_networks(
        steps in prop::collection::vec((0..8_u8, network(), 0..4_u64, 0..3_u32), 1..60),
        addresses in prop::collection::vec((any::<bool>(), 0..5_u128, 0..=32_u32), 20),
    ) {
        let table = Table::new(64);
        let bans = table.bans();
        let mut model = HashMap::new();
        for (action, prefix, expiry, generation) in steps {
            let ban = Ban::Address(prefix);
            let expires = (expiry > 0).then_some(NOW + expiry);
            match action {
                0 => {
                    bans.sweep(generation, NOW + 1);
                    model.retain(|_, &mut (expires, of): &mut (Option<u64>, u32)| {
                        of == generation && expires.is_none_or(|s| NOW + 1 < s)
                    });
                }
                1 | 2 => prop_assert_eq!(bans.remove(ban), model.remove(&prefix).is_some()),
                _ => {
                    bans.put(ban, expires, generation).unwrap();
                    model.insert(prefix, (expires, generation));
                }
            }
            prop_assert_eq!(table.index.entries(), model.len() as u64);
            for &(is_v4, tail, shift) in &addresses {
                let address = if is_v4 {
                    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 ^ (tail as u32) ^ 1_u32.checked_shl(shift).unwrap_or(0)))
                } else {
                    IpAddr::V6(Ipv6Addr::from_bits(0x2001 << 112 ^ tail ^ 1 << (3 * shift)))
                };
                for now in NOW..NOW + 4 {
                    let wanted = model.iter().any(|(prefix, (expires, _))| {
                        prefix.covers(address) && expires.is_none_or(|s| now < s)
                    });
                    prop_assert_eq!(bans.contains_address(address, now), wanted);
                }
            }
        }
    }
}

#[test]
fn whoever_found_no_room_is_never_cleared_not_even_by_a_sweep() {
    let table = Table::new(34);
    let bans = table.bans();
    let many = 2_000;
    let users: Vec<String> = (0..many).map(|n| format!("user{n}")).collect();
    let put_all = || {
        let puts = users.iter().map(|user| bans.put(Ban::User(user), None, 2));
        puts.filter(Result::is_err).count()
    };
    let nobody_is_clear = || {
        let standing = |user: &String| bans.standing_of_user(user, NOW);
        users.iter().all(|user| standing(user) != Standing::Clear)
    };
    bans.put(Ban::User("lifted"), None, 1).unwrap();
    let unmirrored = put_all();
    assert!(unmirrored > 0 && nobody_is_clear());
    let mut sweep = bans.begin_sweep(2);
    while !bans.sweep_out(&mut sweep, 7, NOW) {}
    assert!(nobody_is_clear());
    // What was lifted has made room.
    assert!(put_all() < unmirrored);
    assert_eq!(bans.end_sweep(&sweep).removed, 1);
    assert!(nobody_is_clear());
    let banned = |user: &&String| bans.contains_user(user, NOW);
    let mirrored = users.iter().filter(banned).count();
    assert_eq!(mirrored, 32 * WAYS);
}
