//! A product's stock, segment by segment, and adjusting its amount.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use redis::AsyncCommands as _;
use seckill_core::ids::{self, Item};
use seckill_core::keys;
use serde::{Deserialize, Serialize};

use super::error::{FieldMistake, Part};
use super::json_body::JsonBody;
use super::rounds::{approval, conflicts};
use super::{ConsoleError, ConsoleState, Operator};
use crate::console::extract::Path;
use crate::now_ms;
use crate::sale::catalogue;
use crate::stock::adjust::{AdjustError, Adjusted, Adjuster, Raise};
use crate::stock::levels::{self, Levels};
use crate::store::Actor;
use crate::store::difference::Difference;

/// Largest amount of a product.
const MOST: u64 = 1_000_000_000;

/// Everything under `/ops/api/stock`.
pub(super) fn router() -> Router<ConsoleState> {
    Router::new().route("/ops/api/stock/{round}/{product}", get(show).post(adjust))
}

/// A product's stock, segment by segment.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct StockView {
    /// What shoppers call it.
    title: String,
    #[serde(flatten)]
    levels: Levels,
}

/// A product's stock, segment by segment.
#[utoipa::path(get, path = "/ops/api/stock/{round}/{product}", tag = "stock", responses(
    (status = 200, body = StockView), (status = 404, description = "It is not on sale"),
))]
pub(super) async fn show(
    State(state): State<ConsoleState>,
    _: Operator,
    Path((round, product)): Path<(String, String)>,
) -> Result<Json<StockView>, ConsoleError> {
    let item = item(&round, &product)?;
    let mut conn = state.redis.conn().await?;
    let products = catalogue::read(&mut conn).await?;
    let entry = products.get(&item).ok_or_else(|| not_on_sale(&item))?;
    let title: Option<String> = conn.hget(keys::info(&item), "title").await?;
    Ok(Json(StockView {
        title: title.unwrap_or_else(|| product.clone()),
        levels: levels::read(&mut conn, &state.segments, &item, entry).await?,
    }))
}

/// A new amount.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAmount {
    /// The new total of items.
    amount: u64,
    /// The request id: sent again with the same id, the change is made once.
    request: Option<String>,
}

/// The result of an adjustment.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Adjustment {
    /// Items before.
    from: u64,
    /// Items now.
    to: u64,
    /// Whether a request with this id was carried out before, so that nothing was
    /// changed.
    before: bool,
}

/// Lowers the total of a product's items, once for each request id. To raise it, a
/// second person is needed: propose it.
#[utoipa::path(post, path = "/ops/api/stock/{round}/{product}", tag = "stock",
    request_body = NewAmount, responses(
    (status = 200, body = Adjustment),
    (status = 403, description = "It would raise the amount, which has to be proposed"),
    (status = 409, description = "Stock is in transit; try again"),
    (status = 422, description = "Fewer than are sold already"),
))]
pub(super) async fn adjust(
    State(state): State<ConsoleState>,
    operator: Operator,
    Path((round, product)): Path<(String, String)>,
    JsonBody(new): JsonBody<NewAmount>,
) -> Result<Json<Adjustment>, ConsoleError> {
    let item = item(&round, &product)?;
    if new.amount > MOST {
        let message = format!(
            "The amount cannot be {}; choose one from 0 to {MOST}.",
            new.amount
        );
        return Err(refused("amount_range", message, new.amount));
    }
    let request = match new.request {
        Some(request) if ids::is_request(&request) => request,
        Some(request) => {
            return Err(ConsoleError::BadRequest(format!(
                "\"{request}\" cannot be a request id; write 1 to {} letters, digits, - or _.",
                ids::MAX_REQUEST
            )));
        }
        None => format!("adjust-{}", now_ms()),
    };
    let store = state.store.get().await?;
    let by = Actor::at_console(&operator.name);
    let adjuster = Adjuster {
        redis: &state.redis,
        segments: &state.segments,
        store,
        by: &by,
        raise: Raise::Refused,
        site: state.config.site.as_ref(),
    };
    let adjusted = adjuster.adjust(&item, new.amount, &request).await;
    let (from, to, before) = match adjusted.map_err(|error| adjust_error(error, new.amount))? {
        Adjusted::Changed { from, to } => (from, to, false),
        Adjusted::Before(amount) => (amount, amount, true),
    };
    // The product page shows the amount.
    let approver = approval::approver(&state, store);
    if let Err(error) = approver.put_on_sale(item.round(), now_ms()).await {
        tracing::warn!(%error, %item, "the amount is adjusted; its page does not show it yet");
    }
    Ok(Json(Adjustment { from, to, before }))
}

fn item(round: &str, product: &str) -> Result<Item, ConsoleError> {
    Item::new(round, product)
        .ok_or_else(|| ConsoleError::NotFound(format!("\"{round}::{product}\" is no item key.")))
}

fn not_on_sale(item: &Item) -> ConsoleError {
    ConsoleError::NotFound(format!(
        "{item} is not on sale; the live board lists what is."
    ))
}

fn refused(code: &'static str, message: String, amount: u64) -> ConsoleError {
    ConsoleError::Mistakes(vec![FieldMistake {
        field: "amount".to_owned(),
        code,
        message,
        values: vec![amount.to_string()],
        place: None,
    }])
}

fn adjust_error(error: AdjustError, amount: u64) -> ConsoleError {
    match error {
        AdjustError::NotOnSale(item) => not_on_sale(&item),
        AdjustError::BelowSold {
            sold,
            saled,
            locked,
            ..
        } => {
            let mistake = FieldMistake {
                field: "amount".to_owned(),
                code: "below_sold",
                message: format!("{error}."),
                values: [amount, sold, saled, locked]
                    .map(|n| n.to_string())
                    .to_vec(),
                place: None,
            };
            ConsoleError::Mistakes(vec![mistake])
        }
        AdjustError::Raises { item, from, amount } => {
            ConsoleError::SecondPerson(vec![Difference {
                field: format!("{}.amount", item.product()),
                from: from.into(),
                to: amount.into(),
            }])
        }
        AdjustError::Alone(error) => conflicts::alone(error),
        AdjustError::Withdrawn(_) => ConsoleError::Conflict {
            code: "round_withdrawn",
            current: None,
            message: format!("Nothing was changed: {error}."),
        },
        AdjustError::Busy(_) | AdjustError::BetweenSites(_) | AdjustError::Unsteady(_) => {
            conflicts::stock_moves(&error)
        }
        AdjustError::Link(_) => {
            tracing::warn!(%error, "the console cannot reach Redis");
            ConsoleError::Away(Part::Redis)
        }
        AdjustError::Store(_) | AdjustError::NoStore(_) => {
            tracing::warn!(%error, "the console cannot reach the database");
            ConsoleError::Away(Part::Database)
        }
    }
}
