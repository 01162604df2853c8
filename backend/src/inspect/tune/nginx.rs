//! The edge's settings.

use seckill_core::sale::capacity::WorkerLimits;

use super::Machine;
use super::rule::{Line, Part, Place, Rule, Syntax, Wanted, Weight};
use crate::inspect::nginx_text::Directive;

const FILE: &str = "/etc/nginx/nginx.conf";
/// The backlog of a `listen` that says none.
const DEFAULT_BACKLOG: u64 = 511;

/// The edge's configuration, and what its processes inherited.
pub(super) struct Edge<'a> {
    /// Where the configuration is; `None` for nginx's usual place.
    pub(super) file: Option<&'a str>,
    /// What it says; `None` if it is not known.
    pub(super) directives: Option<&'a [Directive]>,
    /// Open files that nginx may have where `worker_rlimit_nofile` does not say; `None`
    /// if it does not run.
    pub(super) file_limit: Option<u64>,
}

impl Edge<'_> {
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Directive> {
        let directives = self.directives.unwrap_or_default();
        directives.iter().filter(move |it| it.name == name)
    }

    /// The first argument of the directive that comes last: includes come before it.
    fn value(&self, name: &str) -> Option<String> {
        self.all(name).last()?.arguments.first().cloned()
    }

    /// Of a configuration that is unknown, as many as are wanted.
    fn workers(&self, cores: u64) -> u64 {
        if self.directives.is_none() {
            return cores;
        }
        let said = self.value("worker_processes");
        match said.as_deref() {
            Some("auto") => cores,
            said => said.and_then(|it| it.parse().ok()).unwrap_or(1),
        }
    }

    /// The longest backlog of a port that shoppers may come to.
    fn backlog(&self) -> u64 {
        let said = self.all("listen").filter_map(|it| it.option("backlog"));
        let said = said.filter_map(|it| it.parse().ok()).max();
        said.unwrap_or(DEFAULT_BACKLOG)
    }

    fn listens_with(&self, flag: &str) -> bool {
        self.all("listen")
            .any(|it| it.arguments.iter().any(|argument| argument == flag))
    }

    /// Connections kept to the purchase role.
    fn keepalive(&self) -> String {
        let is_purchase = |it: &&Directive| {
            let block = it.blocks.last();
            block.is_some_and(|block| block == "upstream seckill_purchase")
        };
        let mut kept = self.all("keepalive").filter(is_purchase);
        let kept = kept.next().and_then(|it| it.arguments.first().cloned());
        kept.unwrap_or_else(|| "0".to_owned())
    }

    /// Whether every log of requests that is named is off.
    fn logs_nothing(&self) -> bool {
        let mut logs = self.all("access_log").peekable();
        logs.peek().is_some() && logs.all(|it| it.arguments.first().is_some_and(|it| it == "off"))
    }

    /// How much of the log is collected before it is written.
    fn log_buffer(&self) -> String {
        let mut logs = self.all("access_log");
        let buffer = logs.find_map(|it| it.option("buffer").map(ToOwned::to_owned));
        buffer.unwrap_or_else(|| "0".to_owned())
    }

    /// Judges every setting; all are unknown if the configuration is.
    pub(super) fn lines(&self, machine: &Machine) -> Vec<Line> {
        let judge = |name, block, syntax, wanted, weight, reason, here: Option<String>| {
            let here = here.filter(|_| self.directives.is_some());
            let mut line = judge(name, block, syntax, wanted, weight, reason, here);
            if let Some(file) = self.file {
                line.file = line.file.replacen(FILE, file, 1);
            }
            line
        };
        let workers = self.workers(machine.cores).max(1);
        let keepalive = self.keepalive();
        let limits = WorkerLimits::new(
            machine.connections.div_ceil(workers),
            keepalive.parse().unwrap_or(0),
        );
        let own = |name: &str, default: &str| {
            Some(self.value(name).unwrap_or_else(|| default.to_owned()))
        };
        let flag = |is_on: bool| Some(if is_on { "on" } else { "off" }.to_owned());
        let mut lines = vec![
            judge(
                "worker_processes",
                "",
                Syntax::Nginx,
                Wanted::Workers(machine.cores),
                Weight::Helps,
                "one worker for each core; a worker uses no more than one",
                own("worker_processes", "1"),
            ),
            judge(
                "worker_connections",
                "events",
                Syntax::Nginx,
                Wanted::AtLeast(limits.connections),
                Weight::Matters,
                "each waiting page holds a connection, and a purchase takes a second one; beyond it shoppers get 500",
                own("worker_connections", "512"),
            ),
            judge(
                "worker_rlimit_nofile",
                "",
                Syntax::Nginx,
                Wanted::AtLeast(limits.files),
                Weight::Matters,
                "a connection is an open file, and the page sent through it another; Debian's service starts nginx with 1,024",
                self.value("worker_rlimit_nofile")
                    .or_else(|| self.file_limit.map(|it| it.to_string())),
            ),
            judge(
                "worker_shutdown_timeout",
                "",
                Syntax::Nginx,
                Wanted::Present("30s"),
                Weight::Helps,
                "old workers end after a reload, though pages hold their connections",
                own("worker_shutdown_timeout", ""),
            ),
            judge(
                "backlog",
                "server",
                Syntax::Argument("listen"),
                Wanted::AtLeast(machine.backlog()),
                Weight::Matters,
                "connections that wait to be accepted at the opening; net.core.somaxconn cuts it",
                Some(self.backlog().to_string()),
            ),
            judge(
                "reuseport",
                "server",
                Syntax::Argument("listen"),
                Wanted::OneOf(&["on"]),
                Weight::Helps,
                "each worker has a queue of its own, so that no core waits for another",
                flag(self.listens_with("reuseport")),
            ),
            judge(
                "keepalive_requests",
                "http",
                Syntax::Nginx,
                Wanted::AtLeast(1_000),
                Weight::Helps,
                "a balancer's connection is not closed every few moments",
                own("keepalive_requests", "1000"),
            ),
            judge(
                "keepalive",
                "upstream seckill_purchase",
                Syntax::Nginx,
                Wanted::AtLeast(64),
                Weight::Helps,
                "a purchase does not pay for a handshake, nor leave a port waiting for a minute",
                Some(keepalive),
            ),
        ];
        if !self.logs_nothing() {
            lines.push(judge(
                "buffer",
                "http",
                Syntax::Argument("access_log"),
                Wanted::AtLeast(32 << 10),
                Weight::Helps,
                "the log is written once for some hundred requests, not for each",
                Some(self.log_buffer()),
            ));
        }
        if self.listens_with("ssl") {
            let cache = self.value("ssl_session_cache");
            lines.push(judge(
                "ssl_session_cache",
                "http",
                Syntax::Nginx,
                Wanted::Present("shared:seckill_tls:16m"),
                Weight::Helps,
                "a shopper who reloads resumes, which costs a tenth of a handshake",
                Some(
                    cache
                        .filter(|it| it != "none" && it != "off")
                        .unwrap_or_default(),
                ),
            ));
        }
        lines
    }
}

