//! What other sites ask of this one: `POST /site/report`, `/site/transfer`, `/site/account`.
//! Every request is signed, and so is every answer, a refusal too.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use redis::AsyncCommands as _;
use seckill_core::ids::{self, Item};
use seckill_core::keys;
use seckill_core::signing::site;
use seckill_core::sites::transfer::State as Step;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::messages::{
    ACCOUNT, AccountAsk, Ask, Gave, LostShare, REPORT, Refusal, Report, TRANSFER,
};
use super::moves::MoveError;
use super::peer::MAX_BODY;
use super::{MAY_COME, Sites, account};
use crate::now_ms;
use crate::stock::reopening;
use crate::store::StoreError;
use crate::store::site_transfers::SiteTransfer;

/// A refusal on its way to its answer.
struct Refused(StatusCode, &'static str, String);

impl Refused {
    fn unavailable(error: &dyn std::fmt::Display) -> Self {
        Self(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            error.to_string(),
        )
    }

    fn malformed(error: &dyn std::fmt::Display) -> Self {
        Self(StatusCode::BAD_REQUEST, "bad_request", error.to_string())
    }
}

impl From<MoveError> for Refused {
    fn from(error: MoveError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::unavailable(&error)
    }
}

/// Serves the other sites.
pub fn router(sites: Arc<Sites>) -> Router {
    Router::new()
        .route(REPORT, post(serve))
        .route(TRANSFER, post(serve))
        .route(ACCOUNT, post(serve))
        .with_state(sites)
}

async fn serve(State(sites): State<Arc<Sites>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let header = parts.headers.get(site::HEADER);
    let header = header.and_then(|it| it.to_str().ok()).unwrap_or_default();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let own = (sites.settings.name.as_str(), path);
    let signed = match site::Request::verify(header, own, &body, &sites.keys, now_ms()) {
        Ok(signed) => signed,
        Err(refused) => {
            tracing::warn!(path, %refused, "a request that should come from a site is refused");
            return plain(StatusCode::FORBIDDEN);
        }
    };
    let answer = match sites.turns.try_acquire() {
        Ok(_turn) => answer(&sites, &signed, &body).await,
        Err(_) => Err(Refused(
            StatusCode::TOO_MANY_REQUESTS,
            "busy",
            "too many requests at once".to_owned(),
        )),
    };
    let (status, body) = answer.unwrap_or_else(|Refused(status, code, message)| {
        tracing::debug!(
            path,
            from = signed.from,
            code,
            message,
            "a site was refused"
        );
        let refusal = Refusal {
            code: code.to_owned(),
            message,
        };
        (status, serde_json::to_vec(&refusal).unwrap_or_default())
    });
    let signature = site::sign_answer(&sites.keys, signed.nonce, status.as_u16(), &body);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Ok(signature) = HeaderValue::from_str(&signature) {
        headers.insert(site::HEADER, signature);
    }
    response
}

/// The answer to somebody who is no site: nothing is said, and nothing signed.
fn plain(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

type Answer = Result<(StatusCode, Vec<u8>), Refused>;

async fn answer(sites: &Sites, signed: &site::Request<'_>, body: &[u8]) -> Answer {
    if sites.peer(signed.from).is_none() {
        return Err(Refused(
            StatusCode::FORBIDDEN,
            "unknown_site",
            format!(
                "site {} does not know site {}; list it in site_peers",
                sites.settings.name, signed.from
            ),
        ));
    }
    match signed.path {
        REPORT => report(sites, signed, read(body)?).await,
        TRANSFER => transfer(sites, signed.from, read(body)?).await,
        ACCOUNT => product(sites, read(body)?).await,
        _ => Err(Refused(StatusCode::NOT_FOUND, "not_found", String::new())),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::malformed(&error))
}

fn json(body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body).map_err(|error| Refused::unavailable(&error))?;
    Ok((StatusCode::OK, body))
}

async fn report(sites: &Sites, signed: &site::Request<'_>, theirs: Report) -> Answer {
    let from = signed.from;
    let heard = (Instant::now(), now_ms());
    let Some(mut own) = sites.report() else {
        return Err(Refused::unavailable(
            &"this site's own stock cannot be read",
        ));
    };
    let store = sites.mover.store.get().await?;
    let lost = store.lost_site_transfers(from).await?;
    own.lost = lost
        .into_iter()
        .filter(|it| it.comes)
        .map(|it| LostShare {
            round: it.item.round().to_owned(),
            product: it.item.product().to_owned(),
            id: it.id,
            items: it.items,
        })
        .collect();
    let noted = sites.hear(from, &theirs, heard, true).await;
    noted.map_err(|error| Refused::unavailable(&error))?;
    json(&own)
}

async fn transfer(sites: &Sites, from: &str, ask: Ask) -> Answer {
    let item = Item::new(&ask.round, &ask.product);
    let item = item.ok_or_else(|| Refused::malformed(&"no round and product"))?;
    if !ids::is_request(&ask.id) || ask.id.len() > 64 || ask.wanted == 0 {
        return Err(Refused::malformed(&"no id, or nothing is wanted"));
    }
    let mut asked = SiteTransfer {
        id: ask.id,
        peer: from.to_owned(),
        item: item.clone(),
        comes: false,
        lost: false,
        wanted: ask.wanted.min(u64::from(u32::MAX)),
        items: 0,
        short: 0,
        state: Step::Taking,
        updated_ms: 0,
    };
    // What is not on sale here, or stopped, is refused for good, and on record.
    if !sites.own().is_some_and(|own| own.contains_key(&item)) && !is_on_sale(sites, &item).await? {
        asked.state = Step::Done;
    }
    // From before they leave here: what they have unsold may come back.
    sites.note_given(from, &item, ask.wanted);
    let change = [(item.clone(), vec![MAY_COME.to_owned()])];
    let announced = reopening::announce(&sites.mover.redis, &change).await;
    announced.map_err(|error| Refused::unavailable(&error))?;
    let items = sites.mover.give(&asked).await?;
    if items > 0 {
        tracing::info!(%item, to = from, items, "items were given to another site");
    }
    json(&Gave { items })
}

async fn is_on_sale(sites: &Sites, item: &Item) -> Result<bool, Refused> {
    let exists = async {
        let mut conn = sites.mover.redis.conn().await?;
        let exists: bool = conn.hexists(keys::CATALOGUE, item.to_string()).await?;
        Ok::<_, crate::redis::RedisLinkError>(exists)
    };
    exists.await.map_err(|error| Refused::unavailable(&error))
}

async fn product(sites: &Sites, asked: AccountAsk) -> Answer {
    let item = Item::new(&asked.round, &asked.product);
    let item = item.ok_or_else(|| Refused::malformed(&"no round and product"))?;
    let read = account::read(&sites.settings.name, &sites.mover, &item).await?;
    match read {
        Some(account) => json(&account),
        None => Err(Refused(
            StatusCode::NOT_FOUND,
            "not_on_sale",
            format!("{item} is not on sale here"),
        )),
    }
}
