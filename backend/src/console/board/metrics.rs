//! What an edge says of itself: the few lines of its `/metrics` that the board
//! shows, in Prometheus's text form.

use super::meter::Counted;

/// What the board reads of an edge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// At the gate.
    pub(super) counted: Counted,
    /// Edges that it knows to be alive, itself included.
    pub(super) edges: u64,
    /// Requests that wait for Redis now.
    pub(super) parked: u64,
    /// Bans for which its memory has no room.
    pub(super) bans_unmirrored: u64,
    /// Products for which its memory has no room.
    pub(super) products_left_out: u64,
}

/// Reads a page of metrics; `None` if it is none of ours.
pub(super) fn read(page: &str) -> Option<Reading> {
    let (mut reading, mut is_ours) = (Reading::default(), false);
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
                reading.counted.admitted = value;
                is_ours = true;
            }
            "edges" => reading.edges = value,
            "parked" => reading.parked = value,
            "bans_unmirrored" => reading.bans_unmirrored = value,
            "products_left_out" => reading.products_left_out = value,
            _ => {
                if let Some(code) = code_of(name) {
                    reading.counted.refused.insert(code.to_owned(), value);
                }
            }
        }
    }
    is_ours.then_some(reading)
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
    fn an_edge_s_page_is_read_and_nobody_else_s() {
        let page = "# HELP seckill_refused_total Requests refused.\n\
                    # TYPE seckill_refused_total counter\n\
                    seckill_refused_total{code=\"busy\"} 7\n\
                    seckill_refused_total{code=\"sold_out\"} 5\n\
                    seckill_admitted_total 3\n\
                    seckill_edges 2\n\
                    seckill_parked 1\n\
                    seckill_redis_command_seconds_bucket{le=\"+Inf\"} 8\n\
                    seckill_redis_command_seconds_sum 1.5\n";
        let reading = read(page).unwrap();
        assert_eq!(reading.counted.received(), 15);
        assert_eq!(reading.counted.refused["busy"], 7);
        assert_eq!((reading.edges, reading.parked), (2, 1));
        assert_eq!(read("<html>404</html>"), None);
        assert_eq!(read(""), None);
    }
}
