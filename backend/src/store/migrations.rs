//! The migrations, compiled in. Each file under `backend/migrations/` is listed here;
//! a test compares the lists with the folders.

use std::sync::LazyLock;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// A file: version and description from its name, and its statements.
type File = (i64, &'static str, &'static str);

/// The migrations of SQLite.
pub(super) static SQLITE: LazyLock<Migrator> = LazyLock::new(|| migrator(SQLITE_FILES));
/// The migrations of MySQL and MariaDB.
pub(super) static MYSQL: LazyLock<Migrator> = LazyLock::new(|| migrator(MYSQL_FILES));
/// The migrations of PostgreSQL: from the tables that the others had when it was added.
pub(super) static POSTGRES: LazyLock<Migrator> = LazyLock::new(|| migrator(POSTGRES_FILES));

const SQLITE_FILES: &[File] = &[
    (
        1,
        "orders",
        include_str!("../../migrations/sqlite/0001_orders.sql"),
    ),
    (
        2,
        "sales",
        include_str!("../../migrations/sqlite/0002_sales.sql"),
    ),
    (
        3,
        "order_states",
        include_str!("../../migrations/sqlite/0003_order_states.sql"),
    ),
    (
        4,
        "payments",
        include_str!("../../migrations/sqlite/0004_payments.sql"),
    ),
    (
        5,
        "ledger",
        include_str!("../../migrations/sqlite/0005_ledger.sql"),
    ),
    (
        10,
        "segments",
        include_str!("../../migrations/sqlite/0010_segments.sql"),
    ),
    (
        11,
        "accounts",
        include_str!("../../migrations/sqlite/0011_accounts.sql"),
    ),
    (
        12,
        "round_states",
        include_str!("../../migrations/sqlite/0012_round_states.sql"),
    ),
    (
        13,
        "audit",
        include_str!("../../migrations/sqlite/0013_audit.sql"),
    ),
    (
        16,
        "notices",
        include_str!("../../migrations/sqlite/0016_notices.sql"),
    ),
    (
        18,
        "findings",
        include_str!("../../migrations/sqlite/0018_findings.sql"),
    ),
    (
        20,
        "payment_providers",
        include_str!("../../migrations/sqlite/0020_payment_providers.sql"),
    ),
    (
        21,
        "order_events",
        include_str!("../../migrations/sqlite/0021_order_events.sql"),
    ),
    (
        22,
        "refunds",
        include_str!("../../migrations/sqlite/0022_refunds.sql"),
    ),
    (
        24,
        "inventory",
        include_str!("../../migrations/sqlite/0024_inventory.sql"),
    ),
    (
        30,
        "stop_switch",
        include_str!("../../migrations/sqlite/0030_stop_switch.sql"),
    ),
    (
        31,
        "retirement",
        include_str!("../../migrations/sqlite/0031_retirement.sql"),
    ),
    (
        32,
        "order_notes",
        include_str!("../../migrations/sqlite/0032_order_notes.sql"),
    ),
    (
        51,
        "board_history",
        include_str!("../../migrations/sqlite/0051_board_history.sql"),
    ),
    (
        52,
        "proposals",
        include_str!("../../migrations/sqlite/0052_proposals.sql"),
    ),
    (
        53,
        "retention",
        include_str!("../../migrations/sqlite/0053_retention.sql"),
    ),
    (
        54,
        "account_security",
        include_str!("../../migrations/sqlite/0054_account_security.sql"),
    ),
    (
        55,
        "notice_traces",
        include_str!("../../migrations/sqlite/0055_notice_traces.sql"),
    ),
    (
        56,
        "single_sign_on",
        include_str!("../../migrations/sqlite/0056_single_sign_on.sql"),
    ),
    (
        57,
        "removed_orders",
        include_str!("../../migrations/sqlite/0057_removed_orders.sql"),
    ),
    (
        58,
        "lowered_prices",
        include_str!("../../migrations/sqlite/0058_lowered_prices.sql"),
    ),
    (
        59,
        "picture_alts",
        include_str!("../../migrations/sqlite/0059_picture_alts.sql"),
    ),
    (
        60,
        "sites",
        include_str!("../../migrations/sqlite/0060_sites.sql"),
    ),
    (
        61,
        "locks",
        include_str!("../../migrations/sqlite/0061_locks.sql"),
    ),
    (
        62,
        "audit_by_time",
        include_str!("../../migrations/sqlite/0062_audit_by_time.sql"),
    ),
];
const MYSQL_FILES: &[File] = &[
    (
        1,
        "orders",
        include_str!("../../migrations/mysql/0001_orders.sql"),
    ),
    (
        2,
        "sales",
        include_str!("../../migrations/mysql/0002_sales.sql"),
    ),
    (
        4,
        "payments",
        include_str!("../../migrations/mysql/0004_payments.sql"),
    ),
    (
        5,
        "ledger",
        include_str!("../../migrations/mysql/0005_ledger.sql"),
    ),
    (
        10,
        "segments",
        include_str!("../../migrations/mysql/0010_segments.sql"),
    ),
    (
        11,
        "accounts",
        include_str!("../../migrations/mysql/0011_accounts.sql"),
    ),
    (
        12,
        "round_states",
        include_str!("../../migrations/mysql/0012_round_states.sql"),
    ),
    (
        13,
        "audit",
        include_str!("../../migrations/mysql/0013_audit.sql"),
    ),
    (
        16,
        "notices",
        include_str!("../../migrations/mysql/0016_notices.sql"),
    ),
    (
        18,
        "findings",
        include_str!("../../migrations/mysql/0018_findings.sql"),
    ),
    (
        20,
        "payment_providers",
        include_str!("../../migrations/mysql/0020_payment_providers.sql"),
    ),
    (
        21,
        "order_events",
        include_str!("../../migrations/mysql/0021_order_events.sql"),
    ),
    (
        22,
        "refunds",
        include_str!("../../migrations/mysql/0022_refunds.sql"),
    ),
    (
        23,
        "user_ids",
        include_str!("../../migrations/mysql/0023_user_ids.sql"),
    ),
    (
        24,
        "inventory",
        include_str!("../../migrations/mysql/0024_inventory.sql"),
    ),
    (
        30,
        "stop_switch",
        include_str!("../../migrations/mysql/0030_stop_switch.sql"),
    ),
    (
        31,
        "retirement",
        include_str!("../../migrations/mysql/0031_retirement.sql"),
    ),
    (
        32,
        "order_notes",
        include_str!("../../migrations/mysql/0032_order_notes.sql"),
    ),
    (
        50,
        "pictures",
        include_str!("../../migrations/mysql/0050_pictures.sql"),
    ),
    (
        51,
        "board_history",
        include_str!("../../migrations/mysql/0051_board_history.sql"),
    ),
    (
        52,
        "proposals",
        include_str!("../../migrations/mysql/0052_proposals.sql"),
    ),
    (
        53,
        "retention",
        include_str!("../../migrations/mysql/0053_retention.sql"),
    ),
    (
        54,
        "account_security",
        include_str!("../../migrations/mysql/0054_account_security.sql"),
    ),
    (
        55,
        "notice_traces",
        include_str!("../../migrations/mysql/0055_notice_traces.sql"),
    ),
    (
        56,
        "single_sign_on",
        include_str!("../../migrations/mysql/0056_single_sign_on.sql"),
    ),
    (
        57,
        "removed_orders",
        include_str!("../../migrations/mysql/0057_removed_orders.sql"),
    ),
    (
        58,
        "lowered_prices",
        include_str!("../../migrations/mysql/0058_lowered_prices.sql"),
    ),
    (
        59,
        "picture_alts",
        include_str!("../../migrations/mysql/0059_picture_alts.sql"),
    ),
    (
        60,
        "sites",
        include_str!("../../migrations/mysql/0060_sites.sql"),
    ),
    (
        61,
        "locks",
        include_str!("../../migrations/mysql/0061_locks.sql"),
    ),
    (
        62,
        "audit_by_time",
        include_str!("../../migrations/mysql/0062_audit_by_time.sql"),
    ),
];
const POSTGRES_FILES: &[File] = &[
    (
        1,
        "tables",
        include_str!("../../migrations/postgres/0001_tables.sql"),
    ),
    (
        55,
        "notice_traces",
        include_str!("../../migrations/postgres/0055_notice_traces.sql"),
    ),
    (
        56,
        "single_sign_on",
        include_str!("../../migrations/postgres/0056_single_sign_on.sql"),
    ),
    (
        57,
        "removed_orders",
        include_str!("../../migrations/postgres/0057_removed_orders.sql"),
    ),
    (
        58,
        "lowered_prices",
        include_str!("../../migrations/postgres/0058_lowered_prices.sql"),
    ),
    (
        59,
        "picture_alts",
        include_str!("../../migrations/postgres/0059_picture_alts.sql"),
    ),
    (
        60,
        "sites",
        include_str!("../../migrations/postgres/0060_sites.sql"),
    ),
    (
        61,
        "locks",
        include_str!("../../migrations/postgres/0061_locks.sql"),
    ),
    (
        62,
        "audit_by_time",
        include_str!("../../migrations/postgres/0062_audit_by_time.sql"),
    ),
];

