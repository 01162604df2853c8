//! The gate's decision before any I/O, cheapest refusal first:
//! shape → expiry → signature → session → ban → window → cap → captcha pass.
//!
//! The order is part of the contract: a forged URL costs one digest, and learns
//! nothing about sessions or stock.

use crate::Verdict;
use crate::captcha::{Captcha, Pass};
use crate::catalogue::Entry;
use crate::hidden_path::{HiddenPath, PATH_HORIZON_MS};
use crate::ids;
use crate::keyring::{Digest, Keyring};
use crate::session::Session;
use crate::window::Phase;

/// Who is buying.
#[derive(Debug, Clone, Copy)]
pub enum Buyer<'a> {
    /// The module's own session cookie, if there was one; still to be verified.
    Cookie(Option<&'a str>),
    /// A user that the operator's own configuration vouches for (`seckill_user`).
    Vouched(&'a str),
}

/// The plain facts of a purchase request.
#[derive(Debug, Clone, Copy)]
pub struct Click<'a> {
    /// Whether the method is POST.
    pub is_post: bool,
    /// Whether a body comes with it.
    pub has_body: bool,
    /// The path, without the query.
    pub path: &'a str,
    /// The query's `quantity`, if there is one.
    pub quantity: Option<&'a str>,
    /// `Idempotency-Key`, if there is one.
    pub request: Option<&'a str>,
    /// Who is buying.
    pub buyer: Buyer<'a>,
    /// Whether a captcha pass is needed, and the one that was brought.
    pub captcha: Captcha<'a>,
}

/// A purchase request that may ask for permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admissible<'a> {
    /// The verified buyer.
    pub user: &'a str,
    /// The round's id.
    pub round: &'a str,
    /// The product's id.
    pub product: &'a str,
    /// Permits wanted: one an item.
    pub quantity: u32,
    /// The captcha pass, verified, if one is needed: still to be spent.
    pub pass: Option<Pass<'a>>,
}

/// Identifies the buyer as far as the token says, without verifying it.
fn claimed<'a>(buyer: Buyer<'a>) -> Option<&'a str> {
    match buyer {
        Buyer::Cookie(token) => Session::parse(token?).map(|session| session.user),
        Buyer::Vouched(user) => ids::is_user(user).then_some(user),
    }
}

/// The verified buyer, or `None`.
#[must_use]
pub fn identify<'a>(buyer: Buyer<'a>, ring: &Keyring, now_ms: u64) -> Option<&'a str> {
    match buyer {
        Buyer::Cookie(token) => {
            let session = Session::parse(token?)?;
            session.is_valid(ring, now_ms).then_some(session.user)
        }
        Buyer::Vouched(user) => ids::is_user(user).then_some(user),
    }
}

