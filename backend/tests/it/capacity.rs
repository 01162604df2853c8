//! `seckill capacity`: a plan from what was measured, and none from what was not.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::program;

/// A folder with what "make bench" would have measured: 20 us at the edge, 50 us in the
/// purchase role, 25 us in Redis.
fn results() -> TempDir {
    let folder = TempDir::new().unwrap();
    let machine = r#""machine":{"cpu":"Xeon","cores":2}"#;
    let edge = r#"[{"name":"admitted, module, CPU","value":20.0}]"#;
    let purchase = r#"[{"name":"purchase role over HTTP, CPU of the role","value":50.0},
        {"name":"the script by redis-benchmark, CPU of Redis","value":25.0}]"#;
    for (name, rows) in [("edge", edge), ("purchase", purchase)] {
        let text = format!("{{{machine},\"rows\":{rows}}}");
        fs::write(folder.path().join(format!("{name}.json")), text).unwrap();
    }
    folder
}

fn capacity(results: &Path, data: &Path, arguments: &[&str]) -> Output {
    let mut command = program();
    command.arg("capacity").args(arguments);
    command
        .arg("--results")
        .arg(results)
        .arg("--data")
        .arg(data);
    command.output().unwrap()
}

#[test]
fn without_a_measurement_it_refuses_and_names_what_to_run() {
    let empty = TempDir::new().unwrap();
    let output = capacity(empty.path(), empty.path(), &["--rps", "100000"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "no figure is printed");
    let said = String::from_utf8_lossy(&output.stderr);
    for part in [
        "make bench-edge",
        "make bench-purchase",
        "edge.json",
        "--redis-rps",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_rate_becomes_machines_by_what_was_measured() {
    let (results, data) = (results(), TempDir::new().unwrap());
    let output = capacity(results.path(), data.path(), &["--rps", "100000", "--json"]);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    // A core serves 50,000: four of them, filled to 70 %, serve 140,000; one to spare.
    assert_eq!(plan["capacity"]["edges"], 2);
    assert_eq!(plan["capacity"]["purchase_roles"], 2);
    assert_eq!(plan["measured"]["edge_per_core"], 50_000.0);
    assert!(plan["from"][0].as_str().unwrap().contains("Xeon"));
    // A machine that is twice as slow needs more.
    let slow = ["--rps", "100000", "--json", "--edge-rps", "25000"];
    let output = capacity(results.path(), data.path(), &slow);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["capacity"]["edges"], 3);
}

#[test]
fn buyers_are_priced_with_their_pages_and_every_assumption_is_printed() {
    let (results, data) = (results(), TempDir::new().unwrap());
    let buyers = ["--buyers", "100000", "--seconds", "60", "--gb-price", "0.2"];
    let none = capacity(results.path(), data.path(), &buyers);
    assert_eq!(none.status.code(), Some(1));
    let said = String::from_utf8_lossy(&none.stderr);
    assert!(
        said.contains("no page was weighed") && said.contains("--page-bytes"),
        "{said}"
    );

    let page = ["--page-bytes", "60000", "--picture-bytes", "50000"];
    let arguments = [buyers.as_slice(), &page].concat();
    let output = capacity(results.path(), data.path(), &arguments);
    let said = String::from_utf8_lossy(&output.stdout);
    for part in [
        "100000 buyers come within 60 s",
        "the CDN answers 99.0 %",
        "50000 requests/s",
        "4400   in the busiest second",
        "44   in the busiest second",
        "60000   --page-bytes",
        "50000   --picture-bytes",
        "2.20   --gb-price",
        "machines in all",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // The CDN's budget is used up: all of it comes to the edges, whose lines fill first.
    let burnt = [arguments.as_slice(), &["--cdn-hit", "0", "--json"]].concat();
    let plan: Value =
        serde_json::from_slice(&capacity(results.path(), data.path(), &burnt).stdout).unwrap();
    assert_eq!(plan["capacity"]["edges"], 8);
}

#[test]
fn pages_that_were_rendered_are_weighed() {
    let (results, data) = (results(), TempDir::new().unwrap());
    let product = data.path().join("pages/product");
    fs::create_dir_all(&product).unwrap();
    let page = format!(
        "<img src=\"/pictures/phone.jpg\">{}",
        "a page".repeat(1_000)
    );
    fs::write(product.join("1-153.html"), page).unwrap();
    let pictures = data.path().join("pages/pictures");
    fs::create_dir_all(&pictures).unwrap();
    fs::write(pictures.join("phone.jpg"), [7_u8; 40_000]).unwrap();
    // What no page leads to any more, such as the assets before an upgrade.
    fs::write(pictures.join("old.jpg"), [7_u8; 90_000]).unwrap();
    let assets = data.path().join("pages/assets");
    fs::create_dir_all(&assets).unwrap();
    fs::write(assets.join("shop.0123456789abcdef.js.gz"), [7_u8; 30_000]).unwrap();
    fs::write(assets.join("shop.0123456789abcdef.js"), "run();").unwrap();
    let output = capacity(results.path(), data.path(), &["--buyers", "1000", "--json"]);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["viewing"]["weight"]["picture_bytes"], 40_000.0);
    assert!(plan["viewing"]["weight"]["page_bytes"].as_f64().unwrap() < 6_000.0);
}