fn migrator(files: &[File]) -> Migrator {
    let migration = |&(version, description, sql): &File| {
        Migration::new(
            version,
            description.replace('_', " ").into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    let mut migrator = Migrator::with_migrations(files.iter().map(migration).collect());
    // Those that a later program knows: see `upgrade`.
    migrator.set_ignore_missing(true);
    migrator
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn every_file_of_the_folders_is_listed() {
        for (dialect, files) in [
            ("sqlite", SQLITE_FILES),
            ("mysql", MYSQL_FILES),
            ("postgres", POSTGRES_FILES),
        ] {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/").to_owned() + dialect;
            let mut found: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            found.sort();
            let listed: Vec<String> = files
                .iter()
                .map(|(version, description, _)| format!("{version:04}_{description}.sql"))
                .collect();
            assert_eq!(found, listed, "{dialect}");
        }
    }

    /// Programs one version apart use the same tables: what a program does not know must not
    /// be in its way. A change that cannot leave it room is named `breaking_…`, and comes a
    /// version after the program that works with and without it.
    #[test]
    fn changes_leave_room_for_the_program_before() {
        const SINCE: i64 = 57;
        for (version, name, sql) in [SQLITE_FILES, MYSQL_FILES, POSTGRES_FILES].concat() {
            if version < SINCE || name.starts_with("breaking_") {
                continue;
            }
            let sql = sql.to_uppercase();
            let lines = sql.lines().filter(|line| !line.starts_with("--"));
            for line in lines {
                let is_narrower = ["DROP ", "RENAME ", "MODIFY ", "CHANGE "]
                    .iter()
                    .any(|word| line.contains(word));
                let is_demanded = line.contains("ADD COLUMN")
                    && line.contains("NOT NULL")
                    && !line.contains("DEFAULT");
                assert!(!is_narrower && !is_demanded, "{version}_{name}: {line}");
            }
        }
    }

    /// The files as released. A database remembers a checksum of each migration that it
    /// has been through, and is refused when one differs, even in a comment.
    const RELEASED: &[(&str, &str)] = &[
        ("sqlite/0001_orders.sql", "3f815ebb02b726ec"),
        ("sqlite/0002_sales.sql", "98cc702dadc517ef"),
        ("sqlite/0003_order_states.sql", "bb7ec012bdf911cc"),
        ("sqlite/0004_payments.sql", "0add37555f1dae56"),
        ("sqlite/0005_ledger.sql", "4b7328b4e634851b"),
        ("sqlite/0010_segments.sql", "f494a1a58c457145"),
        ("sqlite/0011_accounts.sql", "07106bb05e26c621"),
        ("sqlite/0012_round_states.sql", "e01abc00b6365575"),
        ("sqlite/0013_audit.sql", "5891e133a3b74e6e"),
        ("sqlite/0016_notices.sql", "ad2b19cb9dd806ac"),
        ("sqlite/0018_findings.sql", "621e118d2e02d771"),
        ("sqlite/0020_payment_providers.sql", "a2aaa6cbfebcb56d"),
        ("sqlite/0021_order_events.sql", "47cf770f64f3b75d"),
        ("sqlite/0022_refunds.sql", "bc99faa636cb9a42"),
        ("sqlite/0024_inventory.sql", "8bed562e68165f82"),
        ("mysql/0001_orders.sql", "f0059ac2cc8958c1"),
        ("mysql/0002_sales.sql", "4d4e758fadb76e65"),
        ("mysql/0004_payments.sql", "209050745f812313"),
        ("mysql/0005_ledger.sql", "4278677e6f314488"),
        ("mysql/0010_segments.sql", "4eb992ca166fa77c"),
        ("mysql/0011_accounts.sql", "582c848eee632d27"),
        ("mysql/0012_round_states.sql", "332b290370fb1528"),
        ("mysql/0013_audit.sql", "d308b210a49947aa"),
        ("mysql/0016_notices.sql", "ca60a90e0e176b0f"),
        ("mysql/0018_findings.sql", "5b25c3d4ab0213df"),
        ("mysql/0020_payment_providers.sql", "be4ebee9d1660715"),
        ("mysql/0021_order_events.sql", "a9248013ca178974"),
        ("mysql/0022_refunds.sql", "437a22b0031b2b50"),
        ("mysql/0023_user_ids.sql", "0a930e0290442b77"),
        ("mysql/0024_inventory.sql", "827b666fc9661287"),
    ];

    #[test]
    fn a_released_migration_is_never_changed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/").to_owned();
        for (name, digest) in RELEASED {
            let bytes = std::fs::read(folder.clone() + name).unwrap();
            let found: String = Sha256::digest(bytes)
                .iter()
                .take(8)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(found, *digest, "{name} was changed; write a new migration");
        }
    }
}
