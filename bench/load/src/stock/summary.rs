//! The rounds summed up: each figure is the median over the rounds, each ratio
//! the median of the rounds' own, since what disturbs the machine disturbs both.

use std::fmt::Write as _;

use super::Row;
use crate::plot::{self, Panel};

/// What the script must be against the best other strategy that works across processes.
const GOAL: f64 = 3.0;

/// One strategy over all rounds.
#[derive(Debug)]
struct Line {
    way: &'static str,
    across_processes: bool,
    survives_a_crash: bool,
    rejected_for: &'static str,
    sold_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    commands: f64,
    round_trips: f64,
    redis_cpu_us: f64,
    /// Items sold by the script for each item sold by this one.
    script_ratio: f64,
}

/// All strategies over all rounds; the script is the first.
#[derive(Debug)]
pub struct Summary {
    lines: Vec<Line>,
}

impl Summary {
    /// Sums up rounds that list the same strategies in the same order.
    #[must_use]
    pub fn of(rounds: &[Vec<Row>]) -> Self {
        let ways = rounds.first().map_or(0, Vec::len);
        let lines = (0..ways).filter_map(|at| {
            let of = |figure: fn(&Row) -> f64| {
                median(
                    rounds
                        .iter()
                        .filter_map(|round| Some(figure(round.get(at)?))),
                )
            };
            let ratios = rounds.iter().filter_map(|round| {
                let (script, way) = (round.first()?, round.get(at)?);
                Some(script.sold_per_second / way.sold_per_second)
            });
            let row = rounds.first()?.get(at)?;
            Some(Line {
                way: row.way,
                across_processes: row.across_processes,
                survives_a_crash: row.survives_a_crash,
                rejected_for: row.rejected_for,
                sold_per_second: of(|row| row.sold_per_second),
                p50_ms: of(|row| row.latency_ms.p50),
                p99_ms: of(|row| row.latency_ms.p99),
                commands: of(|row| row.commands),
                round_trips: of(|row| row.round_trips),
                redis_cpu_us: of(|row| row.redis_cpu_us),
                script_ratio: median(ratios),
            })
        });
        Self {
            lines: lines.collect(),
        }
    }

    /// The best of the rejected strategies that this is true of.
    fn best_rejected(&self, is_right: fn(&Line) -> bool) -> Option<&Line> {
        let rejected = self.lines.iter().skip(1).filter(|line| is_right(line));
        rejected.min_by(|a, b| a.script_ratio.total_cmp(&b.script_ratio))
    }

    /// Result rows: name, value, unit, goal, better, peer, separated by tabs.
    #[must_use]
    pub fn rows(&self) -> String {
        let mut text = String::new();
        let mut row =
            |name: String, value: f64, unit: &str, goal: Option<f64>, better: &str, peer: &str| {
                let goal = goal.map_or_else(|| "null".to_owned(), |goal| goal.to_string());
                let _ = writeln!(text, "{name}\t{value:.3}\t{unit}\t{goal}\t{better}\t{peer}");
            };
        let mut against = |where_right: &str, best: Option<&Line>| {
            if let Some(best) = best {
                let name = format!("the script / best rejected way that is right {where_right}");
                let (ratio, unit) = (best.script_ratio, "ratio of rates");
                row(name, ratio, unit, Some(GOAL), "higher", best.way);
            }
        };
        let across = |line: &Line| line.across_processes;
        against("across processes", self.best_rejected(across));
        let though_they_die = |line: &Line| line.across_processes && line.survives_a_crash;
        against(
            "across processes that die",
            self.best_rejected(though_they_die),
        );
        for line in &self.lines {
            let Line { way, .. } = line;
            let peer = if *way == self.lines[0].way {
                ""
            } else {
                self.lines[0].way
            };
            row(
                format!("sold, {way}"),
                line.sold_per_second,
                "items/s",
                None,
                "higher",
                peer,
            );
            row(
                format!("latency p50, {way}"),
                line.p50_ms,
                "ms",
                None,
                "lower",
                peer,
            );
            row(
                format!("latency p99, {way}"),
                line.p99_ms,
                "ms",
                None,
                "lower",
                peer,
            );
            row(
                format!("Redis commands, {way}"),
                line.commands,
                "commands/item",
                None,
                "lower",
                peer,
            );
            row(
                format!("round trips, {way}"),
                line.round_trips,
                "trips/item",
                None,
                "lower",
                peer,
            );
            row(
                format!("Redis CPU, {way}"),
                line.redis_cpu_us,
                "us/item",
                None,
                "lower",
                peer,
            );
        }
        text
    }

    /// The table for the terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<22} {:>9} {:>7} {:>9} {:>9} {:>8} {:>6} {:>8}  {}\n",
            "way",
            "items/s",
            "script",
            "p50 ms",
            "p99 ms",
            "commands",
            "trips",
            "CPU us",
            "verdict"
        );
        for line in &self.lines {
            let _ = writeln!(
                text,
                "{:<22} {:>9.0} {:>6.1}x {:>9.2} {:>9.2} {:>8.1} {:>6.1} {:>8.1}  {}",
                line.way,
                line.sold_per_second,
                line.script_ratio,
                line.p50_ms,
                line.p99_ms,
                line.commands,
                line.round_trips,
                line.redis_cpu_us,
                line.rejected_for
            );
        }
        text
    }

    /// The plot.
    #[must_use]
    pub fn svg(&self) -> String {
        let panel = |title: &str, figure: fn(&Line) -> f64, logarithmic| Panel {
            title: title.to_owned(),
            bars: self
                .lines
                .iter()
                .map(|line| (line.way.to_owned(), figure(line)))
                .collect(),
            logarithmic,
        };
        plot::svg(
            "Selling stock exactly once: the script and the ways that were rejected",
            &[
                panel(
                    "items sold a second (logarithmic)",
                    |line| line.sold_per_second,
                    true,
                ),
                panel(
                    "latency, 99 of 100, ms (logarithmic)",
                    |line| line.p99_ms,
                    true,
                ),
                panel("Redis commands for an item", |line| line.commands, false),
            ],
        )
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Latency;

    /// A way by its letter: m sells in one process only, b loses items at a crash.
    fn row(way: &'static str, sold_per_second: f64) -> Row {
        Row {
            way,
            across_processes: way != "m",
            survives_a_crash: way != "b",
            rejected_for: "",
            sold_per_second,
            latency_ms: Latency::of(vec![1_000]),
            commands: 1.0,
            round_trips: 1.0,
            redis_cpu_us: 1.0,
        }
    }

    #[test]
    fn the_script_is_held_against_the_best_that_is_right_with_and_without_crashes() {
        let round = |script| {
            vec![
                row("s", script),
                row("a", 10.0),
                row("b", 20.0),
                row("m", 900.0),
            ]
        };
        let summary = Summary::of(&[round(50.0), round(60.0), round(80.0)]);
        let rows = summary.rows();
        let mut ratios = rows.lines();
        for (ratio, peer) in [("\t3.000\t", "\tb"), ("\t6.000\t", "\ta")] {
            let row = ratios.next().unwrap();
            assert!(row.contains(ratio) && row.ends_with(peer), "{row}");
        }
        assert!(summary.table().contains("6.0x"));
    }
}
