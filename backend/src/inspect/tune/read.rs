//! Reading what is in force on this machine, and at the servers that the settings name.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::rule::{Line, Part, State};
use super::{
    Machine, Options, Tuning, kernel, mariadb, nginx, postgres, redis as redis_rules, rocketmq,
};
use crate::config::{Config, QueueKind, cluster_node};
use crate::inspect::edges::{self, Edge, Unread};
use crate::redis::RedisLink;
use crate::store::server_variables;

/// Looks at each part that is chosen, or else at each that is found.
pub(super) async fn everything(config: &Config, options: &Options) -> Tuning {
    let mut notes = Vec::new();
    let has = |part: Part, found: bool| match options.parts.as_slice() {
        [] => found,
        chosen => chosen.contains(&part),
    };
    let edge = match has(Part::Nginx, true) {
        true => edge(config, options, &mut notes).await,
        false => None,
    };
    let machine = Machine {
        connections: options.connections,
        cores: std::thread::available_parallelism().map_or(1, |it| it.get() as u64),
        memory: memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        edge: has(Part::Nginx, edge.is_some()),
        redis: has(Part::Redis, runs("redis-server")),
        mariadb: has(Part::Mariadb, runs("mariadbd") || runs("mysqld")),
        rocketmq: has(Part::Rocketmq, options.broker_conf.is_some()),
    };
    let mut lines = Vec::new();
    if has(Part::Kernel, true) {
        lines.extend(of_kernel(&machine, Path::new("/")));
    }
    if machine.edge {
        lines.extend(of_edge(edge.as_ref(), options, &machine, &mut notes));
    }
    if has(Part::Redis, true) {
        let masters = config.redis_segments.iter().map(String::as_str);
        let masters = masters.filter(|url| cluster_node(url).is_none());
        for url in std::iter::once(config.redis_url.as_str()).chain(masters) {
            let is_of_up = !config.redis_is_external && url == config.redis_url;
            lines.extend(of_redis(url, is_of_up, &machine, &mut notes).await);
        }
    }
    for part in [Part::Mariadb, Part::Postgres] {
        let urls: Vec<&String> = std::iter::once(&config.database_url)
            .chain(&config.order_databases)
            .filter(|url| database_at(url) == Some(part))
            .collect();
        if has(part, !urls.is_empty()) {
            lines.extend(of_database(part, &urls, &machine, &mut notes).await);
        }
    }
    if has(
        Part::Rocketmq,
        config.queue == QueueKind::RocketMq || options.broker_conf.is_some(),
    ) {
        lines.extend(of_rocketmq(options.broker_conf.as_deref(), &mut notes));
    }
    Tuning { lines, notes }
}

