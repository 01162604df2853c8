//! `seckill up` without nginx: starts, is healthy, starts again what died, and
//! leaves nothing behind, however it ends.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::common::{eventually, program};
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
        let mut command = program();
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
        self.up_with(&[]).await;
    }

    /// The same with further arguments.
    async fn up_with(&mut self, arguments: &[&str]) {
        let child = self
            .command(&["up", "--no-edge", "--demo"])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.log()).unwrap())
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

    /// Where its log lines go.
    fn log(&self) -> PathBuf {
        self.data.path().join("log")
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_slice(&self.run(&["status", "--json"]).stdout).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.as_ref().unwrap().id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits for the end: the exit code and the log.
    fn ended(&mut self) -> (Option<i32>, String) {
        let status = self.child.take().unwrap().wait().unwrap();
        (status.code(), std::fs::read_to_string(self.log()).unwrap())
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
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{error}");
    let pid = system.child.as_ref().unwrap().id();
    assert!(
        error.contains(&format!("another \"seckill up\" (process {pid})")),
        "{error}"
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
async fn it_stops_although_the_reader_of_its_log_is_gone() {
    let mut system = Box::new();
    let listen = ["purchase_listen", "ops_listen"].map(|key| format!("{key}={}", free_address()));
    let mut command = system.command(&["up", "--no-edge", "--demo"]);
    command.args(["--set", &listen[0], "--set", &listen[1]]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    system.child = Some(command.spawn().unwrap());
    eventually("it serves", || async {
        system.status()["parts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p["name"] == "purchase" && p["up"] == true)
            .then_some(())
    })
    .await;
    // As "tee" does at Ctrl-C, and "head" after ten lines.
    drop(system.child.as_mut().unwrap().stderr.take());
    system.signal(Signal::SIGTERM);
    let child = system.child.as_mut().unwrap();
    let ended = eventually("it stops", || {
        let ended = child.try_wait().unwrap();
        async move { ended }
    })
    .await;
    assert_eq!(ended.code(), Some(0));
    eventually("redis ends too", || async {
        system.running().is_empty().then_some(())
    })
    .await;
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
async fn a_redis_that_dies_is_started_again_and_has_lost_nothing() {
    let mut system = Box::new();
    system.up().await;
    let killed = system.running();
    assert_eq!(killed.len(), 1);
    kill(Pid::from_raw(killed[0]), Signal::SIGKILL).unwrap();
    eventually("another redis serves", || async {
        let is_other = system.running().iter().any(|pid| *pid != killed[0]);
        let parts = system.status()["parts"].clone();
        let is_up = |name: &str| {
            let parts = parts.as_array().unwrap();
            parts.iter().any(|p| p["name"] == name && p["up"] == true)
        };
        (is_other && is_up("redis") && is_up("purchase")).then_some(())
    })
    .await;
    assert_eq!(system.status()["rounds"][0]["products"][0]["sale"], 1_000);
    system.signal(Signal::SIGTERM);
    let (code, log) = system.ended();
    assert_eq!(code, Some(0), "{log}");
    let started_again = "redis-server is started again in 100ms: it died (signal 9) after";
    assert!(log.contains(started_again), "{log}");
    assert!(log.contains("redis.log"), "{log}");
    assert!(log.contains("redis-server is up again after"), "{log}");
    assert!(system.running().is_empty());
}

#[tokio::test]
async fn a_log_that_has_grown_to_its_bound_is_renamed_and_begun_anew() {
    let mut system = Box::new();
    let logs = system.data.path().join("logs");
    let [log, old] = ["redis.log", "redis.log.1"].map(|name| logs.join(name));
    system.up_with(&["--set", "log_mb=1"]).await;
    for filler in ["first", "second"] {
        let filler = format!("{filler}\n").repeat(1_000_000 / filler.len());
        let mut file = OpenOptions::new().append(true).open(&log).unwrap();
        file.write_all(filler.as_bytes()).unwrap();
        eventually("the log is renamed", || async {
            let text = std::fs::read_to_string(&old).unwrap_or_default();
            text.ends_with(&filler).then_some(())
        })
        .await;
        let socket = system.data.path().join("run/redis.sock");
        let mut ask = Command::new("redis-cli");
        ask.arg("-s").arg(socket).arg("bgrewriteaof");
        assert!(ask.output().unwrap().status.success());
        eventually("redis writes into a new one", || async {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.contains("rewrit").then_some(())
        })
        .await;
        eventually("redis has rewritten its file", || async {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.contains("finished successfully").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn commands_find_a_running_system_by_its_data_folder() {
    let mut system = Box::new();
    let listen = ["purchase_listen", "ops_listen"].map(|key| format!("{key}={}", free_address()));
    system
        .up_with(&["--set", &listen[0], "--set", &listen[1]])
        .await;
    let status = system.status();
    let pid = system.child.as_ref().unwrap().id();
    assert_eq!(status["running"]["pid"], pid, "{status}");
    let config = || String::from_utf8(system.run(&["config"]).stdout).unwrap();
    let line = |config: &str| {
        let mut lines = config.lines().map(str::to_owned);
        lines.find(|line| line.starts_with("ops_listen ")).unwrap()
    };
    assert!(line(&config()).contains("running system"), "{}", config());

    // What a flag says is stronger.
    let flag = system.run(&["config", "--set", "ops_listen=127.0.0.1:9"]);
    let flag = line(&String::from_utf8(flag.stdout).unwrap());
    assert!(
        flag.contains("127.0.0.1:9 ") && flag.contains("--set"),
        "{flag}"
    );

    // A killed system leaves its file, which is stale and counts for nothing.
    system.signal(Signal::SIGKILL);
    system.ended();
    assert!(system.data.path().join("run/up.json").exists());
    let config = String::from_utf8(system.run(&["config"]).stdout).unwrap();
    assert!(line(&config).contains("default"), "{config}");
    eventually("redis ends too", || async {
        system.running().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_sale_that_is_imported_from_a_second_terminal_is_divided_as_the_site_is() {
    let mut system = Box::new();
    let keys = format!("k1 {}\n", "5".repeat(64));
    std::fs::write(system.data.path().join("site-keys"), keys).unwrap();
    let listen = format!("site_listen={}", free_address());
    let peers = format!("site_peers=west http://{}", free_address());
    let site = ["site=east", "site_home=east", &listen, &peers];
    let site: Vec<&str> = site.iter().flat_map(|it| ["--set", it]).collect();
    system.up_with(&site).await;

    let product = |id: &str, line: &str| {
        format!(
            "[[round.product]]\nid = \"{id}\"\ntitle = \"Phone\"\namount = 1000\n\
             price_cents = 1\n{line}\n"
        )
    };
    let sale = format!(
        "[[round]]\nid = \"noon\"\nname = \"Noon\"\nstarts = \"+10m\"\nends = \"+20m\"\n{}{}",
        product("a", "sites = { east = 600, west = 400 }"),
        product("b", ""),
    );
    let file = system.data.path().join("sale.toml");
    std::fs::write(&file, sale).unwrap();
    let imported = system.run(&["sale", "import", file.to_str().unwrap(), "--approve"]);
    assert!(imported.status.success(), "{imported:?}");
    let status = system.status();
    let rounds = status["rounds"].as_array().unwrap();
    let noon = rounds.iter().find(|round| round["id"] == "noon").unwrap();
    let sale = |at: usize| noon["products"][at]["sale"].as_u64();
    assert_eq!((sale(0), sale(1)), (Some(600), Some(500)), "{noon}");
    let status = system.run(&["site", "status", "--json"]);
    assert!(status.status.success(), "{status:?}");

    // Where nothing says that there is a site, nothing is sold for the others.
    let alone = system.run(&[
        "sale",
        "import",
        file.to_str().unwrap(),
        "--set",
        "site=none",
    ]);
    let error = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert_eq!(alone.status.code(), Some(1), "{error}");
    assert!(
        error.contains("east, west are to share the 1000 items"),
        "{error}"
    );
}

/// An address of this machine on which nobody listens.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_port_in_use_is_reported_before_anything_is_started() {
    let system = Box::new();
    // The edge needs the port on every address, so that one is enough.
    for address in ["0.0.0.0:0", "127.0.0.1:0"] {
        let taken = TcpListener::bind(address).unwrap();
        let address = taken.local_addr().unwrap();
        let output = system.run(&["up", "--port", &address.port().to_string()]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        let pid = std::process::id();
        for words in [
            format!("port {} is in use", address.port()),
            format!("(process {pid}), which listens on {address}"),
            "SECKILL_PORT".to_owned(),
        ] {
            assert!(error.contains(&words), "{words} in {error}");
        }
    }
    let elsewhere = system.run(&["up", "--set", "console_address=203.0.113.1"]);
    let error = String::from_utf8_lossy(&elsewhere.stderr).into_owned();
    assert!(
        error.contains("203.0.113.1:8081: this machine has no such address")
            && error.contains("SECKILL_CONSOLE_ADDRESS"),
        "{error}"
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
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
    let long = "x".repeat(120);
    let output = system.run(&["up", "--no-edge", "--data", &format!("/tmp/{long}")]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("the kernel takes 107"), "{error}");
}
