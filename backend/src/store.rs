//! The database: rounds, orders, payments, the ledger's archive, accounts, audit.
//!
//! Every SQL statement of the back end lives here, and the records that they write
//! and read. This module uses the configuration, the time and the rules of
//! `seckill-core`, nothing else of the back end.
//!
//! The same statements run on SQLite, on MySQL or MariaDB, and on PostgreSQL; what
//! differs is in `database.rs`, in `dialect.rs` and in the migrations. Orders, with their
//! payments, may be spread over several databases by buyer.

use std::sync::Arc;
use std::time::Duration;

use seckill_core::orders::notification::Channel;
use sqlx::migrate::MigrateError;

/// Accounts of the console.
pub mod accounts;
/// Addresses of databases.
mod address;
/// A condition on a list of numbers.
mod among;
/// The audit log.
mod audit;
/// Where buyers were sent to pay.
pub mod checkouts;
/// One database: opening it, its connections, the differences between the kinds.
mod database;
/// What orders need from their buyers.
mod details;
/// The one text of each statement, in what PostgreSQL reads.
mod dialect;
/// What differs between two versions of a round.
pub mod difference;
/// The purchases whose stock is to be confirmed or released.
pub mod due;
/// The order feed, and how far each receiver is.
pub mod feed;
/// Findings: accounts and addresses that seem to be programs.
pub mod findings;
/// The amounts set aside at a round's approval.
mod frozen;
/// Who may hold an account, since they gave its password, role or state.
pub mod hands;
/// What the live board showed in the past.
pub mod history;
/// What the shop's own inventory holds for our rounds.
pub mod holds;
/// Accounts of the console that are linked to persons at an OpenID provider.
pub mod identities;
/// Importing the rounds of a sale file.
pub mod import;
/// A database that is opened when it is first needed.
mod lazy;
/// The archive of the ledger.
mod ledger;
/// Listing orders of all buyers.
mod list;
/// Who learns of the changes of orders.
mod listeners;
/// Locks that processes take in turn.
pub mod locks;
/// The migrations, compiled in.
mod migrations;
/// Notifications to buyers that wait to be sent.
pub mod notifications;
/// What operators do with one order.
pub mod order_actions;
/// Everything that happened to one order.
pub mod order_history;
/// Searching the orders of all buyers.
pub mod order_search;
/// Orders: placing and reading them.
pub mod orders;
/// Payments, and refunds that are due.
pub mod payments;
/// Placing or failing a batch of orders.
mod place;
/// Connections to PostgreSQL.
mod postgres;
/// Changes of approved rounds that wait for a second person.
pub mod proposals;
/// Actions elsewhere, with what came of them in the audit log.
mod recorded;
/// Refunds that were asked for, and reconciliations.
pub mod refunds;
/// What may be removed, and removing it.
pub mod retention;
/// Rounds that have left Redis.
pub mod retired;
/// The records of a round and its products.
pub mod round;
/// Changes of rounds: saved, submitted, decided, published.
pub mod round_changes;
/// Rows of rounds, products and amounts set aside.
mod round_rows;
/// Reading rounds.
pub mod rounds;
/// The settings of the database server itself.
pub mod server_variables;
/// Running statements: on a connection, or in a transaction.
mod session;
/// Orders that the shop cancels.
mod shop_cancels;
/// Transfers of items between sites.
pub mod site_transfers;
/// Ends statements that wait for a database server that does not respond.
mod stalled;
/// Changes of orders: cancelled, expired, stock followed.
pub mod states;
/// The records of what operators stopped.
pub mod stop;
/// Rows of what operators stopped.
mod stop_rows;
/// The stop switch: rounds and products paused, ended or withdrawn.
pub mod stops;
/// Counts of orders by product and state.
pub mod tally;
/// Titles of the products and rounds of orders.
pub mod titles;
/// What a round sold.
pub mod totals;
/// The tables' versions.
mod upgrade;

use crate::config::RefundStock;
pub use audit::{Actor, AuditEntry, AuditQuery, Done, Via};
pub(crate) use database::Database;
pub use lazy::LazyStore;
use listeners::Listeners;
pub use recorded::Did;

