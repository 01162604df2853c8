//! Accounts of the console.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::audit::{Actor, Done, note};
use super::{Store, StoreError, signed, unsigned};

/// What an account may do at the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Creates rounds and submits them.
    Operator,
    /// Does so too, and approves rounds that others have submitted.
    Supervisor,
}

impl Role {
    /// Its stored form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::Supervisor => "supervisor",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Role::Operator, Role::Supervisor]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// An account as the database keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name to log in with ([`seckill_core::ids::is_account`]).
    pub name: String,
    /// Its permissions.
    pub role: Role,
    /// Argon2id, as a PHC string.
    pub password_hash: String,
    /// Whether `seckill up --demo` created it.
    pub is_demo: bool,
    /// Increased by each change of password or role.
    pub version: u64,
    /// When it was created, epoch milliseconds.
    pub created_ms: u64,
    /// When password or role last changed, epoch milliseconds.
    pub changed_ms: u64,
    /// Whether it may not log in.
    pub is_disabled: bool,
    /// Whether somebody else knows its password, so that a new one has to be chosen.
    pub must_change: bool,
    /// The secret of its second factor, in Base32.
    pub totp: Option<String>,
    /// The person at an OpenID provider who logs in with it.
    pub identity: Option<Identity>,
}

/// A person as an OpenID provider knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider (`iss`).
    pub issuer: String,
    /// The person's id there (`sub`), as a written id ([`seckill_core::ids::user`]).
    pub subject: String,
}

/// The columns that [`account`] reads.
pub(super) const COLUMNS: &str = "name, role, password_hash, demo, version, created_ms, \
                                  changed_ms, disabled, must_change, totp, oidc_issuer, \
                                  oidc_subject";

