//! `seckill up` without nginx: starts, is healthy, and leaves nothing behind,
//! however it ends.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::common::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A data folder and whatever runs in it.
struct Box {
    data: TempDir,
    child: Option<Child>,
}

impl Box {
    fn new() -> Self {
        Self {
            data: TempDir::new().unwrap(),
            child: None,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seckill"));
        command
            .args(arguments)
            .env("SECKILL_DATA", self.data.path())
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts `up --no-edge --demo` and waits until it has a round on sale.
    async fn up(&mut self) {
        let child = self
            .command(&["up", "--no-edge", "--demo"])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.said()).unwrap())
            .spawn()
            .unwrap();
        self.child = Some(child);
        eventually("the parts are up", || async {
            let status = self.status();
            let parts = status["parts"].as_array().unwrap();
            let up = |name: &str| parts.iter().any(|p| p["name"] == name && p["up"] == true);
            (up("purchase") && up("ops") && up("redis")).then_some(())
        })
        .await;
    }

    /// Where its standard error goes.
    fn said(&self) -> PathBuf {
        self.data.path().join("said")
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&self.run(&["status", "--json"]).stdout).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.as_ref().unwrap().id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits for the end: the exit code and what was said.
    fn ended(&mut self) -> (Option<i32>, String) {
        let status = self.child.take().unwrap().wait().unwrap();
        (status.code(), std::fs::read_to_string(self.said()).unwrap())
    }

    /// Processes that work in this data folder.
    fn running(&self) -> Vec<i32> {
        let home = self.data.path().canonicalize().unwrap().join("redis");
        let works_here =
            |entry: &Path| std::fs::read_link(entry.join("cwd")).is_ok_and(|cwd| cwd == home);
        std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| works_here(path))
            .filter_map(|path| path.file_name()?.to_str()?.parse().ok())
            .collect()
    }
}

impl Drop for Box {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[tokio::test]
async fn it_starts_sells_the_demo_and_stops_in_order() {
    let mut system = Box::new();
    system.up().await;
    let status = system.status();
    let round = &status["rounds"][0];
    assert_eq!(
        (&round["id"], &round["state"]),
        (&"1".into(), &"scheduled".into())
    );
    let sale: Vec<_> = round["products"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["sale"].as_u64())
        .collect();
    assert_eq!(sale, [Some(1_000), Some(20_000), Some(1_000)]);
    assert!(
        system
            .data
            .path()
            .join("pages/product/1-153.html")
            .is_file()
    );

    let second = system.run(&["up", "--no-edge"]);
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{told}");
    let pid = system.child.as_ref().unwrap().id();
    assert!(
        told.contains(&format!("another \"seckill up\" (process {pid})")),
        "{told}"
    );

    system.signal(Signal::SIGTERM);
    assert_eq!(system.ended().0, Some(0));
    assert!(system.running().is_empty());
    for socket in ["purchase.sock", "ops.sock"] {
        assert!(
            !system.data.path().join("run").join(socket).exists(),
            "{socket} was left"
        );
    }
}

#[tokio::test]
async fn killed_the_hard_way_it_takes_redis_along_and_continues_the_same_sale() {
    let mut system = Box::new();
    system.up().await;
    let began = system.status()["rounds"][0]["starts_ms"].clone();
    system.signal(Signal::SIGKILL);
    system.ended();
    eventually("redis ends too", || async {
        system.running().is_empty().then_some(())
    })
    .await;
    system.up().await;
    let rounds = system.status()["rounds"].clone();
    assert_eq!(rounds.as_array().unwrap().len(), 1);
    assert_eq!(rounds[0]["starts_ms"], began);
    assert_eq!(rounds[0]["products"][0]["sale"], 1_000);
}

#[tokio::test]
async fn when_redis_dies_all_is_stopped_and_the_reason_told() {
    let mut system = Box::new();
    system.up().await;
    let redis = system.running();
    assert_eq!(redis.len(), 1);
    kill(Pid::from_raw(redis[0]), Signal::SIGKILL).unwrap();
    let (code, told) = system.ended();
    assert_eq!(code, Some(1));
    assert!(told.contains("redis-server died (signal 9)"), "{told}");
    assert!(told.contains("redis.log"), "{told}");
}

#[test]
fn a_port_in_use_is_told_before_anything_is_started() {
    let system = Box::new();
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = system.run(&["up", "--port", &port]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told.contains(&format!("port {port} is in use")) && told.contains("SECKILL_PORT"),
        "{told}"
    );
    assert!(!system.data.path().join("logs/redis.log").exists());
}

#[test]
fn what_is_missing_is_named_with_its_cure() {
    let system = Box::new();
    let cases: [(&[&str], &str); 3] = [
        (
            &["up", "--no-edge", "--set", "redis_server=no-such-redis"],
            "apt-get install redis-server",
        ),
        (
            &["up", "--set", "nginx=no-such-nginx", "--port", "0"],
            "--port",
        ),
        (&["up", "--no-edge", "--data", "/proc/no"], "SECKILL_DATA"),
    ];
    for (arguments, words) in cases {
        let output = system.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
    let long = "x".repeat(120);
    let output = system.run(&["up", "--no-edge", "--data", &format!("/tmp/{long}")]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("the kernel takes 107"), "{told}");
}
