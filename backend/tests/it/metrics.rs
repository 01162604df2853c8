//! `/metrics` of every role: what Prometheus scrapes of a system that sells.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::AsyncCommands as _;
use seckill_core::keys;
use tempfile::TempDir;

use crate::common::authority::Authority;
use crate::common::{TestRedis, eventually, program};

/// Serves the ops role on a socket.
fn ops(data: &Path, redis: &TestRedis, socket: &Path) -> Process {
    let listen = format!("--set=ops_listen=unix:{}", socket.display());
    let url = format!("--set=redis_url={}", redis.url());
    Process::start(data, &[&listen, &url, "serve", "--roles", "ops"])
}

/// An nginx that serves TLS alone: an edge's metrics, and its clock.
struct TlsEdge {
    authority: Authority,
    port: u16,
    nginx: Child,
}

impl TlsEdge {
    fn start() -> Self {
        let authority = Authority::new();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let conf = authority.file("nginx.conf");
        let text = format!(
            r#"daemon off; pid edge.pid; error_log stderr;
            events {{}}
            http {{
                access_log off;
                map $msec $now_ms {{ "~^(?<s>\d+)\.(?<ms>\d+)$" $s$ms; }}
                server {{
                    listen 127.0.0.1:{port} ssl;
                    ssl_certificate cert.pem; ssl_certificate_key key.pem;
                    location = /metrics {{ return 200 "seckill_admitted_total 7\n"; }}
                    location = /api/time {{ return 200 '{{"now_ms":$now_ms}}'; }}
                }}
            }}"#
        );
        std::fs::write(&conf, text).unwrap();
        let nginx = Command::new("nginx")
            .arg("-p")
            .arg(conf.parent().unwrap())
            .args(["-c", "nginx.conf"])
            .spawn()
            .unwrap();
        Self {
            authority,
            port,
            nginx,
        }
    }

    /// The program as on a machine that trusts this edge, and reads its metrics.
    fn reader(&self) -> Command {
        let mut command = program();
        command
            .env("SSL_CERT_FILE", self.authority.file("ca.pem"))
            .env(
                "SECKILL_EDGES",
                format!("https://localhost:{}/metrics", self.port),
            );
        command
    }
}

impl Drop for TlsEdge {
    fn drop(&mut self) {
        let pid = i32::try_from(self.nginx.id()).unwrap();
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        let _ = self.nginx.wait();
    }
}

/// A process of the program, ended when dropped.
struct Process(Child);

impl Process {
    fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::spawn(program(), data, arguments)
    }

    fn spawn(mut program: Command, data: &Path, arguments: &[&str]) -> Self {
        let child = program
            .args(arguments)
            .env("SECKILL_DATA", data)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id()).unwrap();
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// The response to `GET path` on this socket; `None` while nobody listens.
fn get(socket: &Path, path: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    response.starts_with("HTTP/1.0 200").then_some(response)
}

