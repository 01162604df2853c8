//! `seckill tune` on real parts: each setting with its value at the server itself, and an
//! exit status that says whether an important one is wrong.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::mariadb::TestMariadb;
use crate::common::postgres::TestPostgres;
use crate::common::{TestRedis, eventually, program};

async fn configure(redis: &TestRedis, pairs: &[(&str, &str)]) {
    let mut conn = redis.link().await.conn().await.unwrap();
    for (name, value) in pairs {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg(name).arg(value);
        set.exec_async(&mut conn).await.unwrap();
    }
}

fn tune(redis: &TestRedis) -> Command {
    let mut command = program();
    command.arg("tune").env("SECKILL_REDIS_URL", redis.url());
    command
}

fn lines(output: &Output) -> Vec<Value> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("no JSON: {}", String::from_utf8_lossy(&output.stderr));
    });
    report["lines"].as_array().unwrap().clone()
}

fn line(output: &Output, name: &str) -> Value {
    let lines = lines(output);
    lines.into_iter().find(|it| it["name"] == name).unwrap()
}

#[tokio::test]
async fn a_redis_is_off_until_it_keeps_what_was_sold() {
    let redis = TestRedis::start().await;
    let check = || {
        let mut command = tune(&redis);
        command
            .args(["--check", "--json", "--parts=redis"])
            .output()
            .unwrap()
    };
    // The tests' own Redis does not wait for the disk.
    configure(&redis, &[("appendfsync", "everysec")]).await;
    configure(&redis, &[("maxmemory-policy", "allkeys-lru")]).await;
    let off = check();
    assert_eq!(off.status.code(), Some(1));
    let found = line(&off, "maxmemory-policy");
    assert_eq!(
        (&found["state"], &found["here"]),
        (&"off".into(), &"allkeys-lru".into())
    );
    assert_eq!(found["file"], "/etc/redis/redis.conf");
    assert!(String::from_utf8_lossy(&off.stderr).contains("one important setting is wrong"));

    configure(&redis, &[("maxmemory-policy", "noeviction")]).await;
    let fine = check();
    assert!(
        fine.status.success(),
        "{}",
        String::from_utf8_lossy(&fine.stdout)
    );
    assert_eq!(line(&fine, "maxmemory-policy")["state"], "fine");
    assert!(lines(&fine).iter().all(|it| it["part"] == "redis"));
}

/// "seckill up" has the append-only file written to the disk itself, and its Redis reads no
/// file that could be changed.
#[tokio::test]
async fn the_redis_of_up_is_judged_by_what_up_does_for_it() {
    let redis = TestRedis::start().await;
    configure(&redis, &[("appendfsync", "no")]).await;
    let data = tempfile::tempdir().unwrap();
    fs::create_dir(data.path().join("run")).unwrap();
    std::os::unix::fs::symlink(redis.socket(), data.path().join("run/redis.sock")).unwrap();
    let check = program()
        .args(["tune", "--check", "--json", "--parts=redis"])
        .env("SECKILL_DATA", data.path())
        .output()
        .unwrap();
    assert_eq!(line(&check, "appendfsync")["state"], "fine");
    let report: Value = serde_json::from_slice(&check.stdout).unwrap();
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains("a Redis of your own"), "{note}");
}

/// What it prints is taken by the server that it is for: Redis starts with the file and is
/// as wanted then.
#[tokio::test]
async fn the_printed_file_makes_a_redis_as_wanted() {
    let redis = TestRedis::start().await;
    let mut print = tune(&redis);
    let printed = print.args(["--print", "--parts=redis"]).output().unwrap();
    assert!(printed.status.success());
    let text = String::from_utf8(printed.stdout).unwrap();
    let settings = text
        .lines()
        .filter(|it| !it.starts_with('#') && !it.is_empty());
    for setting in settings {
        let (name, value) = setting.split_once(' ').unwrap();
        // The backlog is fixed while a server runs.
        if name != "tcp-backlog" {
            configure(&redis, &[(name, value)]).await;
        }
    }
    let mut check = tune(&redis);
    let check = check
        .args(["--check", "--json", "--parts=redis"])
        .output()
        .unwrap();
    assert!(check.status.success());
    for line in lines(&check) {
        assert_eq!(line["state"], "fine", "{line}");
    }
}

#[tokio::test]
async fn a_redis_that_is_away_is_unknown_and_says_why() {
    let mut redis = TestRedis::start().await;
    redis.kill();
    let mut check = tune(&redis);
    let check = check
        .args(["--check", "--json", "--parts=redis"])
        .output()
        .unwrap();
    assert_eq!(line(&check, "appendonly")["state"], "unknown");
    let report: Value = serde_json::from_slice(&check.stdout).unwrap();
    assert!(
        report["notes"][0]
            .as_str()
            .unwrap()
            .contains("cannot be read"),
        "{report}"
    );
}

