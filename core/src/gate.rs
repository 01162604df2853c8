//! The gate's decision before any I/O, cheapest refusal first:
//! shape → expiry → ended or sold out → signature → session → ban → window → cap →
//! captcha pass → second click. The caller then takes a token of the rate, and a permit.
//!
//! The order is part of the contract. In a sale 98 of 100 clicks come too late: their
//! response costs no digest, for whether a product is sold out is public (`…/state`).
//! Only who may be among those who were admitted is looked at fully ([`refuse_late`],
//! [`answer_known`]), so that a buyer whose first response was lost is not told that they
//! lost. A forged URL costs one digest, and its sender learns nothing about sessions.
//! A token is taken behind all of these, so that clicks that can buy nothing leave the
//! rate to those that can.
//!
//! Here belong the decision, its verdicts, and the directives that configure it. It
//! may use every module that is declared before it in `lib.rs`; the caller does all look-ups in tables
//! between the steps, and passes what it found.

/// What an edge vouches for when it passes a purchase on.
pub mod admission;
/// Arguments of the nginx directives, read into types.
pub mod directive;
/// Whether a request comes from a page of ours.
pub mod origin;
/// Verdicts with their HTTP status and body.
pub mod verdict;
/// Verifying a click that may have been verified before.
pub mod verification;

use crate::Verdict;
use crate::captcha::pass::{Captcha, Pass};
use crate::ids;
use crate::permits::reopening::Supply;
use crate::sale::catalogue::Entry;
use crate::sale::window::{Phase, SaleState};
use crate::shared::seen::Answer;
use crate::signing::hidden_path::{HiddenPath, PATH_HORIZON_MS};
use crate::signing::keyring::{Digest, Keyring};
use crate::signing::session::Session;

/// What proves who the buyer is, and takes time to verify: a token of the shop's login.
pub trait Proof: std::fmt::Debug {
    /// The user whom it names, unverified.
    fn user(&self) -> &str;

    /// Verifies it.
    ///
    /// # Errors
    /// [`Verdict::LoginRequired`] if it proves nothing; [`Verdict::Unavailable`] if
    /// what it takes to verify it is not at hand.
    fn verify(&self) -> Result<(), Verdict>;
}

/// Refuses a product that is over, or that an operator has stopped.
///
/// # Errors
/// [`Verdict::Ended`], [`Verdict::Paused`], [`Verdict::Withdrawn`].
pub fn refuse_stopped(entry: &Entry, now_ms: u64) -> Result<(), Verdict> {
    closed(entry, now_ms, Supply::Perhaps).map_or(Ok(()), Err)
}

/// How the buyer is identified.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// A proof of another kind, still to be verified.
    Proof(&'a dyn Proof),
    /// A session of our own, if the cookie holds one; still to be verified.
    Session(Option<Session<'a>>),
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

/// The verified buyer.
///
/// # Errors
/// [`Verdict::LoginRequired`] if there is none; [`Verdict::Unavailable`] if that cannot
/// be verified now.
pub fn identify<'a>(
    buyer: Credential<'a>,
    ring: &Keyring,
    now_ms: u64,
) -> Result<&'a str, Verdict> {
    let identity = Identity::read(buyer).ok_or(Verdict::LoginRequired)?;
    identity.verify(ring, now_ms)?;
    Ok(identity.user)
}

