//! Accounts of the console that are linked to persons at an OpenID provider.

use super::accounts::{Account, COLUMNS, Identity, Role, account};
use super::audit::{Actor, Done, note};
use super::{Store, StoreError, signed};

/// What became of linking an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// It is linked, or linked no more.
    Done,
    /// There is no such account.
    NoAccount,
    /// Another account is linked to this person.
    Taken,
}

/// An account that a person's first login makes.
#[derive(Debug, Clone, Copy)]
pub struct FirstLogin<'a> {
    /// The name of the account.
    pub name: &'a str,
    /// Its role, as the provider says.
    pub role: Role,
    /// The person.
    pub identity: &'a Identity,
    /// The hash of a password that nobody has.
    pub password_hash: &'a str,
}

impl Store {
    /// The account that is linked to this person.
    ///
    /// # Errors
    /// The database, or a row that cannot be read.
    pub async fn account_of(&self, identity: &Identity) -> Result<Option<Account>, StoreError> {
        let statement = sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM accounts WHERE oidc_issuer = ? AND oidc_subject = ?"
        ));
        let row = sqlx::query(statement)
            .bind(&identity.issuer)
            .bind(&identity.subject)
            .fetch_optional(self.main().readers())
            .await?;
        row.as_ref().map(account).transpose()
    }

    /// Links an account to a person, or to nobody, with an entry in the audit log. Its
    /// sessions end.
    ///
    /// # Errors
    /// The database.
    pub async fn link_account(
        &self,
        name: &str,
        identity: Option<&Identity>,
        (by, done): (&Actor, &Done),
        now_ms: u64,
    ) -> Result<Linked, StoreError> {
        let mut transaction = self.main().begin().await?;
        let updated = sqlx::query(
            "UPDATE accounts SET oidc_issuer = ?, oidc_subject = ?, version = version + 1,
             changed_ms = ? WHERE name = ?",
        )
        .bind(identity.map(|it| it.issuer.as_str()))
        .bind(identity.map(|it| it.subject.as_str()))
        .bind(signed(now_ms))
        .bind(name)
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::from);
        match updated {
            Ok(updated) if updated.rows_affected() == 0 => return Ok(Linked::NoAccount),
            Ok(_) => {}
            Err(error) if error.is_double() => return Ok(Linked::Taken),
            Err(error) => return Err(error),
        }
        note(&mut transaction, by, done, now_ms).await?;
        transaction.commit().await?;
        Ok(Linked::Done)
    }

    /// Adds the account of a person who logs in for the first time, with an entry in the
    /// audit log; `false` if the name is in use, or the person has an account.
    ///
    /// # Errors
    /// The database.
    pub async fn admit(
        &self,
        first: FirstLogin<'_>,
        (by, done): (&Actor, &Done),
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.main().begin().await?;
        let added = sqlx::query(
            "INSERT INTO accounts (name, role, password_hash, demo, created_ms, changed_ms,
             oidc_issuer, oidc_subject) VALUES (?, ?, ?, 0, ?, ?, ?, ?)",
        )
        .bind(first.name)
        .bind(first.role.as_str())
        .bind(first.password_hash)
        .bind(signed(now_ms))
        .bind(signed(now_ms))
        .bind(&first.identity.issuer)
        .bind(&first.identity.subject)
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
}
