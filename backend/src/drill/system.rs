//! The system that is struck: a redis-server and a `seckill up`, on ports and in a
//! folder of their own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::client::Client;
use crate::config::Config;

/// How long a part may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(50);
/// The round that drills sell.
pub(super) const ROUND: &str = "drill";

/// A system of a drill's own.
pub(super) struct System {
    folder: PathBuf,
    program: PathBuf,
    redis_server: PathBuf,
    variables: Vec<(String, String)>,
    port: u16,
    redis: Option<Child>,
    up: Option<Child>,
    /// A file system that was mounted for the journal.
    mounted: Option<PathBuf>,
}

impl System {
    /// Makes its folder; nothing runs yet.
    pub(super) fn prepare(config: &Config, name: &str, small_disk: bool) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("seckill-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("redis"))
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let (port, console) = (free_port()?, free_port()?);
        let text = |path: &Path| path.display().to_string();
        let mut variables = vec![
            ("CONFIG", "/dev/null".to_owned()),
            ("DATA", text(&folder.join("data"))),
            ("PORT", port.to_string()),
            ("CONSOLE_PORT", console.to_string()),
            (
                "REDIS_URL",
                format!("unix://{}", text(&folder.join("redis.sock"))),
            ),
            ("CAPTCHA", "off".to_owned()),
            ("DEMO_LOGIN", "on".to_owned()),
            ("NGINX", text(&config.nginx)),
        ];
        let found = [("HOME", &config.home), ("MODULE", &config.module)];
        let found = found
            .into_iter()
            .filter_map(|(name, path)| Some((name, text(path.as_ref()?))));
        variables.extend(found);
        let mut system = Self {
            program: std::env::current_exe().context("this program is not to be found")?,
            redis_server: config.redis_server.clone(),
            variables: variables
                .into_iter()
                .map(|(name, value)| (format!("SECKILL_{name}"), value))
                .collect(),
            folder,
            port,
            redis: None,
            up: None,
            mounted: None,
        };
        if small_disk {
            system.mount_small_disk()?;
        }
        Ok(system)
    }

    /// Puts the journal on a file system that is as good as full.
    fn mount_small_disk(&mut self) -> anyhow::Result<()> {
        let at = self.folder.join("data/journal");
        fs::create_dir_all(&at).context("the journal's folder cannot be made")?;
        let mut mount = std::process::Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(&at);
        let mounted = mount.status().is_ok_and(|status| status.success());
        ensure!(
            mounted,
            "a full disk needs a file system of its own; run this drill as root"
        );
        self.mounted = Some(at);
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn redis_url(&self) -> String {
        format!("unix://{}", self.folder.join("redis.sock").display())
    }

    pub(super) fn database_url(&self) -> String {
        format!("sqlite:{}", self.folder.join("data/seckill.db").display())
    }

    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        self.start_redis().await?;
        self.start_up().await
    }

