//! What the benchmarks measured, or flags say. Nothing is assumed: a figure of another
//! machine would price a sale wrongly without saying so.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

/// A figure and where it is from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figure {
    pub(super) value: f64,
    pub(super) from: String,
}

/// A figure that is wanted: the row that has it, the command that measures it, and the
/// flag that says it instead.
struct Wanted {
    what: &'static str,
    file: &'static str,
    row: &'static str,
    command: &'static str,
    flag: &'static str,
    given: Option<f64>,
}

/// Rates of the parts, a second each.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) edge: Figure,
    pub(super) purchase: Figure,
    pub(super) redis: Figure,
}

/// Figures that flags say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Given {
    pub(super) edge: Option<f64>,
    pub(super) purchase: Option<f64>,
    pub(super) redis: Option<f64>,
}

/// Reads the figures; the error names every one that is missing.
pub(super) fn read(results: &Path, given: Given) -> Result<Figures, String> {
    let edge = Wanted {
        what: "requests a second of an edge's core",
        file: "edge.json",
        row: "admitted, module, CPU",
        command: "make bench-edge",
        flag: "--edge-rps",
        given: given.edge,
    };
    let purchase = Wanted {
        what: "purchases a second of a purchase role's core",
        file: "purchase.json",
        row: "purchase role over HTTP, CPU of the role",
        command: "make bench-purchase",
        flag: "--purchase-rps",
        given: given.purchase,
    };
    let redis = Wanted {
        what: "purchases a second of a Redis master",
        file: "purchase.json",
        row: "the script by redis-benchmark, CPU of Redis",
        command: "make bench-purchase",
        flag: "--redis-rps",
        given: given.redis,
    };
    match (
        edge.find(results),
        purchase.find(results),
        redis.find(results),
    ) {
        (Ok(edge), Ok(purchase), Ok(redis)) => Ok(Figures {
            edge,
            purchase,
            redis,
        }),
        (edge, purchase, redis) => {
            let missing = [edge.err(), purchase.err(), redis.err()];
            let missing: Vec<String> = missing.into_iter().flatten().collect();
            Err(format!("not measured here: {}", missing.join("; ")))
        }
    }
}

impl Wanted {
    /// Microseconds of CPU for each, as requests that a second of CPU serves.
    fn find(&self, results: &Path) -> Result<Figure, String> {
        if let Some(value) = self.given {
            let from = self.flag.to_owned();
            return Ok(Figure { value, from });
        }
        let path = results.join(self.file);
        match row(&path, self.row) {
            Ok((us, machine)) => Ok(Figure {
                value: 1e6 / us,
                from: format!("{}{machine}", path.display()),
            }),
            Err(reason) => Err(format!(
                "{} ({reason}): run \"{}\", or give {} N",
                self.what, self.command, self.flag
            )),
        }
    }
}

/// A row's value, and the machine on which it was measured.
fn row(path: &PathBuf, name: &str) -> Result<(f64, String), String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|_| format!("there is no {shown}"))?;
    let result: Value =
        serde_json::from_str(&text).map_err(|error| format!("{shown} is no JSON: {error}"))?;
    let rows = result["rows"].as_array().into_iter().flatten();
    let value = rows
        .filter(|row| row["name"] == name)
        .find_map(|row| row["value"].as_f64())
        .filter(|value| value.is_finite() && *value > 0.0)
        .ok_or_else(|| format!("{shown} has no row \"{name}\" above 0"))?;
    let machine = &result["machine"];
    let machine = match (machine["cpu"].as_str(), machine["cores"].as_u64()) {
        (Some(cpu), Some(cores)) => format!(", {cores} × {cpu}"),
        _ => String::new(),
    };
    Ok((value, machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(purchase: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let rows = r#"{"machine":{"cpu":"Xeon","cores":2},"rows":[{"name":"admitted, module, CPU","value":20.0}]}"#;
        std::fs::write(folder.path().join("edge.json"), rows).unwrap();
        std::fs::write(folder.path().join("purchase.json"), purchase).unwrap();
        folder
    }

    #[test]
    fn what_was_not_measured_is_named_with_the_command_that_measures_it() {
        let folder = folder(r#"{"rows":[]}"#);
        let error = read(folder.path(), Given::default()).unwrap_err();
        assert!(!error.contains("bench-edge"), "{error}");
        for part in [
            "a purchase role's core",
            "a Redis master",
            "make bench-purchase",
            "--redis-rps",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn a_measurement_of_nothing_is_none() {
        let zero = r#"{"rows":[{"name":"purchase role over HTTP, CPU of the role","value":0}]}"#;
        let folder = folder(zero);
        let given = Given {
            redis: Some(1.0),
            ..Given::default()
        };
        let error = read(folder.path(), given).unwrap_err();
        assert!(error.contains("above 0"), "{error}");
    }

    #[test]
    fn a_flag_stands_in_for_a_measurement_and_each_figure_says_where_it_is_from() {
        let folder = folder("no JSON");
        let given = Given {
            purchase: Some(9.0),
            redis: Some(8.0),
            edge: None,
        };
        let figures = read(folder.path(), given).unwrap();
        assert!((figures.edge.value - 50_000.0).abs() < 1e-6);
        assert!(
            figures.edge.from.ends_with("edge.json, 2 × Xeon"),
            "{}",
            figures.edge.from
        );
        assert_eq!(figures.purchase.from, "--purchase-rps");
    }
}
