//! The system that is struck: a `seckill up` with servers of its own, on ports and in a
//! folder of their own.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::Value;
use seckill_core::ids::Item;
use seckill_core::keys;
use seckill_core::stock::ledger::EntryId;
use tokio::process::{Child, Command};

use super::client::Client;
use super::needs::Needs;
use super::provider::PaymentProvider;
use super::proxy::{Condition, Proxy};
use crate::config::Config;
use crate::outbox::reader::ARCHIVE;

/// Processes and ports.
mod process;
/// A replica, and the Sentinels that watch it and its master.
mod replicas;
/// Redis, Sentinels, MariaDB, RocketMQ.
pub(super) mod servers;
/// A disk without room, a clock that can be set.
mod surroundings;

use process::{children, end, free_row, pid_of};
use servers::{MariaDb, RedisServer, RocketMq};

/// How long a part may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(50);
/// The round that drills sell.
pub(super) const ROUND: &str = "drill";
/// The name by which Sentinels know the master.
const MASTER: &str = "drill";
/// Sentinels, of which two decide.
const SENTINELS: usize = 3;

/// A system of a drill's own.
pub(super) struct System {
    folder: PathBuf,
    program: PathBuf,
    variables: Vec<(String, String)>,
    port: u16,
    provider_port: u16,
    needs: Needs,
    /// The Redis; of several, the master and its replica, in an order that failovers change.
    pub(super) redis: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
    redis_proxy: Option<Proxy>,
    pub(super) database: Option<MariaDb>,
    database_proxy: Option<Proxy>,
    pub(super) queue: Option<RocketMq>,
    pub(super) provider: Option<PaymentProvider>,
    /// A payment of which a part is to be returned, and the command that began to.
    pub(super) owed: Option<(String, Child)>,
    up: Option<Child>,
    /// A file system that was mounted for the journal.
    mounted: Option<PathBuf>,
}

impl System {
    /// Makes its folder; nothing runs yet.
    pub(super) fn prepare(config: &Config, name: &str, needs: Needs) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("seckill-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        // At once: what is free now may be chosen again before anybody listens there.
        let port = free_row(3)?;
        let (console, provider_port) = (port + 1, port + 2);
        let text = |path: &Path| path.display().to_string();
        let mut variables = vec![
            ("CONFIG", "/dev/null".to_owned()),
            ("DATA", text(&folder.join("data"))),
            ("PORT", port.to_string()),
            ("CONSOLE_PORT", console.to_string()),
            ("CAPTCHA", "off".to_owned()),
            ("DEMO_LOGIN", "on".to_owned()),
            ("NGINX", text(&config.nginx)),
            // Findings about its own shoppers would fill the log.
            ("ANALYSIS", "off".to_owned()),
        ];
        let found = [("HOME", &config.home), ("MODULE", &config.module)];
        let found = found
            .into_iter()
            .filter_map(|(name, path)| Some((name, text(path.as_ref()?))));
        variables.extend(found);
        let redis = |name: &str| match needs.replica {
            true => RedisServer::at_port(&config.redis_server, folder.join(name)),
            false => RedisServer::at_socket(&config.redis_server, folder.join(name)),
        };
        let mut servers = vec![redis("redis")?];
        let mut sentinels = Vec::new();
        if needs.replica {
            servers.push(redis("replica")?);
            for number in 0..SENTINELS {
                sentinels.push(redis(&format!("sentinel-{number}"))?);
            }
        }
        let home = config.home.as_deref();
        let queue = needs.queue.then(|| {
            let home = home.context("RocketMQ is started by a script of the repository")?;
            RocketMq::new(home, folder.join("rocketmq"))
        });
        let mut system = Self {
            program: std::env::current_exe().context("this program is not to be found")?,
            queue: queue.transpose()?,
            folder,
            variables: Vec::new(),
            port,
            provider_port,
            needs,
            redis: servers,
            sentinels,
            redis_proxy: None,
            database: None,
            database_proxy: None,
            provider: None,
            owed: None,
            up: None,
            mounted: None,
        };
        for (name, value) in variables {
            system.set(name, value);
        }
        if needs.small_disk {
            system.mount_small_disk()?;
        }
        if needs.clock {
            system.fake_clock()?;
        }
        Ok(system)
    }

