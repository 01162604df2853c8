//! The database: orders, payments, the ledger, and sales.
//!
//! The same statements run on SQLite and on MySQL or MariaDB; what differs is
//! in `database.rs` and in the migrations. Orders, with their payments, may be
//! spread over several databases by buyer.

use std::sync::Arc;

use seckill_core::orders::notice::Channel;
use sqlx::migrate::MigrateError;

/// Accounts of the console.
pub mod accounts;
/// The audit log.
mod audit;
/// One database: opening it, its connections, what differs between kinds.
mod database;
/// What the stock has to follow.
pub mod due;
/// Who seems to be a program.
pub mod findings;
/// The amounts set aside at a round's approval.
mod frozen;
/// Importing the rounds of a sale file.
pub mod import;
/// The database for whoever can do part of his work without it.
mod lazy;
/// The archive of the ledger.
mod ledger;
/// Orders of all buyers.
mod list;
/// The migrations, compiled in.
mod migrations;
/// What buyers are to be told.
pub mod notices;
/// Orders: placing and reading them.
pub mod orders;
/// Payments, and what is to be given back.
pub mod payments;
/// Writing a batch of orders.
mod place;
/// A round and its products, as the database keeps them.
pub mod round;
/// Changes of rounds: saved, submitted, decided, published.
pub mod round_changes;
/// Rows of rounds, products and amounts set aside.
mod round_rows;
/// Reading rounds.
pub mod rounds;
/// Orders change: paid, cancelled, and what the stock has to follow.
pub mod states;
/// How many orders there are in each state.
pub mod tally;
/// What shoppers call what was ordered.
pub mod titles;

pub use audit::{Actor, AuditEntry, AuditQuery, Done, Via};
pub(crate) use database::Database;
pub use lazy::LazyStore;

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address is of a kind that this build does not speak.
    #[error(
        "\"{0}\" is no database address; write sqlite:///path/to/seckill.db or mysql://user:password@host/database"
    )]
    Address(String),
    /// The database could not be opened.
    #[error("the database {url} cannot be opened: {source}; {cure}")]
    Open {
        /// As given, a password masked.
        url: String,
        /// What opening failed with.
        source: sqlx::Error,
        /// What to look at.
        cure: &'static str,
    },
    /// The tables could not be brought up to date.
    #[error("the tables of {url} cannot be brought up to date: {source}")]
    Migrate {
        /// As given, a password masked.
        url: String,
        /// What the migration failed with.
        source: MigrateError,
    },
    /// A statement failed.
    #[error("the database refused: {0}")]
    Statement(#[from] sqlx::Error),
    /// The order number that was drawn belongs to another order.
    #[error("two workers drew the same order number; another one will be drawn")]
    NumberInUse,
    /// A stored row cannot be read: newer software, or somebody's hand.
    #[error("row {id} of table {table} has {column} = \"{value}\", which this version cannot read")]
    Row {
        /// The table.
        table: &'static str,
        /// The row's primary key.
        id: String,
        /// The column.
        column: &'static str,
        /// What stands there.
        value: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later: the fault lies with the
    /// database's state, not with what it was given.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Statement(sqlx::Error::Database(error)) => {
                !refuses_data(&error.code().unwrap_or_default())
                    && !error.is_check_violation()
                    && !error.is_unique_violation()
            }
            Self::Statement(_) | Self::NumberInUse => true,
            _ => false,
        }
    }

    /// Whether a row with the same key is there already.
    fn is_double(&self) -> bool {
        matches!(self, Self::Statement(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}

/// Whether this code says that what was given cannot be stored as it is: of
/// SQLSTATE the classes 22 and 23, and 45 for rules that an operator added; of
/// SQLite its constraints, triggers among them.
fn refuses_data(code: &str) -> bool {
    const SQLITE_CONSTRAINT: u32 = 19;
    match (code.len(), code.parse::<u32>()) {
        (5, _) => ["22", "23", "45"]
            .iter()
            .any(|class| code.starts_with(class)),
        (_, Ok(number)) => number & 0xff == SQLITE_CONSTRAINT,
        _ => false,
    }
}

/// A handle on the database; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Store {
    /// Sales and the ledger.
    main: Database,
    /// Orders and their payments; `main` alone unless they are spread.
    shards: Arc<[Database]>,
    /// The channels that changes of orders are put down for; none: nobody is told.
    announced: Arc<[Channel]>,
}

impl Store {
    /// Opens `sqlite:///path`, creating the file if there is none, or
    /// `mysql://…`, and brings its tables up to date.
    ///
    /// # Errors
    /// The address, the file or a migration, named.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_sharded(url, &[]).await
    }

    /// Opens the database at `url`, and those at `shards` for the orders. Their
    /// number and order must never change: they say where a buyer's orders are.
    /// Without shards, orders are at `url` like everything else.
    ///
    /// # Errors
    /// See [`Store::open`].
    pub async fn open_sharded(url: &str, shards: &[String]) -> Result<Self, StoreError> {
        let main = Database::open(url).await?;
        if shards.is_empty() {
            let shards = Arc::from([main.clone()]);
            let announced = Arc::from([]);
            return Ok(Self {
                main,
                shards,
                announced,
            });
        }
        let mut opened = Vec::with_capacity(shards.len());
        for url in shards {
            opened.push(Database::open(url).await?);
        }
        Ok(Self {
            main,
            shards: opened.into(),
            announced: Arc::from([]),
        })
    }

    /// Where sales and the ledger are.
    pub(crate) fn main(&self) -> &Database {
        &self.main
    }

    /// The channels that changes of orders are put down for.
    pub(crate) fn announced(&self) -> &[Channel] {
        &self.announced
    }

    /// All databases with orders.
    pub(crate) fn shards(&self) -> &[Database] {
        &self.shards
    }

    /// Which of [`Store::shards`] has this buyer's orders.
    pub(crate) fn shard_of(&self, user: &str) -> usize {
        let count = u64::try_from(self.shards.len()).unwrap_or(1);
        usize::try_from(fnv1a(user) % count.max(1)).unwrap_or(0)
    }

    /// The database with this buyer's orders.
    pub(crate) fn orders_db(&self, user: &str) -> &Database {
        self.shards.get(self.shard_of(user)).unwrap_or(&self.main)
    }

    /// Finishes what is running and closes the files.
    pub async fn close(&self) {
        for shard in self.shards.iter() {
            shard.close().await;
        }
        self.main.close().await;
    }
}

/// FNV-1a, written out since it must never change: it says where orders are.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// SQL integers are signed; ours stay below 2^63, and one that does not is
/// kept apart from every real one rather than wrapped around.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number that the table's checks keep from being negative.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::refuses_data;

    #[test]
    fn a_rule_of_the_database_refuses_data_and_a_busy_or_full_one_does_not() {
        // CHECK, a trigger, a duplicate; text too long, a trigger of MySQL.
        for code in ["275", "1811", "2067", "22001", "23000", "45000"] {
            assert!(refuses_data(code), "{code}");
        }
        // Busy, disk full, input and output; deadlock, connection lost.
        for code in ["5", "517", "13", "10", "266", "40001", "08S01", ""] {
            assert!(!refuses_data(code), "{code}");
        }
    }
}