fn judge(
    name: &'static str,
    block: &'static str,
    syntax: Syntax,
    wanted: Wanted,
    weight: Weight,
    reason: &'static str,
    here: Option<String>,
) -> Line {
    let rule = Rule {
        part: Part::Nginx,
        name,
        wanted,
        weight,
        reason,
        place: Place {
            file: FILE,
            block,
            syntax,
        },
    };
    rule.judge(None, here)
}

#[cfg(test)]
mod tests {
    use seckill_core::sale::capacity::{Load, Measured, plan};

    use super::*;
    use crate::inspect::nginx_text::parse;
    use crate::inspect::tune::State;

    const MACHINE: Machine = Machine {
        connections: 20_000,
        cores: 2,
        memory: 8 << 30,
        edge: true,
        redis: false,
        mariadb: false,
        rocketmq: false,
    };

    const MEASURED: Measured = Measured {
        edge_per_core: 60_000.0,
        purchase_per_core: 20_000.0,
        redis_per_master: 40_000.0,
        orders_per_second: 500.0,
    };

    fn states(text: &str, file_limit: Option<u64>) -> Vec<(&'static str, State)> {
        states_on(&MACHINE, text, file_limit)
    }

    fn states_on(
        machine: &Machine,
        text: &str,
        file_limit: Option<u64>,
    ) -> Vec<(&'static str, State)> {
        let directives = parse(text);
        let edge = Edge {
            file: None,
            directives: Some(&directives),
            file_limit,
        };
        let lines = edge.lines(machine);
        lines.iter().map(|line| (line.name, line.state)).collect()
    }

