//! Revoked sessions and tokens.

use super::*;
use crate::signing::revocation::CUT_LIFE_MS;

const NOW_MS: u64 = NOW * 1_000;

fn marks(own: u64, issued_ms: Option<u64>) -> Marks {
    Marks {
        own: Mark::of_jti(&format!("own {own}")),
        jti: Some(Mark::of_jti(&own.to_string())),
        issued_ms,
    }
}

fn cut(user: &str, before_ms: u64) -> Ban<'_> {
    Ban::SessionsOf { user, before_ms }
}

/// Whether the session of this user is revoked, if it was issued at this time.
fn is_revoked(bans: &Bans<'_>, user: &str, issued_ms: Option<u64>, now_ms: u64) -> bool {
    bans.standing_of_session(user, || marks(0, issued_ms), now_ms) == Standing::Banned
}

#[test]
fn one_session_is_revoked_by_its_mark_or_its_jti_until_it_would_have_ended() {
    let table = Table::new(16);
    let bans = table.bans();
    let at = |own, now_ms| bans.standing_of_session("li", || marks(own, None), now_ms);
    let unneeded = || unreachable!("nothing is revoked, so that no mark is computed");
    assert_eq!(
        bans.standing_of_session("li", unneeded, NOW_MS),
        Standing::Clear
    );
    for (own, mark) in [(1, marks(1, None).own), (2, Mark::of_jti("2"))] {
        bans.put(Ban::Session(mark), Some(NOW + 10), 1).unwrap();
        assert_eq!(at(own, NOW_MS + 9_999), Standing::Banned);
        assert_ne!(at(own, NOW_MS + 10_000), Standing::Banned);
        assert_ne!(at(3, NOW_MS), Standing::Banned);
    }
    // A user is not a session, whatever they are called.
    let name = Mark::of_jti("2").to_string();
    assert!(!bans.contains_user(&name, NOW));
    assert_eq!((table.index.entries(), table.index.sessions()), (2, 2));
    assert!(bans.remove(Ban::Session(Mark::of_jti("2"))));
    assert_eq!((table.index.entries(), table.index.sessions()), (1, 1));
}

#[test]
fn a_cut_revokes_to_the_millisecond_what_was_issued_before_and_nobody_elses() {
    let table = Table::new(16);
    let bans = table.bans();
    bans.put(cut("li", NOW_MS + 345), None, 1).unwrap();
    for now_ms in [NOW_MS, NOW_MS + 345, NOW_MS + CUT_LIFE_MS] {
        let is_li = |issued_ms| is_revoked(&bans, "li", issued_ms, now_ms);
        assert!(is_li(Some(NOW_MS + 344)) && is_li(None) && is_li(Some(0)));
        assert!(!is_li(Some(NOW_MS + 345)));
        assert!(!is_revoked(&bans, "wang", None, now_ms));
    }
    // A later one counts from then on.
    bans.put(cut("li", NOW_MS + 400), None, 1).unwrap();
    assert!(is_revoked(&bans, "li", Some(NOW_MS + 399), NOW_MS));
    assert_eq!((table.index.entries(), table.index.sessions()), (1, 1));
}

#[test]
fn a_cut_is_over_when_no_session_from_before_it_can_be_left() {
    let table = Table::new(16);
    let bans = table.bans();
    bans.put(cut("li", NOW_MS), None, 1).unwrap();
    let last_ms = NOW_MS + CUT_LIFE_MS - 1;
    assert!(is_revoked(&bans, "li", None, last_ms));
    assert!(!is_revoked(&bans, "li", None, last_ms + 1));
    assert_eq!(bans.sweep(1, last_ms / 1_000).kept, 1);
    assert_eq!(bans.sweep(1, last_ms / 1_000 + 1).removed, 1);
    assert_eq!((table.index.entries(), table.index.sessions()), (0, 0));
    let unneeded = || unreachable!("no cut is left");
    assert_eq!(
        bans.standing_of_session("li", unneeded, last_ms),
        Standing::Clear
    );
}

#[test]
fn bans_and_revocations_are_swept_as_one_and_counted_apart() {
    let table = Table::new(64);
    let bans = table.bans();
    bans.put(Ban::User("eve"), None, 1).unwrap();
    bans.put(cut("eve", NOW_MS), None, 1).unwrap();
    bans.put(cut("li", NOW_MS), None, 2).unwrap();
    bans.put(Ban::User("oscar"), None, 2).unwrap();
    assert_eq!(
        bans.sweep(2, NOW),
        Swept {
            removed: 2,
            kept: 2
        }
    );
    assert_eq!((table.index.entries(), table.index.sessions()), (2, 1));
    assert!(bans.contains_user("oscar", NOW) && !bans.contains_user("eve", NOW));
    assert!(is_revoked(&bans, "li", None, NOW_MS) && !is_revoked(&bans, "eve", None, NOW_MS));
}

#[test]
fn of_what_finds_no_room_nobody_is_cleared() {
    let table = Table::new(2);
    let bans = table.bans();
    let mut unlisted = 0;
    for number in 0..40 {
        let user = format!("u{number}");
        if bans.put(cut(&user, NOW_MS), None, 1).is_err() {
            unlisted += 1;
            let standing = bans.standing_of_session(&user, || marks(0, None), NOW_MS);
            assert_eq!(standing, Standing::Unclear);
        }
    }
    assert!(unlisted > 0);
}

#[test]
fn a_million_revocations_are_exact() {
    let sets = bytes_for(1_000_000) / size_of::<Set>();
    let table = Table::new(sets);
    let bans = table.bans();
    let mark = |number: u64| Mark::of_jti(&number.to_string());
    for number in 0..1_000_000 {
        bans.put(Ban::Session(mark(number)), Some(NOW + 10), 1)
            .unwrap();
    }
    let standing = |number: u64| {
        let marks = Marks {
            own: mark(number),
            jti: None,
            issued_ms: None,
        };
        bans.standing_of_session("li", || marks, NOW_MS)
    };
    assert!(
        (0..1_000_000)
            .step_by(7)
            .all(|n| standing(n) == Standing::Banned)
    );
    let others = 1_000_000..1_100_000;
    assert!(others.into_iter().all(|n| standing(n) != Standing::Banned));
    assert_eq!(table.index.sessions(), 1_000_000);
}