    /// Puts so many items on sale, and waits until the edge sells them.
    pub(super) async fn sell(&self, amount: u64) -> anyhow::Result<()> {
        let file = self.folder.join("sale.toml");
        let sale = format!(
            "[[round]]\nid = \"{ROUND}\"\nname = \"Drill\"\nstarts = \"+2s\"\nends = \"+1h\"\n\n\
             [[round.product]]\nid = \"1\"\ntitle = \"Drilled\"\namount = {amount}\n\
             price_cents = 100\nlist_price_cents = 200\nper_buyer = 1\n"
        );
        fs::write(&file, sale).context("the sale file cannot be written")?;
        let mut import = self.seckill();
        import.args(["sale", "import"]).arg(&file).arg("--approve");
        let done = import
            .output()
            .await
            .context("the sale cannot be imported")?;
        ensure!(
            done.status.success(),
            "the sale was not imported: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        let client = Client::new(&self.url());
        let state = format!("/api/rounds/{ROUND}/products/1/state");
        until("the edge sells", || async {
            client
                .get(&state, "")
                .await
                .is_some_and(|it| it.json["state"] == "open")
        })
        .await
    }

    fn seckill(&self) -> Command {
        let mut command = Command::new(&self.program);
        // What is set for another system must not reach this one.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SECKILL_") {
                command.env_remove(name);
            }
        }
        command.envs(self.variables.iter().cloned());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    pub(super) async fn start_up(&mut self) -> anyhow::Result<()> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("up.log"))
            .context("the log cannot be written")?;
        let mut up = self.seckill();
        up.arg("up").stderr(log.try_clone()?).stdout(log);
        self.up = Some(up.spawn().context("\"seckill up\" cannot be started")?);
        let client = Client::new(&self.url());
        until("the system is up", || async {
            client
                .get("/api/rounds", "")
                .await
                .is_some_and(|it| it.status == 200)
        })
        .await
    }

    async fn spawn_redis(&mut self, append_only: &str) -> anyhow::Result<()> {
        let mut redis = Command::new(&self.redis_server);
        redis.args(["--port", "0", "--save", "", "--daemonize", "no"]);
        redis.args(["--appendonly", append_only, "--appendfsync", "no"]);
        redis
            .arg("--unixsocket")
            .arg(self.folder.join("redis.sock"));
        redis.arg("--dir").arg(self.folder.join("redis"));
        redis.arg("--logfile").arg(self.folder.join("redis.log"));
        redis
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = redis.kill_on_drop(true).spawn();
        self.redis = Some(child.context("redis-server cannot be started")?);
        let system = &*self;
        until("redis-server answers", || async {
            system.tell_redis(&["PING"]).await.is_ok()
        })
        .await
    }

    pub(super) async fn start_redis(&mut self) -> anyhow::Result<()> {
        self.spawn_redis("yes").await
    }

    /// Starts it with the snapshot that was kept.
    pub(super) async fn start_redis_with_snapshot(&mut self) -> anyhow::Result<()> {
        self.remove_append_only_file()?;
        let folder = self.folder.join("redis");
        fs::rename(folder.join("kept.rdb"), folder.join("dump.rdb")).context("no snapshot")?;
        self.spawn_redis("no").await
    }

    pub(super) async fn start_redis_empty(&mut self) -> anyhow::Result<()> {
        self.remove_append_only_file()?;
        self.spawn_redis("yes").await
    }

    fn remove_append_only_file(&self) -> anyhow::Result<()> {
        let folder = self.folder.join("redis/appendonlydir");
        fs::remove_dir_all(folder).context("there is no append-only file")
    }

    pub(super) async fn keep_snapshot(&mut self) -> anyhow::Result<()> {
        self.tell_redis(&["SAVE"]).await?;
        let folder = self.folder.join("redis");
        fs::rename(folder.join("dump.rdb"), folder.join("kept.rdb")).context("no snapshot")
    }

    pub(super) async fn tell_redis(&self, words: &[&str]) -> anyhow::Result<()> {
        let client = redis::Client::open(self.redis_url())?;
        let mut conn = client.get_multiplexed_async_connection().await?;
        let mut command = redis::Cmd::new();
        words.iter().for_each(|word| {
            command.arg(*word);
        });
        Ok(command.exec_async(&mut conn).await?)
    }

    pub(super) async fn kill_redis(&mut self) -> anyhow::Result<()> {
        end(&mut self.redis).await
    }

    pub(super) async fn kill_up(&mut self) -> anyhow::Result<()> {
        end(&mut self.up).await
    }

    pub(super) fn signal_redis(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(pid_of(self.redis.as_ref())?, signal)?)
    }

    pub(super) fn signal_up(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(pid_of(self.up.as_ref())?, signal)?)
    }

    pub(super) fn signal_edge_master(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(self.edge_master()?, signal)?)
    }

    pub(super) fn signal_edge_worker(&self, signal: Signal) -> anyhow::Result<()> {
        let workers = children(self.edge_master()?, "nginx");
        let worker = workers.first().context("nginx has no worker")?;
        Ok(kill(*worker, signal)?)
    }

    fn edge_master(&self) -> anyhow::Result<Pid> {
        let masters = children(pid_of(self.up.as_ref())?, "nginx");
        masters.first().copied().context("no nginx runs")
    }

    /// Stops all of it.
    pub(super) async fn stop(&mut self) {
        if let Ok(up) = pid_of(self.up.as_ref()) {
            // A process that stands still cannot stop.
            let _ = kill(up, Signal::SIGCONT);
            let _ = kill(up, Signal::SIGTERM);
        }
        if let Some(up) = &mut self.up
            && tokio::time::timeout(Duration::from_secs(20), up.wait())
                .await
                .is_err()
        {
            let _ = up.kill().await;
        }
        let _ = end(&mut self.redis).await;
        if let Some(mounted) = self.mounted.take() {
            let _ = std::process::Command::new("umount").arg(mounted).status();
        }
    }

    pub(super) fn remove(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if let Some(mounted) = self.mounted.take() {
            let _ = std::process::Command::new("umount")
                .arg("-l")
                .arg(mounted)
                .status();
        }
    }
}

fn pid_of(child: Option<&Child>) -> anyhow::Result<Pid> {
    let id = child.and_then(Child::id).context("it does not run")?;
    Ok(Pid::from_raw(i32::try_from(id)?))
}

async fn end(child: &mut Option<Child>) -> anyhow::Result<()> {
    if let Some(mut child) = child.take() {
        child.kill().await.context("it cannot be killed")?;
    }
    Ok(())
}

/// The children of a process that are called so.
fn children(parent: Pid, name: &str) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten();
    let stats =
        processes.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    let mut found: Vec<Pid> = stats
        .filter_map(|stat| {
            let (head, rest) = stat.rsplit_once(") ")?;
            let (pid, comm) = head.split_once(" (")?;
            let mut fields = rest.split(' ');
            let (state, above) = (fields.next()?, fields.next()?);
            let is_it = comm == name && above.parse() == Ok(parent.as_raw()) && state != "Z";
            is_it.then(|| pid.parse().ok().map(Pid::from_raw))?
        })
        .collect();
    found.sort();
    found
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("there is no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Waits until it is so.
pub(super) async fn until<F: Future<Output = bool>>(
    what: &str,
    mut is_so: impl FnMut() -> F,
) -> anyhow::Result<()> {
    let began = Instant::now();
    while !is_so().await {
        if began.elapsed() > PATIENCE {
            bail!("waited {PATIENCE:?} until {what}");
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