/// Why a call of the database failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The scheme of the address is not supported.
    #[error(
        "\"{0}\" is no database address; write sqlite:///path/to/seckill.db, mysql://user:password@host/database or \
         postgres://user:password@host/database"
    )]
    Address(String),
    /// The database could not be opened.
    #[error("the database {url} cannot be opened: {source}; {cure}")]
    Open {
        /// The address, its password masked.
        url: String,
        /// The cause.
        source: sqlx::Error,
        /// What an operator should check.
        cure: &'static str,
    },
    /// The tables could not be brought up to date.
    #[error("the tables of {url} cannot be brought up to date: {source}")]
    Migrate {
        /// The address, its password masked.
        url: String,
        /// The cause.
        source: MigrateError,
    },
    /// A later program has changed the tables.
    #[error(
        "the tables of {url} were changed by a later version, in a way that this one cannot work with (change \
         {version}, \"{change}\"); start the later version, or restore the backup from before"
    )]
    TooNew {
        /// The address, its password masked.
        url: String,
        /// The number of the change.
        version: i64,
        /// Its name.
        change: String,
    },
    /// A statement failed.
    #[error("the database refused a statement: {0}")]
    Statement(#[from] sqlx::Error),
    /// The order number that a worker drew belongs to another order.
    #[error("the order number is in use; another one will be drawn")]
    NumberInUse,
    /// A notice names a payment that is on record with other money: nothing was recorded.
    #[error(
        "payment {id} is on record with {amount} for order {order}, and this notice names other money; give each \
         payment an id of its own",
        id = .0.id, order = .0.order, amount = .1
    )]
    OtherMoney(Box<payments::Payment>, seckill_core::orders::money::Money),
    /// A stored row cannot be read: newer software or a person wrote it.
    #[error("row {id} of table {table} has {column} = \"{value}\", which this version cannot read")]
    Row {
        /// The table.
        table: &'static str,
        /// The row's primary key.
        id: String,
        /// The column.
        column: &'static str,
        /// The value in it.
        value: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later: the state of the database is the
    /// cause, not the data it was given.
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

    /// Whether a database that cannot be opened may come by itself, as a server does that
    /// starts later. A wrong address does not, nor a file, nor tables of a version that
    /// this program cannot use.
    #[must_use]
    pub(crate) fn may_come(&self) -> bool {
        match self {
            Self::Open { url, .. } => !url.starts_with("sqlite"),
            // Its server went away meanwhile, or was busy for too long.
            Self::Migrate { source, .. } => match source {
                MigrateError::Execute(sqlx::Error::Database(error))
                | MigrateError::ExecuteMigration(sqlx::Error::Database(error), _) => {
                    is_trouble(&error.code().unwrap_or_default())
                }
                MigrateError::Execute(_) | MigrateError::ExecuteMigration(..) => true,
                _ => false,
            },
            Self::Address(_) | Self::TooNew { .. } => false,
            _ => true,
        }
    }

    /// Whether a row with the same key exists.
    fn is_double(&self) -> bool {
        matches!(self, Self::Statement(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}

/// Whether this error code says that the data itself cannot be stored: SQLSTATE
/// classes 22 and 23, class 45 and P0 for rules that an operator added, class 54 for a text
/// that is too long for an index of PostgreSQL, and constraints of SQLite, which include
/// its triggers.
fn refuses_data(code: &str) -> bool {
    const SQLITE_CONSTRAINT: u32 = 19;
    match (code.len(), code.parse::<u32>()) {
        (5, _) => ["22", "23", "45", "54", "P0"]
            .iter()
            .any(|class| code.starts_with(class)),
        (_, Ok(number)) => number & 0xff == SQLITE_CONSTRAINT,
        _ => false,
    }
}

/// Whether this SQLSTATE says that the server itself is in trouble: a connection is lost,
/// transactions collide, resources run out, a lock is held, an operator intervened.
fn is_trouble(code: &str) -> bool {
    let classes = ["08", "40", "53", "55", "57"];
    code.len() == 5 && classes.iter().any(|class| code.starts_with(class))
}

/// A handle on the database; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Store {
    /// Sales and the ledger.
    main: Database,
    /// Orders and their payments; `main` alone unless they are spread.
    shards: Arc<[Database]>,
    /// The channels by which buyers are notified of changes of their orders.
    channels: Arc<[Channel]>,
    /// Whether the shop's own systems follow the orders.
    feed: bool,
    /// For how long after its deadline an order still waits for money, in ms.
    pay_grace_ms: u64,
    /// What becomes of the stock of an order whose money was returned.
    refund_stock: RefundStock,
}

impl Store {
    /// Opens `sqlite:///path`, creating the file if there is none, `mysql://…` or
    /// `postgres://…`, and brings its tables up to date.
    ///
    /// # Errors
    /// The address, the file or a migration, named.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_sharded(url, &[]).await
    }

    /// Opens the database at `url`, and those at `shards` for the orders. Their
    /// number and order must never change: a buyer's orders are found by them.
    /// Without shards, orders are at `url` like everything else.
    ///
    /// # Errors
    /// See [`Store::open`].
    pub async fn open_sharded(url: &str, shards: &[String]) -> Result<Self, StoreError> {
        let main = Database::open(url).await?;
        if shards.is_empty() {
            let shards = Arc::from([main.clone()]);
            let channels = Arc::from([]);
            return Ok(Self {
                main,
                shards,
                channels,
                feed: false,
                pay_grace_ms: 0,
                refund_stock: RefundStock::Keep,
            });
        }
        let mut opened = Vec::with_capacity(shards.len());
        for url in shards {
            opened.push(Database::open(url).await?);
        }
        Ok(Self {
            main,
            shards: opened.into(),
            channels: Arc::from([]),
            feed: false,
            pay_grace_ms: 0,
            refund_stock: RefundStock::Keep,
        })
    }

    /// The same store, in which an order that is unpaid at its deadline waits for so long
    /// before it is cancelled: money may be on its way.
    #[must_use]
    pub fn with_pay_grace(self, grace: Duration) -> Self {
        let pay_grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        Self {
            pay_grace_ms,
            ..self
        }
    }

    /// The same store, in which this becomes of the stock of an order whose money was
    /// returned.
    #[must_use]
    pub fn with_refund_stock(self, refund_stock: RefundStock) -> Self {
        Self {
            refund_stock,
            ..self
        }
    }

    /// What becomes of the stock of an order whose money was returned.
    pub(crate) fn refund_stock(&self) -> RefundStock {
        self.refund_stock
    }

    /// For how long after its deadline an order still waits for money, in ms.
    pub(crate) fn pay_grace_ms(&self) -> u64 {
        self.pay_grace_ms
    }

    /// The database of everything but orders.
    pub(crate) fn main(&self) -> &Database {
        &self.main
    }

    /// Who learns of the changes of orders.
    pub(crate) fn listeners(&self) -> Listeners<'_> {
        Listeners {
            channels: &self.channels,
            feed: self.feed,
        }
    }

    /// All databases with orders.
    pub(crate) fn shards(&self) -> &[Database] {
        &self.shards
    }

    /// This store once for each database with orders, as if there were no other, for what
    /// goes through orders whoever's they are: a database that is away holds up no other.
    #[must_use]
    pub fn each_database(&self) -> Vec<Self> {
        let alone = |database: &Database| Self {
            shards: Arc::new([database.clone()]),
            ..self.clone()
        };
        self.shards.iter().map(alone).collect()
    }

    /// The index in [`Store::shards`] of the database with this buyer's orders.
    pub(crate) fn shard_of(&self, user: &str) -> usize {
        let count = u64::try_from(self.shards.len()).unwrap_or(1);
        usize::try_from(fnv1a(user) % count.max(1)).unwrap_or(0)
    }

    /// The database with this buyer's orders.
    pub(crate) fn orders_db(&self, user: &str) -> &Database {
        self.shards.get(self.shard_of(user)).unwrap_or(&self.main)
    }

    /// Waits for running statements and closes the connections.
    pub async fn close(&self) {
        for shard in self.shards.iter() {
            shard.close().await;
        }
        self.main.close().await;
    }
}

/// FNV-1a, written out since it must never change: it decides where orders are.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A number for SQL, whose integers are signed. Ours stay below 2^63; a larger one
/// becomes the largest, which no real one is, rather than wrap around.
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
        // CHECK, a trigger, a duplicate; text too long, a trigger of MySQL, one of
        // PostgreSQL.
        for code in ["275", "1811", "2067", "22001", "23000", "45000", "P0001"] {
            assert!(refuses_data(code), "{code}");
        }
        // Busy, disk full, input and output; deadlock, connection lost; of PostgreSQL also
        // a lock that is held, a disk that is full, a standby, a server that stops.
        let passing = ["5", "517", "13", "10", "266", "40001", "08S01", ""];
        let postgres = [
            "40P01", "55P03", "53100", "53300", "25006", "57P01", "57014",
        ];
        for code in passing.into_iter().chain(postgres) {
            assert!(!refuses_data(code), "{code}");
        }
    }
}