/// A change of an account. Each ends its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountChange<'a> {
    /// Another role.
    Role(Role),
    /// It may no longer log in, or may again.
    Disabled(bool),
    /// A new password that somebody else knows, in its hashed form; the second factor is
    /// forgotten.
    Reset(&'a str),
    /// A password that its owner chose, in its hashed form.
    Password(&'a str),
    /// Another second factor, in Base32, or none (empty).
    Factor(&'a str),
}

impl Store {
    /// The account of this name.
    ///
    /// # Errors
    /// The database, or a row that cannot be read.
    pub async fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let statement =
            sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM accounts WHERE name = ?"));
        let row = sqlx::query(statement)
            .bind(name)
            .fetch_optional(self.main().readers())
            .await?;
        row.as_ref().map(account).transpose()
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// The database, or a row that cannot be read.
    pub async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let statement =
            sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM accounts ORDER BY name"));
        let rows = sqlx::query(statement)
            .fetch_all(self.main().readers())
            .await?;
        rows.iter().map(account).collect()
    }

    /// Adds an account; `false` if the name is in use.
    ///
    /// # Errors
    /// The database.
    pub async fn add_account(
        &self,
        name: &str,
        role: Role,
        password_hash: &str,
        demo: bool,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let added = sqlx::query(
            "INSERT INTO accounts (name, role, password_hash, demo, created_ms, changed_ms)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(name)
        .bind(role.as_str())
        .bind(password_hash)
        .bind(i64::from(demo))
        .bind(signed(now_ms))
        .bind(signed(now_ms))
        .execute(self.main().writer())
        .await
        .map_err(StoreError::from);
        match added {
            Ok(_) => Ok(true),
            Err(error) if error.is_double() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Adds an account at the console, whose password its maker knows, with an entry in
    /// the audit log; `false` if the name is in use.
    ///
    /// # Errors
    /// The database.
    pub async fn make_account(
        &self,
        (name, role, password_hash): (&str, Role, &str),
        (by, done): (&Actor, &Done),
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.main().begin().await?;
        let added = sqlx::query(
            "INSERT INTO accounts (name, role, password_hash, demo, created_ms, changed_ms,
             must_change) VALUES (?, ?, ?, 0, ?, ?, 1)",
        )
        .bind(name)
        .bind(role.as_str())
        .bind(password_hash)
        .bind(signed(now_ms))
        .bind(signed(now_ms))
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::from);
        match added {
            Ok(_) => {}
            Err(error) if error.is_double() => return Ok(false),
            Err(error) => return Err(error),
        }
        note(&mut transaction, by, done, now_ms).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Changes an account, with an entry in the audit log; `false` if there is none.
    ///
    /// # Errors
    /// The database.
    pub async fn change_account(
        &self,
        name: &str,
        change: AccountChange<'_>,
        (by, done): (&Actor, &Done),
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.main().begin().await?;
        let update = |set: &str| {
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "UPDATE accounts SET {set}, version = version + 1, changed_ms = ? WHERE name = ?"
            )))
        };
        let update = match change {
            AccountChange::Role(role) => update("role = ?").bind(role.as_str()),
            AccountChange::Disabled(off) => update("disabled = ?").bind(i64::from(off)),
            AccountChange::Reset(hash) => {
                update("password_hash = ?, must_change = 1, totp = '', totp_step = 0").bind(hash)
            }
            AccountChange::Password(hash) => {
                update("password_hash = ?, must_change = 0").bind(hash)
            }
            AccountChange::Factor(secret) => update("totp = ?, totp_step = 0").bind(secret),
        };
        let update = update.bind(signed(now_ms)).bind(name);
        let changed = update.execute(&mut *transaction).await?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        note(&mut transaction, by, done, now_ms).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Uses the code of a step of time up; `false` if it or a later one was used before.
    ///
    /// # Errors
    /// The database.
    pub async fn use_totp_step(&self, name: &str, step: u64) -> Result<bool, StoreError> {
        let used =
            sqlx::query("UPDATE accounts SET totp_step = ? WHERE name = ? AND totp_step < ?")
                .bind(signed(step))
                .bind(name)
                .bind(signed(step))
                .execute(self.main().writer())
                .await?;
        Ok(used.rows_affected() == 1)
    }

    /// Sets the password of an account, which ends its sessions; `false` if there is
    /// no such account.
    ///
    /// # Errors
    /// The database.
    pub async fn set_password(
        &self,
        name: &str,
        password_hash: &str,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let changed = sqlx::query(
            "UPDATE accounts SET password_hash = ?, must_change = 0,
             version = version + 1, changed_ms = ? WHERE name = ?",
        )
        .bind(password_hash)
        .bind(signed(now_ms))
        .bind(name)
        .execute(self.main().writer())
        .await?;
        Ok(changed.rows_affected() == 1)
    }

    /// Removes an account, which ends its sessions; `false` if there is none.
    ///
    /// # Errors
    /// The database.
    pub async fn remove_account(&self, name: &str) -> Result<bool, StoreError> {
        let removed = sqlx::query("DELETE FROM accounts WHERE name = ?")
            .bind(name)
            .execute(self.main().writer())
            .await?;
        Ok(removed.rows_affected() == 1)
    }

    /// Removes the accounts of a demonstration that is over.
    ///
    /// # Errors
    /// The database.
    pub async fn remove_demo_accounts(&self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM accounts WHERE demo = 1")
            .execute(self.main().writer())
            .await?;
        Ok(())
    }
}

/// Reads [`COLUMNS`].
pub(super) fn account(row: &AnyRow) -> Result<Account, StoreError> {
    let role: String = row.try_get(1)?;
    let Some(role) = Role::parse(&role) else {
        return Err(StoreError::Row {
            table: "accounts",
            id: row.try_get(0)?,
            column: "role",
            value: role,
        });
    };
    Ok(Account {
        name: row.try_get(0)?,
        role,
        password_hash: row.try_get(2)?,
        is_demo: row.try_get::<i64, _>(3)? != 0,
        version: unsigned(row.try_get(4)?),
        created_ms: unsigned(row.try_get(5)?),
        changed_ms: unsigned(row.try_get(6)?),
        is_disabled: row.try_get::<i64, _>(7)? != 0,
        must_change: row.try_get::<i64, _>(8)? != 0,
        totp: Some(row.try_get::<String, _>(9)?).filter(|secret| !secret.is_empty()),
        identity: row
            .try_get::<Option<String>, _>(10)?
            .zip(row.try_get::<Option<String>, _>(11)?)
            .map(|(issuer, subject)| Identity { issuer, subject }),
    })
}
