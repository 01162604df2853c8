use super::*;
use crate::captcha::pass;
use crate::sale::halt::Halt;
use crate::sale::window::Window;
use crate::signing::keyring::tests::ring;
use crate::signing::{hidden_path, session};

const OPENS: u64 = 1_000_000;
const NOW: u64 = OPENS + 1;

fn entry() -> Entry {
    Entry {
        window: Window {
            opens_ms: OPENS,
            ends_ms: OPENS + 3_600_000,
        },
        limit: 10,
        per_buyer: 2,
        segments: 1,
        price_cents: 1,
        halt: None,
        priced_ms: 0,
    }
}

fn url(user: &str, expires_ms: u64) -> String {
    let item = ("1", "153");
    hidden_path::sign(
        ring().first(),
        Digest::HmacSha256,
        item,
        user,
        expires_ms,
        [1; 8],
    )
}

/// The whole decision, as the gate takes it.
fn decide(click: &Click<'_>, now_ms: u64) -> Result<u32, Verdict> {
    let claim = Claim::read(click, now_ms)?;
    let user = claim.verify_url(&ring(), Digest::HmacSha256)?;
    claim.verify_buyer(&ring(), now_ms)?;
    if user == "eve" {
        return Err(Verdict::Blocked);
    }
    if claim.item() != ("1", "153") {
        return Err(Verdict::NotFound);
    }
    let admissible = claim.admit(&entry(), &ring(), now_ms)?;
    Ok(admissible.quantity)
}

#[test]
fn each_fault_has_its_own_verdict() {
    let cookie = session::sign(ring().first(), "li", NOW + 1_000_000);
    let path = url("li", NOW + 1_000);
    let good = Click {
        is_post: true,
        has_body: false,
        path: &path,
        quantity: None,
        request: Some("r-1"),
        buyer: Credential::Session(Session::parse(&cookie)),
        captcha: Captcha::Off,
    };
    assert_eq!(decide(&good, NOW), Ok(1));
    assert_eq!(
        decide(
            &Click {
                quantity: Some("2"),
                ..good
            },
            NOW
        ),
        Ok(2)
    );

    let others = url("wang", NOW + 1_000);
    let far = url("li", NOW + PATH_HORIZON_MS + 1);
    let stale = session::sign(ring().first(), "li", NOW);
    let tampered = format!("{}x", &cookie[..cookie.len() - 1]);
    let unknown = hidden_path::sign(
        ring().first(),
        Digest::HmacSha256,
        ("1", "999"),
        "li",
        NOW + 1_000,
        [1; 8],
    );
    let cases = [
        (
            Click {
                is_post: false,
                ..good
            },
            NOW,
            Verdict::BadRequest,
        ),
        (
            Click {
                has_body: true,
                ..good
            },
            NOW,
            Verdict::BadRequest,
        ),
        (
            Click {
                path: "/buy/1/153",
                ..good
            },
            NOW,
            Verdict::BadRequest,
        ),
        (
            Click {
                quantity: Some("0"),
                ..good
            },
            NOW,
            Verdict::BadRequest,
        ),
        (
            Click {
                quantity: Some("-1"),
                ..good
            },
            NOW,
            Verdict::BadRequest,
        ),
        (
            Click {
                quantity: Some("3"),
                ..good
            },
            NOW,
            Verdict::BadRequest,
        ),
        (
            Click {
                request: Some("a b"),
                ..good
            },
            NOW,
            Verdict::BadRequest,
        ),
        (good, NOW + 1_000, Verdict::Expired),
        (Click { path: &far, ..good }, NOW, Verdict::BadSignature),
        (
            Click {
                path: &others,
                ..good
            },
            NOW,
            Verdict::BadSignature,
        ),
        (
            Click {
                buyer: Credential::Session(None),
                ..good
            },
            NOW,
            Verdict::LoginRequired,
        ),
        (
            Click {
                buyer: Credential::Session(Session::parse(&stale)),
                ..good
            },
            NOW,
            Verdict::LoginRequired,
        ),
        (
            Click {
                buyer: Credential::Session(Session::parse(&tampered)),
                ..good
            },
            NOW,
            Verdict::LoginRequired,
        ),
        (
            Click {
                buyer: Credential::Vouched(""),
                ..good
            },
            NOW,
            Verdict::LoginRequired,
        ),
        (
            Click {
                path: &unknown,
                ..good
            },
            NOW,
            Verdict::NotFound,
        ),
        (good, OPENS - 1, Verdict::TooEarly),
    ];
    for (index, (click, now_ms, verdict)) in cases.into_iter().enumerate() {
        assert_eq!(decide(&click, now_ms), Err(verdict), "case {index}");
    }
}

#[test]
fn a_vouched_user_needs_no_cookie() {
    let path = url("li", NOW + 1_000);
    let click = Click {
        is_post: true,
        has_body: false,
        path: &path,
        quantity: None,
        request: None,
        buyer: Credential::Vouched("li"),
        captcha: Captcha::Off,
    };
    assert_eq!(decide(&click, NOW), Ok(1));
}