/// The user that a credential names.
#[derive(Debug, Clone, Copy)]
struct Identity<'a> {
    user: &'a str,
    evidence: Evidence<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Evidence<'a> {
    /// A session of ours, still to be verified.
    Session(Session<'a>),
    /// Another proof of who the buyer is, still to be verified.
    Proof(&'a dyn Proof),
    /// The operator vouches for the user.
    Word,
}

impl<'a> Identity<'a> {
    fn read(buyer: Credential<'a>) -> Option<Self> {
        match buyer {
            Credential::Session(session) => session.map(|session| Self {
                user: session.user,
                evidence: Evidence::Session(session),
            }),
            Credential::Proof(proof) => Some(Self {
                user: proof.user(),
                evidence: Evidence::Proof(proof),
            }),
            Credential::Vouched(user) => ids::is_user(user).then_some(Self {
                user,
                evidence: Evidence::Word,
            }),
        }
    }

    fn verify(&self, ring: &Keyring, now_ms: u64) -> Result<(), Verdict> {
        match self.evidence {
            Evidence::Session(session) if !session.is_valid(ring, now_ms) => {
                Err(Verdict::LoginRequired)
            }
            Evidence::Session(_) | Evidence::Word => Ok(()),
            Evidence::Proof(proof) => proof.verify(),
        }
    }
}

/// What anybody may know of a product: the verdict for all who come too late,
/// or while an operator has stopped it, or `None`
/// while it can be bought or has yet to open. Where it was sold out too long ago to say
/// so, and nobody can be asked, all are told that it is busy.
#[must_use]
pub fn closed(entry: &Entry, now_ms: u64, supply: Supply) -> Option<Verdict> {
    match entry.state(now_ms, supply == Supply::SoldOut) {
        SaleState::Withdrawn => Some(Verdict::Withdrawn),
        SaleState::Ended => Some(Verdict::Ended),
        SaleState::Paused => Some(Verdict::Paused),
        SaleState::SoldOut => Some(Verdict::SoldOut),
        SaleState::Open if supply == Supply::WasSoldOut => Some(Verdict::Busy),
        SaleState::Open | SaleState::Scheduled => None,
    }
}

/// Refuses a click on a product that is `closed`, unless the buyer may be one of those
/// who were admitted. To be called before anything is verified.
///
/// # Errors
/// The verdict of [`closed`].
pub fn refuse_late(closed: Option<Verdict>, may_be_known: bool) -> Result<(), Verdict> {
    match closed {
        Some(verdict) if !may_be_known => Err(verdict),
        _ => Ok(()),
    }
}

/// What a verified buyer is told instead of a refusal for want of permits: `Ok` if this
/// very request was admitted before, or the buyer may have been by another edge, so that
/// the back end is to answer from the buyer's record.
///
/// # Errors
/// [`Verdict::Duplicate`] for another click of a buyer who was admitted; `verdict` for
/// everybody else.
pub fn answer_known(verdict: Verdict, known: Answer) -> Result<(), Verdict> {
    match known {
        Answer::SameRequest | Answer::PerhapsElsewhere => Ok(()),
        Answer::SecondClick if verdict != Verdict::Unavailable => Err(Verdict::Duplicate),
        Answer::SecondClick | Answer::Unseen => Err(verdict),
    }
}

/// Reads the query's `quantity`: 1 where there is none.
///
/// # Errors
/// [`Verdict::BadRequest`] for anything but a number from 1.
pub fn quantity(text: Option<&str>) -> Result<u32, Verdict> {
    match text.map(str::parse::<u32>) {
        None => Ok(1),
        Some(Ok(n)) if n >= 1 => Ok(n),
        Some(_) => Err(Verdict::BadRequest),
    }
}

/// A click whose shape is right: it claims to be by a user and for a product. Nothing
/// of it is verified yet.
///
/// The gate continues with [`refuse_late`], [`Claim::verify_url`] and
/// [`Claim::verify_buyer`], looks up bans, and ends with [`Claim::admit`]. These are
/// separate steps, so that the caller does its look-ups between them.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    path: HiddenPath<'a>,
    identity: Option<Identity<'a>>,
    quantity: u32,
    captcha: Captcha<'a>,
}

impl<'a> Claim<'a> {
    /// Reads a click.
    ///
    /// # Errors
    /// The [`Verdict`] to refuse with: a wrong shape, or an expired URL.
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
        let quantity = quantity(click.quantity)?;
        if now_ms >= path.expires_ms {
            return Err(Verdict::Expired);
        }
        if path.expires_ms > now_ms + PATH_HORIZON_MS {
            // No URL of ours expires that far ahead.
            return Err(Verdict::BadSignature);
        }
        Ok(Self {
            path,
            identity: Identity::read(click.buyer),
            quantity,
            captcha: click.captcha,
        })
    }

    /// The user who buys; `None` if nobody is named.
    #[must_use]
    pub fn user(&self) -> Option<&'a str> {
        self.identity.map(|identity| identity.user)
    }

    fn identity(&self) -> Result<Identity<'a>, Verdict> {
        self.identity.ok_or(Verdict::LoginRequired)
    }

    /// Items wanted.
    #[must_use]
    pub fn quantity(&self) -> u32 {
        self.quantity
    }

    /// The ids of round and product.
    #[must_use]
    pub fn item(&self) -> (&'a str, &'a str) {
        (self.path.round, self.path.product)
    }

    /// Verifies that the URL was signed for the buyer; their name.
    ///
    /// # Errors
    /// [`Verdict::BadSignature`], or [`Verdict::LoginRequired`] if nobody is named.
    pub fn verify_url(&self, ring: &Keyring, digest: Digest) -> Result<&'a str, Verdict> {
        let user = self.identity()?.user;
        if self.path.is_signed_for(user, ring, digest) {
            Ok(user)
        } else {
            Err(Verdict::BadSignature)
        }
    }

    /// Verifies the buyer's session, or other proof.
    ///
    /// # Errors
    /// As for [`identify`].
    pub fn verify_buyer(&self, ring: &Keyring, now_ms: u64) -> Result<(), Verdict> {
        self.identity()?.verify(ring, now_ms)
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
        refuse_stopped(entry, now_ms)?;
        if entry.window.phase(now_ms) != Phase::Open {
            return Err(Verdict::TooEarly);
        }
        if self.quantity > entry.per_buyer {
            return Err(Verdict::BadRequest);
        }
        let user = self.identity()?.user;
        let pass = match self.captcha {
            Captcha::Off => None,
            Captcha::Wanted(text) => Some(
                text.and_then(Pass::parse)
                    .filter(|pass| pass.is_good_for(user, self.item(), ring, now_ms))
                    .ok_or(Verdict::CaptchaRequired)?,
            ),
        };
        let (round, product) = self.item();
        Ok(Admissible {
            user,
            round,
            product,
            quantity: self.quantity,
            pass,
        })
    }
}

#[cfg(test)]
mod tests;