/// Waits until the metrics on this socket have a line.
async fn until_line(socket: &Path, line: &str) {
    eventually(line, || async {
        let text = get(socket, "/metrics")?;
        text.lines().any(|it| it == line).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_ops_role_tells_what_is_left_and_the_purchase_role_what_was_requested() {
    let data = TempDir::new().unwrap();
    let _up = Process::start(data.path(), &["up", "--no-edge", "--demo"]);
    let run = data.path().join("run");
    let stock = r#"seckill_stock_items{round="1",product="153",state="sale"} 1000"#;
    until_line(&run.join("ops.sock"), stock).await;
    until_line(&run.join("ops.sock"), r#"seckill_part_up{part="redis"} 1"#).await;
    let purchase = run.join("purchase.sock");
    assert!(get(&purchase, "/healthz").is_some());
    assert!(get(&purchase, "/no/such/path").is_none());
    let text = get(&purchase, "/metrics").unwrap();
    let counted = r#"{role="purchase",method="GET",route="/healthz",status="200"}"#;
    assert!(text.contains(counted), "{text}");
    let unmatched = r#"{role="purchase",method="GET",route="none",status="404"} 1"#;
    assert!(text.contains(unmatched), "{text}");
    assert!(!text.contains("/no/such/path"), "a client made a series");
}

#[tokio::test]
async fn a_process_whose_roles_serve_nothing_serves_its_metrics() {
    let (data, redis) = (TempDir::new().unwrap(), TestRedis::start().await);
    let socket = data.path().join("status.sock");
    let listen = format!("--set=status_listen=unix:{}", socket.display());
    let url = format!("--set=redis_url={}", redis.url());
    let arguments = [&listen, &url, "serve", "--roles", "orders"];
    let _orders = Process::start(data.path(), &arguments);
    until_line(&socket, "seckill_orders_placed_total 0").await;
    let text = get(&socket, "/metrics").unwrap();
    for name in ["process_open_fds ", "process_cpu_seconds_total "] {
        assert!(text.contains(name), "{name}\n{text}");
    }
}

#[tokio::test]
async fn the_ops_role_gets_requests_while_redis_is_away() {
    let (data, mut redis) = (TempDir::new().unwrap(), TestRedis::start().await);
    let socket = data.path().join("ops.sock");
    let _ops = ops(data.path(), &redis, &socket);
    let says = |words: &'static str| {
        let socket = socket.clone();
        async move {
            eventually(words, || async {
                get(&socket, "/readyz")?.contains(words).then_some(())
            })
            .await;
        }
    };
    says(r#""redis":"up""#).await;
    redis.kill();
    // It serves the document of the day from the disk.
    says(r#""redis":"away""#).await;
}

#[tokio::test]
async fn a_redis_that_restarts_is_one_loss_and_a_start_is_none() {
    let (data, mut redis) = (TempDir::new().unwrap(), TestRedis::start().await);
    let socket = data.path().join("ops.sock");
    let _ops = ops(data.path(), &redis, &socket);
    until_line(&socket, r#"seckill_part_up{part="redis"} 1"#).await;
    until_line(&socket, "seckill_backend_redis_losses_total 0").await;
    redis.kill();
    redis.start_again().await;
    until_line(&socket, "seckill_backend_redis_losses_total 1").await;
}

/// Nothing listens where "seckill up" would have its edge: an edge that nobody listed would
/// be a critical alert for ever.
#[tokio::test]
async fn roles_for_which_no_edge_is_listed_miss_none() {
    let (data, redis) = (TempDir::new().unwrap(), TestRedis::start().await);
    let socket = data.path().join("ops.sock");
    let _ops = ops(data.path(), &redis, &socket);
    let mut conn = redis.link().await.conn().await.unwrap();
    // Two polls: each shows the heartbeats of one more edge.
    for (living, name) in [(1, "a"), (2, "b")] {
        let _: () = conn.zadd(keys::EDGES, name, u64::MAX >> 12).await.unwrap();
        until_line(&socket, &format!("seckill_edges_alive {living}")).await;
    }
    let text = get(&socket, "/metrics").unwrap();
    for wrong in [r#"part="edge""#, "edge_away"] {
        assert!(!text.contains(wrong), "{text}");
    }
    let url = format!("--set=redis_url={}", redis.url());
    let said = doctor(program(), data.path(), &url);
    assert!(!said.contains("the edge at"), "{said}");
}

#[tokio::test]
async fn an_edge_that_serves_tls_alone_is_polled_and_its_clock_is_read() {
    let (data, redis) = (TempDir::new().unwrap(), TestRedis::start().await);
    let edge = TlsEdge::start();
    let socket = data.path().join("ops.sock");
    let listen = format!("--set=ops_listen=unix:{}", socket.display());
    let url = format!("--set=redis_url={}", redis.url());
    let arguments = [&listen, &url, "serve", "--roles", "ops"];
    let _ops = Process::spawn(edge.reader(), data.path(), &arguments);
    let name = format!("localhost:{}", edge.port);
    let up = format!(r#"seckill_part_up{{part="edge",edge="{name}"}} 1"#);
    until_line(&socket, &up).await;

    let said = doctor(edge.reader(), data.path(), &url);
    let agrees = format!("the edge at {name} agrees with this machine");
    assert!(said.contains(&agrees), "{said}");
}

/// What `seckill doctor` says of the back end and of the edges that are listed.
fn doctor(mut program: Command, data: &Path, redis: &str) -> String {
    program.args(["doctor", "--no-edge", "--set=port=1", redis]);
    let output = program.env("SECKILL_DATA", data).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