/// Decides about a click as far as that can be done without I/O.
///
/// `check_bans` refuses a verified buyer who is banned. `lookup` finds the product
/// in the catalogue. Both are asked late, since only a request that we signed is
/// worth a look.
///
/// # Errors
/// The [`Verdict`] to refuse with.
pub fn screen<'a>(
    click: &Click<'a>,
    ring: &Keyring,
    digest: Digest,
    now_ms: u64,
    check_bans: impl FnOnce(&str) -> Result<(), Verdict>,
    lookup: impl FnOnce(&str, &str) -> Option<Entry>,
) -> Result<Admissible<'a>, Verdict> {
    if !click.is_post || click.has_body {
        return Err(Verdict::BadRequest);
    }
    let path = HiddenPath::parse(click.path).ok_or(Verdict::BadRequest)?;
    if click
        .request
        .is_some_and(|request| !ids::is_request(request))
    {
        return Err(Verdict::BadRequest);
    }
    let quantity = match click.quantity {
        None => 1,
        Some(text) => match text.parse::<u32>() {
            Ok(n) if n >= 1 => n,
            _ => return Err(Verdict::BadRequest),
        },
    };
    if now_ms >= path.expires_ms {
        return Err(Verdict::Expired);
    }
    if path.expires_ms > now_ms + PATH_HORIZON_MS {
        // We never sign that far ahead.
        return Err(Verdict::BadSignature);
    }
    let user = claimed(click.buyer).ok_or(Verdict::LoginRequired)?;
    if !path.is_signed_for(user, ring, digest) {
        return Err(Verdict::BadSignature);
    }
    let user = identify(click.buyer, ring, now_ms).ok_or(Verdict::LoginRequired)?;
    check_bans(user)?;
    let entry = lookup(path.round, path.product).ok_or(Verdict::NotFound)?;
    match entry.window.phase(now_ms) {
        Phase::Scheduled | Phase::Lead => return Err(Verdict::TooEarly),
        Phase::Ended => return Err(Verdict::Ended),
        Phase::Open => {}
    }
    if quantity > entry.per_buyer {
        return Err(Verdict::BadRequest);
    }
    let item = (path.round, path.product);
    let pass = match click.captcha {
        Captcha::Off => None,
        Captcha::Wanted(text) => Some(
            text.and_then(Pass::parse)
                .filter(|pass| pass.is_good_for(user, item, ring, now_ms))
                .ok_or(Verdict::CaptchaRequired)?,
        ),
    };
    Ok(Admissible {
        user,
        round: path.round,
        product: path.product,
        quantity,
        pass,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::tests::ring;
    use crate::window::Window;
    use crate::{captcha, hidden_path, session};

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

    fn decide(click: &Click<'_>, now_ms: u64) -> Result<u32, Verdict> {
        let check_bans = |user: &str| match user {
            "eve" => Err(Verdict::Blocked),
            _ => Ok(()),
        };
        let lookup = |_: &str, product: &str| (product == "153").then(entry);
        let digest = Digest::HmacSha256;
        screen(click, &ring(), digest, now_ms, check_bans, lookup)
            .map(|admissible| admissible.quantity)
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
            buyer: Buyer::Cookie(Some(&cookie)),
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
                    buyer: Buyer::Cookie(None),
                    ..good
                },
                NOW,
                Verdict::LoginRequired,
            ),
            (
                Click {
                    buyer: Buyer::Cookie(Some(&stale)),
                    ..good
                },
                NOW,
                Verdict::LoginRequired,
            ),
            (
                Click {
                    buyer: Buyer::Cookie(Some(&tampered)),
                    ..good
                },
                NOW,
                Verdict::LoginRequired,
            ),
            (
                Click {
                    buyer: Buyer::Vouched(""),
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
            buyer: Buyer::Vouched("li"),
            captcha: Captcha::Off,
        };
        assert_eq!(decide(&click, NOW), Ok(1));
    }

    #[test]
    fn a_ban_comes_before_the_window_and_a_pass_behind_it() {
        let key_ring = ring();
        let pass = |user, item| captcha::sign(key_ring.first(), item, user, NOW + 9_000, [1; 8]);
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
            buyer: Buyer::Vouched("li"),
            captcha,
        };
        let wanted = |pass| click(Captcha::Wanted(pass));
        assert_eq!(decide(&wanted(Some(&own)), NOW), Ok(1));
        for bad in [None, Some(""), Some("?"), Some(&*others), Some(&*other)] {
            let told = decide(&wanted(bad), NOW);
            assert_eq!(told, Err(Verdict::CaptchaRequired), "{bad:?}");
        }
        let expired = Click {
            path: &late,
            ..wanted(Some(&own))
        };
        assert_eq!(decide(&expired, NOW + 8_999), Ok(1));
        let told = decide(&expired, NOW + 9_000);
        assert_eq!(told, Err(Verdict::CaptchaRequired));
        assert_eq!(decide(&wanted(None), OPENS - 1), Err(Verdict::TooEarly));
        let path = url("eve", NOW + 1_000);
        let eve = Click {
            path: &path,
            buyer: Buyer::Vouched("eve"),
            ..wanted(None)
        };
        assert_eq!(decide(&eve, NOW), Err(Verdict::Blocked));
        assert_eq!(decide(&eve, OPENS - 1), Err(Verdict::Blocked));
        let forged = Click { path: &late, ..eve };
        assert_eq!(decide(&forged, NOW), Err(Verdict::BadSignature));
    }
}
