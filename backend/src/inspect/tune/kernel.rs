//! The kernel's settings.

use super::Machine;
use super::rule::{Part, Place, Rule, Syntax, Wanted, Weight};

const SYSCTL: Place = Place {
    file: "/etc/sysctl.d/60-seckill.conf",
    block: "",
    syntax: Syntax::Sysctl,
};
/// Where the kernel says how it uses huge pages.
pub(super) const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
/// The name of that setting, which is no sysctl.
pub(super) const HUGE_PAGES_NAME: &str = "transparent_hugepage";

/// The settings that this machine's parts need. A setting that this kernel does not
/// have, such as those of a module that is not loaded, is left out by the reader.
pub(super) fn rules(machine: &Machine) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut rule = |name, wanted, weight, reason| {
        rules.push(Rule {
            part: Part::Kernel,
            name,
            wanted,
            weight,
            reason,
            place: SYSCTL,
        });
    };
    if machine.edge {
        rule(
            "net.core.somaxconn",
            Wanted::AtLeast(machine.backlog()),
            Weight::Matters,
            "cuts every listen backlog to its size; shoppers who connect beyond it wait a second for another try",
        );
        rule(
            "net.ipv4.tcp_max_syn_backlog",
            Wanted::AtLeast(machine.backlog()),
            Weight::Helps,
            "handshakes under way at the opening; beyond it they are made by cookies, without window scaling",
        );
        rule(
            "net.ipv4.tcp_syncookies",
            Wanted::OneOf(&["1", "2"]),
            Weight::Matters,
            "a flood of handshakes must not shut shoppers out",
        );
        rule(
            "net.core.netdev_max_backlog",
            Wanted::AtLeast(5_000),
            Weight::Helps,
            "packets that wait for a core; beyond it they are dropped and sent again",
        );
        rule(
            "net.ipv4.ip_local_port_range",
            Wanted::Span(40_000, "10240 65535"),
            Weight::Helps,
            "local ports for connections to back ends that are not kept alive",
        );
        rule(
            "net.netfilter.nf_conntrack_max",
            Wanted::AtLeast((machine.connections * 4).max(262_144)),
            Weight::Matters,
            "a firewall that tracks connections drops the packets of those beyond it",
        );
        rule(
            "fs.nr_open",
            Wanted::AtLeast((machine.connections * 4).max(1_048_576)),
            Weight::Matters,
            "no process may open more files, whatever worker_rlimit_nofile says",
        );
    }
    rule(
        "fs.file-max",
        Wanted::AtLeast((machine.connections * 4).max(1_048_576)),
        Weight::Matters,
        "all open files and connections of the machine",
    );
    rule(
        "vm.swappiness",
        Wanted::AtMost(10),
        Weight::Helps,
        "a worker or a Redis that was swapped out answers seconds late",
    );
    if machine.redis {
        rule(
            "vm.overcommit_memory",
            Wanted::OneOf(&["1"]),
            Weight::Matters,
            "Redis forks to rewrite its append-only file; without it the fork fails when half of the memory is used, and Redis may refuse writes",
        );
    }
    if machine.rocketmq {
        rule(
            "vm.max_map_count",
            Wanted::AtLeast(655_360),
            Weight::Matters,
            "the broker maps every file of its store; at the limit it ends",
        );
    }
    if machine.redis || machine.mariadb {
        rules.push(Rule {
            part: Part::Kernel,
            name: HUGE_PAGES_NAME,
            wanted: Wanted::OneOf(&["madvise", "never"]),
            weight: Weight::Helps,
            reason: "after a fork, each small write copies 2 MB: Redis and MariaDB pause and grow",
            place: Place {
                file: "/etc/tmpfiles.d/seckill.conf",
                block: "",
                syntax: Syntax::Tmpfiles(HUGE_PAGES),
            },
        });
    }
    rules
}

/// The file in which the kernel shows a setting.
pub(super) fn path(name: &str) -> String {
    match name {
        HUGE_PAGES_NAME => HUGE_PAGES.to_owned(),
        name => format!("/proc/sys/{}", name.replace('.', "/")),
    }
}

/// The value out of that file's text: of several choices the one in brackets.
pub(super) fn value(text: &str) -> String {
    let chosen = text
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    let chosen = chosen.map_or(text, |(value, _)| value);
    chosen.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(machine: Machine) -> Vec<&'static str> {
        rules(&machine).iter().map(|rule| rule.name).collect()
    }

    const NOTHING: Machine = Machine {
        connections: 50_000,
        cores: 4,
        memory: 8 << 30,
        edge: false,
        redis: false,
        mariadb: false,
        rocketmq: false,
    };

    #[test]
    fn a_machine_is_asked_only_for_what_its_parts_need() {
        assert_eq!(names(NOTHING), ["fs.file-max", "vm.swappiness"]);
        let edge = names(Machine {
            edge: true,
            ..NOTHING
        });
        assert!(edge.contains(&"net.core.somaxconn") && !edge.contains(&"vm.overcommit_memory"));
        let redis = names(Machine {
            redis: true,
            ..NOTHING
        });
        assert!(redis.contains(&"vm.overcommit_memory") && redis.contains(&HUGE_PAGES_NAME));
        let rocketmq = names(Machine {
            rocketmq: true,
            ..NOTHING
        });
        assert!(rocketmq.contains(&"vm.max_map_count"));
    }

    #[test]
    fn more_shoppers_want_a_longer_backlog() {
        let wanted = |connections| {
            let machine = Machine {
                edge: true,
                connections,
                ..NOTHING
            };
            rules(&machine)[0].wanted.clone()
        };
        assert_eq!(wanted(1_000), Wanted::AtLeast(1_024));
        assert_eq!(wanted(100_000), Wanted::AtLeast(8_192));
    }

    #[test]
    fn values_are_read_as_the_kernel_shows_them() {
        assert_eq!(value("32768\t60999\n"), "32768 60999");
        assert_eq!(value("always [madvise] never\n"), "madvise");
        assert_eq!(path("net.core.somaxconn"), "/proc/sys/net/core/somaxconn");
    }
}
