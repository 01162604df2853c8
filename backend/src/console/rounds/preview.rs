//! A preview of the product page, from the same template as the page itself.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::form::{Figure, ProductForm, RoundForm};
use crate::console::ConsoleState;
use crate::console::auth::Operator;
use crate::console::error::ConsoleError;
use crate::console::json_body::JsonBody;
use crate::sale::page;
use crate::store::round::{Product, Round};

/// A round that is being edited, and which of its products to show.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::console) struct PreviewForm {
    /// The round, which may have mistakes.
    round: RoundForm,
    /// The product's place in the round, counted from 0.
    product: usize,
}

/// The page as HTML. Missing or wrong numbers are shown as zero, so that a page can be
/// seen before everything is filled in.
#[utoipa::path(post, path = "/ops/api/rounds/preview", tag = "rounds", request_body = PreviewForm, responses(
    (status = 200, description = "The page", content_type = "text/html"),
))]
pub(in crate::console) async fn preview(
    State(state): State<ConsoleState>,
    _: Operator,
    JsonBody(preview): JsonBody<PreviewForm>,
) -> Result<Response, ConsoleError> {
    let form = &preview.round;
    let opens_ms = whole(&form.starts_ms);
    let round = Round {
        id: "0".to_owned(),
        name: form.name.clone(),
        opens_ms,
        ends_ms: whole(&form.ends_ms).max(opens_ms),
        products: Vec::new(),
    };
    let product = form.products.get(preview.product).map(product);
    let product = product.ok_or_else(|| {
        let (number, count) = (preview.product, form.products.len());
        ConsoleError::BadRequest(format!(
            "There is no product {number}; the round has {count}."
        ))
    })?;
    let html = page::html(
        &page::PageContent::of(&round, &product),
        state.config.currency,
        None,
    )
    .map_err(|error| ConsoleError::internal(&error))?;
    Ok(Html(html).into_response())
}

fn product(form: &ProductForm) -> Product {
    let price_cents = whole(&form.price_cents);
    let list = form.list_price_cents.as_ref().map_or(price_cents, whole);
    Product {
        id: if seckill_core::ids::is_id(&form.id) {
            &form.id
        } else {
            "0"
        }
        .to_owned(),
        title: form.title.clone(),
        amount: whole(&form.amount),
        price_cents,
        list_price_cents: list.max(price_cents),
        per_buyer: form
            .per_buyer
            .as_ref()
            .map_or(1, |cap| u32::try_from(whole(cap)).unwrap_or(1)),
        segments: Vec::new(),
        text: form.text.clone(),
        picture: if crate::sale::limits::is_picture(&form.picture) {
            form.picture.clone()
        } else {
            String::new()
        },
        priced_ms: 0,
        // A line break would move the texts behind it to other pictures.
        picture_alt: form
            .picture_alt
            .iter()
            .map(|alt| alt.replace('\n', " "))
            .collect(),
    }
}

fn whole(figure: &Figure) -> u64 {
    match figure {
        Figure::Whole(number) => u64::try_from(*number).unwrap_or(0),
        Figure::Other(_) => 0,
    }
}
