//! The redis-server of this box.
//!
//! Its append-only file has every purchase before the buyer has the response: with
//! `appendfsync no` Redis hands each change to the kernel before it replies, so that
//! a killed redis-server loses nothing that it confirmed. Its own `everysec` does not
//! promise that: while a slow disk syncs, it keeps changes in its memory for up to two
//! seconds and replies all the same. So that a power cut loses no more than a second
//! or so either, [`sync_every_second`] has the kernel write the file to the disk.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::child::Child;
use super::edge::find_program;
use super::logs::Logs;
use super::supervised::Program;
use super::{PATIENCE, POLL, UpError};
use crate::config::Config;
use crate::inspect::probe::{self, RedisHealth};

/// How long reading the append-only file may take after a long sale.
const LOADING_PATIENCE: Duration = Duration::from_secs(120);
/// How often the append-only file is synced.
const SYNC: Duration = Duration::from_secs(1);

/// redis-server, ready to be started.
pub(super) struct RedisServer {
    program: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    logs: Logs,
}

impl RedisServer {
    /// Finds the program.
    pub(super) fn prepare(config: &Config) -> Result<Self, UpError> {
        let program = find_program(&config.redis_server).ok_or_else(|| UpError::Missing {
            what: "redis-server",
            searched: config.redis_server.display().to_string(),
            cure: "install it with \"apt-get install redis-server\", or name it with \
                   SECKILL_REDIS_SERVER",
        })?;
        let folder = config.data.join("redis");
        let socket = config.run_dir().join("redis.sock");
        let log = config.logs_dir().join("redis.log");
        let text = |path: &Path| path.display().to_string();
        let settings: [(&str, String); 13] = [
            ("--dir", text(&folder)),
            ("--logfile", text(&log)),
            ("--unixsocket", text(&socket)),
            ("--unixsocketperm", "700".to_owned()),
            ("--port", config.redis_port.to_string()),
            ("--bind", "127.0.0.1".to_owned()),
            ("--daemonize", "no".to_owned()),
            ("--appendonly", "yes".to_owned()),
            ("--appendfsync", "no".to_owned()),
            // Snapshots would only fork the process in the middle of a sale.
            ("--save", String::new()),
            // Stock must never be evicted.
            ("--maxmemory-policy", "noeviction".to_owned()),
            ("--tcp-backlog", "511".to_owned()),
            ("--set-proc-title", "yes".to_owned()),
        ];
        let arguments = settings
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect();
        Ok(Self {
            program,
            arguments,
            folder,
            socket,
            logs: Logs::new(vec![log.clone()], config.log_mb),
            log,
        })
    }
}

impl Program for RedisServer {
    const NAME: &'static str = "redis-server";
    const REOPEN: Option<Signal> = None;

    fn logs(&mut self) -> &mut Logs {
        &mut self.logs
    }

    fn spawn(&self) -> Result<Child, UpError> {
        // A killed server leaves its socket, which refuses connections.
        let _ = std::fs::remove_file(&self.socket);
        Child::spawn(
            Self::NAME,
            &self.program,
            &self.arguments,
            &self.folder,
            &self.log,
        )
    }

    async fn until_healthy(&self, child: &mut Child) -> Result<(), UpError> {
        let began = Instant::now();
        loop {
            child.check()?;
            let patience = match probe::redis(&self.socket).await {
                RedisHealth::Serving => return Ok(()),
                RedisHealth::Loading => LOADING_PATIENCE,
                RedisHealth::Away => PATIENCE,
            };
            if began.elapsed() > patience {
                return Err(UpError::Start {
                    name: Self::NAME,
                    reason: format!("it does not serve after {patience:?}.{}", child.tail()),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Has the append-only file of the Redis in `folder` written to the disk every
/// second, for ever.
pub(super) async fn sync_every_second(folder: PathBuf) -> Infallible {
    let mut is_failing = false;
    loop {
        tokio::time::sleep(SYNC).await;
        let folder = folder.clone();
        let synced = tokio::task::spawn_blocking(move || sync(&folder)).await;
        match synced {
            Ok(Err(error)) if !is_failing => {
                is_failing = true;
                tracing::error!(%error, "the append-only file of redis-server cannot be synced; a power cut may lose purchases");
            }
            Ok(Ok(())) => is_failing = false,
            _ => {}
        }
    }
}

/// Syncs the files to which Redis appends: `appendonlydir/*.incr.aof`, two of them
/// during a rewrite; before Redis 7, `appendonly.aof`.
fn sync(folder: &Path) -> io::Result<()> {
    let mut files = vec![folder.join("appendonly.aof")];
    if let Ok(entries) = std::fs::read_dir(folder.join("appendonlydir")) {
        let names = entries.flatten().map(|entry| entry.path());
        files.extend(names.filter(|path| path.to_string_lossy().ends_with(".incr.aof")));
    }
    for path in files {
        match std::fs::File::open(&path).and_then(|file| file.sync_data()) {
            // Not there, or removed by a rewrite in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}
