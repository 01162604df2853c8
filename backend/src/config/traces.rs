//! The settings of traces.

use axum::http::Uri;
use seckill_core::signing::trace::Ratio;

/// Where traces are sent, and how many.
#[derive(Debug, Clone)]
pub struct Traces {
    /// The collector, which takes OTLP over HTTP; `None`: nothing is recorded.
    pub url: Option<Uri>,
    /// The share of purchases that is recorded, where no edge has decided it.
    pub ratio: Ratio,
    /// The same as it was given.
    pub ratio_text: String,
}
