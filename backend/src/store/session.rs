//! Running statements: on any connection of a database, on one of them, or in a
//! transaction. Each of the three takes the statements in their common text, and gives
//! PostgreSQL its own ([`dialect`]).

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;

use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, Either, Error, Execute, Executor, SqlSafeStr as _,
    SqlStr,
};
use tokio_stream::Stream;

use super::dialect;

type Later<'e, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'e>>;
type Results<'e> =
    Pin<Box<dyn Stream<Item = Result<Either<AnyQueryResult, AnyRow>, Error>> + Send + 'e>>;

/// The dialect of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Statements as they are written: SQLite, MySQL, MariaDB.
    Common,
    /// PostgreSQL's.
    Postgres,
}

/// A statement in PostgreSQL's dialect.
struct Translated {
    text: String,
    arguments: Result<Option<AnyArguments>, BoxDynError>,
    is_kept: bool,
}

impl Translated {
    fn of<'q>(mut query: impl Execute<'q, Any>) -> Self {
        let (arguments, persistent) = (query.take_arguments(), query.persistent());
        let text = dialect::for_postgres(query.sql().as_str());
        Self {
            // A prepared statement fails for good once a newer version of this program has
            // added a column to what it returns.
            is_kept: persistent && !text.starts_with("SELECT *"),
            text,
            arguments,
        }
    }
}

impl Execute<'_, Any> for Translated {
    fn sql(self) -> SqlStr {
        // The common text was static, or vouched for where it was put together.
        AssertSqlSafe(self.text).into_sql_str()
    }

    fn statement(&self) -> Option<&AnyStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<AnyArguments>, BoxDynError> {
        std::mem::replace(&mut self.arguments, Ok(None))
    }

    fn persistent(&self) -> bool {
        self.is_kept
    }
}

/// Implements `Executor` for a reference to something with a dialect and an executor of
/// sqlx, which this expression yields.
macro_rules! executes_in_its_dialect {
    ($reference:ty, $self:ident => $executor:expr) => {
        impl<'c> Executor<'c> for $reference {
            type Database = Any;

            fn fetch_many<'e, 'q: 'e, E>($self, query: E) -> Results<'e>
            where
                'c: 'e,
                E: 'q + Execute<'q, Any>,
            {
                match $self.dialect {
                    Dialect::Common => $executor.fetch_many(query),
                    Dialect::Postgres => $executor.fetch_many(Translated::of(query)),
                }
            }

            fn fetch_optional<'e, 'q: 'e, E>($self, query: E) -> Later<'e, Option<AnyRow>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Any>,
            {
                match $self.dialect {
                    Dialect::Common => $executor.fetch_optional(query),
                    Dialect::Postgres => $executor.fetch_optional(Translated::of(query)),
                }
            }

            fn prepare_with<'e>(
                $self,
                sql: SqlStr,
                parameters: &'e [AnyTypeInfo],
            ) -> Later<'e, AnyStatement>
            where
                'c: 'e,
            {
                let sql = match $self.dialect {
                    Dialect::Common => sql,
                    Dialect::Postgres => {
                        AssertSqlSafe(dialect::for_postgres(sql.as_str())).into_sql_str()
                    }
                };
                $executor.prepare_with(sql, parameters)
            }
        }
    };
}

/// All connections of a database to one end: writing, or reading.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    pool: AnyPool,
    dialect: Dialect,
}

executes_in_its_dialect!(&'c Connections, self => (&self.pool));

impl Connections {
    pub(super) fn new(pool: AnyPool, dialect: Dialect) -> Self {
        Self { pool, dialect }
    }

    /// One connection, for statements that belong together.
    pub(crate) async fn acquire(&self) -> Result<Session, Error> {
        let conn = Held::Alone(self.pool.acquire().await?);
        let dialect = self.dialect;
        Ok(Session { conn, dialect })
    }

    /// Begins a transaction, by another statement than `BEGIN` if there is one.
    pub(super) async fn begin(&self, by: Option<&'static str>) -> Result<Transaction, Error> {
        let transaction = match by {
            Some(statement) => self.pool.begin_with(statement).await?,
            None => self.pool.begin().await?,
        };
        let (conn, dialect) = (Held::Transaction(transaction), self.dialect);
        Ok(Transaction(Session { conn, dialect }))
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

enum Held {
    Alone(PoolConnection<Any>),
    Transaction(sqlx::Transaction<'static, Any>),
}

/// A connection.
pub(crate) struct Session {
    conn: Held,
    dialect: Dialect,
}

executes_in_its_dialect!(&'c mut Session, self => self.conn());

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

impl Session {
    fn conn(&mut self) -> &mut AnyConnection {
        match &mut self.conn {
            Held::Alone(conn) => conn,
            Held::Transaction(transaction) => transaction,
        }
    }

    /// A text with what the database cannot hold replaced: PostgreSQL has no zero byte.
    pub(super) fn storable(&self, text: &str) -> String {
        match self.dialect {
            Dialect::Common => text.to_owned(),
            Dialect::Postgres => text.replace('\0', "\u{fffd}"),
        }
    }

    /// Marks the place in a transaction to which [`Session::undo`] returns. A statement
    /// that fails makes PostgreSQL refuse all others of its transaction but that; with the
    /// other databases it changes nothing, so that nothing is sent.
    pub(super) async fn savepoint(&mut self) -> Result<(), Error> {
        self.only_postgres("SAVEPOINT before").await
    }

    /// Forgets the savepoint: what was done since is a part of the transaction.
    pub(super) async fn keep(&mut self) -> Result<(), Error> {
        self.only_postgres("RELEASE SAVEPOINT before").await
    }

    /// Undoes what failed since the savepoint, and forgets it.
    pub(super) async fn undo(&mut self) -> Result<(), Error> {
        self.only_postgres("ROLLBACK TO SAVEPOINT before").await?;
        self.keep().await
    }

    async fn only_postgres(&mut self, statement: &'static str) -> Result<(), Error> {
        if self.dialect == Dialect::Postgres {
            self.conn().execute(statement).await?;
        }
        Ok(())
    }
}

/// A transaction; dropped without [`Transaction::commit`], it is rolled back.
#[derive(Debug)]
pub(crate) struct Transaction(Session);

impl Transaction {
    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self.0.conn {
            Held::Transaction(transaction) => transaction.commit().await,
            Held::Alone(_) => Ok(()),
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), Error> {
        match self.0.conn {
            Held::Transaction(transaction) => transaction.rollback().await,
            Held::Alone(_) => Ok(()),
        }
    }
}

impl Deref for Transaction {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.0
    }
}
