//! MySQL and MariaDB commit each change of a table by itself: a migration that is cut off, by
//! a `kill -9` or a power failure, is half done. So it is done statement by statement, and the
//! table of migrations says after each how far it is; the next start goes on from there. Only
//! of the statement that was under way it is not known whether it was done.

use std::collections::HashMap;

use sqlx::migrate::{Migrate as _, MigrateError, Migration, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

use super::TABLE;

/// The time that a migration took tells, negative, how many of its statements are done. Other
/// programs write -1 until all are.
const NONE_DONE: i64 = -1000;

/// How far a migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It is not begun.
    New,
    /// So many of its statements are done, and perhaps one more.
    Done(usize),
    /// It was begun by a program that does not say.
    Unknown,
    All,
}

impl Progress {
    fn read(is_whole: bool, time: i64) -> Self {
        match usize::try_from(NONE_DONE.saturating_sub(time)) {
            _ if is_whole => Self::All,
            Ok(done) => Self::Done(done),
            Err(_) => Self::Unknown,
        }
    }

    /// The first statement to be executed, and whether this one was perhaps done.
    fn first(self) -> usize {
        match self {
            Self::Done(done) => done,
            _ => 0,
        }
    }

    fn is_perhaps_done(self, statement: usize) -> bool {
        match self {
            Self::New | Self::All => false,
            Self::Done(done) => statement == done,
            Self::Unknown => true,
        }
    }
}

/// Does what is left of the migrations, under the lock that all programs take for it.
pub(super) async fn run(conn: &mut AnyConnection, steps: &Migrator) -> Result<(), MigrateError> {
    conn.lock().await?;
    conn.ensure_migrations_table(TABLE).await?;
    let begun: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT version, CAST(success AS SIGNED), execution_time FROM _sqlx_migrations",
    )
    .fetch_all(&mut *conn)
    .await?;
    let begun: HashMap<i64, Progress> = begun
        .into_iter()
        .map(|(version, is_whole, time)| (version, Progress::read(is_whole != 0, time)))
        .collect();
    for step in steps.iter() {
        let progress = begun.get(&step.version);
        finish(conn, step, progress.copied().unwrap_or(Progress::New)).await?;
    }
    conn.unlock().await
}

async fn finish(
    conn: &mut AnyConnection,
    step: &Migration,
    progress: Progress,
) -> Result<(), MigrateError> {
    match progress {
        Progress::All => return Ok(()),
        Progress::New => begin(conn, step).await?,
        Progress::Done(_) | Progress::Unknown => {
            tracing::warn!(
                version = step.version,
                "an upgrade that was cut off is finished"
            );
        }
    }
    let statements = statements(step.sql.as_str());
    for (at, statement) in statements.iter().enumerate().skip(progress.first()) {
        // A statement that changes rows is done together with the note of it.
        let mut both = conn.begin().await?;
        let outcome = both.execute(AssertSqlSafe(statement.clone())).await;
        match outcome {
            Err(error) if !(progress.is_perhaps_done(at) && was_done(&error)) => {
                return Err(MigrateError::ExecuteMigration(error, step.version));
            }
            _ => {}
        }
        let done = i64::try_from(at + 1).unwrap_or(i64::MAX);
        sqlx::query("UPDATE _sqlx_migrations SET execution_time = ? WHERE version = ?")
            .bind(NONE_DONE - done)
            .bind(step.version)
            .execute(&mut *both)
            .await?;
        both.commit().await?;
    }
    sqlx::query("UPDATE _sqlx_migrations SET success = 1, execution_time = 0 WHERE version = ?")
        .bind(step.version)
        .execute(conn)
        .await?;
    Ok(())
}

async fn begin(conn: &mut AnyConnection, step: &Migration) -> Result<(), MigrateError> {
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (?, ?, 0, ?, ?)",
    )
    .bind(step.version)
    .bind(&*step.description)
    .bind(&*step.checksum)
    .bind(NONE_DONE)
    .execute(conn)
    .await?;
    Ok(())
}

/// The statements of a file: each ends with a semicolon at the end of a line.
fn statements(sql: &str) -> Vec<String> {
    let lines = sql
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"));
    let text: Vec<&str> = lines.collect();
    let text = text.join("\n");
    let all = text
        .split(";\n")
        .map(|part| part.trim().trim_end_matches(';'));
    all.filter(|statement| !statement.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether a statement failed because it was done before: what it makes is there, or what it
/// removes or renames is not.
fn was_done(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    let text = error.message();
    match error.code().as_deref() {
        // A table or a column that is there, a table that is not, a row that is there.
        Some("42S01" | "42S21" | "42S02" | "23000") => true,
        _ => text.starts_with("Duplicate key name") || text.starts_with("Can't DROP"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrations::MYSQL;

    #[test]
    fn a_file_is_split_into_its_statements() {
        let sql = "-- a; comment;\nCREATE TABLE a (\n    -- why;\n    b INT);\n\nDROP TABLE c;";
        assert_eq!(
            statements(sql),
            ["CREATE TABLE a (\n    b INT)", "DROP TABLE c"]
        );
        for step in MYSQL.iter() {
            for statement in statements(step.sql.as_str()) {
                let first = statement.split(' ').next().unwrap_or_default();
                let known = ["CREATE", "ALTER", "DROP", "RENAME", "INSERT", "UPDATE"];
                assert!(known.contains(&first), "{}: {statement}", step.version);
                assert!(!statement.contains(';'), "{}: {statement}", step.version);
            }
        }
    }

    #[test]
    fn progress_is_read_as_it_was_written() {
        assert_eq!(Progress::read(false, NONE_DONE), Progress::Done(0));
        assert_eq!(Progress::read(false, NONE_DONE - 3), Progress::Done(3));
        assert_eq!(Progress::read(false, -1), Progress::Unknown);
        assert_eq!(Progress::read(true, -1), Progress::All);
        assert!(Progress::Done(3).is_perhaps_done(3) && !Progress::Done(3).is_perhaps_done(4));
    }
}
