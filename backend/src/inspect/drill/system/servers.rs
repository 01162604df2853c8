//! The servers of a drill: Redis, Sentinels, MariaDB, RocketMQ, each in a folder of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;
use nix::unistd::User;
use redis::{AsyncConnectionConfig, Value};
use tokio::process::{Child, Command};

use super::process::{end, free_port, free_row, signal};
use super::until;

/// How many ports a RocketMQ has.
const ROCKETMQ_PORTS: u16 = 9;

/// Longest wait for a server's reply: one that was struck a moment ago, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a Redis listens.
#[derive(Debug, Clone)]
enum Place {
    Socket(PathBuf),
    Port(u16),
}

/// A redis-server, or a Sentinel.
#[derive(Debug)]
pub(in crate::inspect::drill) struct RedisServer {
    program: PathBuf,
    folder: PathBuf,
    place: Place,
    child: Option<Child>,
}

impl RedisServer {
    /// One at a socket below its folder.
    pub(in crate::inspect::drill) fn at_socket(
        program: &Path,
        folder: PathBuf,
    ) -> anyhow::Result<Self> {
        let socket = folder.join("redis.sock");
        Self::at(program, folder, Place::Socket(socket))
    }

    /// One at a free port of this machine.
    pub(in crate::inspect::drill) fn at_port(
        program: &Path,
        folder: PathBuf,
    ) -> anyhow::Result<Self> {
        Self::at(program, folder, Place::Port(free_port()?))
    }

    fn at(program: &Path, folder: PathBuf, place: Place) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self {
            program: program.to_owned(),
            folder,
            place,
            child: None,
        })
    }

    pub(in crate::inspect::drill) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(in crate::inspect::drill) fn port(&self) -> u16 {
        match self.place {
            Place::Port(port) => port,
            Place::Socket(_) => 0,
        }
    }

    pub(in crate::inspect::drill) fn url(&self) -> String {
        match &self.place {
            Place::Socket(socket) => format!("unix://{}", socket.display()),
            Place::Port(port) => format!("redis://127.0.0.1:{port}"),
        }
    }

    /// Starts it on the files of its folder, with further arguments, and waits until it
    /// takes commands.
    pub(in crate::inspect::drill) async fn start(
        &mut self,
        arguments: &[&str],
    ) -> anyhow::Result<()> {
        let mut redis = Command::new(&self.program);
        redis.args(["--save", "", "--daemonize", "no"]);
        redis.args(["--appendonly", "yes", "--appendfsync", "no"]);
        redis.args(arguments);
        self.spawn(redis).await
    }

    /// Starts it as a Sentinel that watches a master of this name, which `quorum` of
    /// them take for dead after a second.
    pub(in crate::inspect::drill) async fn start_sentinel(
        &mut self,
        name: &str,
        master: &RedisServer,
        quorum: usize,
    ) -> anyhow::Result<()> {
        let file = self.folder.join("sentinel.conf");
        let settings = format!(
            "sentinel monitor {name} 127.0.0.1 {} {quorum}\n\
             sentinel down-after-milliseconds {name} 1000\n\
             sentinel failover-timeout {name} 10000\n",
            master.port()
        );
        fs::write(&file, settings).context("the Sentinel's file cannot be written")?;
        let mut sentinel = Command::new(&self.program);
        sentinel.arg(&file).arg("--sentinel");
        self.spawn(sentinel).await
    }

    async fn spawn(&mut self, mut command: Command) -> anyhow::Result<()> {
        match &self.place {
            Place::Socket(socket) => command.args(["--port", "0", "--unixsocket"]).arg(socket),
            Place::Port(port) => {
                let port = port.to_string();
                command.args(["--bind", "127.0.0.1", "--port", &port])
            }
        };
        command.arg("--dir").arg(&self.folder);
        command.arg("--logfile").arg(self.folder.join("redis.log"));
        quietly(&mut command);
        self.child = Some(command.spawn().context("redis-server cannot be started")?);
        let server = &*self;
        until("redis-server answers", || async {
            server.command(&["PING"]).await.is_ok()
        })
        .await
    }

    pub(in crate::inspect::drill) async fn kill(&mut self) -> anyhow::Result<()> {
        end(&mut self.child).await
    }

    pub(in crate::inspect::drill) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    pub(in crate::inspect::drill) fn signal(&self, which: Signal) -> anyhow::Result<()> {
        signal(self.child.as_ref(), which)
    }

    pub(in crate::inspect::drill) async fn command(&self, words: &[&str]) -> anyhow::Result<Value> {
        let client = redis::Client::open(self.url())?;
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connecting = client.get_multiplexed_async_connection_with_config(&patient);
        let mut conn = connecting.await?;
        let mut command = redis::Cmd::new();
        words.iter().for_each(|word| {
            command.arg(*word);
        });
        Ok(command.query_async(&mut conn).await?)
    }

    /// What it says of a field of `INFO replication`.
    pub(in crate::inspect::drill) async fn replication(
        &self,
        field: &str,
    ) -> anyhow::Result<String> {
        let text: String = redis::from_redis_value(self.command(&["INFO", "replication"]).await?)?;
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(found.unwrap_or_default().trim().to_owned())
    }

    /// Forgets what it wrote to its append-only file.
    pub(in crate::inspect::drill) fn remove_append_only_file(&self) -> anyhow::Result<()> {
        match fs::remove_dir_all(self.folder.join("appendonlydir")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Puts a snapshot aside.
    pub(in crate::inspect::drill) async fn keep_snapshot(&self) -> anyhow::Result<()> {
        self.command(&["SAVE"]).await?;
        let (from, to) = (self.folder.join("dump.rdb"), self.folder.join("kept.rdb"));
        fs::rename(from, to).context("there is no snapshot")
    }

    /// Starts it with the snapshot that was put aside.
    pub(in crate::inspect::drill) async fn start_with_snapshot(&mut self) -> anyhow::Result<()> {
        self.remove_append_only_file()?;
        let (from, to) = (self.folder.join("kept.rdb"), self.folder.join("dump.rdb"));
        fs::rename(from, to).context("there is no snapshot")?;
        self.start(&["--appendonly", "no"]).await?;
        // From now on it loses nothing again.
        self.command(&["CONFIG", "SET", "appendonly", "yes"])
            .await?;
        Ok(())
    }
}

/// A mariadbd at a socket below its folder.
#[derive(Debug)]
pub(in crate::inspect::drill) struct MariaDb {
    folder: PathBuf,
    child: Option<Child>,
}

impl MariaDb {
    /// Makes its system tables, starts it, and makes the database.
    pub(in crate::inspect::drill) async fn prepare(folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder).context("the database's folder cannot be made")?;
        let mut install = Command::new("mariadb-install-db");
        // A server that starts removes the temporary files of all others there.
        install.env("TMPDIR", &folder);
        install.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
        install.args(["--skip-test-db", "--skip-name-resolve"]);
        install.arg(format!("--datadir={}", folder.join("data").display()));
        install.arg(format!("--user={}", user()?));
        let made = install.stdin(Stdio::null()).output().await;
        let made = made.context("this drill needs MariaDB; run scripts/install.sh test")?;
        ensure!(
            made.status.success(),
            "the database's tables cannot be made: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut server = Self {
            folder,
            child: None,
        };
        server.start().await?;
        ensure!(
            server.run("CREATE DATABASE seckill").await,
            "the database cannot be made"
        );
        Ok(server)
    }

    pub(in crate::inspect::drill) async fn start(&mut self) -> anyhow::Result<()> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let mut server = Command::new("mariadbd");
        server.env("TMPDIR", &self.folder);
        server.args(["--no-defaults", "--skip-networking", "--skip-name-resolve"]);
        server.arg(format!("--user={}", user()?));
        server.arg(format!("--datadir={}", path("data")));
        server.arg(format!("--socket={}", path("mariadb.sock")));
        server.arg(format!("--pid-file={}", path("mariadb.pid")));
        server.arg(format!("--log-error={}", path("mariadb.log")));
        server.arg("--innodb-buffer-pool-size=64M");
        quietly(&mut server);
        self.child = Some(server.spawn().context("mariadbd cannot be started")?);
        let server = &*self;
        until("mariadbd answers", || server.run("SELECT 1")).await
    }

    async fn run(&self, statement: &str) -> bool {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--user=root"]);
        client.arg(format!("--socket={}", self.socket().display()));
        client.arg("--execute").arg(statement);
        quietly(&mut client);
        client.status().await.is_ok_and(|status| status.success())
    }

    pub(in crate::inspect::drill) fn socket(&self) -> PathBuf {
        self.folder.join("mariadb.sock")
    }

    /// Its database, by way of this socket.
    pub(in crate::inspect::drill) fn url_by(socket: &Path) -> String {
        format!("mysql://root@localhost/seckill?socket={}", socket.display())
    }

    pub(in crate::inspect::drill) async fn kill(&mut self) -> anyhow::Result<()> {
        end(&mut self.child).await
    }

    pub(in crate::inspect::drill) fn signal(&self, which: Signal) -> anyhow::Result<()> {
        signal(self.child.as_ref(), which)
    }
}

