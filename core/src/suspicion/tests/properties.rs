//! Anybody's clicks, any number of accounts, any order of lines.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever somebody does by the page alone, they are never proposed: at any
    /// reaction, drumming included, from any crowd behind their address.
    #[test]
    fn nobody_who_uses_the_page_is_proposed(
        people in prop::collection::vec((0_u64..4_000, 0_u64..35_000, 0_u32..3), 1..40),
        same_address in any::<bool>(),
    ) {
        let mut day = Day::new();
        let mut reactions: Vec<u64> = Vec::new();
        for (n, (reaction, opened, again)) in people.iter().enumerate() {
            let address = if same_address { "203.0.113.7".to_owned() } else { format!("203.0.113.{n}") };
            let user = format!("u{n}");
            let opened = OPENS - 1_000 - opened;
            day.page(opened, &address, &user);
            day.path(opened + 500, &address, &user, 200);
            day.open_page(opened + 900, OPENS + 130_000, &address, &user);
            for k in 0..u64::from(*again) + 1 {
                // The page rests its button for 30 s; people come back in their own time.
                let at = OPENS + reaction + k * (31_000 + (reaction * 7919) % 9_000);
                day.click(at, &address, &user, if k == 0 { "sold_out" } else { "duplicate" });
            }
            reactions.push(*reaction);
        }
        reactions.sort_unstable();
        let judged = day.judge();
        // People in step by chance: possible in a small crowd, and then no more
        // than a proposal. Everybody else is left alone.
        for one in &judged {
            prop_assert!(one.reasons.iter().any(|r| r.code() == "in_step" || r.code() == "company"), "{one:?}");
        }
    }

    /// However many come, no more than the limits are remembered.
    #[test]
    fn memory_has_a_limit(users in 50_u64..400) {
        let mut watch = Watch::new(Limits { accounts: 40, addresses: 20 }, PROPOSE);
        let mut day = Day::default();
        for n in 0..users {
            day.path(OPENS + n, &format!("10.0.{}.{}", n / 256, n % 256), &format!("u{n}"), 200);
        }
        for (_, text) in &day.lines {
            watch.note(&Line::parse(text.as_bytes()).unwrap());
            let (accounts, addresses) = watch.sizes();
            prop_assert!(accounts <= 40 && addresses <= 20);
        }
        watch.judge(OPENS + 100_000);
    }

    /// Workers write their lines late and in any order: the outcome is the same.
    #[test]
    fn the_order_of_lines_does_not_matter(seed in any::<u64>()) {
        let mut day = Day::new();
        for n in 0..12_u64 {
            day.person("203.0.113.7", &format!("hen{n}"), 10 + n);
            day.path(OPENS - 20_000, "203.0.113.8", &format!("bot{n}"), 200);
        }
        let outcome = |day: &Day| {
            let mut all: Vec<_> = day.judge().into_iter().map(|one| (format!("{:?}", one.subject), one.score)).collect();
            all.sort();
            all
        };
        let expected = outcome(&day);
        let mut state = seed | 1;
        for at in (1..day.lines.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            day.lines.swap(at, (state >> 33) as usize % (at + 1));
        }
        prop_assert_eq!(outcome(&day), expected);
    }
}
