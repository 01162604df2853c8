//! Sells to one buyer: runs `purchase.lua` on the buyer's segment, and has stock
//! brought there if it is empty.

use seckill_core::Verdict;
use seckill_core::captcha::pass::CLOCKS_MS;
use seckill_core::gate::Admissible;
use seckill_core::ids::Item;
use seckill_core::journal::request::{Pass as JournalledPass, Request};
use seckill_core::orders::order::OrderId;
use seckill_core::permits::outcome::Outcome;
use seckill_core::permits::permit::PermitId;
use seckill_core::sale::catalogue::Entry;
use seckill_core::signing::trace::TraceContext;
use tokio::time::Instant;

use super::journalled::{self, Turn};
use super::refill::{self, Refilled};
use super::result;
use super::state::ShopState;
use crate::edges::{leases, surplus};
use crate::redis::scripts::stock::{Pass, Sold, WhenGone};
use crate::redis::segments::Segment;
use crate::redis::{RedisLinkError, scripts};
use crate::trace::{self, Span};

/// A screened request with all that the script needs.
pub(super) struct Purchase<'a> {
    pub(super) admissible: Admissible<'a>,
    pub(super) item: Item,
    pub(super) entry: Entry,
    pub(super) request: String,
    pub(super) permit: Option<PermitId>,
    pub(super) now_ms: u64,
    /// The request's span, if it is traced.
    pub(super) trace: Option<TraceContext>,
}

/// What became of a purchase.
pub(super) struct Made {
    /// `Ok` if it was made, now or by an earlier request with the same id, and also if
    /// its outcome is not known: `…/result` says which.
    pub(super) result: Result<(), Verdict>,
    /// What became of the permit, for the edge, which returns one that was not used;
    /// `None` if that is not known.
    pub(super) permit: Option<Outcome>,
}

