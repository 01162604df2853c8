//! What tests of the back end share: a redis-server of their own, a product on
//! sale, buyers with valid sessions and URLs.

use std::future::Future;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use seckill::redis::RedisLink;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::orders::purchase::BuyerRecord;
use seckill_core::sale::catalogue::Entry;
use seckill_core::sale::window::Window;
use seckill_core::signing::keyring::{Digest, Keyring};
use seckill_core::signing::{hidden_path, session};
use tempfile::TempDir;

/// An authority that nobody knows.
pub mod authority;
/// A console with people in it.
pub mod console;
/// Databases of tests.
pub mod database;
/// A MariaDB server.
pub mod mariadb;
/// Several Redis masters.
pub mod masters;
/// Ports for servers.
pub mod ports;
/// A PostgreSQL server.
pub mod postgres;
/// What every queue keeps.
pub mod queue_suite;
/// Receivers of notifications.
pub mod receivers;
/// A RocketMQ of a test's own.
pub mod rocketmq;
/// Calls of the scripts.
pub mod scripts;
/// The main path.
pub mod shop;

/// The program under test, without what the shell that runs the tests sets for a system
/// of its own.
#[must_use]
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seckill"));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"SECKILL_") {
            command.env_remove(name);
        }
    }
    command
}

/// How long a test waits for something that must happen, also on a machine that
/// has much else to do.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// How long a test waits for an answer of Redis: so long that a late answer is no
/// unknown outcome.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A redis-server on a socket in a folder of its own, gone when dropped.
pub struct TestRedis {
    folder: TempDir,
    child: Child,
}

impl TestRedis {
    /// Starts one with its append-only file on, and waits until it answers.
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let child = spawn(&folder);
        let redis = Self { folder, child };
        redis.link().await;
        redis
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// A connected link.
    pub async fn link(&self) -> RedisLink {
        let url = self.url();
        eventually("redis-server answers", || async { connect(&url).await }).await
    }

    /// Kills it the hard way.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it from running, while its connections stay open: whatever is
    /// sent to it is kept, and nothing is answered.
    pub fn freeze(&self) {
        freeze(&self.child);
    }

    /// Lets it run again.
    pub fn thaw(&self) {
        thaw(&self.child);
    }

    /// Keeps a snapshot of what it holds.
    pub async fn snapshot(&self) {
        let mut conn = self.link().await.conn().await.unwrap();
        redis::cmd("SAVE").exec_async(&mut conn).await.unwrap();
        let folder = self.folder.path();
        std::fs::rename(folder.join("dump.rdb"), folder.join("kept.rdb")).unwrap();
    }

    /// Changes the snapshot, by what is done on a Redis that holds it.
    pub async fn change_snapshot(&self, change: impl AsyncFnOnce(RedisLink)) {
        let kept = self.folder.path().join("kept.rdb");
        let folder = TempDir::new().unwrap();
        std::fs::rename(&kept, folder.path().join("dump.rdb")).unwrap();
        let child = spawn_with(&folder, "no");
        let other = Self { folder, child };
        change(other.link().await).await;
        other.snapshot().await;
        std::fs::copy(other.folder.path().join("kept.rdb"), kept).unwrap();
    }

    /// Kills it, and starts it again with what the snapshot holds.
    pub async fn go_back(&mut self) {
        self.kill();
        let folder = self.folder.path();
        std::fs::remove_dir_all(folder.join("appendonlydir")).unwrap();
        std::fs::rename(folder.join("kept.rdb"), folder.join("dump.rdb")).unwrap();
        self.child = spawn_with(&self.folder, "no");
        self.link().await;
    }

    /// The same with what it held when it went back before.
    pub async fn go_back_again(&mut self) {
        self.kill();
        self.child = spawn_with(&self.folder, "no");
        self.link().await;
    }

    /// Starts it again on the same files.
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.folder);
        self.link().await;
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A link that is connected, if there is a server to answer.
pub async fn connect(url: &str) -> Option<RedisLink> {
    let link = RedisLink::lazy_with(url, PATIENCE).unwrap();
    link.conn().await.is_ok().then_some(link)
}

fn spawn(folder: &TempDir) -> Child {
    spawn_with(folder, "yes")
}

