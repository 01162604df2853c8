//! `POST /buy/…`: reads a purchase request and screens it as the edge does.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::any;
use seckill_core::Verdict;
use seckill_core::captcha::pass;
use seckill_core::captcha::pass::Captcha;
use seckill_core::gate::{Claim, Click, Credential};
use seckill_core::ids::{self, Item};
use seckill_core::orders::notification::Lang;
use seckill_core::permits::permit::PermitId;

use super::purchase::Purchase;
use super::session;
use super::state::ShopState;
use crate::http::body::has_body;
use crate::http::error::{ApiError, json_response};
use crate::now_ms;
use crate::orders::notifications::language;

/// Every method on `/buy/…`, since a wrong one has its own refusal.
pub(super) fn router() -> Router<Arc<ShopState>> {
    Router::new().route("/buy/{*rest}", any(buy))
}

async fn buy(
    State(state): State<Arc<ShopState>>,
    // The whole request, since extractors of its parts would copy them.
    request: Request,
) -> Result<Response, ApiError> {
    let (uri, headers) = (request.uri(), request.headers());
    let products = state.catalogue.products().ok_or(Verdict::Unavailable)?;
    let request_id = request_id(headers)?;
    let click = Click {
        is_post: request.method() == Method::POST,
        has_body: has_body(request.body()),
        path: uri.path(),
        quantity: quantity(uri),
        request: request_id,
        buyer: Credential::Cookie(session::token(headers)),
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
    let purchase = Purchase {
        permit: permit(headers)?,
        request: request_id.map_or_else(fresh_request_id, |given| Ok(given.to_owned()))?,
        admissible,
        item,
        entry,
        now_ms,
    };
    purchase.make(&state).await?;
    if let (true, Some(lang)) = (state.options.remember_language, lang(headers)) {
        language::remember(&state.redis, purchase.admissible.user, lang).await;
    }
    // A request id has nothing that JSON would escape.
    let body = format!(
        r#"{{"status":"processing","request":"{}"}}"#,
        purchase.request
    );
    Ok(json_response(StatusCode::ACCEPTED, body))
}

/// The request id: the edge's, which stays the same when nginx retries; without an
/// edge the client's own.
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

/// The permit that the edge spent on this request; `None` if it came without an edge.
fn permit(headers: &HeaderMap) -> Result<Option<PermitId>, ApiError> {
    let Some(value) = headers.get("x-seckill-permit") else {
        return Ok(None);
    };
    let permit = value.to_str().ok().and_then(PermitId::parse);
    permit.map(Some).ok_or(ApiError(Verdict::BadRequest))
}

/// The captcha pass, unverified. A header that is no text is read as an empty pass,
/// which is malformed.
fn pass(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(pass::HEADER)?;
    Some(value.to_str().unwrap_or_default())
}

/// The language of the page on which they buy.
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
