//! One click: screened like at the edge, then one run of the stock script.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use seckill_core::Verdict;
use seckill_core::captcha::pass as captcha;
use seckill_core::captcha::pass::{CLOCKS_MS, Captcha};
use seckill_core::gate::{Admissible, Buyer, Claim, Click};
use seckill_core::ids::{self, Item};
use seckill_core::keys;
use seckill_core::orders::notice::Lang;
use seckill_core::permits::permit::PermitId;
use seckill_core::sale::catalogue::Entry;
use tokio::time::Instant;

use super::handover::{self, Found};
use super::{PurchaseState, has_body, session_token};
use crate::http::error::{ApiError, json_response};
use crate::now_ms;
use crate::orders::notices::language;
use crate::redis::segments::Segment;
use crate::redis::{RedisLinkError, scripts};

/// Handles every method on `/buy/…`, since a wrong one has its own refusal.
pub(super) async fn buy(
    State(state): State<PurchaseState>,
    // As it is, since extractors of its parts would copy them.
    asked: Request,
) -> Result<Response, ApiError> {
    let (uri, headers) = (asked.uri(), asked.headers());
    let products = state.catalogue.products().ok_or(Verdict::Unavailable)?;
    let request = request_id(headers)?;
    let click = Click {
        is_post: asked.method() == Method::POST,
        has_body: has_body(asked.body()),
        path: uri.path(),
        quantity: quantity(uri),
        request,
        buyer: Buyer::Cookie(session_token(headers)),
        captcha: Captcha::new(state.options.captcha, pass(headers)),
    };
    let now_ms = now_ms();
    let claim = Claim::read(&click, now_ms)?;
    claim.verify_url(&state.keyring, state.options.digest)?;
    // Bans are the edge's: only there is the address known for certain.
    claim.verify_buyer(&state.keyring, now_ms)?;
    let (round, product) = claim.item();
    let item = Item::new(round, product).ok_or(Verdict::NotFound)?;
    let entry = products.get(&item).copied().ok_or(Verdict::NotFound)?;
    let admissible = claim.admit(&entry, &state.keyring, now_ms)?;
    let permit = permit(headers)?;
    let request = request.map_or_else(fresh_request_id, |given| Ok(given.to_owned()))?;
    let purchase = Purchase {
        admissible,
        item,
        entry,
        request,
        permit,
        now_ms,
    };
    let answer = purchase.make(&state).await;
    if let (true, Ok(_), Some(lang)) = (state.options.remember_language, &answer, lang(headers)) {
        language::remember(&state.redis, purchase.admissible.user, lang).await;
    }
    answer
}

/// A screened click with all that the script needs.
struct Purchase<'a> {
    admissible: Admissible<'a>,
    item: Item,
    entry: Entry,
    request: String,
    permit: Option<PermitId>,
    now_ms: u64,
}

