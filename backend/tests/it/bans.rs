//! `seckill bans`: what an operator types, what they read, and what edges find.

use std::process::Output;

use crate::common::{TestRedis, eventually, now_ms, program};
use redis::aio::MultiplexedConnection;
use seckill_core::keys;
use seckill_core::shared::bans::listed;
use serde_json::Value;
use tempfile::TempDir;

struct Operator {
    redis: TestRedis,
    data: TempDir,
}

impl Operator {
    async fn open() -> Self {
        let redis = TestRedis::start().await;
        let data = TempDir::new().unwrap();
        Self { redis, data }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        program()
            .arg("bans")
            .args(arguments)
            .env("SECKILL_DATA", self.data.path())
            .env("SECKILL_REDIS_URL", self.redis.url())
            .current_dir(self.data.path())
            .output()
            .unwrap()
    }

    fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {printed}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn listed(&self) -> Value {
        serde_json::from_str(&self.said(&["list", "--json"])).unwrap()
    }

    async fn conn(&self) -> MultiplexedConnection {
        self.redis.link().await.conn().await.unwrap()
    }
}

#[tokio::test]
async fn what_is_banned_is_listed_with_reason_name_and_end_until_it_is_lifted() {
    let operator = Operator::open().await;
    assert_eq!(operator.said(&["list"]), "Nobody is banned.\n");
    let because = ["--reason", "90 clicks a second", "--by", "ops"];
    let add = |kind, value, more: &[&str]| {
        let arguments = [&["add", kind, value], &because[..], more].concat();
        operator.said(&arguments)
    };
    assert_eq!(
        add("address", "203.0.113.0/24", &[]),
        "Banned for good: address 203.0.113.0/24.\n"
    );
    let printed = add("user", "eve@example.com", &["--for", "1h"]);
    assert!(printed.starts_with("Banned until 20"), "{printed}");
    assert!(printed.ends_with(": user eve@example.com.\n"), "{printed}");

    let listed = operator.listed();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[0]["kind"], "address");
    assert_eq!(listed[0]["value"], "203.0.113.0/24");
    assert_eq!(listed[0]["expires_ms"], Value::Null);
    assert_eq!(listed[0]["reason"], "90 clicks a second");
    assert_eq!(listed[0]["by"], "ops");
    let left_ms = listed[1]["expires_ms"].as_u64().unwrap() - now_ms();
    assert!((3_500_000..=3_600_000).contains(&left_ms), "{left_ms}");
    let text = operator.said(&["list"]);
    assert!(text.contains("203.0.113.0/24") && text.contains("90 clicks a second (ops)"));

    // However the network is written.
    assert_eq!(
        operator.said(&["lift", "address", "203.0.113.99/24"]),
        "Lifted: address 203.0.113.0/24.\n"
    );
    let printed = operator.said(&["lift", "address", "203.0.113.0/24"]);
    assert!(printed.contains("was not banned"), "{printed}");
    assert_eq!(operator.listed().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn banning_twice_changes_the_ban_and_is_one_ban() {
    let operator = Operator::open().await;
    let add = |more: &[&str]| {
        let printed = operator.said(&[&["add", "user", "eve", "--json"], more].concat());
        serde_json::from_str::<Value>(&printed).unwrap()
    };
    assert_eq!(add(&["--reason", "a", "--for", "1h"])["was_banned"], false);
    let again = add(&["--reason", "b"]);
    assert_eq!(again["was_banned"], true);
    assert_eq!(again["ban"], "user:eve");
    let listed = operator.listed();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed[0]["reason"], &listed[0]["expires_ms"]),
        (&"b".into(), &Value::Null)
    );
    let lifted: Value =
        serde_json::from_str(&operator.said(&["lift", "user", "eve", "--json"])).unwrap();
    assert_eq!(lifted["was_banned"], true);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_its_name_and_nothing_is_stored() {
    let operator = Operator::open().await;
    let add = ["add", "address", "203.0.113.300", "--reason", "x"];
    let printed = operator.refused(&add);
    assert!(
        printed.contains("\"203.0.113.300\" is neither an address nor a network"),
        "{printed}"
    );
    for (arguments, said) in [
        (
            ["add", "address", "0.0.0.0/0", "--reason", "x"],
            "too many addresses",
        ),
        (
            ["add", "address", "10.0.0.1/8", "--reason", "x"],
            "write 10.0.0.0/8 if",
        ),
        (["add", "user", "", "--reason", "x"], "\"\" is no user"),
        (
            ["add", "users", "eve", "--reason", "x"],
            "\"address\" or \"user\"",
        ),
        (["add", "user", "eve", "--reason", "a|b"], "without \"|\""),
        (["lift", "address", "1.2.3.4/33", "--json", "--json"], ""),
    ] {
        let printed = operator.refused(&arguments);
        assert!(printed.contains(said), "{printed}");
    }
    let printed = operator.refused(&["add", "user", "eve", "--reason", "x", "--for", "soon"]);
    assert!(printed.contains("such as 1h"), "{printed}");
    let printed = operator.refused(&["add", "user", "eve"]);
    assert!(printed.contains("--reason"), "{printed}");
    assert_eq!(operator.listed(), serde_json::json!([]));
}

