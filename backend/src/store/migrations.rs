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
    Migrator::with_migrations(files.iter().map(migration).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folders_is_listed() {
        for (dialect, files) in [("sqlite", SQLITE_FILES), ("mysql", MYSQL_FILES)] {
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
}
