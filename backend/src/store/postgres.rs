//! Connections to PostgreSQL: what each sets for itself, and which databases are refused.

use sqlx::{AnyConnection, Connection as _, Executor as _};

/// What each connection sets for itself. READ COMMITTED: a statement that waited for
/// another's insert must then see it. A transaction whose process stands still holds its
/// rows for a minute at most. `synchronous_commit`: what the operator chose, unless a
/// commit would not survive a power cut.
const SESSION: &[&str] = &[
    "SET client_min_messages = warning",
    "SET default_transaction_isolation = 'read committed'",
    "SET lock_timeout = '5s'",
    "SET idle_in_transaction_session_timeout = '60s'",
    "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'",
];

/// Fails unless a database can be reached at this address that can be written and holds
/// every text.
pub(super) async fn check(url: &str) -> Result<(), sqlx::Error> {
    let mut first = AnyConnection::connect(url).await?;
    set_up(&mut first).await?;
    refuse_encoding(&mut first).await?;
    first.close().await
}

/// Sets a connection up, unless its server takes no writes: after a failover, the address
/// may still lead there.
pub(super) async fn set_up(conn: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let is_standby = sqlx::query_scalar::<_, bool>("SELECT pg_is_in_recovery()");
    if is_standby.fetch_one(&mut *conn).await? {
        let standby = "this server is a standby, which only reads; name the primary";
        return Err(sqlx::Error::Configuration(standby.into()));
    }
    for statement in SESSION {
        conn.execute(*statement).await?;
    }
    Ok(())
}

/// Refuses a database that cannot hold every text.
async fn refuse_encoding(conn: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let encoding = sqlx::query_scalar::<_, String>("SHOW server_encoding");
    match encoding.fetch_one(conn).await?.as_str() {
        "UTF8" => Ok(()),
        other => Err(sqlx::Error::Configuration(
            format!(
                "its encoding is {other}; \
                 make one by CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )
            .into(),
        )),
    }
}