/// A RocketMQ of one node, as `scripts/rocketmq.sh` runs it.
#[derive(Debug)]
pub(in crate::inspect::drill) struct RocketMq {
    script: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl RocketMq {
    pub(in crate::inspect::drill) fn new(home: &Path, folder: PathBuf) -> anyhow::Result<Self> {
        Ok(Self {
            script: home.join("scripts/rocketmq.sh"),
            folder,
            port: free_row(ROCKETMQ_PORTS)?,
        })
    }

    pub(in crate::inspect::drill) fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(in crate::inspect::drill) async fn start(&self) -> anyhow::Result<()> {
        self.run("start").await
    }

    pub(in crate::inspect::drill) async fn kill(&self) -> anyhow::Result<()> {
        self.run("kill").await
    }

    async fn run(&self, verb: &str) -> anyhow::Result<()> {
        let mut script = Command::new(&self.script);
        script.arg(verb).arg(&self.folder);
        script.env("ROCKETMQ_PORT", self.port.to_string());
        // It leaves processes behind that keep its output open.
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.with_extension("log"))
            .context("the log cannot be written")?;
        script.stdin(Stdio::null());
        script.stderr(log.try_clone()?).stdout(log);
        let status = script.status().await.context("the script is missing")?;
        ensure!(
            status.success(),
            "RocketMQ cannot be told to {verb}; run scripts/rocketmq.sh install"
        );
        Ok(())
    }
}

fn quietly(command: &mut Command) {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).kill_on_drop(true);
}

/// The current user, which a server started by root must be given.
fn user() -> anyhow::Result<String> {
    let user = User::from_uid(nix::unistd::getuid())?.context("this user has no name")?;
    Ok(user.name)
}
