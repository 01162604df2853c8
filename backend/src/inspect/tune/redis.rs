//! Redis's settings.

use super::Machine;
use super::rule::{Part, Place, Rule, Syntax, Wanted, Weight};

const PLACE: Place = Place {
    file: "/etc/redis/redis.conf",
    block: "",
    syntax: Syntax::Redis,
};

/// The settings of a Redis that holds stock or permits. The one of "seckill up"
/// (`is_of_up`) may leave its file to the kernel, since that program has it written to the
/// disk every second.
pub(super) fn rules(machine: &Machine, is_of_up: bool) -> Vec<Rule> {
    let rule = |name, wanted, weight, reason| Rule {
        part: Part::Redis,
        name,
        wanted,
        weight,
        reason,
        place: PLACE,
    };
    // Half: a rewrite of the append-only file may copy as much as it holds.
    let memory = (machine.memory / 2).max(256 << 20) >> 20 << 20;
    vec![
        rule(
            "maxmemory-policy",
            Wanted::OneOf(&["noeviction"]),
            Weight::Matters,
            "any other may drop stock and buyers' records when memory is short",
        ),
        rule(
            "maxmemory",
            Wanted::Limit(memory),
            Weight::Helps,
            "without a limit the kernel ends Redis when memory is short; with one it refuses writes and says so",
        ),
        rule(
            "appendonly",
            Wanted::OneOf(&["yes"]),
            Weight::Matters,
            "what was sold must still be sold after a restart",
        ),
        rule(
            "appendfsync",
            Wanted::OneOf(match is_of_up {
                true => &["everysec", "always", "no"],
                false => &["everysec", "always"],
            }),
            Weight::Matters,
            "\"no\", without \"seckill up\", leaves the last half minute of sales to the kernel in a power cut",
        ),
        rule(
            "aof-use-rdb-preamble",
            Wanted::OneOf(&["yes"]),
            Weight::Helps,
            "a restart in the middle of a sale reads its file several times faster",
        ),
        rule(
            "maxclients",
            Wanted::AtLeast(10_000),
            Weight::Helps,
            "each worker of each edge, and each role, holds several connections",
        ),
        rule(
            "tcp-backlog",
            Wanted::AtLeast(511),
            Weight::Helps,
            "all edges and roles connect again at once after a failover",
        ),
        rule(
            "timeout",
            Wanted::OneOf(&["0"]),
            Weight::Helps,
            "an edge that was idle before the opening must not have to connect first",
        ),
        rule(
            "tcp-keepalive",
            Wanted::AtLeast(1),
            Weight::Helps,
            "connections of a machine that died are noticed, and their clients freed",
        ),
        rule(
            "repl-backlog-size",
            Wanted::Bytes(64 << 20),
            Weight::Helps,
            "a replica that was away for a moment during a sale catches up without a full copy",
        ),
        rule(
            "stop-writes-on-bgsave-error",
            Wanted::OneOf(&["yes"]),
            Weight::Helps,
            "a disk that is full is noticed before what was sold is lost",
        ),
    ]
}

/// What to ask a server for.
pub(super) fn names(machine: &Machine) -> Vec<&'static str> {
    rules(machine, false).iter().map(|rule| rule.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::tune::State;

    #[test]
    fn only_the_redis_of_up_may_leave_its_file_to_the_kernel() {
        let machine = Machine {
            connections: 20_000,
            cores: 2,
            memory: 8 << 30,
            edge: true,
            redis: true,
            mariadb: false,
            rocketmq: false,
        };
        let state = |is_of_up| {
            let rules = rules(&machine, is_of_up);
            let rule = rules.iter().find(|it| it.name == "appendfsync").unwrap();
            rule.judge(None, Some("no".to_owned())).state
        };
        assert_eq!((state(true), state(false)), (State::Fine, State::Off));
    }
}
