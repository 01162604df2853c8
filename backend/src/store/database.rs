//! One database, SQLite or MySQL.
//!
//! SQLite runs in WAL mode with `synchronous=FULL`: an order message is taken
//! off the queue as soon as its order is committed, so that a commit must
//! survive a power cut. With NORMAL, WAL commits since the last checkpoint could
//! be lost after their messages are gone. The cost is one fsync a commit, shared
//! by all orders of a batch. InnoDB does the same unless it is configured otherwise.

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::MigrateError;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Transaction};

use super::stalled::Watched;
use super::{StoreError, migrations, stalled};
use crate::config::masked_url;

/// SQLite connections that read beside the one that writes.
const SQLITE_READERS: u32 = 4;
/// MySQL connections of one process.
const MYSQL_CONNECTIONS: u32 = 8;
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

/// The kind of database; SQL that differs is chosen by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Mysql,
}

/// A handle on one database; cloning it is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    kind: Kind,
    /// SQLite takes one writer at a time, so that writes queue here, in order,
    /// and not in its busy handler.
    writer: AnyPool,
    readers: AnyPool,
    /// Ends waits for a server that does not respond.
    _watched: Option<Arc<Watched>>,
}

impl Database {
    /// Opens a database and brings its tables up to date.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let kind = match url.split_once(':') {
            Some(("sqlite", _)) => Kind::Sqlite,
            Some(("mysql" | "mariadb", _)) => Kind::Mysql,
            _ => return Err(StoreError::Address(masked_url(url))),
        };
        let opened = match kind {
            Kind::Sqlite => open_sqlite(url).await,
            Kind::Mysql => open_mysql(url).await,
        };
        let (writer, readers) = opened.map_err(|source| StoreError::Open {
            url: masked_url(url),
            source,
            cure: match kind {
                Kind::Sqlite => "check that its folder exists and can be written to",
                Kind::Mysql => {
                    "check that the server runs there, and that this user may use the database"
                }
            },
        })?;
        migrate(&writer, kind)
            .await
            .map_err(|source| StoreError::Migrate {
                url: masked_url(url),
                source,
            })?;
        let watched = (kind == Kind::Mysql).then(|| stalled::watch(url));
        Ok(Self {
            _watched: watched,
            kind,
            writer,
            readers,
        })
    }

    /// Begins a transaction that writes. SQLite takes its lock at once, since the
    /// command line may write from another process.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.kind {
            Kind::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await,
            Kind::Mysql => self.writer.begin().await,
        }
    }

    /// Connections for single statements that write.
    pub(crate) fn writer(&self) -> &AnyPool {
        &self.writer
    }

    /// Connections for statements that only read.
    pub(crate) fn readers(&self) -> &AnyPool {
        &self.readers
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
    // The file is created unless the address says how to open it.
    let url = match url.split_once('?') {
        Some((_, query)) if query.contains("mode=") => url.to_owned(),
        Some(_) => format!("{url}&mode=rwc"),
        None => format!("{url}?mode=rwc"),
    };
    let writer = options(1, SQLITE_SESSION).connect(&url).await?;
    let readers = options(SQLITE_READERS, SQLITE_SESSION).connect_lazy(&url)?;
    Ok((writer, readers))
}

async fn open_mysql(url: &str) -> Result<(AnyPool, AnyPool), sqlx::Error> {
    // A pool retries, and reports in the end only that it took too long.
    AnyConnection::connect(url).await?.close().await?;
    let pool = options(MYSQL_CONNECTIONS, MYSQL_SESSION)
        .connect(url)
        .await?;
    Ok((pool.clone(), pool))
}

/// Brings the tables up to date. SQLite has no lock for migrations: of two processes
/// that open a new database at once, one fails because the other has just done its
/// step. A retry starts from the state that the other has reached.
async fn migrate(writer: &AnyPool, kind: Kind) -> Result<(), MigrateError> {
    const ATTEMPTS: u32 = 10;
    let steps = match kind {
        Kind::Sqlite => &*migrations::SQLITE,
        Kind::Mysql => &*migrations::MYSQL,
    };
    let mut attempt = 1;
    loop {
        match steps.run(writer).await {
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
