//! `GET /ops/api/rounds/{id}/report`: what a round sold, for people who were not there.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::stored;
use crate::console::ConsoleState;
use crate::console::auth::Operator;
use crate::console::board::recorder::EVERY_MS;
use crate::console::error::ConsoleError;
use crate::console::extract::Path;
use crate::now_ms;
use crate::store::history::Mark;
use crate::store::stop::StopKind;
use crate::store::totals::Totals;

/// A round's report.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::console) struct Report {
    /// The round's id.
    id: String,
    /// What shoppers call it.
    name: String,
    /// Start, epoch milliseconds.
    starts_ms: u64,
    /// End, epoch milliseconds.
    ends_ms: u64,
    /// When the report was made, epoch milliseconds.
    at_ms: u64,
    /// Its state then: published, running, paused, ended, withdrawn, or one before its
    /// publication.
    state: &'static str,
    /// Its products, in their order.
    products: Vec<ProductReport>,
    /// When retention removed its orders, epoch milliseconds: what they sold was counted
    /// before.
    orders_removed_ms: Option<u64>,
    /// Whether an earlier version removed them, which counted nothing: what the products
    /// sold is not known here any more.
    figures_lost: bool,
    /// Purchase requests at the whole shop while it sold, as far as they were recorded.
    requests: Option<u64>,
    /// The most requests in a second, as a mean over ten seconds.
    peak_per_second: Option<f64>,
    /// Whether other rounds sold meanwhile, whose requests are among these.
    requests_shared: bool,
    /// What happened to it and to the whole site until then.
    #[schema(value_type = Vec<Object>)]
    marks: Vec<Mark>,
}

/// One product in a report.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ProductReport {
    /// Its id.
    id: String,
    /// What shoppers call it.
    title: String,
    /// Items for sale, with later adjustments.
    amount: u64,
    /// Price of one, in cents.
    price_cents: u64,
    /// Price outside of the round, in cents.
    list_price_cents: u64,
    /// What it sold.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    totals: Totals,
}

/// What a round sold, product by product, with the crowd and the events of its time.
#[utoipa::path(get, path = "/ops/api/rounds/{id}/report", tag = "rounds", responses(
    (status = 200, body = Report),
    (status = 404, description = "There is no such round"),
))]
pub(in crate::console) async fn report(
    State(state): State<ConsoleState>,
    _: Operator,
    Path(id): Path<String>,
) -> Result<Json<Report>, ConsoleError> {
    let store = state.store.get().await?;
    let (stored, at_ms) = (stored(store, &id).await?, now_ms());
    let state = stored.shown_state(at_ms);
    let round = stored.in_force();
    let stop = stored.stops.round;
    let withdrawn = stop.filter(|stop| stop.kind == StopKind::Withdrawn);
    let mut totals = store.round_totals(&id).await?;
    let removed = store.orders_removed(&id).await?;
    let figures_lost = totals.is_empty() && removed.is_some_and(|(_, rows)| rows > 0);
    let to_ms = withdrawn.map_or(round.ends_ms, |stop| stop.at_ms.min(round.ends_ms));
    // One that was withdrawn before its start sold at no time.
    let from_ms = round.opens_ms.min(to_ms);
    let requests = store.recorded_requests(from_ms, to_ms, EVERY_MS).await?;
    let requests_shared = store.others_sold(&id, from_ms, to_ms.min(at_ms)).await?;
    // Up to its end, which an operator may have brought forward to that very millisecond.
    let mut marks = store.marks(from_ms, to_ms.min(at_ms) + 1).await?;
    marks.retain(|mark| mark.round.as_ref().is_none_or(|round| *round == id));
    let products = round.products.into_iter().map(|product| ProductReport {
        totals: totals.remove(&product.id).unwrap_or_default(),
        id: product.id,
        title: product.title,
        amount: product.amount,
        price_cents: product.price_cents,
        list_price_cents: product.list_price_cents,
    });
    Ok(Json(Report {
        products: products.collect(),
        orders_removed_ms: removed.map(|(at_ms, _)| at_ms),
        figures_lost,
        id: round.id,
        name: round.name,
        starts_ms: round.opens_ms,
        ends_ms: round.ends_ms,
        at_ms,
        state,
        requests: requests.map(|(all, _)| all),
        peak_per_second: requests.map(|(_, peak)| peak),
        requests_shared,
        marks,
    }))
}
