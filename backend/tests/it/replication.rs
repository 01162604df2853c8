//! A Redis with a replica: what counts as sold, and which server is the master.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use redis::AsyncCommands as _;
use seckill::redis::{RedisLink, Replication};
use seckill::stock::journal::Limits;
use tempfile::TempDir;

use crate::common::{connect, eventually, ports, stock};
use crate::stock_rebuild;

const LIMITS: Limits = Limits {
    max_bytes: 1 << 20,
    file_bytes: 1 << 16,
};

/// A redis-server on a port, gone when dropped.
pub struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    /// Starts one with these arguments behind the path of a file, which holds `settings`.
    pub fn start(port: u16, settings: &str, arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("redis.conf");
        let port_text = port.to_string();
        std::fs::write(&file, settings).unwrap();
        let child = Command::new("redis-server")
            .arg(Path::new(&file))
            .args(["--port", &port_text, "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(folder.path())
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    fn replica_of(port: u16, master: u16) -> Self {
        let master = master.to_string();
        Self::start(port, "", &["--replicaof", "127.0.0.1", &master])
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn info(&self, field: &str) -> Option<String> {
        let client = redis::Client::open(self.url()).unwrap();
        let mut conn = client.get_multiplexed_async_connection().await.ok()?;
        let mut info = redis::cmd("INFO");
        let text: String = info.arg("replication").query_async(&mut conn).await.ok()?;
        let mut lines = text.lines();
        lines.find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.to_owned()))
    }

    async fn until_it_follows(&self) {
        eventually("the replica follows its master", || async {
            let status = self.info("master_link_status").await?;
            (status == "up").then_some(())
        })
        .await;
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_that_no_replica_has_is_in_progress_until_one_has_it() {
    let mut shop = stock_rebuild::open(10).await;
    shop.fenced(LIMITS).await;
    shop.segments.replicate(Replication {
        replicas: 1,
        within: Duration::from_millis(50),
    });
    shop.replays();
    for user in ["li", "wang"] {
        let (status, answer) = shop.click_once(user, "r").await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        assert_eq!(shop.result(user).await["status"], "processing");
    }
    // The master has sold at least the first, and says so to nobody.
    assert_eq!(shop.journals().waiting(), 2);
    let mut conn = shop.link.conn().await.unwrap();
    let port = ports::free_row(2);
    let mut listen = redis::cmd("CONFIG");
    listen.arg("SET").arg("port").arg(port);
    listen.exec_async(&mut conn).await.unwrap();
    let replica = Server::replica_of(port + 1, port);
    replica.until_it_follows().await;
    eventually("a replica has both", || async {
        (shop.journals().waiting() == 0).then_some(())
    })
    .await;
    for user in ["li", "wang"] {
        assert_eq!(shop.result(user).await["status"], "succeeded");
    }
    assert_eq!(stock(&shop.link).await, (8, 2, 0));
    let (status, _) = shop.click_once("zhao", "r").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    eventually("a replica has it", || async {
        (shop.result("zhao").await["status"] == "succeeded").then_some(())
    })
    .await;
    assert_eq!(stock(&shop.link).await, (7, 3, 0));
    shop.shut().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_that_sentinels_name_is_followed_when_it_changes() {
    let first = ports::free_row(5);
    let mut master = Server::start(first, "", &[]);
    let replica = Server::replica_of(first + 1, first);
    replica.until_it_follows().await;
    let watch = format!(
        "sentinel monitor shop 127.0.0.1 {first} 2\n\
         sentinel down-after-milliseconds shop 500\n\
         sentinel failover-timeout shop 5000\n"
    );
    let sentinels: Vec<Server> = (2..5)
        .map(|n| Server::start(first + n, &watch, &["--sentinel"]))
        .collect();
    let places: Vec<String> = sentinels
        .iter()
        .map(|it| format!("127.0.0.1:{}", it.port))
        .collect();
    let url = format!("redis+sentinel://{}/shop", places.join(","));
    let link = RedisLink::lazy_with(&url, Duration::from_secs(5)).unwrap();
    let set = |value: u32| {
        let link = link.clone();
        async move {
            let mut conn = link.conn().await.ok()?;
            conn.set::<_, _, ()>("at", value).await.ok()
        }
    };
    eventually("the master takes writes", || set(1)).await;
    eventually("the replica has it", || async {
        let client = redis::Client::open(replica.url()).unwrap();
        let mut conn = client.get_multiplexed_async_connection().await.ok()?;
        (conn.get::<_, Option<u32>>("at").await.ok()? == Some(1)).then_some(())
    })
    .await;
    // Sentinels find each other by the master, and must have before it dies.
    for sentinel in &sentinels {
        eventually("the Sentinels know each other", || async {
            let client = redis::Client::open(sentinel.url()).unwrap();
            let mut conn = client.get_multiplexed_async_connection().await.ok()?;
            let mut ask = redis::cmd("SENTINEL");
            let ask = ask.arg("CKQUORUM").arg("shop");
            let said: String = ask.query_async(&mut conn).await.ok()?;
            said.contains("OK 3 usable").then_some(())
        })
        .await;
    }
    master.kill();
    eventually("the replica takes writes", || set(2)).await;
    assert_eq!(replica.info("role").await.unwrap().trim(), "master");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_have_a_login_of_their_own() {
    let port = ports::free_row(2);
    let _master = Server::start(port, "requirepass \"of the master\"\n", &[]);
    let watch = format!(
        "sentinel monitor shop 127.0.0.1 {port} 1\nsentinel auth-pass shop \"of the master\"\n\
         requirepass \"s3n&tinel\"\n"
    );
    let _sentinel = Server::start(port + 1, &watch, &["--sentinel"]);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "s3n&tinel\n").unwrap();
    let place = format!(
        "redis+sentinel://:of%20the%20master@127.0.0.1:{}/shop",
        port + 1
    );
    for login in [
        "sentinel_password=s3n%26tinel".to_owned(),
        "sentinel_user=default&sentinel_password=s3n%26tinel".to_owned(),
        format!("sentinel_password_file={}", file.display()),
    ] {
        let url = format!("{place}?{login}");
        let link = eventually("the master is found", || async { connect(&url).await }).await;
        let mut conn = link.conn().await.unwrap();
        conn.set::<_, _, ()>("at", 1).await.unwrap();
    }
    for wrong in ["", "?sentinel_password=s3cret"] {
        let error = RedisLink::connect(&format!("{place}{wrong}")).await;
        let error = error.map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains("refuses the login: give it by ?sentinel_password="),
            "{error}"
        );
        assert!(
            !error.contains("s3cret") && !error.contains("of%20"),
            "{error}"
        );
    }
}
