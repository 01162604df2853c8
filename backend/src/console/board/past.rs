//! `GET /ops/api/board/history`: the recorded past, in as many points as a chart has
//! room for, with marks for what happened.

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use super::Board;
use super::recorder::{EVERY_MS, Recorded};
use crate::console::ConsoleError;
use crate::console::extract::Query;
use crate::http::error::json_response;
use crate::now_ms;

/// Most points in a response.
const MOST_POINTS: u64 = 1_000;
/// The longest range, in ms: a year.
const LONGEST_MS: u64 = 366 * 86_400_000;

/// The path, to be merged behind the console's guard.
pub(crate) fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Board: FromRef<S>,
{
    Router::new().route("/ops/api/board/history", get(history))
}

/// Which part of the past.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    /// Start, epoch ms.
    from_ms: u64,
    /// End, epoch ms; now, if it is left out.
    to_ms: Option<u64>,
    /// How many points at most.
    points: Option<u64>,
}

/// The recorded past: columns of means, `null` where nothing was recorded, and marks.
#[utoipa::path(get, path = "/ops/api/board/history", tag = "board",
    params(
        ("from_ms" = u64, Query, description = "Start, epoch ms"),
        ("to_ms" = Option<u64>, Query, description = "End, epoch ms; now, if left out"),
        ("points" = Option<u64>, Query, description = "Most points, 1 to 1000"),
    ),
    responses((status = 200, description = "`step_ms`, columns by name, `marks`")),
)]
pub(crate) async fn history(
    State(board): State<Board>,
    _: crate::console::Operator,
    Query(range): Query<Range>,
) -> Result<Response, ConsoleError> {
    let to_ms = range.to_ms.unwrap_or_else(now_ms);
    let length_ms = to_ms.saturating_sub(range.from_ms);
    if length_ms == 0 || length_ms > LONGEST_MS {
        return Err(ConsoleError::BadRequest(format!(
            "A range from {} to {to_ms} cannot be shown; its end must be later, by a year at most.",
            range.from_ms
        )));
    }
    let points = range.points.unwrap_or(600).clamp(1, MOST_POINTS);
    let step_ms = length_ms.div_ceil(points).div_ceil(EVERY_MS).max(1) * EVERY_MS;
    let store = board.sources().store.get().await?;
    let rows = store.history(range.from_ms, to_ms).await?;
    let marks = store.marks(range.from_ms, to_ms.min(now_ms())).await?;
    let recorded = rows.iter().filter_map(|(at_ms, data)| {
        let point: Recorded = serde_json::from_str(data).ok()?;
        Some((*at_ms, point))
    });
    let steps = means(recorded, range.from_ms, to_ms, step_ms);
    let column = |of: fn(&Recorded) -> Option<f64>| -> Vec<Option<f64>> {
        steps.iter().map(|(_, point)| of(point)).collect()
    };
    let body = json!({
        "from_ms": range.from_ms,
        "to_ms": to_ms,
        "step_ms": step_ms,
        "at_ms": steps.iter().map(|(at_ms, _)| at_ms).collect::<Vec<_>>(),
        "received": column(|point| point.received),
        "admitted": column(|point| point.admitted),
        "orders": column(|point| point.orders),
        "depth": column(|point| point.depth.map(|n| n as f64)),
        "age_ms": column(|point| point.age_ms.map(|n| n as f64)),
        "marks": marks,
    });
    Ok(json_response(StatusCode::OK, body.to_string()))
}

/// The mean of each step of the range. A step without points has none of its numbers.
fn means(
    points: impl Iterator<Item = (u64, Recorded)>,
    from_ms: u64,
    to_ms: u64,
    step_ms: u64,
) -> Vec<(u64, Recorded)> {
    let count = usize::try_from(to_ms.saturating_sub(from_ms).div_ceil(step_ms)).unwrap_or(0);
    let mut steps: Vec<[Mean; 5]> = vec![[Mean::default(); 5]; count];
    for (at_ms, point) in points {
        let at = usize::try_from(at_ms.saturating_sub(from_ms) / step_ms).unwrap_or(usize::MAX);
        let Some(step) = steps.get_mut(at) else {
            continue;
        };
        let whole = |n: Option<u64>| n.map(|n| n as f64);
        let values = [
            point.received,
            point.admitted,
            point.orders,
            whole(point.depth),
            whole(point.age_ms),
        ];
        for (mean, value) in step.iter_mut().zip(values) {
            mean.add(value);
        }
    }
    // Means of counts are small and not negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = |mean: &Mean| mean.value().map(|n| n.round() as u64);
    let step = |(at, [received, admitted, orders, depth, age]): (usize, &[Mean; 5])| {
        let point = Recorded {
            received: received.value(),
            admitted: admitted.value(),
            orders: orders.value(),
            depth: whole(depth),
            age_ms: whole(age),
        };
        (from_ms + at as u64 * step_ms, point)
    };
    steps.iter().enumerate().map(step).collect()
}

/// A mean of what is known.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    /// Rounded to tenths.
    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| (self.sum / f64::from(self.count) * 10.0).round() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(received: f64, depth: u64) -> Recorded {
        Recorded {
            received: Some(received),
            depth: Some(depth),
            ..Recorded::default()
        }
    }

    #[test]
    fn a_step_is_the_mean_of_its_points_and_a_gap_stays_a_gap() {
        let points = [
            (1_000_000, point(10.0, 4)),
            (1_010_000, point(20.0, 7)),
            (1_040_000, point(1.0, 1)),
        ];
        let steps = means(points.into_iter(), 1_000_000, 1_060_000, 20_000);
        let received: Vec<_> = steps.iter().map(|(_, it)| it.received).collect();
        assert_eq!(received, [Some(15.0), None, Some(1.0)]);
        assert_eq!(steps[0].1.depth, Some(6));
        assert_eq!(steps[1].0, 1_020_000);
        assert_eq!(steps[0].1.orders, None);
    }
}
