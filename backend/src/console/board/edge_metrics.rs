//! Reads an edge's `/metrics`, in Prometheus's text format: the few lines that the
//! board shows.

use super::rate::GateCounts;

/// The metrics of an edge that the board shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EdgeMetrics {
    /// Requests at its gate.
    pub(super) gate: GateCounts,
    /// Edges that it knows to be alive, itself included.
    pub(super) edges: u64,
    /// Requests that wait for Redis now.
    pub(super) parked: u64,
    /// Bans for which its memory has no room.
    pub(super) bans_unmirrored: u64,
    /// Products for which its memory has no room.
    pub(super) products_left_out: u64,
}

/// Reads a page of metrics; `None` if it is not one of the module's.
pub(super) fn read(page: &str) -> Option<EdgeMetrics> {
    let (mut metrics, mut is_module) = (EdgeMetrics::default(), false);
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    for (name, value) in samples.filter_map(|line| line.rsplit_once(' ')) {
        let Some(name) = name.strip_prefix("seckill_") else {
            continue;
        };
        let Ok(value) = value.parse::<u64>() else {
            continue;
        };
        match name {
            "admitted_total" => {
                metrics.gate.admitted = value;
                is_module = true;
            }
            "edges" => metrics.edges = value,
            "parked" => metrics.parked = value,
            "bans_unmirrored" => metrics.bans_unmirrored = value,
            "products_left_out" => metrics.products_left_out = value,
            _ => {
                if let Some(code) = code_of(name) {
                    metrics.gate.refused.insert(code.to_owned(), value);
                }
            }
        }
    }
    is_module.then_some(metrics)
}

/// `busy` of `refused_total{code="busy"}`.
fn code_of(name: &str) -> Option<&str> {
    name.strip_prefix("refused_total{code=\"")?
        .strip_suffix("\"}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_page_is_read_and_no_other() {
        let page = "# HELP seckill_refused_total Requests refused.\n\
                    # TYPE seckill_refused_total counter\n\
                    seckill_refused_total{code=\"busy\"} 7\n\
                    seckill_refused_total{code=\"sold_out\"} 5\n\
                    seckill_admitted_total 3\n\
                    seckill_edges 2\n\
                    seckill_parked 1\n\
                    seckill_redis_command_seconds_bucket{le=\"+Inf\"} 8\n\
                    seckill_redis_command_seconds_sum 1.5\n";
        let metrics = read(page).unwrap();
        assert_eq!(metrics.gate.received(), 15);
        assert_eq!(metrics.gate.refused["busy"], 7);
        assert_eq!((metrics.edges, metrics.parked), (2, 1));
        assert_eq!(read("<html>404</html>"), None);
        assert_eq!(read(""), None);
    }
}
