//! Brings a database's tables up to date.
//!
//! Programs one version apart work with the same tables, so that roles can be replaced one by
//! one, and put back. A program therefore ignores changes that a later one has made, unless
//! their name begins with `breaking`: with those it would lose or misread data.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, AnyPool};

use super::address::Kind;
use super::migrations;

/// MySQL and MariaDB, which commit every change of a table by itself.
mod by_statement;

/// The table in which a database remembers what it has been through.
const TABLE: &str = "_sqlx_migrations";
/// What the name of a change begins with that a program without it cannot work with.
const BREAKING: &str = "breaking";

/// Why the tables are not up to date.
#[derive(Debug)]
pub(super) enum UpgradeError {
    Migrate(MigrateError),
    /// A later program has made a change that this one cannot work with.
    TooNew {
        version: i64,
        change: String,
    },
}

impl<E: Into<MigrateError>> From<E> for UpgradeError {
    fn from(error: E) -> Self {
        Self::Migrate(error.into())
    }
}

/// Brings the tables up to date. SQLite has no lock for migrations: of two processes
/// that open a new database at once, one fails because the other has just done its
/// step. A retry starts from the state that the other has reached.
pub(super) async fn run(writer: &AnyPool, kind: Kind) -> Result<(), UpgradeError> {
    const ATTEMPTS: u32 = 10;
    let steps = match kind {
        Kind::Sqlite => &*migrations::SQLITE,
        Kind::Mysql => &*migrations::MYSQL,
        Kind::Postgres => &*migrations::POSTGRES,
    };
    let mut attempt = 1;
    loop {
        let mut conn = writer.acquire().await?;
        let outcome = once(&mut conn, kind, steps).await;
        if outcome.is_err() {
            // Steps that failed leave the session with the servers' lock for migrations, for
            // which every other process would wait as long as the session lasts.
            let _ = conn.close().await;
        }
        match outcome {
            Err(UpgradeError::Migrate(
                MigrateError::ExecuteMigration(..) | MigrateError::Execute(_),
            )) if attempt < ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome,
        }
    }
}

async fn once(conn: &mut AnyConnection, kind: Kind, steps: &Migrator) -> Result<(), UpgradeError> {
    if kind == Kind::Mysql {
        by_statement::run(conn, steps).await?;
    }
    // `run` takes no connection where the future has to be `Send`; it calls this.
    steps.run_direct(None, conn, false).await?;
    let newest = steps.iter().map(|step| step.version).max().unwrap_or(0);
    let later: Vec<(i64, String)> =
        sqlx::query_as("SELECT version, description FROM _sqlx_migrations ORDER BY version")
            .fetch_all(conn)
            .await?;
    let breaking = later
        .into_iter()
        .find(|(version, change)| *version > newest && change.starts_with(BREAKING));
    match breaking {
        Some((version, change)) => Err(UpgradeError::TooNew { version, change }),
        None => Ok(()),
    }
}
