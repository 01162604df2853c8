//! Products whose stock lives on several Redis masters, and a real Redis Cluster.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use seckill::redis::RedisLink;
use seckill::redis::segments::{Segment, Segments};
use seckill::shop as purchase;
use seckill::shop::ShopState;
use seckill::stock::transfer;
use seckill_core::keys;
use seckill_core::sale::catalogue::Entry;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::scripts::preload;
use super::{
    DEADLINE, TestRedis, connect, cookie, entry, eventually, hidden_url, item, ports, ring,
};

/// A purchase role whose stock lies on several masters.
pub struct Market {
    _main: TestRedis,
    pub masters: Vec<TestRedis>,
    pub link: RedisLink,
    pub segments: Segments,
    pub app: Router,
    pub entry: Entry,
}

impl Market {
    /// One master for each amount, besides the main Redis.
    pub async fn open(amounts: &[u64]) -> Self {
        let main = TestRedis::start().await;
        let mut masters = Vec::new();
        for _ in amounts {
            masters.push(TestRedis::start().await);
        }
        let link = main.link().await;
        let urls: Vec<String> = masters.iter().map(TestRedis::url).collect();
        let segments = Segments::open(&link, &urls).unwrap();
        let (app, entry) = sell(&link, &segments, amounts).await;
        Self {
            _main: main,
            masters,
            link,
            segments,
            app,
            entry,
        }
    }
}

/// Puts the item up for sale, this much on each segment.
pub async fn put_on_masters(link: &RedisLink, segments: &Segments, amounts: &[u64]) -> Entry {
    let count = u16::try_from(amounts.len()).unwrap();
    let (item, entry) = (item(), entry(amounts.iter().sum(), count));
    for (number, amount) in (1..).zip(amounts) {
        let mut conn = segments.conn(&item, number).await.unwrap();
        assert!(preload(&mut conn, &item, number, *amount).await.unwrap());
    }
    let mut conn = link.conn().await.unwrap();
    let mut pipe = redis::pipe();
    pipe.hset(keys::CATALOGUE, item.to_string(), entry.to_json())
        .ignore();
    pipe.hset(keys::info(&item), "segments", count).ignore();
    pipe.hset(keys::info(&item), "limit", entry.limit).ignore();
    pipe.hincr(keys::CATALOGUE, keys::CATALOGUE_VERSION, 1)
        .ignore();
    pipe.exec_async(&mut conn).await.unwrap();
    entry
}

/// Puts the item up for sale with these amounts, and opens a purchase role.
pub async fn sell(link: &RedisLink, segments: &Segments, amounts: &[u64]) -> (Router, Entry) {
    let entry = put_on_masters(link, segments, amounts).await;
    let options = purchase::Options::default();
    let state = ShopState::new(link.clone(), segments.clone(), None, ring(), options);
    let app = purchase::router(state);
    eventually("the purchase role knows the product", || async {
        (ask(&app, "GET", "/healthz", "nobody").await.0 == StatusCode::OK).then_some(())
    })
    .await;
    (app, entry)
}

/// Clicks for so many items; says the status and the code.
pub async fn buy(app: &Router, user: &str, quantity: u32) -> (StatusCode, String) {
    let path = format!("{}?quantity={quantity}", hidden_url(user));
    let (status, body) = ask(app, "POST", &path, user).await;
    let word = body["code"].as_str().or(body["status"].as_str());
    (status, word.unwrap_or_default().to_owned())
}

/// Clicks with a permit, as an edge passes it on; says the status, and what became of
/// the permit.
pub async fn buy_with_permit(app: &Router, user: &str, permit: &str) -> (u16, String) {
    let request = super::shop::click(user, &format!("{user}-1"), Some(permit));
    let response = app.clone().oneshot(request).await.unwrap();
    let said = response.headers().get("x-seckill-outcome");
    let said = said.map(|said| said.to_str().unwrap().to_owned());
    (response.status().as_u16(), said.unwrap_or_default())
}

/// Clicks until the answer is not "try again".
pub async fn buy_patiently(app: &Router, user: &str, quantity: u32) -> String {
    eventually("there is a last word", || async {
        let (status, word) = buy(app, user, quantity).await;
        (status != StatusCode::TOO_MANY_REQUESTS).then_some(word)
    })
    .await
}

pub async fn ask(app: &Router, method: &str, path: &str, user: &str) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("cookie", cookie(user))
        .header("idempotency-key", format!("{user}-1"));
    send(app, request.body(Body::empty()).unwrap()).await
}