    fn state(text: &str, name: &str) -> State {
        let states = states(text, None);
        states.into_iter().find(|it| it.0 == name).unwrap().1
    }

    #[test]
    fn the_shipped_example_of_an_edge_is_as_wanted() {
        let http = include_str!("../../../../conf/seckill/http.conf");
        let text =
            include_str!("../../../../conf/nginx.conf").replace("include seckill/http.conf;", http);
        for (name, state) in states(&text, None) {
            assert_eq!(state, State::Fine, "{name}");
        }
    }

    #[test]
    fn an_nginx_as_installed_is_off_where_shoppers_would_be_refused() {
        let bare = "events {} http { server { listen 80; } }";
        assert_eq!(state(bare, "worker_connections"), State::Off);
        assert_eq!(state(bare, "backlog"), State::Off);
        assert_eq!(state(bare, "keepalive"), State::Advised);
        assert_eq!(state(bare, "worker_rlimit_nofile"), State::Unknown);
        assert!(states(bare, Some(1_024)).contains(&("worker_rlimit_nofile", State::Off)));
        assert!(states(bare, Some(1 << 20)).contains(&("worker_rlimit_nofile", State::Fine)));
    }

    #[test]
    fn one_worker_has_to_hold_all_connections() {
        let one = "worker_processes 1; events { worker_connections 16384; }";
        assert_eq!(state(one, "worker_connections"), State::Off);
        let two = "worker_processes auto; events { worker_connections 16384; }";
        assert_eq!(state(two, "worker_connections"), State::Fine);
    }

    #[test]
    fn what_capacity_plans_is_as_wanted() {
        let load = Load {
            rps: 50_000.0,
            shoppers: 50_000,
            items: 10_000,
            edge_cores: 2,
            fill: 0.7,
            purchase_ms: 5.0,
            origin_megabits: 0.0,
            line_megabits: 1_000.0,
        };
        for purchase_ms in [5.0, 500.0] {
            let load = Load {
                purchase_ms,
                ..load
            };
            let plan = plan(&load, &MEASURED);
            let text = format!(
                "worker_processes {}; worker_rlimit_nofile {}; events {{ worker_connections {}; }}
                 http {{ upstream seckill_purchase {{ keepalive {}; }}
                         server {{ listen 80 backlog={}; }} }}",
                plan.workers,
                plan.open_files_per_worker,
                plan.worker_connections,
                plan.keepalive,
                plan.backlog
            );
            let machine = Machine {
                connections: plan.connections_per_edge,
                ..MACHINE
            };
            for (name, state) in states_on(&machine, &text, None) {
                assert_ne!(state, State::Off, "{name}: {plan:?}");
            }
        }
    }

    #[test]
    fn what_is_written_without_a_configuration_is_for_as_many_workers_as_it_says() {
        let edge = Edge {
            file: None,
            directives: None,
            file_limit: None,
        };
        let lines = edge.lines(&MACHINE);
        let value = |name| &lines.iter().find(|it| it.name == name).unwrap().value;
        assert_eq!(value("worker_processes"), "auto");
        let each = MACHINE.connections / MACHINE.cores;
        let wanted = WorkerLimits::new(each, 0).connections;
        assert_eq!(*value("worker_connections"), wanted.to_string());
    }

    #[test]
    fn the_buffer_of_a_log_is_looked_at_only_where_there_is_one() {
        let has_buffer = |text| states(text, None).iter().any(|it| it.0 == "buffer");
        assert!(!has_buffer(
            "http { access_log off; server { listen 80; } }"
        ));
        assert!(has_buffer("http { server { listen 80; } }"));
        let one = "http { access_log off; server { listen 80; access_log /var/log/a; } }";
        assert_eq!(state(one, "buffer"), State::Advised);
    }

    #[test]
    fn sessions_of_tls_are_looked_at_only_where_there_is_tls() {
        let plain = "http { server { listen 80; } }";
        assert!(
            states(plain, None)
                .iter()
                .all(|it| it.0 != "ssl_session_cache")
        );
        let tls = "http { server { listen 443 ssl; } }";
        assert_eq!(state(tls, "ssl_session_cache"), State::Advised);
    }
}
