//! The settings of a MariaDB, MySQL or PostgreSQL server, as it shows them itself.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::{AnyConnection, Connection as _};
use tokio::time::timeout;

use super::address::{self, Kind};

/// How long the server may take for all of them.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads global variables; one that the server does not have is left out. `names` are
/// the program's own, never a user's text: a variable's name cannot be bound.
///
/// # Errors
/// The server cannot be reached, refuses the login, or does not respond in time.
pub async fn read(url: &str, names: &[&str]) -> Result<HashMap<String, String>, sqlx::Error> {
    sqlx::any::install_default_drivers();
    let reading = async {
        let mut conn = AnyConnection::connect(&address::for_driver(url)).await?;
        let mut found = HashMap::new();
        for name in names {
            let asked = match Kind::of(url) == Some(Kind::Postgres) {
                true => format!("SHOW {name}"),
                false => format!("SELECT CAST(@@GLOBAL.{name} AS CHAR)"),
            };
            match sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(asked))
                .fetch_one(&mut conn)
                .await
            {
                Ok(value) => drop(found.insert((*name).to_owned(), value)),
                Err(sqlx::Error::Database(_)) => {}
                Err(error) => return Err(error),
            }
        }
        conn.close().await?;
        Ok(found)
    };
    timeout(PATIENCE, reading)
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
