//! Sells to one buyer: runs `purchase.lua` on the buyer's segment, and has stock
//! brought there if it is empty.

use seckill_core::Verdict;
use seckill_core::captcha::pass::CLOCKS_MS;
use seckill_core::gate::Admissible;
use seckill_core::ids::Item;
use seckill_core::permits::permit::PermitId;
use seckill_core::sale::catalogue::Entry;
use tokio::time::Instant;

use super::refill::{self, Refilled};
use super::state::ShopState;
use crate::redis::scripts::stock::{Pass, Sold};
use crate::redis::segments::Segment;
use crate::redis::{RedisLinkError, scripts};

/// A screened request with all that the script needs.
pub(super) struct Purchase<'a> {
    pub(super) admissible: Admissible<'a>,
    pub(super) item: Item,
    pub(super) entry: Entry,
    pub(super) request: String,
    pub(super) permit: Option<PermitId>,
    pub(super) now_ms: u64,
}

impl Purchase<'_> {
    /// Makes the purchase. `Ok` if it was made, now or by an earlier request with
    /// the same id, and also if its outcome is not known: `…/result` says which.
    ///
    /// # Errors
    /// Why it was certainly not made.
    pub(super) async fn make(&self, state: &ShopState) -> Result<(), Verdict> {
        let reply = match self.sell(state).await {
            Ok(reply) => reply,
            Err(RedisLinkError::Unknown(error)) => {
                tracing::warn!(%error, request = self.request, "the outcome of a purchase is not known");
                return Ok(());
            }
            Err(error) => {
                tracing::error!(%error, item = %self.item, "a purchase was not made");
                self.return_permit(state).await;
                return Err(Verdict::Unavailable);
            }
        };
        match reply {
            Sold::Accepted | Sold::Repeated => Ok(()),
            Sold::Duplicate => Err(Verdict::Duplicate),
            Sold::Captcha => Err(Verdict::CaptchaRequired),
            Sold::SoldOut => Err(Verdict::SoldOut),
            Sold::Busy | Sold::Empty => {
                self.return_permit(state).await;
                Err(Verdict::Busy)
            }
        }
    }

    /// Returns the permit of a request that certainly bought nothing. While a
    /// segment is away no lease can be settled, and its buyers, who try again and
    /// again, would otherwise use up the permits of all others.
    async fn return_permit(&self, state: &ShopState) {
        let Some(permit) = &self.permit else { return };
        let returned: Result<u64, RedisLinkError> = async {
            let mut conn = state.redis.conn().await?;
            let quantity = self.admissible.quantity;
            let (id, lease) = (permit.to_string(), permit.lease_id());
            let refund = scripts::permits::refund(&self.item, &id, &lease, quantity);
            Ok(refund.run(&mut conn).await?)
        }
        .await;
        if let Err(error) = returned {
            // It is returned when its lease is settled.
            tracing::debug!(%error, "a permit was not returned at once");
        }
    }

    /// Runs the script on the buyer's segment until its reply does not depend on
    /// stock in other segments.
    async fn sell(&self, state: &ShopState) -> Result<Sold, RedisLinkError> {
        let home = Segment {
            item: self.item.clone(),
            number: self.entry.segment_of(self.admissible.user),
        };
        let count = self.entry.segments;
        if count <= 1 {
            return self.run_script(state, home.number, false).await;
        }
        let refills = state.refiller.refills_of(&home);
        let deadline = Instant::now() + refill::TIMEOUT;
        loop {
            let seen = refills.count();
            let reply = self.run_script(state, home.number, true).await?;
            if reply != Sold::Empty {
                return Ok(reply);
            }
            let quantity = self.admissible.quantity;
            match state
                .refiller
                .refill(&refills, seen, &home, count, quantity)
                .await
            {
                Refilled::Stocked if Instant::now() < deadline => {}
                Refilled::Stocked | Refilled::InTransit => return Ok(Sold::Busy),
                Refilled::NoneLeft => return self.run_script(state, home.number, false).await,
                // The buyer's own segment replied that it did nothing.
                Refilled::Away(error) => {
                    return Err(RedisLinkError::Away {
                        address: "another segment".to_owned(),
                        reason: error.to_string(),
                    });
                }
                Refilled::Lost(segment) => {
                    return Err(RedisLinkError::NoStock(segment.to_string()));
                }
            }
        }
    }

    /// Runs the script once. A segment that has moved to another master of a
    /// Cluster is looked up again, twice at most.
    async fn run_script(
        &self,
        state: &ShopState,
        segment: u16,
        elsewhere: bool,
    ) -> Result<Sold, RedisLinkError> {
        let mut attempt = 1;
        loop {
            match self.run_script_on(state, segment, elsewhere).await {
                Err(error) if attempt < 3 && state.segments.has_moved(&error).await => attempt += 1,
                reply => return reply,
            }
        }
    }

    async fn run_script_on(
        &self,
        state: &ShopState,
        segment: u16,
        elsewhere: bool,
    ) -> Result<Sold, RedisLinkError> {
        let mut conn = state.segments.conn(&self.item, segment).await?;
        let purchase = scripts::stock::Purchase {
            user: self.admissible.user,
            request: &self.request,
            quantity: self.admissible.quantity,
            permit: self.permit.as_ref(),
            price_cents: self.entry.price_cents,
            elsewhere,
            pass: self.admissible.pass.as_ref().map(|pass| Pass {
                nonce: pass.nonce,
                keep_ms: pass.expires_ms.saturating_sub(self.now_ms) + CLOCKS_MS,
            }),
        };
        let call = scripts::stock::purchase(&self.item, segment, &purchase);
        Ok(call.run(&mut conn).await?)
    }
}
