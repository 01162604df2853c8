//! The gate's decision, by how far a request comes, and what it takes from shared
//! memory for one that passes.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::Criterion;
use seckill_core::Verdict;
use seckill_core::captcha::pass;
use seckill_core::captcha::pass::Captcha;
use seckill_core::gate::{Claim, Click, Credential};
use seckill_core::permits::hand::Hand;
use seckill_core::permits::standby::Standby;
use seckill_core::permits::tally::{Place, Tallies};
use seckill_core::rate::bucket::{Rate, Take};
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::window::Window;
use seckill_core::signing::hidden_path;
use seckill_core::signing::keyring::{Digest, Keyring};
use seckill_core::signing::session::{self, Session};

use crate::{ITEM, NOW_MS, USER, ring};

pub(crate) fn all(criterion: &mut Criterion) {
    decisions(criterion);
    bucket(criterion);
    permits(criterion);
}

/// The whole decision, but for the look-ups that the caller does between.
fn decide(click: &Click<'_>, entry: &Entry, ring: &Keyring) -> Result<u32, Verdict> {
    let claim = Claim::read(click, NOW_MS)?;
    claim.verify_url(ring, Digest::HmacSha256)?;
    claim.verify_buyer(ring, NOW_MS)?;
    Ok(claim.admit(entry, ring, NOW_MS)?.quantity)
}

fn entry(opens_ms: u64) -> Entry {
    Entry {
        window: Window {
            opens_ms,
            ends_ms: NOW_MS + 600_000,
        },
        limit: 1_000,
        per_buyer: 1,
        segments: 1,
        price_cents: 1,
        halt: None,
        priced_ms: 0,
    }
}

fn decisions(criterion: &mut Criterion) {
    let ring = ring();
    let (key, expires_ms) = (ring.first(), NOW_MS + 60_000);
    let url = |user, expires_ms| {
        hidden_path::sign(key, Digest::HmacSha256, ITEM, user, expires_ms, [7; 8])
    };
    let (good_url, old_url) = (url(USER, expires_ms), url(USER, NOW_MS - 1));
    let forged_url = url("somebody-else-16", expires_ms);
    let token = session::sign(key, USER, expires_ms);
    let old_token = session::sign(key, USER, NOW_MS - 1);
    // Of the right shape, and signed for something else.
    let forged_token = format!(
        "{USER}.{expires_ms}.k2.{}",
        forged_url.rsplit('.').next().unwrap_or_default()
    );
    let pass = pass::sign(key, ITEM, USER, expires_ms, [7; 8]);
    let good = Click {
        is_post: true,
        has_body: false,
        path: &good_url,
        quantity: None,
        request: Some("3f2a4c1d-8e77-4b52"),
        buyer: Credential::Session(Session::parse(&token)),
        captcha: Captcha::Off,
    };
    let by = |token| Credential::Session(Session::parse(token));
    let (open, later) = (entry(NOW_MS - 1), entry(NOW_MS + 1));
    let malformed = "/buy/1/153/nonsense";
    let cases = [
        (
            "refused for its method",
            Err(Verdict::BadRequest),
            &open,
            Click {
                is_post: false,
                ..good
            },
        ),
        (
            "refused for its shape",
            Err(Verdict::BadRequest),
            &open,
            Click {
                path: malformed,
                ..good
            },
        ),
        (
            "refused as expired",
            Err(Verdict::Expired),
            &open,
            Click {
                path: &old_url,
                ..good
            },
        ),
        (
            "refused without a login",
            Err(Verdict::LoginRequired),
            &open,
            Click {
                buyer: Credential::Session(None),
                ..good
            },
        ),
        (
            "refused for a forged URL",
            Err(Verdict::BadSignature),
            &open,
            Click {
                path: &forged_url,
                ..good
            },
        ),
        (
            "refused for an old session",
            Err(Verdict::LoginRequired),
            &open,
            Click {
                buyer: by(&old_token),
                ..good
            },
        ),
        (
            "refused for a forged session",
            Err(Verdict::LoginRequired),
            &open,
            Click {
                buyer: by(&forged_token),
                ..good
            },
        ),
        ("refused as too early", Err(Verdict::TooEarly), &later, good),
        (
            "refused without a captcha pass",
            Err(Verdict::CaptchaRequired),
            &open,
            Click {
                captcha: Captcha::Wanted(None),
                ..good
            },
        ),
        ("admitted", Ok(1), &open, good),
        (
            "admitted with a captcha pass",
            Ok(1),
            &open,
            Click {
                captcha: Captcha::Wanted(Some(&pass)),
                ..good
            },
        ),
    ];
    for (name, verdict, entry, click) in cases {
        assert_eq!(decide(&click, entry, &ring), verdict, "{name}");
        criterion.bench_function(name, |bench| {
            bench.iter(|| decide(black_box(&click), black_box(entry), &ring));
        });
    }
}

/// A token from a bucket that others share: one compare-and-swap, and a division.
fn bucket(criterion: &mut Criterion) {
    let take = |rate: &Rate, word: &AtomicU64, now_ns: u64| {
        let before = word.load(Ordering::Acquire);
        match rate.take(before, now_ns) {
            Take::Granted(after) => word
                .compare_exchange(before, after, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok(),
            Take::Refused { .. } => false,
        }
    };
    let rate = Rate::new(50_000, 5_000);
    let (word, mut now_ns) = (AtomicU64::new(0), 1_000_000_000_000);
    criterion.bench_function("token taken", |bench| {
        bench.iter(|| {
            now_ns += 20_000;
            take(black_box(&rate), &word, now_ns)
        });
    });
    let empty = AtomicU64::new(u64::MAX / 2);
    criterion.bench_function("token refused", |bench| {
        bench.iter(|| take(black_box(&rate), &empty, black_box(now_ns)));
    });
    let word = AtomicU64::new(0);
    criterion.bench_function("one compare-and-swap", |bench| {
        bench.iter(|| {
            let before = word.load(Ordering::Acquire);
            word.compare_exchange(before, before + 1, Ordering::AcqRel, Ordering::Relaxed)
        });
    });
}

/// A permit out of what an edge holds.
fn permits(criterion: &mut Criterion) {
    let (hand, mut lease) = (Hand::default(), 0);
    criterion.bench_function("permit spent from the hand", |bench| {
        bench.iter(|| {
            hand.spend(black_box(1), 0).or_else(|| {
                lease += 1;
                hand.put(lease, 0xffff, 0);
                hand.spend(1, 0)
            })
        });
    });
    let nothing = Hand::default();
    criterion.bench_function("hand found empty", |bench| {
        bench.iter(|| black_box(&nothing).spend(black_box(1), 0));
    });
    let (standby, places) = (Standby::default(), <[Place; 8]>::default());
    criterion.bench_function("permit spent from the standby", |bench| {
        bench.iter(|| {
            standby.spend(black_box(1), 0).or_else(|| {
                lease += 1;
                standby.put(lease, 0xffff, 0, Tallies::new(&places));
                standby.spend(1, 0)
            })
        });
    });
}