    fn set(&mut self, name: &str, value: String) {
        self.variables.push((format!("SECKILL_{name}"), value));
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn needs(&self) -> Needs {
        self.needs
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where the system, and whoever looks at it in the end, finds the Redis.
    pub(super) fn redis_url(&self) -> String {
        if self.sentinels.is_empty() {
            return match &self.redis_proxy {
                Some(proxy) => format!("unix://{}", proxy.socket().display()),
                None => self.redis[0].url(),
            };
        }
        let places: Vec<String> = self
            .sentinels
            .iter()
            .map(|it| format!("127.0.0.1:{}", it.port()))
            .collect();
        format!("redis+sentinel://{}/{MASTER}", places.join(","))
    }

    pub(super) fn database_url(&self) -> String {
        match (&self.database, &self.database_proxy) {
            (_, Some(proxy)) => MariaDb::url_by(proxy.socket()),
            (Some(database), None) => MariaDb::url_by(&database.socket()),
            (None, None) => format!("sqlite:{}", self.folder.join("data/seckill.db").display()),
        }
    }

    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        self.redis[0].start(&[]).await?;
        if self.needs.replica {
            self.start_replica_and_sentinels().await?;
        }
        if self.needs.redis_proxy {
            let (near, far) = (
                self.folder.join("redis-proxy.sock"),
                self.redis[0].folder().join("redis.sock"),
            );
            self.redis_proxy = Some(Proxy::between(&near, &far)?);
        }
        if self.needs.database || self.needs.database_proxy {
            let database = MariaDb::prepare(self.folder.join("mariadb")).await?;
            if self.needs.database_proxy {
                let near = self.folder.join("database-proxy.sock");
                self.database_proxy = Some(Proxy::between(&near, &database.socket())?);
            }
            self.database = Some(database);
        }
        if let Some(queue) = &self.queue {
            queue.start().await?;
            let endpoint = queue.endpoint();
            self.set("QUEUE", "rocketmq".to_owned());
            self.set("ROCKETMQ_ENDPOINT", endpoint);
        }
        if self.needs.provider {
            let started =
                PaymentProvider::start(&self.folder, &self.url(), self.provider_port).await?;
            let (provider, settings) = started;
            for (name, value) in settings {
                self.set(name, value);
            }
            self.provider = Some(provider);
        }
        self.set("REDIS_URL", self.redis_url());
        self.set("DATABASE_URL", self.database_url());
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

    /// A command of this system.
    pub(super) fn seckill(&self) -> Command {
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

    /// Starts `seckill up`, again if it gives up, as a service manager does, and waits until
    /// it serves.
    pub(super) async fn start_up(&mut self) -> anyhow::Result<()> {
        let client = Client::new(&self.url());
        let began = Instant::now();
        self.spawn_up()?;
        loop {
            let answer = client.get("/api/rounds", "").await;
            if answer.is_some_and(|it| it.status == 200) {
                return Ok(());
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "waited {PATIENCE:?} until the system is up"
            );
            let ended = self.up.as_mut().map(Child::try_wait).transpose();
            if ended.is_ok_and(|status| status.flatten().is_some()) {
                self.spawn_up()?;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn spawn_up(&mut self) -> anyhow::Result<()> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("up.log"))
            .context("the log cannot be written")?;
        let mut up = self.seckill();
        up.arg("up").stderr(log.try_clone()?).stdout(log);
        self.up = Some(up.spawn().context("\"seckill up\" cannot be started")?);
        Ok(())
    }

    pub(super) async fn kill_up(&mut self) -> anyhow::Result<()> {
        end(&mut self.up).await
    }

    pub(super) fn signal_up(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(pid_of(self.up.as_ref())?, signal)?)
    }

    pub(super) async fn signal_edge_master(&self, signal: Signal) -> anyhow::Result<()> {
        let (master, _) = self.edge().await?;
        Ok(kill(master, signal)?)
    }

    pub(super) async fn signal_edge_worker(&self, signal: Signal) -> anyhow::Result<()> {
        let (_, worker) = self.edge().await?;
        Ok(kill(worker, signal)?)
    }

    /// nginx's master and one of its workers, once there are any: they may have been struck
    /// a moment ago.
    async fn edge(&self) -> anyhow::Result<(Pid, Pid)> {
        let up = pid_of(self.up.as_ref())?;
        let found = || {
            let master = children(up, "nginx").first().copied()?;
            Some((master, children(master, "nginx").first().copied()?))
        };
        until("nginx runs", || async { found().is_some() }).await?;
        found().context("nginx has no worker")
    }

    /// Waits until the archive has every event of the Redis whose disk is about to be lost.
    /// What a strike before has kept from being archived, such as a database that was away,
    /// is in this one place only, and no system could bring it back.
    pub(super) async fn until_archived(&self) -> anyhow::Result<()> {
        let item = Item::new(ROUND, "1").context("the drill's product has no id")?;
        let outbox = keys::outbox(&item, 1);
        let redis = &self.redis[0];
        let last = std::cell::Cell::new(None);
        until("the stock is there", || async {
            // After a strike before, it may still have to be put back.
            let stream = redis.command(&["XINFO", "STREAM", &outbox]).await;
            last.set(stream.ok().and_then(|it| id_in(&it, "last-generated-id")));
            last.get().is_some()
        })
        .await?;
        let last = last.get().context("the outbox has no last event")?;
        until("all is archived", || async {
            let groups = redis.command(&["XINFO", "GROUPS", &outbox]).await;
            let words = ["XPENDING", &outbox, ARCHIVE.group.name];
            let pending = redis.command(&words).await;
            let both = groups.ok().zip(pending.ok());
            both.is_some_and(|(groups, pending)| is_read_to(last, &groups, &pending))
        })
        .await
    }

    /// Lets what passes between the system and its Redis pass so.
    pub(super) fn set_redis_proxy(&self, condition: Condition) {
        self.redis_proxy.iter().for_each(|it| it.set(condition));
    }

    /// Lets what passes between the system and its database pass so.
    pub(super) fn set_database_proxy(&self, condition: Condition) {
        self.database_proxy.iter().for_each(|it| it.set(condition));
    }

    /// The Redis that is the master, by its own word.
    pub(super) async fn master(&mut self) -> anyhow::Result<&mut RedisServer> {
        self.in_role("master").await
    }

    /// The Redis of this role (`master` or `slave`), by its own word.
    pub(super) async fn in_role(&mut self, wanted: &str) -> anyhow::Result<&mut RedisServer> {
        for server in &mut self.redis {
            let role = server.replication("role").await;
            if role.is_ok_and(|it| it == wanted) {
                return Ok(server);
            }
        }
        bail!("no Redis has the role {wanted}")
    }

    /// Stops all of it.
    pub(super) async fn stop(&mut self) {
        self.set_redis_proxy(Condition::Open);
        self.set_database_proxy(Condition::Open);
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
        for server in self.sentinels.iter_mut().chain(&mut self.redis) {
            let _ = server.kill().await;
        }
        if let Some(database) = &mut self.database {
            let _ = database.kill().await;
        }
        if let Some(queue) = &self.queue {
            let _ = queue.kill().await;
        }
        if let Some(mounted) = self.mounted.take() {
            let _ = std::process::Command::new("umount").arg(mounted).status();
        }
    }

    pub(super) fn remove(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// Puts its folder aside, so that another drill of this name, such as one with a shorter
    /// schedule, does not write over its logs. Only those of the last one that failed stay.
    pub(super) fn keep(&self) -> std::io::Result<PathBuf> {
        let kept = self.folder.with_extension("failed");
        let _ = fs::remove_dir_all(&kept);
        fs::rename(&self.folder, &kept)?;
        Ok(kept)
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

/// An id in the reply of `XINFO`.
fn id_in(info: &Value, field: &str) -> Option<EntryId> {
    let mut info: HashMap<String, Value> = redis::from_redis_value(info.clone()).ok()?;
    let id: String = redis::from_redis_value(info.remove(field)?).ok()?;
    EntryId::parse(&id)
}

/// Whether the archive's group has read every event to this one (`XINFO GROUPS`), and
/// acknowledged it (`XPENDING`).
fn is_read_to(last: EntryId, groups: &Value, pending: &Value) -> bool {
    type Pending = (u64, Option<String>, Value, Value);
    let groups: Vec<Value> = redis::from_redis_value(groups.clone()).unwrap_or_default();
    let is_own = |group: &&Value| {
        let fields: HashMap<String, Value> =
            redis::from_redis_value((*group).clone()).unwrap_or_default();
        let name = fields.get("name").cloned();
        name.and_then(|name| redis::from_redis_value::<String>(name).ok())
            .is_some_and(|name| name == ARCHIVE.group.name)
    };
    let read = groups.iter().find(is_own);
    let read = read.and_then(|group| id_in(group, "last-delivered-id"));
    let Ok((_, first, _, _)) = redis::from_redis_value::<Pending>(pending.clone()) else {
        return false;
    };
    let first = first.and_then(|id| EntryId::parse(&id));
    read.is_some_and(|read| read >= last) && first.is_none_or(|first| first > last)
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
