//! The redis-server of this box.

use std::time::Duration;

use super::child::Child;
use super::{PATIENCE, POLL, UpError};
use crate::config::Config;
use crate::inspect::probe;
use crate::inspect::probe::RedisHealth;

const NAME: &str = "redis-server";
/// How long reading the append-only file may take after a long sale.
const LOADING_PATIENCE: Duration = Duration::from_secs(120);

/// Starts it and waits until it serves.
pub(super) async fn start(config: &Config) -> Result<Child, UpError> {
    let program =
        super::edge::find_program(&config.redis_server).ok_or_else(|| UpError::Missing {
            what: "redis-server",
            looked: config.redis_server.display().to_string(),
            cure: "install it with \"apt-get install redis-server\", or name it with \
                   SECKILL_REDIS_SERVER",
        })?;
    if config.redis_port != 0
        && std::net::TcpListener::bind(("127.0.0.1", config.redis_port)).is_err()
    {
        return Err(UpError::PortTaken {
            port: config.redis_port,
            variable: "SECKILL_REDIS_PORT",
        });
    }
    let home = config.data.join("redis");
    let log = config.logs_dir().join("redis.log");
    let socket = config.run_dir().join("redis.sock");
    // A killed server leaves its socket, which would answer nobody.
    let _ = std::fs::remove_file(&socket);
    let text = |path: &std::path::Path| path.display().to_string();
    let settings: [(&str, String); 13] = [
        ("--dir", text(&home)),
        ("--logfile", text(&log)),
        ("--unixsocket", text(&socket)),
        ("--unixsocketperm", "700".to_owned()),
        ("--port", config.redis_port.to_string()),
        ("--bind", "127.0.0.1".to_owned()),
        ("--daemonize", "no".to_owned()),
        // Every purchase is on disk within a second; snapshots would only fork
        // the process in the middle of a sale.
        ("--appendonly", "yes".to_owned()),
        ("--appendfsync", "everysec".to_owned()),
        ("--save", String::new()),
        // Stock must never be evicted.
        ("--maxmemory-policy", "noeviction".to_owned()),
        ("--tcp-backlog", "511".to_owned()),
        ("--set-proc-title", "yes".to_owned()),
    ];
    let arguments: Vec<String> = settings
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect();
    let mut child = Child::spawn(NAME, &program, &arguments, &home, &log)?;
    let began = tokio::time::Instant::now();
    loop {
        child.check()?;
        let patience = match probe::redis(&socket).await {
            RedisHealth::Serving => return Ok(child),
            RedisHealth::Loading => LOADING_PATIENCE,
            RedisHealth::Away => PATIENCE,
        };
        if began.elapsed() > patience {
            let reason = format!(
                "it does not serve after {patience:?}.{}",
                super::child::tail(&log)
            );
            child.stop(nix::sys::signal::Signal::SIGTERM).await;
            return Err(UpError::Start { name: NAME, reason });
        }
        tokio::time::sleep(POLL).await;
    }
}
