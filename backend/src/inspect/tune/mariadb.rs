//! MariaDB's settings; MySQL's have the same names.

use super::Machine;
use super::rule::{Part, Place, Rule, Syntax, Wanted, Weight};

const PLACE: Place = Place {
    file: "/etc/mysql/mariadb.conf.d/60-seckill.cnf",
    block: "",
    syntax: Syntax::Ini,
};

/// The settings of the server that holds the orders. Sessions set strict mode, isolation
/// and lock timeout by themselves, so that these are not asked for.
pub(super) fn rules(machine: &Machine) -> Vec<Rule> {
    let rule = |name, wanted, weight, reason| Rule {
        part: Part::Mariadb,
        name,
        wanted,
        weight,
        reason,
        place: PLACE,
    };
    // A quarter: other parts may share the machine.
    let pool = (machine.memory / 4).clamp(256 << 20, 1 << 30) >> 20 << 20;
    vec![
        rule(
            "innodb_flush_log_at_trx_commit",
            Wanted::OneOf(&["1"]),
            Weight::Matters,
            "an order message is acknowledged when its order is committed: a commit must survive a power cut",
        ),
        rule(
            "innodb_doublewrite",
            Wanted::OneOf(&["1", "ON"]),
            Weight::Matters,
            "a page that a power cut tore in two is restored",
        ),
        rule(
            "binlog_format",
            Wanted::OneOf(&["ROW", "MIXED"]),
            Weight::Matters,
            "with a binary log by statement, InnoDB refuses every write in READ COMMITTED, which the roles use",
        ),
        rule(
            "innodb_buffer_pool_size",
            Wanted::Bytes(pool),
            Weight::Helps,
            "orders of the sale and their indexes stay in memory",
        ),
        rule(
            "innodb_log_file_size",
            Wanted::Bytes(512 << 20),
            Weight::Helps,
            "at 500 orders a second a small log makes InnoDB flush pages all the time",
        ),
        rule(
            "innodb_io_capacity",
            Wanted::AtLeast(1_000),
            Weight::Helps,
            "what is written in the background; the default is for a single spinning disk",
        ),
        rule(
            "max_connections",
            Wanted::AtLeast(200),
            Weight::Helps,
            "each process of a role opens up to 8; 20 processes and operators must find room",
        ),
        rule(
            "max_allowed_packet",
            Wanted::Bytes(16 << 20),
            Weight::Helps,
            "the archive writes the ledger's events in large batches",
        ),
        rule(
            "skip_name_resolve",
            Wanted::OneOf(&["1", "ON"]),
            Weight::Helps,
            "a name server that is away must not hold up every new connection",
        ),
    ]
}
