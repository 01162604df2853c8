//! The gate's decision before any I/O, cheapest refusal first:
//! shape → expiry → signature → session → ban → window → cap → captcha pass.
//!
//! The order is part of the contract: a forged URL costs one digest, and its sender
//! learns nothing about sessions or stock.
//!
//! Here belong the decision, its verdicts, and the directives that configure it. It
//! may use every module that is declared before it in `lib.rs`; the caller does all look-ups in tables
//! between the steps, and passes what it found.

/// Arguments of the nginx directives, read into types.
pub mod directive;
/// Verdicts with their HTTP status and body.
pub mod verdict;

use crate::Verdict;
use crate::captcha::pass::{Captcha, Pass};
use crate::ids;
use crate::sale::catalogue::Entry;
use crate::sale::window::Phase;
use crate::signing::hidden_path::{HiddenPath, PATH_HORIZON_MS};
use crate::signing::keyring::{Digest, Keyring};
use crate::signing::session::Session;

/// How the buyer is identified.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
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
    pub buyer: Credential<'a>,
    /// Whether a captcha pass is needed, and the one that was brought.
    pub captcha: Captcha<'a>,
}

/// A purchase request that may spend permits.
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

/// The verified buyer, or `None`.
#[must_use]
pub fn identify<'a>(buyer: Credential<'a>, ring: &Keyring, now_ms: u64) -> Option<&'a str> {
    let identity = Identity::read(buyer)?;
    identity.is_proven(ring, now_ms).then_some(identity.user)
}

/// The user that a credential names.
#[derive(Debug, Clone, Copy)]
struct Identity<'a> {
    user: &'a str,
    /// The session to verify; `None` if the operator vouches for the user.
    session: Option<Session<'a>>,
}

impl<'a> Identity<'a> {
    fn read(buyer: Credential<'a>) -> Option<Self> {
        match buyer {
            Credential::Cookie(token) => Session::parse(token?).map(|session| Self {
                user: session.user,
                session: Some(session),
            }),
            Credential::Vouched(user) => ids::is_user(user).then_some(Self {
                user,
                session: None,
            }),
        }
    }

    fn is_proven(&self, ring: &Keyring, now_ms: u64) -> bool {
        self.session
            .is_none_or(|session| session.is_valid(ring, now_ms))
    }
}

/// A click whose shape is right: it claims to be by a user and for a product. Nothing
/// of it is verified yet.
///
/// The gate continues with [`Claim::verify_url`] and [`Claim::verify_buyer`], looks up
/// bans and the product, and ends with [`Claim::admit`]. These are separate steps, so
/// that the caller does its look-ups between them.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    path: HiddenPath<'a>,
    identity: Identity<'a>,
    quantity: u32,
    captcha: Captcha<'a>,
}

impl<'a> Claim<'a> {
    /// Reads a click.
    ///
    /// # Errors
    /// The [`Verdict`] to refuse with: a wrong shape, an expired URL, no credential.
    pub fn read(click: &Click<'a>, now_ms: u64) -> Result<Self, Verdict> {
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
            // No URL of ours expires that far ahead.
            return Err(Verdict::BadSignature);
        }
        Ok(Self {
            path,
            identity: Identity::read(click.buyer).ok_or(Verdict::LoginRequired)?,
            quantity,
            captcha: click.captcha,
        })
    }

    /// The user who buys.
    #[must_use]
    pub fn user(&self) -> &'a str {
        self.identity.user
    }

    /// The ids of round and product.
    #[must_use]
    pub fn item(&self) -> (&'a str, &'a str) {
        (self.path.round, self.path.product)
    }

    /// Verifies that the URL was signed for the buyer.
    ///
    /// # Errors
    /// [`Verdict::BadSignature`].
    pub fn verify_url(&self, ring: &Keyring, digest: Digest) -> Result<(), Verdict> {
        if self.path.is_signed_for(self.user(), ring, digest) {
            Ok(())
        } else {
            Err(Verdict::BadSignature)
        }
    }

    /// Verifies the buyer's session.
    ///
    /// # Errors
    /// [`Verdict::LoginRequired`].
    pub fn verify_buyer(&self, ring: &Keyring, now_ms: u64) -> Result<(), Verdict> {
        if self.identity.is_proven(ring, now_ms) {
            Ok(())
        } else {
            Err(Verdict::LoginRequired)
        }
    }

    /// Decides by the product's catalogue entry and the captcha pass. Call it only
    /// after the claim was verified.
    ///
    /// # Errors
    /// The [`Verdict`] to refuse with.
    pub fn admit(
        &self,
        entry: &Entry,
        ring: &Keyring,
        now_ms: u64,
    ) -> Result<Admissible<'a>, Verdict> {
        match entry.window.phase(now_ms) {
            Phase::Scheduled | Phase::Lead => return Err(Verdict::TooEarly),
            Phase::Ended => return Err(Verdict::Ended),
            Phase::Open => {}
        }
        if self.quantity > entry.per_buyer {
            return Err(Verdict::BadRequest);
        }
        let pass = match self.captcha {
            Captcha::Off => None,
            Captcha::Wanted(text) => Some(
                text.and_then(Pass::parse)
                    .filter(|pass| pass.is_good_for(self.user(), self.item(), ring, now_ms))
                    .ok_or(Verdict::CaptchaRequired)?,
            ),
        };
        let (round, product) = self.item();
        Ok(Admissible {
            user: self.user(),
            round,
            product,
            quantity: self.quantity,
            pass,
        })
    }
}

#[cfg(test)]
mod tests;