impl Purchase<'_> {
    async fn make(&self, state: &PurchaseState) -> Result<Response, ApiError> {
        let reply = match self.sell(state).await {
            Ok(reply) => reply,
            Err(RedisLinkError::Unknown(error)) => {
                // It may have been sold. The result tells, once Redis answers.
                tracing::warn!(%error, request = self.request, "the outcome of a purchase is not known");
                return Ok(self.processing());
            }
            Err(error) => {
                tracing::error!(%error, item = %self.item, "a purchase was not made");
                self.give_permit_back(state).await;
                return Err(ApiError(Verdict::Unavailable));
            }
        };
        match reply.as_str() {
            "accepted" | "repeated" => Ok(self.processing()),
            "duplicate" => Err(ApiError(Verdict::Duplicate)),
            "captcha" => Err(ApiError(Verdict::CaptchaRequired)),
            "sold_out" => Err(ApiError(Verdict::SoldOut)),
            "busy" => {
                self.give_permit_back(state).await;
                Err(ApiError(Verdict::Busy))
            }
            other => {
                tracing::error!(
                    reply = other,
                    "purchase.lua replied what this version does not know"
                );
                Ok(self.processing())
            }
        }
    }

    /// Gives back the permit of a request that certainly bought nothing. While a
    /// segment is away no lease can be settled, and its buyers, who try again and
    /// again, would otherwise use up the permits of all others.
    async fn give_permit_back(&self, state: &PurchaseState) {
        let Some(permit) = &self.permit else { return };
        let given: Result<i64, RedisLinkError> = async {
            let mut conn = state.redis.conn().await?;
            Ok(scripts::REFUND
                .key(keys::permits(&self.item))
                .key(keys::refunds(&self.item))
                .key(keys::leases(&self.item))
                .arg(permit.to_string())
                .arg(permit.lease_id())
                .arg(self.admissible.quantity)
                .invoke_async(&mut conn)
                .await?)
        }
        .await;
        if let Err(error) = given {
            // It goes back with its lease.
            tracing::debug!(%error, "a permit was not given back at once");
        }
    }

    /// Runs the script on the buyer's segment, until it has an answer that stock
    /// elsewhere does not change.
    async fn sell(&self, state: &PurchaseState) -> Result<String, RedisLinkError> {
        let home = Segment {
            item: self.item.clone(),
            number: self.entry.segment_of(self.admissible.user),
        };
        let count = self.entry.segments;
        if count <= 1 {
            return self.run_script(state, home.number, false).await;
        }
        let gate = state.handover.gate(&home);
        let until = Instant::now() + handover::PATIENCE;
        loop {
            let mark = gate.mark();
            let reply = self.run_script(state, home.number, true).await?;
            if reply != "empty" {
                return Ok(reply);
            }
            let quantity = self.admissible.quantity;
            match state
                .handover
                .bring(&gate, mark, &home, count, quantity)
                .await
            {
                Found::Stock if Instant::now() < until => {}
                Found::Stock | Found::OnItsWay => return Ok("busy".to_owned()),
                Found::Nothing => return self.run_script(state, home.number, false).await,
                // The buyer's own segment has said that it did nothing.
                Found::CannotTell(error) => {
                    return Err(RedisLinkError::Away {
                        address: "another segment".to_owned(),
                        reason: error.to_string(),
                    });
                }
                Found::Lost(segment) => return Err(RedisLinkError::NoStock(segment.to_string())),
            }
        }
    }

    /// Runs the script once. A segment that has moved to another master of a
    /// Cluster is looked up again, twice at most.
    async fn run_script(
        &self,
        state: &PurchaseState,
        segment: u16,
        elsewhere: bool,
    ) -> Result<String, RedisLinkError> {
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
        state: &PurchaseState,
        segment: u16,
        elsewhere: bool,
    ) -> Result<String, RedisLinkError> {
        let (item, user) = (&self.item, self.admissible.user);
        let mut conn = state.segments.conn(item, segment).await?;
        let permit = self
            .permit
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let lease = self
            .permit
            .as_ref()
            .map(PermitId::lease_id)
            .unwrap_or_default();
        let pass = self.admissible.pass.as_ref();
        let mut sale = scripts::Call::new(&scripts::PURCHASE, 4 + usize::from(pass.is_some()));
        sale.arg(keys::stock(item, segment))
            .arg(keys::buyers(item, segment))
            .arg(keys::spent(item, segment))
            .arg(keys::outbox(item, segment));
        if let Some(pass) = pass {
            sale.arg(keys::pass(item, segment, pass.nonce));
        }
        sale.arg(user)
            .arg(&self.request)
            .arg(self.admissible.quantity)
            .arg(permit)
            .arg(lease)
            .arg(item.round())
            .arg(item.product())
            .arg(segment)
            .arg(self.entry.price_cents)
            .arg(u8::from(elsewhere));
        if let Some(pass) = pass {
            let left_ms = pass.expires_ms.saturating_sub(self.now_ms);
            sale.arg(left_ms + CLOCKS_MS);
        }
        Ok(sale.run(&mut conn).await?)
    }

    fn processing(&self) -> Response {
        // A request id has nothing that JSON would escape.
        let body = format!(r#"{{"status":"processing","request":"{}"}}"#, self.request);
        json_response(StatusCode::ACCEPTED, body)
    }
}

/// The request id: the edge's, which stays the same when nginx tries again;
/// without an edge the client's own.
fn request_id(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let given = headers
        .get("x-request-id")
        .or_else(|| headers.get("idempotency-key"));
    let Some(given) = given else { return Ok(None) };
    match given.to_str() {
        Ok(id) if ids::is_request(id) => Ok(Some(id)),
        _ => Err(ApiError(Verdict::BadRequest)),
    }
}

fn fresh_request_id() -> Result<String, ApiError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "the system gives no random bytes");
        ApiError(Verdict::Unavailable)
    })?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

/// The permit the edge let it pass with; none if there was no edge.
fn permit(headers: &HeaderMap) -> Result<Option<PermitId>, ApiError> {
    let Some(value) = headers.get("x-seckill-permit") else {
        return Ok(None);
    };
    let permit = value.to_str().ok().and_then(PermitId::parse);
    permit.map(Some).ok_or(ApiError(Verdict::BadRequest))
}

/// The captcha pass, unverified. One that is no text is malformed like any other.
fn pass(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(captcha::HEADER)?;
    Some(value.to_str().unwrap_or_default())
}

/// The language of the page that he buys on.
fn lang(headers: &HeaderMap) -> Option<Lang> {
    Lang::accepted(headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?)
}

/// The query's first `quantity`, as nginx reads it.
fn quantity(uri: &Uri) -> Option<&str> {
    let pairs = uri.query()?.split('&');
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find_map(|(name, value)| (name == "quantity").then_some(value))
}
