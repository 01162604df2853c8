//! One database: SQLite, MySQL or PostgreSQL.
//!
//! SQLite runs in WAL mode with `synchronous=FULL`: an order message is taken
//! off the queue as soon as its order is committed, so that a commit must
//! survive a power cut. With NORMAL, WAL commits since the last checkpoint could
//! be lost after their messages are gone. The cost is one fsync a commit, shared
//! by all orders of a batch. InnoDB does the same unless it is configured otherwise;
//! of PostgreSQL it is demanded here.

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyPoolOptions};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _};

use super::address::{self, Kind};
use super::session::{Connections, Dialect, Transaction};
use super::stalled::Watched;
use super::upgrade::{self, UpgradeError};
use super::{StoreError, postgres, stalled};
use crate::config::masked_url;

/// SQLite connections that read beside the one that writes.
const SQLITE_READERS: u32 = 4;
/// Connections of one process to a database server.
const SERVER_CONNECTIONS: u32 = 8;
/// How long to wait for a connection before the database counts as away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// `busy_timeout`: how long a statement waits for another process that writes.
const SQLITE_SESSION: &[&str] = &[
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
];
/// Data that does not fit is refused, not cut off. READ COMMITTED: a statement that
/// waited for another's insert must then see it, and gaps are not locked.
const MYSQL_SESSION: &[&str] = &[
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 5",
];

impl Kind {
    fn dialect(self) -> Dialect {
        match self {
            Self::Sqlite | Self::Mysql => Dialect::Common,
            Self::Postgres => Dialect::Postgres,
        }
    }
}

/// A handle on one database; cloning it is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    kind: Kind,
    /// SQLite takes one writer at a time, so that writes queue here, in order,
    /// and not in its busy handler.
    writer: Connections,
    readers: Connections,
    /// Ends waits for a server that does not respond.
    _watched: Option<Arc<Watched>>,
}

impl Database {
    /// Opens a database and brings its tables up to date.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let Some(kind) = Kind::of(url) else {
            return Err(StoreError::Address(masked_url(url)));
        };
        let given = address::for_driver(url);
        let opened = match kind {
            Kind::Sqlite => open_sqlite(&given).await,
            Kind::Mysql => open_mysql(&given).await.map(|pool| (pool.clone(), pool)),
            Kind::Postgres => open_postgres(&given).await.map(|pool| (pool.clone(), pool)),
        };
        let (writer, readers) = opened.map_err(|source| StoreError::Open {
            url: masked_url(url),
            cure: address::cure(kind, url, &source),
            source: address::in_words(source),
        })?;
        let upgraded = upgrade::run(&writer, kind).await;
        upgraded.map_err(|error| match error {
            UpgradeError::Migrate(source) => StoreError::Migrate {
                url: masked_url(url),
                source,
            },
            UpgradeError::TooNew { version, change } => StoreError::TooNew {
                url: masked_url(url),
                version,
                change,
            },
        })?;
        let watched = (kind != Kind::Sqlite).then(|| stalled::watch(&given));
        Ok(Self {
            _watched: watched,
            kind,
            writer: Connections::new(writer, kind.dialect()),
            readers: Connections::new(readers, kind.dialect()),
        })
    }

    /// Begins a transaction that writes. SQLite takes its lock at once, since the
    /// command line may write from another process.
    pub(crate) async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        match self.kind {
            Kind::Sqlite => self.writer.begin(Some("BEGIN IMMEDIATE")).await,
            Kind::Mysql | Kind::Postgres => self.writer.begin(None).await,
        }
    }

    /// Connections for single statements that write.
    pub(crate) fn writer(&self) -> &Connections {
        &self.writer
    }

    /// Connections for statements that only read.
    pub(crate) fn readers(&self) -> &Connections {
        &self.readers
    }

    /// Puts a row in the place of the one with its key, if there is one. A delete before
    /// an insert would do in a transaction of SQLite or MySQL; with PostgreSQL, it does not
    /// see the row that another has put there while it waited.
    ///
    /// # Errors
    /// The database is away, or refuses the row.
    pub(super) async fn put<'q>(
        &self,
        update: impl Fn() -> Query<'q, Any, AnyArguments>,
        insert: Query<'q, Any, AnyArguments>,
    ) -> Result<(), StoreError> {
        if update().execute(&self.writer).await?.rows_affected() > 0 {
            return Ok(());
        }
        match insert.execute(&self.writer).await.map_err(StoreError::from) {
            // It is there by now, or was there as it is to be.
            Err(error) if error.is_double() => update().execute(&self.writer).await?,
            done => done?,
        };
        Ok(())
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn options(connections: u32, session: &'static [&'static str]) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |conn, _| {
            Box::pin(async move {
                for statement in session {
                    conn.execute(*statement).await?;
                }
                Ok(())
            })
        })
}

async fn open_sqlite(url: &str) -> Result<(AnyPool, AnyPool), sqlx::Error> {
    // A pool retries, logs each failure, and reports in the end only that it took too long.
    match try_sqlite(url).await {
        // Another process writes: the pool waits for it.
        Err(error) if address::is_busy(&error) => {}
        tried => tried?,
    }
    let writer = options(1, SQLITE_SESSION).connect(url).await?;
    let readers = options(SQLITE_READERS, SQLITE_SESSION).connect_lazy(url)?;
    Ok((writer, readers))
}

async fn try_sqlite(url: &str) -> Result<(), sqlx::Error> {
    let mut connection = AnyConnection::connect(url).await?;
    for statement in SQLITE_SESSION {
        connection.execute(*statement).await?;
    }
    connection.close().await
}

async fn open_mysql(url: &str) -> Result<AnyPool, sqlx::Error> {
    // A pool retries, and reports in the end only that it took too long.
    AnyConnection::connect(url).await?.close().await?;
    options(SERVER_CONNECTIONS, MYSQL_SESSION)
        .connect(url)
        .await
}

async fn open_postgres(url: &str) -> Result<AnyPool, sqlx::Error> {
    // See above.
    postgres::check(url).await?;
    AnyPoolOptions::new()
        .max_connections(SERVER_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|conn, _| Box::pin(postgres::set_up(conn)))
        .connect(url)
        .await
}
