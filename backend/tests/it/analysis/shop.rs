//! A shop whose access log is written by hand.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use redis::AsyncCommands as _;
use seckill::config::analysis::{Policy, Rules};
use seckill::edges::analysis;
use seckill::edges::analysis::Options;
use seckill::edges::bans;
use seckill::edges::bans::Listed;
use seckill::store::findings::{Finding, FindingState};
use seckill::store::{LazyStore, Store};
use seckill_core::keys;
use seckill_core::suspicion::watch::Limits;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::common::{TestRedis, eventually, item, now_ms};

/// A shop whose log is written by hand.
pub(crate) struct Shop {
    pub(crate) redis: TestRedis,
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) database_url: String,
    /// The product's opening: a moment ago.
    pub(crate) opens_ms: u64,
    running: Option<(JoinHandle<()>, CancellationToken)>,
    pub(crate) rules: Rules,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let redis = TestRedis::start().await;
        let folder = TempDir::new().unwrap();
        let url = crate::common::database::place(folder.path()).await;
        let opens_ms = now_ms() - 60_000;
        let entry = json!({"opens_ms": opens_ms, "ends_ms": opens_ms + 3_600_000, "limit": 10,
            "per_buyer": 1, "segments": 1, "price_cents": 100});
        let mut conn = redis.link().await.conn().await.unwrap();
        let _: () = conn
            .hset(keys::CATALOGUE, item().to_string(), entry.to_string())
            .await
            .unwrap();
        Self {
            store: Store::open(&url).await.unwrap(),
            database_url: url,
            redis,
            folder,
            opens_ms,
            running: None,
            rules: Rules {
                policy: Policy::Ban,
                propose_score: 60,
                ban_score: 100,
                ban_for_ms: 600_000,
                allow: vec!["198.51.100.0/24".parse().unwrap()],
                bans_per_minute: 100,
            },
        }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    pub(crate) async fn start(&mut self) {
        let stop = CancellationToken::new();
        let options = Options {
            logs: vec![self.log()],
            positions: self.folder.path().join("analysis.json"),
            rules: self.rules.clone(),
            zone: TimeZone::UTC,
            limits: Limits::default(),
        };
        let store = LazyStore::opened(self.store.clone());
        let work = analysis::run(options, self.redis.link().await, store, stop.clone());
        // What a log holds before it is first opened is history, and not counted:
        // the test's lines come after that.
        let mut conn = self.redis.link().await.conn().await.unwrap();
        let _: i64 = conn.hdel(keys::ANALYSIS, "at_ms").await.unwrap();
        self.running = Some((tokio::spawn(work), stop));
        eventually("the logs are open", || {
            let mut conn = conn.clone();
            async move {
                conn.hexists(keys::ANALYSIS, "at_ms")
                    .await
                    .unwrap_or(false)
                    .then_some(())
            }
        })
        .await;
    }

    pub(crate) async fn stop(&mut self) {
        if let Some((work, stop)) = self.running.take() {
            stop.cancel();
            work.await.unwrap();
        }
    }

    pub(crate) fn write(&self, lines: &str) {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).open(self.log()).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    pub(crate) async fn bans(&self) -> Vec<Listed> {
        let mut conn = self.redis.link().await.conn().await.unwrap();
        bans::list(&mut conn, now_ms()).await.unwrap().listed
    }

    pub(crate) async fn finding(&self, kind: &str, subject: &str) -> Option<Finding> {
        self.store.finding(kind, subject).await.unwrap()
    }

    /// Waits until this one was found, in this state.
    pub(crate) async fn found(&self, kind: &str, subject: &str, state: FindingState) -> Finding {
        eventually(&format!("{subject} is {state:?}"), || async {
            self.finding(kind, subject)
                .await
                .filter(|found| found.state == state)
        })
        .await
    }

    /// Waits until all that was written has been acted upon.
    pub(crate) async fn caught_up(&self, lines: u64) {
        let mut conn = self.redis.link().await.conn().await.unwrap();
        eventually("all lines are read", || {
            let mut conn = conn.clone();
            async move {
                let read: Option<u64> = conn.hget(keys::ANALYSIS, "lines").await.unwrap();
                (read? >= lines).then_some(())
            }
        })
        .await;
        let _: i64 = conn.hdel(keys::ANALYSIS, "lines").await.unwrap();
    }

    /// Since half an hour somebody looks at the start page.
    pub(crate) fn past(&self) -> String {
        line(
            self.opens_ms - 1_500_000,
            "192.0.2.1",
            "",
            "GET",
            "/",
            (200, ""),
        )
    }

    pub(crate) fn person(&self, address: &str, user: &str, reaction: u64) -> String {
        let at = self.opens_ms;
        let mut text = line(
            at - 20_000,
            address,
            user,
            "GET",
            "/product/1-153.html",
            (200, ""),
        );
        text += &line(at - 19_900, address, user, "GET", "/api/time", (200, ""));
        text += &line(
            at - 15_000,
            address,
            user,
            "GET",
            "/api/rounds/1/products/153/path",
            (200, ""),
        );
        text + &line(
            at + reaction,
            address,
            user,
            "POST",
            "/buy/",
            (410, "sold_out"),
        )
    }

    pub(crate) fn bot(&self, address: &str, user: &str, clicks: u64) -> String {
        let path = "/api/rounds/1/products/153/path";
        let mut text = line(
            self.opens_ms - 30_000,
            address,
            user,
            "GET",
            path,
            (200, ""),
        );
        for n in 0..clicks {
            let at = self.opens_ms + 5 + n * 170 + n * n * 3;
            text += &line(at, address, user, "POST", "/buy/", (410, "sold_out"));
        }
        text
    }
}

fn line(
    at: u64,
    address: &str,
    user: &str,
    method: &str,
    uri: &str,
    (status, verdict): (u16, &str),
) -> String {
    let (s, ms) = (at / 1_000, at % 1_000);
    let (round, product) = if verdict.is_empty() {
        ("", "")
    } else {
        ("1", "153")
    };
    let mut text = String::new();
    writeln!(text, r#"{{"time":"","msec":{s}.{ms:03},"address":"{address}","method":"{method}","uri":"{uri}","status":{status},"bytes":1,"seconds":0.000,"upstream_seconds":"","request":"r{at}","verdict":"{verdict}","user":"{user}","round":"{round}","product":"{product}","arrival":"","permit":"","agent":"x"}}"#).unwrap();
    text
}
