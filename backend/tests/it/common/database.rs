//! Databases of tests: SQLite files, or databases on a PostgreSQL server that the
//! environment names, so that the same suites run on both (`scripts/test-postgres.sh`).

use std::path::Path;

use sqlx::{AnyConnection, Connection as _, Executor as _};

/// The server's address, with `{}` in the place of a database.
const SERVER: &str = "TEST_POSTGRES";

/// The address of a new database: a file in this folder, or one on the server.
pub async fn place(folder: &Path) -> String {
    let Ok(server) = std::env::var(SERVER) else {
        return format!("sqlite://{}", folder.join("seckill.db").display());
    };
    let name = format!("t_{:016x}", getrandom::u64().unwrap());
    let create = format!("CREATE DATABASE {name}");
    execute(&server.replace("{}", "postgres"), create).await;
    server.replace("{}", &name)
}

/// Runs statements without parameters in the database at this address.
pub async fn execute(url: &str, statements: impl Into<String>) {
    let mut database = connect(url).await;
    let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(statements.into()));
    database.execute(statements).await.unwrap();
    database.close().await.unwrap();
}

/// The number that a statement yields.
pub async fn number(url: &str, statement: &'static str) -> i64 {
    let mut database = connect(url).await;
    let number = sqlx::query_scalar(statement).fetch_one(&mut database).await;
    database.close().await.unwrap();
    number.unwrap()
}

/// The texts that a statement yields.
pub async fn texts(url: &str, statement: &'static str) -> Vec<String> {
    let mut database = connect(url).await;
    let texts = sqlx::query_scalar(statement).fetch_all(&mut database).await;
    database.close().await.unwrap();
    texts.unwrap()
}

/// A connection to the database at this address.
pub async fn connect(url: &str) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(url).await.unwrap()
}
