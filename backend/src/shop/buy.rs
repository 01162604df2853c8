//! `POST /buy/…`: a purchase that an edge admitted, or one that comes without an edge and
//! is screened here as the edge does.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use seckill_core::Verdict;
use seckill_core::captcha::pass;
use seckill_core::captcha::pass::{Captcha, Pass};
use seckill_core::gate::{self, Claim, Click};
use seckill_core::ids::{self, Item};
use seckill_core::orders::notification::Lang;
use seckill_core::permits::outcome::{self, Outcome};
use seckill_core::sale::catalogue::Entry;

use super::admission::{self, Admitted, single};
use super::identity::{self, Caller};
use super::purchase::{Made, Purchase};
use super::result::answer_again;
use super::state::ShopState;
use super::traced;
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
) -> Response {
    let mut span = traced::begin(request.headers(), &state.keyring);
    let caller = identity::caller(&state, request.headers()).await;
    let (answer, outcome) = match screen(&state, &request, &caller) {
        Ok(Screened::New(mut purchase)) => {
            if let Some(span) = &mut span {
                traced::describe(span, &purchase, &state.keyring);
                purchase.trace = Some(span.context());
            }
            let Made { result, permit } = purchase.make(&state).await;
            if let (Ok(()), true, Some(lang)) = (
                result,
                state.options.remember_language,
                lang(request.headers()),
            ) {
                language::remember(&state.redis, purchase.admissible.user, lang).await;
            }
            (result.map(|()| purchase.request), permit)
        }
        Ok(Screened::Again(item, entry, again)) => {
            let user = again.admissible.user;
            let answer = answer_again(&state, &item, &entry, user, again.request).await;
            (answer.map(|()| again.request.to_owned()), None)
        }
        Err(verdict) => (Err(verdict), Some(Outcome::Unused)),
    };
    if let Some(span) = span {
        let outcome = answer.as_ref().err().map_or("processing", |it| it.code());
        span.with("seckill.outcome", outcome).end();
    }
    let mut response = match answer {
        // A request id has nothing that JSON would escape.
        Ok(request) => json_response(
            StatusCode::ACCEPTED,
            format!(r#"{{"status":"processing","request":"{request}"}}"#),
        ),
        Err(verdict) => ApiError(verdict).into_response(),
    };
    if let Some(outcome) = outcome {
        let (name, value) = (outcome::HEADER, outcome.as_str());
        response.headers_mut().insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

/// A request that may go on.
enum Screened<'a> {
    /// It may buy.
    New(Purchase<'a>),
    /// It was admitted before, and is only answered again.
    Again(Item, Entry, Admitted<'a>),
}

fn screen<'a>(
    state: &ShopState,
    request: &'a Request,
    caller: &'a Result<Caller<'a>, ApiError>,
) -> Result<Screened<'a>, Verdict> {
    let (uri, headers, now_ms) = (request.uri(), request.headers(), now_ms());
    let products = state.catalogue.products().ok_or(Verdict::Unavailable)?;
    let find = |round: &str, product: &str| {
        let item = Item::new(round, product)?;
        let entry = products.get(&item).copied()?;
        Some((item, entry))
    };
    let wanted = gate::quantity(quantity(uri))?;
    let Some(mut admitted) = admission::read(headers, uri.path(), wanted, &state.keyring)? else {
        let caller = caller.as_ref().map_err(|error| error.0)?;
        return screen_without_edge(state, request, caller, find, now_ms).map(Screened::New);
    };
    let admissible = &mut admitted.admissible;
    let found = find(admissible.round, admissible.product);
    let (item, entry) = found.ok_or(Verdict::NotFound)?;
    if admissible.quantity > entry.per_buyer {
        return Err(Verdict::BadRequest);
    }
    let Some(permit) = admitted.permit.take() else {
        return Ok(Screened::Again(item, entry, admitted));
    };
    if state.options.captcha && admissible.pass.is_none() {
        // This edge required none; here one is.
        let product = (admissible.round, admissible.product);
        let pass = single(headers, pass::HEADER)?.and_then(Pass::parse);
        let is_good =
            |pass: &Pass<'_>| pass.is_good_for(admissible.user, product, &state.keyring, now_ms);
        admissible.pass = Some(pass.filter(is_good).ok_or(Verdict::CaptchaRequired)?);
    }
    Ok(Screened::New(Purchase {
        permit: Some(permit),
        request: admitted.request.to_owned(),
        admissible: admitted.admissible,
        item,
        entry,
        now_ms,
        trace: None,
    }))
}

/// Screens a request that no edge vouches for, with all that an edge verifies. Whatever
/// permit it names is not its own.
fn screen_without_edge<'a>(
    state: &ShopState,
    request: &'a Request,
    caller: &'a Caller<'a>,
    find: impl Fn(&str, &str) -> Option<(Item, Entry)>,
    now_ms: u64,
) -> Result<Purchase<'a>, Verdict> {
    let (uri, headers) = (request.uri(), request.headers());
    let request_id = request_id(headers)?;
    let click = Click {
        is_post: request.method() == Method::POST,
        has_body: has_body(request.body()),
        path: uri.path(),
        quantity: quantity(uri),
        request: request_id,
        buyer: caller.credential(),
        captcha: Captcha::new(state.options.captcha, single(headers, pass::HEADER)?),
    };
    let claim = Claim::read(&click, now_ms)?;
    let digest = state.options.digest;
    let verified = claim.verify_url(&state.keyring, digest);
    // An edge may have a key that is new in the file too.
    if verified.is_err()
        && !(state.keyring.read_again() && claim.verify_url(&state.keyring, digest).is_ok())
    {
        verified?;
    }
    // Bans are the edge's: only there is the address known for certain.
    claim.verify_buyer(&state.keyring, now_ms)?;
    if !state.revoked.was_read() {
        // Nobody buys on a guess.
        return Err(Verdict::Unavailable);
    }
    if let Caller::Session(token) = caller {
        identity::refuse_revoked(state, *token, now_ms)?;
    }
    let (round, product) = claim.item();
    let (item, entry) = find(round, product).ok_or(Verdict::NotFound)?;
    let admissible = claim.admit(&entry, &state.keyring, now_ms)?;
    Ok(Purchase {
        permit: None,
        request: request_id.map_or_else(fresh_request_id, |given| Ok(given.to_owned()))?,
        admissible,
        item,
        entry,
        now_ms,
        trace: None,
    })
}

/// The request id: a proxy's, which stays the same when it retries, or the client's own.
fn request_id(headers: &HeaderMap) -> Result<Option<&str>, Verdict> {
    let given = match single(headers, "x-request-id")? {
        None => single(headers, "idempotency-key")?,
        proxy => proxy,
    };
    match given.map(ids::unquoted) {
        Some(id) if !ids::is_request(id) => Err(Verdict::BadRequest),
        id => Ok(id),
    }
}

fn fresh_request_id() -> Result<String, Verdict> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "the system gives no random bytes");
        Verdict::Unavailable
    })?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

/// The language of the page on which they buy.
fn lang(headers: &HeaderMap) -> Option<Lang> {
    let accepted = headers.get(header::ACCEPT_LANGUAGE)?.as_bytes();
    Lang::accepted(&String::from_utf8_lossy(accepted))
}

/// The query's first `quantity`, as nginx reads it.
fn quantity(uri: &Uri) -> Option<&str> {
    let pairs = uri.query()?.split('&');
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find_map(|(name, value)| (name == "quantity").then_some(value))
}