/// Bytes of memory, out of `/proc/meminfo`.
fn memory(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|it| it.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// Whether a program of this name runs here.
fn runs(name: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut names = processes.filter_map(|it| fs::read_to_string(it.path().join("comm")).ok());
    names.any(|it| it.trim() == name)
}

/// This system's edge on this machine, or the configuration that is named; `None` if there
/// is none that can be read.
async fn edge(config: &Config, options: &Options, notes: &mut Vec<String>) -> Option<Edge> {
    let named = options.nginx_conf.as_deref();
    let found = edges::find(config, named).await;
    if found.own.is_empty() {
        let others: Vec<String> = found.others.iter().map(Edge::shown).collect();
        notes.push(no_edge(&others, options.parts.is_empty()));
    }
    for edge in found.own {
        match &edge.directives {
            Ok(_) => return Some(edge),
            Err(Unread::Refused(said)) => notes.push(format!(
                "nginx -T refuses the configuration {} ({said}); run this as root, or correct it",
                edge.shown()
            )),
            Err(Unread::NotRun(reason)) => notes.push(format!(
                "{} cannot be run ({reason}); the setting \"nginx\" names another",
                config.nginx.display()
            )),
        }
    }
    None
}

/// Why there is no edge to look at, beside these that may be others', and what that leaves
/// out of the parts that are found.
fn no_edge(others: &[String], parts_are_found: bool) -> String {
    let why = match others {
        [] => "no edge runs here".to_owned(),
        others => format!(
            "which edge is this system's is not known; --nginx-conf names it, such as {}",
            others.join(", ")
        ),
    };
    match parts_are_found {
        true => format!(
            "{why}; the settings of nginx, and those of the kernel for an edge, are left out, \
             and --parts kernel,nginx shows them"
        ),
        false => why,
    }
}

fn of_edge(
    edge: Option<&Edge>,
    options: &Options,
    machine: &Machine,
    notes: &mut Vec<String>,
) -> Vec<Line> {
    let is_of_up = edge.is_some_and(Edge::is_of_up);
    let conf = edge.and_then(|it| it.master.conf.as_deref());
    let conf = conf
        .or(options.nginx_conf.as_deref())
        .filter(|_| !is_of_up)
        .map(Path::to_string_lossy);
    let limits = edge.map(|it| format!("/proc/{}/limits", it.master.pid));
    let limits = limits.and_then(|path| fs::read_to_string(path).ok());
    let edge = nginx::Edge {
        file: conf.as_deref(),
        directives: edge.and_then(|it| it.directives.as_deref().ok()),
        file_limit: limits.and_then(|it| file_limit(&it)),
    };
    let lines = edge.lines(machine);
    if is_of_up && !are_fine(&lines) {
        notes.push(
            "this edge is the one of \"seckill up\", which writes its configuration at every \
             start and is not for such a peak; run an nginx of your own, from conf/nginx.conf, \
             beside \"seckill up --no-edge\" or \"seckill serve\""
                .to_owned(),
        );
    }
    lines
}

fn are_fine(lines: &[Line]) -> bool {
    lines.iter().all(|it| it.state == State::Fine)
}

/// The soft limit of open files, out of `/proc/PID/limits`.
fn file_limit(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|it| it.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// `root` is "/"; settings that this kernel does not have are left out.
fn of_kernel(machine: &Machine, root: &Path) -> Vec<Line> {
    let rules = kernel::rules(machine);
    let lines = rules.iter().filter_map(|rule| {
        let path = root.join(kernel::path(rule.name).trim_start_matches('/'));
        match fs::read_to_string(path) {
            Ok(text) => Some(rule.judge(None, Some(kernel::value(&text)))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(_) => Some(rule.judge(None, None)),
        }
    });
    lines.collect()
}

async fn of_redis(
    url: &str,
    is_of_up: bool,
    machine: &Machine,
    notes: &mut Vec<String>,
) -> Vec<Line> {
    let link = match RedisLink::lazy(url) {
        Ok(link) => link,
        Err(error) => {
            notes.push(error.to_string());
            return Vec::new();
        }
    };
    let server = link.address().to_owned();
    let here = match redis_settings(&link, &redis_rules::names(machine)).await {
        Ok(here) => here,
        Err(reason) => {
            notes.push(format!(
                "the settings of Redis at {server} cannot be read: {reason}"
            ));
            HashMap::new()
        }
    };
    let rules = redis_rules::rules(machine, is_of_up);
    let lines: Vec<Line> = rules
        .iter()
        .map(|rule| rule.judge(Some(&server), here.get(rule.name).cloned()))
        .collect();
    if is_of_up && !are_fine(&lines) {
        notes.push(
            "this Redis is the one of \"seckill up\", which reads no redis.conf; what is not as \
             wanted can be set in a Redis of your own, which redis_url names"
                .to_owned(),
        );
    }
    lines
}

async fn redis_settings(
    link: &RedisLink,
    names: &[&str],
) -> Result<HashMap<String, String>, String> {
    let mut conn = link.conn().await.map_err(|error| error.to_string())?;
    let mut all = HashMap::new();
    for name in names {
        let mut get = redis::cmd("CONFIG");
        get.arg("GET").arg(*name);
        let found: HashMap<String, String> = get
            .query_async(&mut conn)
            .await
            .map_err(|error| error.to_string())?;
        all.extend(found);
    }
    Ok(all)
}

/// The part that a database's address leads to; `None` for a file.
fn database_at(url: &str) -> Option<Part> {
    match url.split_once(':')?.0 {
        "mysql" | "mariadb" => Some(Part::Mariadb),
        "postgres" | "postgresql" => Some(Part::Postgres),
        _ => None,
    }
}

async fn of_database(
    part: Part,
    urls: &[&String],
    machine: &Machine,
    notes: &mut Vec<String>,
) -> Vec<Line> {
    let rules = match part {
        Part::Postgres => postgres::rules(machine),
        _ => mariadb::rules(machine),
    };
    let names: Vec<&str> = rules.iter().map(|rule| rule.name).collect();
    let mut lines = Vec::new();
    for url in urls {
        let server = crate::config::masked_url(url);
        let here = match server_variables::read(url, &names).await {
            Ok(here) => here,
            Err(error) => {
                notes.push(format!("the settings of {server} cannot be read: {error}"));
                HashMap::new()
            }
        };
        lines.extend(
            rules
                .iter()
                .map(|rule| rule.judge(Some(&server), here.get(rule.name).cloned())),
        );
    }
    if urls.is_empty() {
        // Chosen by hand: what it would need.
        lines.extend(rules.iter().map(|rule| rule.judge(None, None)));
    }
    lines
}

fn of_rocketmq(conf: Option<&Path>, notes: &mut Vec<String>) -> Vec<Line> {
    let text = match conf {
        None => {
            notes.push(
                "RocketMQ does not show its settings; on the broker's machine: --broker-conf FILE"
                    .to_owned(),
            );
            None
        }
        Some(path) => match fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) => {
                notes.push(format!("{} cannot be read: {error}", path.display()));
                None
            }
        },
    };
    let given = text.map(|text| rocketmq::parse(&text));
    let rules = rocketmq::rules();
    let lines = rules.iter().map(|(rule, default)| {
        let here = given.as_ref().map(|given| {
            let said = given.get(rule.name).map(String::as_str);
            said.unwrap_or(default).to_owned()
        });
        rule.judge(None, here)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_limits_are_read_as_the_kernel_writes_them() {
        assert_eq!(
            memory("MemTotal:       16384 kB\nMemFree: 1 kB\n"),
            16 << 20
        );
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(file_limit(limits), Some(1_024));
        assert_eq!(
            file_limit("Max open files  unlimited unlimited files"),
            None
        );
    }

    #[test]
    fn what_is_left_out_without_an_edge_is_said() {
        for others in [&[][..], &["/etc/nginx/nginx.conf".to_owned()]] {
            let note = no_edge(others, true);
            assert!(
                note.contains("left out, and --parts kernel,nginx"),
                "{note}"
            );
            assert!(others.iter().all(|it| note.contains(it)), "{note}");
            assert!(!no_edge(others, false).contains("left out"), "{note}");
        }
    }

    #[test]
    fn the_kernel_is_judged_by_its_files_and_what_it_lacks_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/sys/net/core");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("somaxconn"), "128\n").unwrap();
        let machine = Machine {
            connections: 50_000,
            cores: 2,
            memory: 1 << 30,
            edge: true,
            redis: true,
            mariadb: false,
            rocketmq: false,
        };
        let lines = of_kernel(&machine, root.path());
        assert_eq!(lines.len(), 1);
        assert_eq!(
            (lines[0].name, lines[0].state),
            ("net.core.somaxconn", State::Off)
        );
        fs::write(folder.join("somaxconn"), "65535\n").unwrap();
        assert_eq!(of_kernel(&machine, root.path())[0].state, State::Fine);
    }
}
