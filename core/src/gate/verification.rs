use super::{Claim, Evidence};
use crate::Verdict;
use crate::signing::keyring::{Digest, Keyring};
use crate::signing::recent::{Mark, Recent};

/// Verifies one click: [`Self::url`] first, then [`Self::buyer`]. Both cost a digest unless
/// this very click was verified before.
pub struct Verification<'c, 'a> {
    claim: &'c Claim<'a>,
    ring: &'c Keyring,
    digest: Digest,
    recent: &'c Recent,
    /// What is remembered of the click; `None` if it cannot be.
    mark: Option<Mark>,
    was_verified: bool,
}

impl<'c, 'a> Verification<'c, 'a> {
    /// Verifies a click on a URL that is signed in this way by a key of this ring. `recent`
    /// must hold only what this ring verified.
    #[must_use]
    pub fn new(
        claim: &'c Claim<'a>,
        ring: &'c Keyring,
        digest: Digest,
        recent: &'c Recent,
    ) -> Self {
        let mark = mark(claim, digest, recent);
        let was_verified = mark.is_some_and(|mark| recent.holds(mark));
        Self {
            claim,
            ring,
            digest,
            recent,
            mark,
            was_verified,
        }
    }

    /// Verifies that the URL was signed for the buyer; their name.
    ///
    /// # Errors
    /// As for [`Claim::verify_url`].
    pub fn url(&self) -> Result<&'a str, Verdict> {
        match self.claim.user() {
            Some(user) if self.was_verified => Ok(user),
            _ => self.claim.verify_url(self.ring, self.digest),
        }
    }

    /// Verifies the buyer's session, or other proof, and remembers the click, whose URL must
    /// have been verified.
    ///
    /// # Errors
    /// As for [`Claim::verify_buyer`].
    pub fn buyer(&self, now_ms: u64) -> Result<(), Verdict> {
        if self.was_verified && self.is_current(now_ms) {
            return Ok(());
        }
        self.claim.verify_buyer(self.ring, now_ms)?;
        if let Some(mark) = self.mark.filter(|_| !self.was_verified) {
            self.recent.keep(mark);
        }
        Ok(())
    }

    /// Whether the buyer's proof has not ended since.
    fn is_current(&self, now_ms: u64) -> bool {
        match self.claim.identity.map(|identity| identity.evidence) {
            Some(Evidence::Session(session)) => session.is_current(now_ms),
            Some(Evidence::Word) => true,
            Some(Evidence::Proof(_)) | None => false,
        }
    }
}

/// All that is verified of a click: its URL, by this digest, and by what the buyer is known.
fn mark(claim: &Claim<'_>, digest: Digest, recent: &Recent) -> Option<Mark> {
    let way = u64::from(digest == Digest::Md5);
    let identity = claim.identity?;
    match identity.evidence {
        Evidence::Session(session) => Some(recent.mark(way, [claim.path.text, session.text])),
        Evidence::Word => Some(recent.mark(2 | way, [claim.path.text, identity.user])),
        // What was verified of it is remembered by whoever verified it.
        Evidence::Proof(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captcha::pass::Captcha;
    use crate::gate::{Click, Credential};
    use crate::signing::hidden_path;
    use crate::signing::keyring::tests::ring;
    use crate::signing::session::{self, Session};

    const NOW: u64 = 1_795_406_400_000;

    struct Shopper {
        url: String,
        session: String,
    }

    fn shopper(user: &str, session_ends_ms: u64) -> Shopper {
        let key = ring();
        let key = key.first();
        let item = ("1", "153");
        let url = hidden_path::sign(key, Digest::HmacSha256, item, user, NOW + 100, [7; 8]);
        let session = session::sign(key, user, session_ends_ms);
        Shopper { url, session }
    }

    fn verify(url: &str, session: &str, recent: &Recent, now_ms: u64) -> Result<bool, Verdict> {
        let click = Click {
            is_post: true,
            has_body: false,
            path: url,
            quantity: None,
            request: None,
            buyer: Credential::Session(Session::parse(session)),
            captcha: Captcha::Off,
        };
        let claim = Claim::read(&click, now_ms)?;
        let ring = ring();
        let verification = Verification::new(&claim, &ring, Digest::HmacSha256, recent);
        verification.url()?;
        verification.buyer(now_ms)?;
        Ok(verification.was_verified)
    }

    #[test]
    fn a_click_is_verified_once() {
        let recent = Recent::new([1, 2]);
        let li = shopper("li", NOW + 50);
        assert_eq!(verify(&li.url, &li.session, &recent, NOW), Ok(false));
        assert_eq!(verify(&li.url, &li.session, &recent, NOW), Ok(true));
    }

    #[test]
    fn what_is_remembered_ends_with_the_session_and_with_the_url() {
        let recent = Recent::new([1, 2]);
        let li = shopper("li", NOW + 50);
        assert_eq!(verify(&li.url, &li.session, &recent, NOW), Ok(false));
        let ended = verify(&li.url, &li.session, &recent, NOW + 50);
        assert_eq!(ended, Err(Verdict::LoginRequired));
        let li = shopper("li", NOW + 500);
        let expired = verify(&li.url, &li.session, &recent, NOW + 100);
        assert_eq!(expired, Err(Verdict::Expired));
    }

    #[test]
    fn nothing_that_was_refused_or_that_others_sent_is_remembered() {
        let recent = Recent::new([1, 2]);
        let (li, wang) = (shopper("li", NOW + 50), shopper("wang", NOW + 50));
        let forged = li.session.replace("li.", "wang.");
        for _ in 0..2 {
            assert_eq!(verify(&li.url, &li.session, &recent, NOW).err(), None);
            let others = verify(&li.url, &wang.session, &recent, NOW);
            assert_eq!(others, Err(Verdict::BadSignature));
            let unsigned = verify(&wang.url, &forged, &recent, NOW);
            assert_eq!(unsigned, Err(Verdict::LoginRequired));
        }
    }
}
