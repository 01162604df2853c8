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
mod tests;
