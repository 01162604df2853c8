//! Rounds as the console shows them.

use serde::Serialize;

use super::problem::Problem;
use crate::store::round::{Product, StoredRound};
use crate::store::rounds::Summary;
use crate::store::stop::StopKind;

/// A round in a list.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct RoundSummary {
    /// Its id.
    pub id: String,
    /// What shoppers call it.
    pub name: String,
    /// draft, submitted, rejected, approved (not yet in Redis), published, running, paused,
    /// ended, withdrawn.
    pub state: &'static str,
    /// Start, epoch milliseconds.
    pub starts_ms: u64,
    /// End, epoch milliseconds.
    pub ends_ms: u64,
    /// Counts every change.
    pub version: u64,
    /// The name that the days of a repeated round share.
    pub series: Option<String>,
    /// The number of products.
    pub product_count: u64,
    /// Items of all products.
    pub items: u64,
    /// Who created it.
    pub created_by: String,
    /// Who changed it last.
    pub edited_by: String,
    /// When, epoch milliseconds.
    pub edited_ms: u64,
    /// Who submitted it.
    pub submitted_by: Option<String>,
    /// When, epoch milliseconds.
    pub submitted_ms: Option<u64>,
    /// Who approved or rejected it.
    pub decided_by: Option<String>,
    /// When, epoch milliseconds.
    pub decided_ms: Option<u64>,
    /// Why it was rejected.
    pub reason: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RoundList {
    /// The rounds, latest start first.
    pub rounds: Vec<RoundSummary>,
    /// How many there are in all.
    pub total: u64,
}

/// A round with all that is sold in it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct RoundView {
    /// What a list shows of it.
    #[serde(flatten)]
    pub summary: RoundSummary,
    /// What is sold, in the order in which it is shown.
    pub products: Vec<ProductView>,
    /// What is not complete of what was just done.
    #[serde(flatten)]
    pub(super) left: Problem,
}

/// A product of a round.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ProductView {
    /// Its id.
    pub id: String,
    /// What shoppers call it.
    pub title: String,
    /// Items, as adjusted since the approval.
    pub amount: u64,
    /// Price in the round, in cents.
    pub price_cents: u64,
    /// Price outside of it, in cents.
    pub list_price_cents: u64,
    /// Most items of one buyer.
    pub per_buyer: u32,
    /// Items in each stock segment; empty for an even split.
    pub segments: Vec<u64>,
    /// The text on its page.
    pub text: String,
    /// The names of its pictures, divided by commas.
    pub picture: String,
    /// The alternative texts of its pictures, in their order; empty, the title.
    pub picture_alt: Vec<String>,
    /// The path of its page, once published.
    pub page: Option<String>,
    /// How an operator stopped this product alone, if one did.
    pub stopped: Option<StopKind>,
}

impl RoundSummary {
    pub(super) fn of(summary: Summary, now_ms: u64) -> Self {
        let state = summary.stored.shown_state(now_ms);
        let StoredRound { round, trail, .. } = summary.stored;
        Self {
            id: round.id,
            name: round.name,
            state,
            starts_ms: round.opens_ms,
            ends_ms: round.ends_ms,
            version: trail.version,
            series: trail.series,
            product_count: summary.products,
            items: summary.items,
            created_by: trail.created_by,
            edited_by: trail.edited_by,
            edited_ms: trail.edited_ms,
            submitted_by: trail.submitted_by,
            submitted_ms: trail.submitted_ms,
            decided_by: trail.decided_by,
            decided_ms: trail.decided_ms,
            reason: trail.reason,
        }
    }
}

impl RoundView {
    pub(super) fn of(stored: &StoredRound, now_ms: u64) -> Self {
        let round = stored.in_force();
        let id = round.id.clone();
        let products: Vec<ProductView> = round
            .products
            .into_iter()
            .map(|product| {
                let page = crate::sale::page::path_of(&id, &product.id);
                let stop = stored.stops.products.get(&product.id);
                let stopped = stop.map(|stop| stop.kind);
                product_view(product, stored.published_ms.map(|_| page), stopped)
            })
            .collect();
        let summary = Summary {
            stored: StoredRound {
                frozen: Default::default(),
                ..stored.clone()
            },
            products: products.len() as u64,
            items: products.iter().map(|product| product.amount).sum(),
        };
        Self {
            summary: RoundSummary::of(summary, now_ms),
            products,
            left: Problem::default(),
        }
    }
}

fn product_view(product: Product, page: Option<String>, stopped: Option<StopKind>) -> ProductView {
    ProductView {
        id: product.id,
        title: product.title,
        amount: product.amount,
        price_cents: product.price_cents,
        list_price_cents: product.list_price_cents,
        per_buyer: product.per_buyer,
        segments: product.segments,
        text: product.text,
        picture: product.picture,
        picture_alt: product.picture_alt,
        page,
        stopped,
    }
}