#[tokio::test]
async fn edges_find_each_change_in_the_stream_and_its_id_as_the_version() {
    let operator = Operator::open().await;
    let mut conn = operator.conn().await;
    operator.said(&["add", "user", "eve", "--reason", "x", "--by", "ops"]);
    operator.said(&[
        "add",
        "address",
        "2001:db8::7",
        "--reason",
        "y",
        "--for",
        "1m",
    ]);
    operator.said(&["lift", "user", "eve"]);
    let changes: Vec<(String, Vec<String>)> = redis::cmd("XRANGE")
        .arg(keys::BANS_CHANGES)
        .arg("-")
        .arg("+")
        .query_async(&mut conn)
        .await
        .unwrap();
    let version: String = redis::cmd("GET")
        .arg(keys::BANS_VERSION)
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(changes.last().unwrap().0, version);
    let bans: Vec<&str> = changes.iter().map(|(_, fields)| &*fields[1]).collect();
    assert_eq!(bans, ["user:eve", "address:2001:db8::7/128", "user:eve"]);
    assert!(
        listed::parse(bans[0], &changes[0].1[3])
            .unwrap()
            .1
            .is_none()
    );
    let expires_ms = listed::parse(bans[1], &changes[1].1[3]).unwrap().1.unwrap();
    assert!(expires_ms > now_ms() && expires_ms <= now_ms() + 60_000);
    assert_eq!(changes[2].1[3], "");
}

#[tokio::test]
async fn a_ban_that_has_ended_is_not_listed_and_goes_with_the_next_one() {
    let operator = Operator::open().await;
    let mut conn = operator.conn().await;
    operator.said(&["add", "user", "eve", "--reason", "x", "--for", "1s"]);
    eventually("the ban has ended", || async {
        (operator.listed() == serde_json::json!([])).then_some(())
    })
    .await;
    operator.said(&["add", "user", "oscar", "--reason", "x"]);
    let left: Vec<String> = redis::cmd("HKEYS")
        .arg(keys::BANS)
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(left, ["user:oscar"]);
    let expiring: u64 = redis::cmd("ZCARD")
        .arg(keys::BANS_EXPIRING)
        .query_async(&mut conn)
        .await
        .unwrap();
    assert_eq!(expiring, 0);
}

#[tokio::test]
async fn garbage_on_the_list_is_reported_and_hides_nothing() {
    let operator = Operator::open().await;
    let mut conn = operator.conn().await;
    operator.said(&["add", "user", "eve", "--reason", "x"]);
    let _: u64 = redis::cmd("HSET")
        .arg(keys::BANS)
        .arg(&["nonsense", "0|1|a|b", "address:1.2.3", "0|1|a|b"])
        .query_async(&mut conn)
        .await
        .unwrap();
    let output = operator.run(&["list", "--json"]);
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(
        printed.contains("nonsense") && printed.contains("1.2.3"),
        "{printed}"
    );
}

#[tokio::test]
async fn without_redis_the_command_says_where_it_looked() {
    let mut operator = Operator::open().await;
    operator.redis.kill();
    let printed = operator.refused(&["add", "user", "eve", "--reason", "x"]);
    assert!(
        printed.contains("redis.sock") && printed.contains("redis-server"),
        "{printed}"
    );
}
