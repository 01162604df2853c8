//! The settings of kernel, nginx, Redis, database and RocketMQ that a sale's peak needs,
//! beside those in force on this machine. It changes nothing.
//!
//! `rule` says what a setting may be and how well a value does; `kernel`, `nginx`,
//! `redis`, `mariadb`, `postgres` and `rocketmq` say which settings there are, as pure functions of
//! what is expected; `read` is all that looks at the machine.

use std::path::PathBuf;

use serde::Serialize;

use crate::config::Config;

/// What a setting may be, and how well a value does.
mod rule;

/// The kernel's settings.
mod kernel;
/// MariaDB's settings.
mod mariadb;
/// The edge's settings.
mod nginx;
/// PostgreSQL's settings.
mod postgres;
/// Redis's settings.
mod redis;
/// The broker's settings.
mod rocketmq;

/// The files to write.
mod files;
/// Reading what is in force.
mod read;

pub use rule::{Line, Part, State};

/// What is expected of this machine, and where to look.
#[derive(Debug, Default)]
pub struct Options {
    /// Shoppers' connections that this machine's edge holds at the peak.
    pub connections: u64,
    /// nginx's configuration file; `None` for that of the edge that runs here.
    pub nginx_conf: Option<PathBuf>,
    /// RocketMQ's configuration file of the broker; `None` if it is not on this machine.
    pub broker_conf: Option<PathBuf>,
    /// The parts that this machine has; empty for those that are found.
    pub parts: Vec<Part>,
}

/// What the rules depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Machine {
    /// Shoppers' connections at the peak.
    connections: u64,
    /// Cores of this machine.
    cores: u64,
    /// Memory of this machine, in bytes.
    memory: u64,
    /// Whether an edge, a Redis, a MariaDB and a RocketMQ run here.
    edge: bool,
    redis: bool,
    mariadb: bool,
    rocketmq: bool,
}

impl Machine {
    /// Shoppers' connections of one nginx worker.
    fn connections_of_a_worker(&self) -> u64 {
        self.connections.div_ceil(self.cores.max(1))
    }

    /// Connections that wait to be accepted when the sale opens. A quarter of a worker's
    /// shoppers click within the moment that it is busy with others; the same rule as
    /// in `seckill capacity`.
    fn backlog(&self) -> u64 {
        seckill_core::sale::capacity::backlog(self.connections_of_a_worker())
    }
}

/// Every setting that was looked at.
#[derive(Debug, Serialize)]
pub struct Tuning {
    /// A line for each setting, in the order of the parts.
    pub lines: Vec<Line>,
    /// Parts that could not be looked at, each with its reason and its cure.
    pub notes: Vec<String>,
}

impl Tuning {
    /// How many lines are in this state.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.lines.iter().filter(|line| line.state == state).count()
    }

    /// For people: each setting with its value here, the wanted one, its reason and the
    /// file that it belongs into.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut part = None;
        for line in &self.lines {
            let heading = (line.part, line.server.as_deref());
            if part != Some(heading) {
                part = Some(heading);
                let server = line.server.as_deref();
                let server = server.map_or(String::new(), |it| format!(" at {it}"));
                text.push_str(&format!("{}{server}\n", line.part.title()));
            }
            text.push_str(&line.for_people());
        }
        for note in &self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        text
    }

    /// The files to write, with each setting's reason, after what could not be looked at.
    /// What is better here than wanted stays as it is.
    #[must_use]
    pub fn files(&self) -> String {
        let notes = self.notes.iter().map(|note| format!("# note: {note}\n"));
        notes.collect::<String>() + &files::write(&self.lines)
    }
}

/// Looks at every part that this machine has.
pub async fn examine(config: &Config, options: &Options) -> Tuning {
    read::everything(config, options).await
}