fn spawn_with(folder: &TempDir, append_only: &str) -> Child {
    let path = folder.path();
    // A socket that a killed server left behind refuses connections until then.
    Command::new("redis-server")
        .args([
            "--port",
            "0",
            "--save",
            "",
            "--appendonly",
            append_only,
            "--daemonize",
            "no",
            // As "seckill up" runs it: a killed server has lost nothing.
            "--appendfsync",
            "no",
        ])
        .arg("--unixsocket")
        .arg(path.join("redis.sock"))
        .arg("--dir")
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

/// Asks again and again until there is an answer.
///
/// # Panics
/// When [`DEADLINE`] has passed.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            started.elapsed() < DEADLINE,
            "waited {DEADLINE:?} until {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Stops a child from running, its connections open, and returns when none of its threads
/// runs any more: `kill` returns while a thread on another core still does, and answers.
pub fn freeze(child: &Child) {
    let pid = pid(child);
    nix::sys::signal::kill(pid, Signal::SIGSTOP).unwrap();
    // Reported once the whole group of threads has stopped.
    let state = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(state, WaitStatus::Stopped(pid, Signal::SIGSTOP));
}

/// Lets a child that was stopped run again.
pub fn thaw(child: &Child) {
    nix::sys::signal::kill(pid(child), Signal::SIGCONT).unwrap();
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// The ring that tests sign with.
pub fn ring() -> Arc<Keyring> {
    Arc::new(Keyring::parse(&format!("k1 {}", "s".repeat(32))).unwrap())
}

/// The ring that the payment provider of tests signs with.
pub fn payment_ring() -> Arc<Keyring> {
    Arc::new(Keyring::parse(&format!("p1 {}", "p".repeat(32))).unwrap())
}

/// The time, epoch milliseconds.
pub fn now_ms() -> u64 {
    u64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    )
    .unwrap()
}

/// The product that tests sell.
pub fn item() -> Item {
    Item::new("1", "153").unwrap()
}

/// Its line in the catalogue: open since a second, for an hour.
pub fn entry(amount: u64, segments: u16) -> Entry {
    Entry {
        window: Window {
            opens_ms: now_ms() - 1_000,
            ends_ms: now_ms() + 3_600_000,
        },
        limit: amount,
        per_buyer: 2,
        segments,
        price_cents: 99_900,
        halt: None,
        priced_ms: 0,
    }
}

/// Puts `amount` of [`item`] up for sale in one segment.
pub async fn put_on_sale(link: &RedisLink, amount: u64) -> Entry {
    let (item, entry) = (item(), entry(amount, 1));
    let mut conn = link.conn().await.unwrap();
    assert!(scripts::preload(&mut conn, &item, 1, amount).await.unwrap());
    let field = item.to_string();
    let mut pipe = redis::pipe();
    pipe.hset(keys::CATALOGUE, &field, entry.to_json()).ignore();
    pipe.hincr(keys::CATALOGUE, keys::CATALOGUE_VERSION, 1)
        .ignore();
    pipe.exec_async(&mut conn).await.unwrap();
    entry
}

/// The three amounts of segment 1: sale, locked, saled.
pub async fn stock(link: &RedisLink) -> (i64, i64, i64) {
    let mut conn = eventually("Redis answers", || async { link.conn().await.ok() }).await;
    redis::cmd("HMGET")
        .arg(keys::stock(&item(), 1))
        .arg(&[
            "sale_stock_amount",
            "locked_stock_amount",
            "saled_stock_amount",
        ])
        .query_async(&mut conn)
        .await
        .unwrap()
}

/// How many times Redis carried out a command.
pub async fn calls(link: &RedisLink, command: &str) -> u64 {
    let mut conn = link.conn().await.unwrap();
    let mut info = redis::cmd("INFO");
    let text: String = info
        .arg("commandstats")
        .query_async(&mut conn)
        .await
        .unwrap();
    let line = format!("cmdstat_{command}:calls=");
    let rest = text.lines().find_map(|it| it.strip_prefix(&line));
    rest.and_then(|rest| rest.split(',').next()?.parse().ok())
        .unwrap_or(0)
}

/// What the segment has on record of a buyer.
pub async fn record(link: &RedisLink, user: &str) -> Option<BuyerRecord> {
    let mut conn = eventually("Redis answers", || async { link.conn().await.ok() }).await;
    let text: Option<String> = redis::cmd("HGET")
        .arg(keys::buyers(&item(), 1))
        .arg(user)
        .query_async(&mut conn)
        .await
        .unwrap();
    text.map(|text| BuyerRecord::parse(&text).expect("the record reads"))
}

/// The value of a `Cookie` header that logs `user` in.
pub fn cookie(user: &str) -> String {
    let token = session::sign(ring().first(), user, now_ms() + 60_000);
    format!("{}={token}", session::COOKIE)
}

/// A hidden URL for `user` and [`item`].
pub fn hidden_url(user: &str) -> String {
    let (ring, item) = (ring(), item());
    let ids = (item.round(), item.product());
    hidden_path::sign(
        ring.first(),
        Digest::HmacSha256,
        ids,
        user,
        now_ms() + 60_000,
        [7; 8],
    )
}