#[test]
fn a_ban_comes_before_the_window_and_a_pass_behind_it() {
    let key_ring = ring();
    let pass = |user, item| pass::sign(key_ring.first(), item, user, NOW + 9_000, [1; 8]);
    let (own, others, other) = (
        pass("li", ("1", "153")),
        pass("eve", ("1", "153")),
        pass("li", ("1", "154")),
    );
    let late = url("li", NOW + 500_000);
    let path = url("li", NOW + 1_000);
    let click = |captcha| Click {
        is_post: true,
        has_body: false,
        path: &path,
        quantity: None,
        request: None,
        buyer: Credential::Vouched("li"),
        captcha,
    };
    let wanted = |pass| click(Captcha::Wanted(pass));
    assert_eq!(decide(&wanted(Some(&own)), NOW), Ok(1));
    for bad in [None, Some(""), Some("?"), Some(&*others), Some(&*other)] {
        let decided = decide(&wanted(bad), NOW);
        assert_eq!(decided, Err(Verdict::CaptchaRequired), "{bad:?}");
    }
    let expired = Click {
        path: &late,
        ..wanted(Some(&own))
    };
    assert_eq!(decide(&expired, NOW + 8_999), Ok(1));
    let decided = decide(&expired, NOW + 9_000);
    assert_eq!(decided, Err(Verdict::CaptchaRequired));
    assert_eq!(decide(&wanted(None), OPENS - 1), Err(Verdict::TooEarly));
    let path = url("eve", NOW + 1_000);
    let eve = Click {
        path: &path,
        buyer: Credential::Vouched("eve"),
        ..wanted(None)
    };
    assert_eq!(decide(&eve, NOW), Err(Verdict::Blocked));
    assert_eq!(decide(&eve, OPENS - 1), Err(Verdict::Blocked));
    let forged = Click { path: &late, ..eve };
    assert_eq!(decide(&forged, NOW), Err(Verdict::BadSignature));
}

#[test]
fn a_product_is_closed_when_it_is_over_or_sold_out_and_not_before_it_opens() {
    let entry = entry();
    for supply in [Supply::SoldOut, Supply::WasSoldOut] {
        assert_eq!(closed(&entry, OPENS - 1, supply), None);
    }
    assert_eq!(closed(&entry, NOW, Supply::Perhaps), None);
    assert_eq!(closed(&entry, NOW, Supply::SoldOut), Some(Verdict::SoldOut));
    assert_eq!(closed(&entry, NOW, Supply::WasSoldOut), Some(Verdict::Busy));
    let over = entry.window.ends_ms;
    for supply in [Supply::Perhaps, Supply::SoldOut, Supply::WasSoldOut] {
        assert_eq!(closed(&entry, over, supply), Some(Verdict::Ended));
    }
}

#[test]
fn the_crowd_that_comes_too_late_is_refused_before_anything_is_verified() {
    for verdict in [Verdict::SoldOut, Verdict::Ended] {
        assert_eq!(refuse_late(Some(verdict), false), Err(verdict));
        assert_eq!(refuse_late(Some(verdict), true), Ok(()));
    }
    assert_eq!(refuse_late(None, false), Ok(()));
    // Nobody has to be named for that.
    let path = url("li", NOW + 1_000);
    let nobody = Click {
        is_post: true,
        has_body: false,
        path: &path,
        quantity: None,
        request: None,
        buyer: Credential::Session(None),
        captcha: Captcha::Off,
    };
    let claim = Claim::read(&nobody, NOW).unwrap();
    assert_eq!((claim.user(), claim.item()), (None, ("1", "153")));
    assert_eq!(
        claim.verify_url(&ring(), Digest::HmacSha256),
        Err(Verdict::LoginRequired)
    );
}

#[test]
fn a_winner_is_answered_as_one_whatever_has_run_out() {
    for verdict in [
        Verdict::SoldOut,
        Verdict::Ended,
        Verdict::Busy,
        Verdict::Unavailable,
    ] {
        assert_eq!(answer_known(verdict, Answer::SameRequest), Ok(()));
        assert_eq!(answer_known(verdict, Answer::PerhapsElsewhere), Ok(()));
        assert_eq!(answer_known(verdict, Answer::Unseen), Err(verdict));
    }
    for verdict in [Verdict::SoldOut, Verdict::Ended, Verdict::Busy] {
        let told = answer_known(verdict, Answer::SecondClick);
        assert_eq!(told, Err(Verdict::Duplicate));
    }
    // Whether they bought is not known without the back end.
    let away = answer_known(Verdict::Unavailable, Answer::SecondClick);
    assert_eq!(away, Err(Verdict::Unavailable));
}

#[test]
fn a_stopped_product_is_refused_by_the_name_of_its_stop() {
    let cookie = session::sign(ring().first(), "li", NOW + 1_000_000);
    let path = url("li", NOW + 1_000);
    let click = Click {
        is_post: true,
        has_body: false,
        path: &path,
        quantity: None,
        request: Some("r-1"),
        buyer: Credential::Session(Session::parse(&cookie)),
        captcha: Captcha::Off,
    };
    for (halt, verdict) in [
        (Halt::Paused, Verdict::Paused),
        (Halt::Withdrawn, Verdict::Withdrawn),
    ] {
        let stopped = Entry {
            halt: Some(halt),
            ..entry()
        };
        assert_eq!(refuse_stopped(&stopped, OPENS - 1), Err(verdict));
        let claim = Claim::read(&click, NOW).unwrap();
        assert_eq!(claim.admit(&stopped, &ring(), NOW), Err(verdict));
    }
    assert_eq!(refuse_stopped(&entry(), NOW), Ok(()));
}
