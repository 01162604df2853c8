//! The analysis role on a real Redis and a real database: what is written into an
//! access log, and who is banned for it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod common;
#[path = "analysis/following.rs"]
mod following;

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use axum::http::{Method, StatusCode};
use common::console::Console;
use common::{TestRedis, eventually, item, now_ms};
use jiff::tz::TimeZone;
use redis::AsyncCommands as _;
use seckill::analysis::policy::{Policy, Rules};
use seckill::analysis::{self, Options, audience};
use seckill::bans::{self, Listed};
use seckill::console::account::Role;
use seckill::findings::Decision;
use seckill::store::findings::{Finding, FindingState};
use seckill::store::{LazyStore, Store};
use seckill_core::ban::Kind;
use seckill_core::keys;
use seckill_core::suspicion::watch::Limits;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A shop whose log is written by hand.
struct Shop {
    redis: TestRedis,
    folder: TempDir,
    store: Store,
    /// The product's opening: a moment ago.
    opens_ms: u64,
    running: Option<(JoinHandle<()>, CancellationToken)>,
    rules: Rules,
}

impl Shop {
    async fn open() -> Self {
        let redis = TestRedis::start().await;
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("seckill.db").display());
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

    fn log(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    async fn start(&mut self) {
        let stop = CancellationToken::new();
        let options = Options {
            logs: vec![self.log()],
            places: self.folder.path().join("analysis.json"),
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

    async fn stop(&mut self) {
        if let Some((work, stop)) = self.running.take() {
            stop.cancel();
            work.await.unwrap();
        }
    }

    fn write(&self, lines: &str) {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).open(self.log()).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    async fn bans(&self) -> Vec<Listed> {
        let mut conn = self.redis.link().await.conn().await.unwrap();
        bans::list(&mut conn, now_ms()).await.unwrap().listed
    }

    async fn finding(&self, kind: &str, subject: &str) -> Option<Finding> {
        self.store.finding(kind, subject).await.unwrap()
    }

    /// Waits until this one was found, in this state.
    async fn found(&self, kind: &str, subject: &str, state: FindingState) -> Finding {
        eventually(&format!("{subject} is {state:?}"), || async {
            self.finding(kind, subject)
                .await
                .filter(|found| found.state == state)
        })
        .await
    }

    /// Waits until all that was written has been acted upon.
    async fn caught_up(&self, lines: u64) {
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
    fn past(&self) -> String {
        line(
            self.opens_ms - 1_500_000,
            "192.0.2.1",
            "",
            "GET",
            "/",
            (200, ""),
        )
    }

    fn person(&self, address: &str, user: &str, reaction: u64) -> String {
        let at = self.opens_ms;
        let mut text = line(
            at - 40_000,
            address,
            user,
            "GET",
            "/product/1-153.html",
            (200, ""),
        );
        text += &line(at - 39_900, address, user, "GET", "/api/time", (200, ""));
        text += &line(
            at - 30_000,
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

    fn bot(&self, address: &str, user: &str, clicks: u64) -> String {
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

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_banned_people_are_not_and_whoever_is_dismissed_is_left_alone() {
    let mut shop = Shop::open().await;
    shop.start().await;
    let mut lines = shop.past() + "this is no line\n" + &shop.person("203.0.113.8", "li", 400);
    lines += &shop.bot("203.0.113.7", "bot", 12);
    // Half a line, and its other half later.
    let (half, other) = lines.split_at(lines.len() - 50);
    shop.write(half);
    shop.write(other);
    let found = shop.found("user", "bot", FindingState::Banned).await;
    assert!(found.score >= 100 && found.reasons.len() >= 2, "{found:?}");
    let sentence = found.reasons[0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("times within"), "{sentence}");
    let banned = shop.bans().await;
    assert_eq!(banned.len(), 1, "{banned:?}");
    assert_eq!((&*banned[0].value, &*banned[0].by), ("bot", "analysis"));
    assert!(banned[0].expires_ms.is_some_and(|at| at > now_ms()));
    assert_eq!(shop.finding("user", "li").await, None);

    // What an operator reads, and what he decides.
    let listed = Command::new(env!("CARGO_BIN_EXE_seckill"))
        .args(["findings", "list"])
        .env("SECKILL_DATA", shop.folder.path())
        .env("SECKILL_REDIS_URL", shop.redis.url())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.starts_with("user     bot") && listed.contains("times within"),
        "{listed}"
    );
    let decision = Decision {
        kind: Kind::User,
        subject: "bot",
        by: "li",
        now_ms: now_ms(),
    };
    let link = shop.redis.link().await;
    decision.dismiss(&shop.store, &link).await.unwrap();
    assert_eq!(shop.bans().await, []);

    // It goes on, worse than before; another one shows that all was read.
    let more = shop.bot("203.0.113.7", "bot", 30) + &shop.bot("203.0.113.9", "other", 12);
    shop.write(&more);
    shop.found("user", "other", FindingState::Banned).await;
    let bot = shop.finding("user", "bot").await.unwrap();
    assert_eq!(
        (bot.state, bot.decided_by.as_deref()),
        (FindingState::Dismissed, Some("li"))
    );
    assert!(shop.bans().await.iter().all(|ban| ban.value != "bot"));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_programs_is_banned_unless_it_is_allowed_and_bans_have_a_limit() {
    let mut shop = Shop::open().await;
    shop.rules.bans_per_minute = 3;
    shop.start().await;
    let mut lines = shop.past();
    for n in 0..8 {
        lines += &shop.bot("203.0.113.7", &format!("farm{n}"), 0);
        lines += &shop.bot("198.51.100.7", &format!("test{n}"), 0);
    }
    for n in 0..5 {
        lines += &shop.bot(&format!("192.0.2.{n}"), &format!("bot{n}"), 12);
    }
    for n in 0..30 {
        lines += &shop.person(
            &format!("192.0.2.{}", 100 + n),
            &format!("li{n}"),
            300 + n * 40,
        );
    }
    shop.write(&lines);
    let farm = shop
        .found("address", "203.0.113.7", FindingState::Banned)
        .await;
    let sentence = farm.reasons[0]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("8 of the 8 accounts"), "{sentence}");
    // Never browsing alone is worth a look, not a ban.
    let alone = shop.found("user", "farm1", FindingState::Proposed).await;
    assert_eq!(alone.score, 80);
    for n in 0..5 {
        let name = format!("bot{n}");
        eventually("each bot is found", || shop.finding("user", &name)).await;
    }
    assert_eq!(shop.finding("address", "198.51.100.7").await, None);
    let held = shop
        .store
        .findings(Some(FindingState::Proposed), 100)
        .await
        .unwrap();
    let banned = shop.bans().await.len();
    assert_eq!(banned, 3, "the address and two of five bots");
    assert_eq!(held.iter().filter(|one| one.score >= 100).count(), 3);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_participants_and_hot_products_survive_a_restart_and_a_rotation() {
    let mut shop = Shop::open().await;
    shop.start().await;
    let mut lines = shop.past();
    for n in 0..10 {
        lines += &shop.person(&format!("203.0.113.{n}"), &format!("li{n}"), 300 + n * 40);
    }
    shop.write(&lines);
    shop.caught_up(41).await;
    shop.stop().await;

    // While nobody reads: more lines, a rotation, and more lines.
    let mut lines = String::new();
    for n in 10..15 {
        lines += &shop.person(&format!("203.0.113.{n}"), &format!("li{n}"), 300 + n * 40);
    }
    shop.write(&lines);
    std::fs::rename(shop.log(), shop.folder.path().join("access.log.1")).unwrap();
    let mut lines = shop.person("203.0.113.99", "li99", 700);
    lines += &shop.bot("203.0.113.100", "bot", 12);
    shop.write(&lines);
    shop.start().await;
    shop.found("user", "bot", FindingState::Banned).await;
    // The first part is read again as history, and not counted again.
    shop.caught_up(41 + 20 + 4 + 13).await;
    shop.stop().await;

    let mut conn = shop.redis.link().await.conn().await.unwrap();
    let counts = audience::read(&mut conn, &[item()]).await.unwrap();
    assert_eq!((counts[0].visitors, counts[0].participants), (17, 17));
    let date = jiff::Timestamp::from_millisecond(i64::try_from(shop.opens_ms).unwrap()).unwrap();
    let date = date.to_zoned(TimeZone::UTC).date().to_string();
    let hot = audience::hottest(&mut conn, &date, 10).await.unwrap();
    // 16 pages, and 16 + 12 clicks.
    assert_eq!(hot, [(item().to_string(), 44)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_nothing_is_lost() {
    let mut shop = Shop::open().await;
    shop.start().await;
    shop.write(&shop.past());
    shop.caught_up(1).await;
    shop.redis.kill();
    shop.write(&shop.bot("203.0.113.7", "bot", 12));
    shop.redis.start_again().await;
    shop.found("user", "bot", FindingState::Banned).await;
    assert_eq!(shop.bans().await.len(), 1);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_console_people_decide_on_findings() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let judgement = seckill_core::suspicion::Judgement {
        subject: seckill_core::suspicion::Subject::User("bot".into()),
        score: 80,
        reasons: vec![seckill_core::suspicion::Reason::NeverBrowsed {
            urls: 1,
            clicks: 2,
            for_ms: 30_000,
            may_have_looked: false,
        }],
        is_doubtful: false,
    };
    let found = Finding::new("user", "bot", &judgement, now_ms());
    console.store.put_finding(&found).await.unwrap();

    let anybody = console.ask(Method::GET, "/ops/api/findings").send().await;
    assert_eq!(anybody.status, StatusCode::UNAUTHORIZED);
    let listed = console.get(&li, "/ops/api/findings?state=proposed").await;
    assert_eq!(listed.body["findings"][0]["subject"], "bot");
    assert_eq!(
        listed.body["findings"][0]["reasons"][0]["code"],
        "never_browsed"
    );
    assert_eq!(listed.body["counts"], json!({"proposed": 1}));
    let bad = console.get(&li, "/ops/api/findings?state=maybe").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);

    let whom = json!({"kind": "user", "subject": "bot", "minutes": 5});
    let confirmed = console.post(&li, "/ops/api/findings/confirm", &whom).await;
    assert_eq!(
        (confirmed.status, &confirmed.body["state"]),
        (StatusCode::OK, &json!("confirmed"))
    );
    let mut conn = console.link.conn().await.unwrap();
    let banned = bans::list(&mut conn, now_ms()).await.unwrap().listed;
    assert_eq!((&*banned[0].value, &*banned[0].by), ("bot", "li"));
    let whom = json!({"kind": "user", "subject": "bot"});
    let dismissed = console.post(&li, "/ops/api/findings/dismiss", &whom).await;
    assert_eq!(dismissed.body["state"], "dismissed");
    assert_eq!(bans::list(&mut conn, now_ms()).await.unwrap().listed, []);
    let nobody = json!({"kind": "user", "subject": "nobody"});
    let unknown = console
        .post(&li, "/ops/api/findings/dismiss", &nobody)
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_shoppers_come_only_where_somebody_on_the_box_allowed_them() {
    let console = Console::open().await;
    let li = console.person("li", Role::Operator).await;
    let path = "/ops/api/simulation";
    let wanted = json!({"shoppers": 5, "round": "1", "product": "153", "seconds": 5});
    let refused = console.post(&li, path, &wanted).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::FORBIDDEN, &json!("round_is_real"))
    );
    for (wrong, said) in [
        (
            json!({"shoppers": 0, "round": "1", "product": "153", "seconds": 5}),
            "one at least",
        ),
        (
            json!({"shoppers": 5, "bots": 9_999_999, "round": "1", "product": "153", "seconds": 5}),
            "up to 5000",
        ),
        (
            json!({"shoppers": 5, "wickedness": ["kind"], "round": "1", "product": "153", "seconds": 5}),
            "no wickedness",
        ),
        (
            json!({"shoppers": 5, "round": "1; rm", "product": "153", "seconds": 5}),
            "no product",
        ),
        (json!({"shoppers": "many"}), "send JSON"),
    ] {
        let answer = console.post(&li, path, &wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let message = answer.body["message"].as_str().unwrap().to_owned();
        assert!(message.contains(said), "{message}");
    }
    let shown = console.get(&li, path).await;
    assert_eq!(shown.body["simulation"]["state"], "none");
    assert!(
        shown.body["wickedness"]
            .as_array()
            .unwrap()
            .contains(&json!("careful"))
    );
}
