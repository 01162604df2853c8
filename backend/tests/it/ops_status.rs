//! `seckill status` where no `seckill up` runs, and where a Redis of the stock is away.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::common::{TestRedis, eventually, program};

/// The settings of one machine of several, and its data folder.
struct Machine {
    data: TempDir,
    settings: Vec<(String, String)>,
}

impl Machine {
    /// With a Redis that another service runs, and roles on every address.
    fn new(redis: &TestRedis) -> Self {
        let mut machine = Self {
            data: TempDir::new().unwrap(),
            settings: Vec::new(),
        };
        machine.set("REDIS_URL", redis.url());
        // Ports on which nobody listens.
        machine.set("PURCHASE_LISTEN", "0.0.0.0:1".to_owned());
        machine.set("OPS_LISTEN", "[::]:1".to_owned());
        machine
    }

    fn set(&mut self, name: &str, value: String) {
        self.settings.push((format!("SECKILL_{name}"), value));
    }

    fn command(&self) -> Command {
        let mut command = program();
        command
            .envs(self.settings.iter().cloned())
            .env("SECKILL_DATA", self.data.path())
            .current_dir(self.data.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    fn approve(&self, sale: &str) {
        let file = self.data.path().join("sale.toml");
        std::fs::write(&file, sale).unwrap();
        let output = self.run(&["sale", "import", path(&file), "--approve"]);
        assert!(output.status.success(), "{output:?}");
    }

    /// The report, the exit status, and what was said on standard error.
    fn status(&self) -> (Value, Option<i32>, String) {
        let output = self.run(&["status", "--json"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|_| panic!("no report: {error}"));
        (report, output.status.code(), error)
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Whether each part of this name is up, in their order.
fn up(report: &Value, name: &str) -> Vec<Option<bool>> {
    let parts = report["parts"].as_array().unwrap().iter();
    let parts = parts.filter(|part| part["name"] == name);
    parts.map(|part| part["up"].as_bool()).collect()
}

const SALE: &str = "[[round]]\nid = \"noon\"\nname = \"Noon\"\nstarts = \"+10m\"\nends = \"+20m\"\n\
                    [[round.product]]\nid = \"a\"\ntitle = \"Phone\"\namount = 1000\n\
                    price_cents = 1\n";

/// Serves metrics to whoever comes.
async fn serve_metrics(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 512];
        let length = stream.read(&mut request).await.unwrap_or(0);
        let is_metrics = request[..length].starts_with(b"GET /metrics ");
        let status = if is_metrics {
            "200 OK"
        } else {
            "404 Not Found"
        };
        let response = format!("HTTP/1.0 {status}\r\n\r\n");
        let _ = stream.write_all(response.as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_up_what_runs_elsewhere_is_not_down() {
    let redis = TestRedis::start().await;
    let mut machine = Machine::new(&redis);
    machine.approve(SALE);
    let (report, code, error) = machine.status();
    assert_eq!(code, Some(0), "{error} {report}");
    for elsewhere in ["edge", "purchase", "ops"] {
        assert_eq!(up(&report, elsewhere), [None], "{elsewhere}: {report}");
    }
    assert_eq!(up(&report, "redis"), [Some(true)], "{report}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = listener.local_addr().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = gone.local_addr().unwrap();
    drop(gone);
    let served = tokio::spawn(serve_metrics(listener));
    machine.set("EDGES", format!("http://{edge}/metrics"));
    let (report, code, error) = machine.status();
    assert_eq!(
        (up(&report, "edge"), code),
        (vec![Some(true)], Some(0)),
        "{error}"
    );

    machine.set(
        "EDGES",
        format!("http://{edge}/metrics, http://{away}/metrics"),
    );
    let (report, code, error) = machine.status();
    assert_eq!(up(&report, "edge"), [Some(true), Some(false)], "{report}");
    assert_eq!(code, Some(1));
    // It would start another Redis and another nginx.
    assert!(!error.contains("seckill up"), "{error}");
    served.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_of_the_stock_that_is_away_is_named_and_takes_no_other_number_along() {
    let main = TestRedis::start().await;
    let (first, mut second) = (TestRedis::start().await, TestRedis::start().await);
    let mut machine = Machine::new(&main);
    machine.set(
        "REDIS_SEGMENTS",
        format!("{}, {}", first.url(), second.url()),
    );
    machine.approve(SALE);
    let (report, code, error) = machine.status();
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(
        up(&report, "segments"),
        [Some(true), Some(true)],
        "{report}"
    );
    assert_eq!(report["rounds"][0]["products"][0]["sale"], 1000);

    second.kill();
    eventually("it is seen to be away", || async {
        let (report, code, error) = machine.status();
        (code == Some(1) && error.contains("segments is away")).then_some(report)
    })
    .await;
    let (report, _, _) = machine.status();
    assert_eq!(up(&report, "redis"), [Some(true)], "{report}");
    assert_eq!(
        up(&report, "segments"),
        [Some(true), Some(false)],
        "{report}"
    );
    let product = &report["rounds"][0]["products"][0];
    assert_eq!(product["segments_away"], 1, "{product}");
    assert_eq!(
        (&product["sale"], &product["permits"]),
        (&500.into(), &0.into())
    );
    assert!(product["limit"].as_u64() >= Some(1000), "{product}");

    let doctor = machine.run(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        said.contains("what its segments hold is not sold meanwhile"),
        "{said}"
    );
    assert!(!said.contains("nothing is sold without it"), "{said}");
}
