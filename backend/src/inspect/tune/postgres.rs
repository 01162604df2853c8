//! PostgreSQL's settings.

use super::Machine;
use super::rule::{Part, Place, Rule, Syntax, Wanted, Weight};

const PLACE: Place = Place {
    file: "/etc/postgresql/VERSION/main/conf.d/seckill.conf",
    block: "",
    syntax: Syntax::Postgres,
};

/// The settings of the server that holds the orders. Sessions set isolation, lock timeout
/// and a commit that waits for the disk by themselves, so that these are not asked for.
pub(super) fn rules(machine: &Machine) -> Vec<Rule> {
    let rule = |name, wanted, weight, reason| Rule {
        part: Part::Postgres,
        name,
        wanted,
        weight,
        reason,
        place: PLACE,
    };
    // A quarter: the rest is the kernel's cache, and other parts may share the machine.
    let buffers = (machine.memory / 4).clamp(128 << 20, 1 << 30) >> 20 << 20;
    vec![
        rule(
            "fsync",
            Wanted::OneOf(&["on"]),
            Weight::Matters,
            "an order message is acknowledged when its order is committed: a commit must survive a power cut",
        ),
        rule(
            "full_page_writes",
            Wanted::OneOf(&["on"]),
            Weight::Matters,
            "a page that a power cut tore in two is restored",
        ),
        rule(
            "autovacuum",
            Wanted::OneOf(&["on"]),
            Weight::Matters,
            "orders change their state: without it tables and indexes grow until the disk is full",
        ),
        rule(
            "shared_buffers",
            Wanted::Bytes(buffers),
            Weight::Helps,
            "orders of the sale and their indexes stay in memory",
        ),
        rule(
            "max_wal_size",
            Wanted::Bytes(2 << 30),
            Weight::Helps,
            "at 500 orders a second a small one makes the server write checkpoints all the time",
        ),
        rule(
            "max_connections",
            Wanted::AtLeast(200),
            Weight::Helps,
            "each process of a role opens up to 8; 20 processes and operators must find room",
        ),
    ]
}
