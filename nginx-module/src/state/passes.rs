//! Captcha passes: each can be claimed by one request.
//!
//! A shortcut that is exact for this edge; the stock script spends each pass once
//! for all edges.

use seckill_core::captcha::pass;
use seckill_core::gate::Admissible;
use seckill_core::shared::passes::{ClaimResult, Counts, PassKey, Passes};
use seckill_core::shared::seen::RequestKey;
use seckill_core::{Verdict, shared::siphash::Seed};

use super::Zone;
use crate::random;

impl Zone {
    /// Captcha passes that were spent.
    pub(crate) fn passes(&self) -> Passes<'static> {
        let sets = self.sets(self.shared.passes);
        Passes::new(sets, &self.shared.pass_counts)
    }

    /// Counts of that table.
    pub(crate) fn pass_counts(&self) -> &'static Counts {
        &self.shared.pass_counts
    }
}

/// A pass that a request was the first to claim. It is released if the request is
/// refused after all.
#[derive(Clone, Copy)]
pub(crate) struct ClaimedPass {
    pass: PassKey,
    request: RequestKey,
}

fn of(seed: Seed, admissible: &Admissible<'_>, pass: &pass::Pass<'_>) -> PassKey {
    let item = (admissible.round, admissible.product);
    PassKey::new(seed, admissible.user, item, pass.nonce, pass.expires_ms)
}

impl ClaimedPass {
    /// Claims the pass of a request that needs one; `None` if it needs none, or if
    /// the same request had claimed it before. A request without an id equals no
    /// other.
    ///
    /// # Errors
    /// [`Verdict::CaptchaRequired`] if another request has it, [`Verdict::Busy`]
    /// if there is no room to remember it.
    pub(crate) fn claim(
        zone: &Zone,
        admissible: &Admissible<'_>,
        request: Option<&str>,
        now_ms: u64,
    ) -> Result<Option<Self>, Verdict> {
        let Some(pass) = &admissible.pass else {
            return Ok(None);
        };
        let seed = zone.seed();
        let pass = of(seed, admissible, pass);
        let request = match request {
            Some(id) => RequestKey::new(seed, id),
            None => RequestKey::new(seed, &format!("{:x}", random::word())),
        };
        match zone.passes().claim(pass, request, now_ms / 1_000) {
            ClaimResult::First => Ok(Some(Self { pass, request })),
            ClaimResult::Again => Ok(None),
            ClaimResult::Spent => Err(Verdict::CaptchaRequired),
            ClaimResult::Full => Err(Verdict::Busy),
        }
    }

    /// Releases the pass of a request that was refused: it is valid again.
    pub(crate) fn release(self, zone: &Zone) {
        zone.passes().release(self.pass, self.request);
    }
}
