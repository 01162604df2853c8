//! The database: orders and sales.
//!
//! SQLite in WAL mode. `synchronous=FULL`: an order message is taken off the
//! queue as soon as its order is committed, so that a commit must survive a
//! power cut. With NORMAL, WAL commits since the last checkpoint could be lost
//! after their messages are gone. The cost is one fsync a commit, shared by all
//! orders of a batch.

use std::str::FromStr;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

/// Orders.
pub mod orders;
/// Sales: rounds and products.
pub mod sales;

/// How long a statement waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that read beside the one that writes.
const READERS: u32 = 4;

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address is of a kind that this build does not speak.
    #[error("\"{0}\" is no database address; write sqlite:///path/to/seckill.db")]
    Address(String),
    /// The database could not be opened.
    #[error(
        "the database {url} cannot be opened: {source}; see that its folder exists and can be written to"
    )]
    Open {
        /// As given.
        url: String,
        /// What opening failed with.
        source: sqlx::Error,
    },
    /// The tables could not be brought up to date.
    #[error("the tables of {url} cannot be brought up to date: {source}")]
    Migrate {
        /// As given.
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
        id: i64,
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
                !error.is_check_violation() && !error.is_unique_violation()
            }
            Self::Statement(_) | Self::NumberInUse => true,
            _ => false,
        }
    }
}

/// A handle on the database; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Store {
    pools: Pools,
}

/// One variant a database; SQL that differs is chosen by it.
#[derive(Debug, Clone)]
pub(crate) enum Pools {
    /// SQLite takes one writer at a time, so that writes queue here, in order,
    /// and not in its busy handler.
    Sqlite {
        /// The one connection that writes.
        writer: SqlitePool,
        /// Those that read.
        readers: SqlitePool,
    },
}

impl Store {
    /// Opens `sqlite:///path`, creating the file if there is none, and brings
    /// its tables up to date.
    ///
    /// # Errors
    /// The address, the file or a migration, named.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        if !url.starts_with("sqlite:") {
            return Err(StoreError::Address(url.to_owned()));
        }
        let open_error = |source| StoreError::Open {
            url: url.to_owned(),
            source,
        };
        let options = SqliteConnectOptions::from_str(url)
            .map_err(open_error)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(open_error)?;
        migrate(&writer)
            .await
            .map_err(|source| StoreError::Migrate {
                url: url.to_owned(),
                source,
            })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(options);
        Ok(Self {
            pools: Pools::Sqlite { writer, readers },
        })
    }

    /// Where statements that write go. Begin transactions with `BEGIN IMMEDIATE`:
    /// the command line may write from another process.
    pub(crate) fn writer(&self) -> &SqlitePool {
        let Pools::Sqlite { writer, .. } = &self.pools;
        writer
    }

    /// Where statements that only read go.
    pub(crate) fn readers(&self) -> &SqlitePool {
        let Pools::Sqlite { readers, .. } = &self.pools;
        readers
    }

    /// Finishes what is running and closes the files.
    pub async fn close(&self) {
        self.readers().close().await;
        self.writer().close().await;
    }
}

/// Brings the tables up to date. SQLite has no lock for it, so that of two
/// processes that open a new database at once, one finds its step already done
/// by the other and fails; looking again, it goes on behind it.
async fn migrate(writer: &SqlitePool) -> Result<(), MigrateError> {
    const ATTEMPTS: u32 = 10;
    let mut attempt = 1;
    loop {
        match sqlx::migrate!("./migrations").run(writer).await {
            Err(MigrateError::ExecuteMigration(..) | MigrateError::Execute(_))
                if attempt < ATTEMPTS =>
            {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome,
        }
    }
}