#[tokio::test]
async fn mariadb_is_off_while_a_commit_may_be_lost() {
    let (redis, mariadb) = (TestRedis::start().await, TestMariadb::start().await);
    mariadb.create("shop");
    let check = || {
        let mut command = tune(&redis);
        command.env("SECKILL_DATABASE_URL", mariadb.url("shop"));
        command
            .args(["--check", "--json", "--parts=mariadb"])
            .output()
            .unwrap()
    };
    mariadb.run("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
    let off = check();
    assert_eq!(off.status.code(), Some(1));
    let found = line(&off, "innodb_flush_log_at_trx_commit");
    assert_eq!(
        (&found["state"], &found["here"]),
        (&"off".into(), &"2".into())
    );
    mariadb.run("SET GLOBAL innodb_flush_log_at_trx_commit = 1");
    let fine = check();
    assert!(
        fine.status.success(),
        "{}",
        String::from_utf8_lossy(&fine.stdout)
    );
    assert!(
        lines(&fine).iter().all(|it| it["state"] != "unknown"),
        "all were read"
    );
}

#[tokio::test]
async fn brokers_and_edges_are_judged_by_their_files() {
    let redis = TestRedis::start().await;
    let folder = tempfile::tempdir().unwrap();
    let broker = folder.path().join("broker.conf");
    fs::write(&broker, "flushDiskType=ASYNC_FLUSH\n").unwrap();
    let conf = folder.path().join("nginx.conf");
    let text = format!(
        "pid {0}/pid;\nerror_log stderr;\nevents {{ worker_connections 64; }}\n",
        folder.path().display()
    );
    fs::write(&conf, text).unwrap();
    let mut check = tune(&redis);
    let check = check
        .args(["--check", "--json", "--parts=nginx,rocketmq"])
        .arg(format!("--broker-conf={}", broker.display()))
        .arg(format!("--nginx-conf={}", conf.display()))
        .output()
        .unwrap();
    assert_eq!(check.status.code(), Some(1));
    assert_eq!(line(&check, "flushDiskType")["state"], "off");
    let connections = line(&check, "worker_connections");
    assert_eq!(
        (&connections["state"], &connections["here"]),
        (&"off".into(), &"64".into())
    );
    let file = format!("{}, events", conf.display());
    assert_eq!(connections["file"], file.as_str());
}

#[tokio::test]
async fn an_edge_that_cannot_be_read_is_unknown_and_its_file_is_named() {
    let redis = TestRedis::start().await;
    let mut check = tune(&redis);
    let check = check
        .args(["--check", "--json", "--parts=nginx"])
        .arg("--nginx-conf=/nonexistent")
        .output()
        .unwrap();
    for line in lines(&check) {
        assert_eq!(line["state"], "unknown", "{line}");
        let file = line["file"].as_str().unwrap();
        assert!(file.starts_with("/nonexistent"), "{line}");
    }
    assert!(!lines(&check).is_empty());
    let report: Value = serde_json::from_slice(&check.stdout).unwrap();
    let note = report["notes"][0].as_str().unwrap();
    assert!(
        note.contains("refuses the configuration /nonexistent"),
        "{note}"
    );
    // Whoever writes the files reads what they lack.
    let mut print = tune(&redis);
    let print = print
        .args(["--print", "--parts=nginx", "--nginx-conf=/nonexistent"])
        .output()
        .unwrap();
    let files = String::from_utf8(print.stdout).unwrap();
    assert!(files.starts_with(&format!("# note: {note}\n")), "{files}");
}

#[tokio::test]
async fn one_of_check_and_print_has_to_be_chosen() {
    let redis = TestRedis::start().await;
    let neither = tune(&redis).output().unwrap();
    assert_eq!(neither.status.code(), Some(2));
    let both = tune(&redis).args(["--check", "--print"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}

#[tokio::test]
async fn postgres_is_off_while_a_commit_may_be_lost() {
    let (redis, postgres) = (TestRedis::start().await, TestPostgres::start().await);
    postgres.create("shop");
    let check = || {
        let mut command = tune(&redis);
        command.env("SECKILL_DATABASE_URL", postgres.url("shop"));
        command
            .args(["--check", "--json", "--parts=postgres"])
            .output()
            .unwrap()
    };
    let fine = check();
    assert!(
        fine.status.success(),
        "{}",
        String::from_utf8_lossy(&fine.stdout)
    );
    assert!(
        lines(&fine).iter().all(|it| it["state"] != "unknown"),
        "all were read"
    );
    assert!(postgres.run("ALTER SYSTEM SET full_page_writes = off"));
    assert!(postgres.run("SELECT pg_reload_conf()"));
    let off = eventually("it is seen", || async {
        let off = check();
        (off.status.code() == Some(1)).then_some(off)
    })
    .await;
    let found = line(&off, "full_page_writes");
    assert_eq!(
        (&found["state"], &found["here"]),
        (&"off".into(), &"off".into())
    );
}