impl Purchase<'_> {
    /// Makes the purchase.
    pub(super) async fn make(&self, state: &ShopState) -> Made {
        let certainly = |result, outcome| Made {
            result,
            permit: Some(outcome),
        };
        if !state.may_sell() {
            tracing::debug!(item = %self.item, "this site's home has not been heard for too long, or this process was not told of its site: nothing is sold");
            return certainly(Err(Verdict::Unavailable), Outcome::Unused);
        }
        match journalled::turn(state, &self.home()) {
            Turn::Now => {}
            Turn::BehindOthers => return self.journal(state, false).await,
            Turn::Refused => return certainly(Err(Verdict::Halted), Outcome::Unused),
        }
        let reply = match self.sell(state).await {
            Ok(reply) => reply,
            Err(error @ (RedisLinkError::Unknown(_) | RedisLinkError::NotReplicated { .. })) => {
                tracing::warn!(%error, request = self.request, "the outcome of a purchase is not known");
                return self.journal(state, true).await;
            }
            Err(error) if state.journals.is_some() && journalled::is_outage(&error) => {
                return self.journal(state, false).await;
            }
            Err(error) => {
                tracing::error!(%error, item = %self.item, "a purchase was not made");
                let verdict = match error.is_halted() {
                    true => Verdict::Halted,
                    false => Verdict::Unavailable,
                };
                return certainly(Err(verdict), Outcome::Unused);
            }
        };
        match reply {
            Sold::Accepted | Sold::Repeated => certainly(Ok(()), Outcome::Used),
            Sold::Again => certainly(Ok(()), Outcome::Unused),
            Sold::Duplicate => certainly(Err(Verdict::Duplicate), Outcome::Unused),
            Sold::Captcha => certainly(Err(Verdict::CaptchaRequired), Outcome::Unused),
            Sold::SoldOut | Sold::Surplus => {
                let verdict = match &state.site {
                    None => Verdict::SoldOut,
                    Some(_) => result::none_left(state, &self.item, &self.entry).await,
                };
                let outcome = match reply {
                    Sold::Surplus => Outcome::Unused,
                    _ => Outcome::Used,
                };
                certainly(Err(verdict), outcome)
            }
            Sold::Busy | Sold::Empty => certainly(Err(Verdict::Busy), Outcome::Unused),
        }
    }

    /// Takes the request into the journal. `sent` if it may have been made already: then
    /// it is never reported as failed.
    async fn journal(&self, state: &ShopState, sent: bool) -> Made {
        match journalled::append(state, self.to_request()).await {
            Err(verdict) if !sent => Made {
                result: Err(verdict),
                permit: Some(Outcome::Unused),
            },
            _ => Made {
                result: Ok(()),
                permit: None,
            },
        }
    }

    /// What would make this purchase again.
    fn to_request(&self) -> Request {
        let Self {
            admissible, entry, ..
        } = self;
        Request {
            at_ms: self.now_ms,
            round: admissible.round.to_owned(),
            product: admissible.product.to_owned(),
            segment: self.home().number,
            segments: entry.segments.max(1),
            user: admissible.user.to_owned(),
            request: self.request.clone(),
            quantity: admissible.quantity,
            price_cents: entry.price_cents,
            permit: self
                .permit
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            pass: admissible.pass.as_ref().map(|pass| JournalledPass {
                nonce: pass.nonce.to_owned(),
                expires_ms: pass.expires_ms,
            }),
            traceparent: self.trace.as_ref().map(ToString::to_string),
        }
    }

    /// The segment that has the buyer's record.
    fn home(&self) -> Segment {
        Segment {
            item: self.item.clone(),
            number: self.entry.segment_of(self.admissible.user),
        }
    }

    /// Runs the script on the buyer's segment until its reply does not depend on
    /// stock in other segments.
    async fn sell(&self, state: &ShopState) -> Result<Sold, RedisLinkError> {
        let home = self.home();
        let count = self.entry.segments;
        if count <= 1 {
            // What becomes of a permit is looked up only when it meets no stock.
            if self.permit.is_some() {
                let reply = self.run_script(state, home.number, WhenGone::LookElsewhere);
                let reply = reply.await?;
                if reply != Sold::Empty {
                    return Ok(reply);
                }
            }
            return self.sell_the_last(state, &home).await;
        }
        let refills = state.refiller.refills_of(&home);
        let deadline = Instant::now() + refill::TIMEOUT;
        loop {
            let seen = refills.count();
            let reply = self.run_script(state, home.number, WhenGone::LookElsewhere);
            let reply = reply.await?;
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
                Refilled::NoneLeft => return self.sell_the_last(state, &home).await,
                // The buyer's own segment replied that it did nothing.
                Refilled::Away(error) => {
                    return Err(RedisLinkError::OthersAway(error.to_string()));
                }
                Refilled::Lost(segment) => {
                    return Err(RedisLinkError::NoStock(segment.to_string()));
                }
            }
        }
    }

    /// Runs the script where no other segment has stock.
    async fn sell_the_last(
        &self,
        state: &ShopState,
        home: &Segment,
    ) -> Result<Sold, RedisLinkError> {
        let when_gone = match &self.permit {
            Some(_) => surplus::of_permit(&state.redis, &self.item).await,
            None => WhenGone::SpendPermit,
        };
        self.run_script(state, home.number, when_gone).await
    }

    /// Runs the script once. A segment that has moved to another master of a
    /// Cluster is looked up again, twice at most.
    async fn run_script(
        &self,
        state: &ShopState,
        segment: u16,
        when_gone: WhenGone,
    ) -> Result<Sold, RedisLinkError> {
        let mut attempt = 1;
        loop {
            match self.run_script_on(state, segment, when_gone).await {
                Err(error) if attempt < 3 && state.segments.has_moved(&error).await => attempt += 1,
                reply => return reply,
            }
        }
    }

    async fn run_script_on(
        &self,
        state: &ShopState,
        segment: u16,
        when_gone: WhenGone,
    ) -> Result<Sold, RedisLinkError> {
        let mut conn = state.segments.conn(&self.item, segment).await?;
        let link = state.segments.link(&self.item, segment).await?;
        let life = link.life();
        let order = state.numbers.next();
        let span = self.trace.and_then(|trace| {
            let (service, kind) = (trace::Service::Purchase, trace::Kind::Client);
            Span::child(&trace, service, kind, "stock script")
        });
        let traceparent = span.as_ref().map(|span| span.context().to_string());
        let purchase = scripts::stock::Purchase {
            user: self.admissible.user,
            request: &self.request,
            quantity: self.admissible.quantity,
            permit: self.permit.as_ref(),
            price_cents: self.entry.price_cents,
            when_gone,
            edge_returns: self.permit.is_some(),
            spent_until_ms: leases::spent_until_ms(&self.entry),
            order,
            traceparent: traceparent.as_deref(),
            pass: self.admissible.pass.as_ref().map(|pass| Pass {
                nonce: pass.nonce,
                keep_ms: pass.expires_ms.saturating_sub(self.now_ms) + CLOCKS_MS,
            }),
        };
        let call = scripts::stock::purchase_event(&self.item, segment, &purchase);
        let reply = call.run(&mut conn).await;
        if let Some(span) = span {
            let bought = reply.as_ref().ok().filter(|it| it.1.is_some()).and(order);
            end_script(span, segment, reply.as_ref().ok().map(|it| it.0), bought);
        }
        let (sold, event) = match reply {
            Ok(reply) => reply,
            Err(error) => {
                link.drop_if_replica(&error);
                return Err(error.into());
            }
        };
        if let (Some(fence), Some(event)) = (&state.fence, event) {
            let products = state.catalogue.products();
            fence.note(&self.home(), event, self.to_request(), products.as_deref());
        }
        if sold == Sold::Accepted {
            link.replicated(life).await?;
        }
        Ok(sold)
    }
}

/// Records what the script replied, `None` for no reply, and the order that it promised.
fn end_script(span: Span, segment: u16, reply: Option<Sold>, order: Option<OrderId>) {
    let mut span = span
        .with("db.system.name", "redis")
        .with("seckill.segment", u64::from(segment))
        .with("seckill.outcome", reply.map_or("no_reply", Sold::as_str));
    if let Some(order) = order {
        span.set("seckill.order", order.to_string());
    }
    span.end();
}