async fn send(app: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// What all segments hold together: for sale, locked, on its way between them.
pub async fn totals(segments: &Segments, entry: &Entry) -> (u64, u64, u64) {
    let (mut for_sale, mut in_orders, mut on_its_way) = (0, 0, 0);
    for segment in Segment::all(&item(), entry) {
        let shelf = transfer::offer(segments, &segment).await.unwrap();
        let mut conn = segments.conn(&segment.item, segment.number).await.unwrap();
        let locked: u64 = redis::cmd("HGET")
            .arg(keys::stock(&segment.item, segment.number))
            .arg("locked_stock_amount")
            .query_async(&mut conn)
            .await
            .unwrap();
        for_sale += shelf.sale.unwrap();
        in_orders += locked;
        on_its_way += shelf.leaving;
    }
    (for_sale, in_orders, on_its_way)
}

/// A Redis Cluster of three masters, gone when dropped.
pub struct TestCluster {
    nodes: Vec<(Child, TempDir, u16)>,
}

impl TestCluster {
    pub async fn start() -> Self {
        let mut cluster = Self { nodes: Vec::new() };
        for _ in 0..3 {
            cluster.nodes.push(node().await);
        }
        let mut create = vec!["--cluster".to_owned(), "create".to_owned()];
        create.extend(cluster.addresses());
        create.push("--cluster-yes".to_owned());
        cluster.cli(&create);
        eventually("every node knows all slots", || async {
            let all = cluster.nodes.iter().all(|(_, _, port)| {
                cluster
                    .cli(&["-p", &port.to_string(), "cluster", "info"].map(str::to_owned))
                    .contains("cluster_state:ok")
            });
            all.then_some(())
        })
        .await;
        cluster
    }

    /// Adds a replica of the first master; returns its address.
    pub async fn add_replica(&mut self) -> String {
        let first = self.addresses()[0].clone();
        self.nodes.push(node().await);
        let replica = self.addresses().pop().unwrap();
        let add = ["--cluster", "add-node", &replica, &first, "--cluster-slave"];
        self.cli(&add.map(str::to_owned));
        let port = replica.rsplit_once(':').unwrap().1;
        let nodes = ["-p", port, "cluster", "nodes"].map(str::to_owned);
        eventually("the replica knows all masters", || async {
            let said = self.cli(&nodes);
            let masters = said.lines().filter(|line| line.contains("master"));
            let is_replica = said.contains("myself,slave");
            (is_replica && masters.filter(|line| line.contains(" connected ")).count() == 3)
                .then_some(())
        })
        .await;
        replica
    }

    /// Lets a node fall silent: its connections stay, and nothing replies.
    pub fn silence(&self, node: usize) {
        let pid = self.nodes[node].0.id().to_string();
        let stopped = Command::new("kill").args(["-STOP", &pid]).status();
        assert!(stopped.unwrap().success(), "kill -STOP {pid}");
    }

    pub fn addresses(&self) -> Vec<String> {
        let address = |(_, _, port): &(Child, TempDir, u16)| format!("127.0.0.1:{port}");
        self.nodes.iter().map(address).collect()
    }

    /// The first node as it stands in the configuration; the others are found.
    pub fn urls(&self) -> Vec<String> {
        vec![format!("redis+cluster://{}", self.addresses()[0])]
    }

    /// What `redis-cli` says.
    pub fn cli(&self, arguments: &[String]) -> String {
        let output = Command::new("redis-cli").args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "redis-cli {arguments:?}: {text}");
        text
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        for (child, _, _) in &mut self.nodes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a node, on other ports if one was taken meanwhile, and waits until it
/// answers.
async fn node() -> (Child, TempDir, u16) {
    loop {
        let folder = TempDir::new().unwrap();
        let port = ports::free_row(2);
        let mut child = spawn_node(&folder, port);
        if answers(&mut child, port).await {
            return (child, folder, port);
        }
    }
}

/// Waits until the node answers; `false` if it has ended.
async fn answers(child: &mut Child, port: u16) -> bool {
    let (url, started) = (format!("redis://127.0.0.1:{port}"), Instant::now());
    while child.try_wait().unwrap().is_none() {
        if connect(&url).await.is_some() {
            return true;
        }
        assert!(started.elapsed() < DEADLINE, "a node answers");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// Its bus has the next port.
fn spawn_node(folder: &TempDir, port: u16) -> Child {
    let number = |port: u16| port.to_string();
    Command::new("redis-server")
        .args(["--save", "", "--daemonize", "no", "--bind", "127.0.0.1"])
        .args(["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"])
        .args(["--port", &number(port), "--cluster-port", &number(port + 1)])
        .arg("--dir")
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}
