//! The audit log: who did what, when.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::session::Session;
use super::{Store, StoreError, signed, unsigned};

/// The way by which an action came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A request of somebody who is logged in at the console.
    Console,
    /// A command in a shell of the machine.
    Command,
    /// The system itself.
    System,
}

impl Via {
    /// Its stored form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Console => "console",
            Via::Command => "command",
            Via::System => "system",
        }
    }
}

/// The author of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The account, or the Unix user who ran the command.
    pub name: String,
    /// The way by which the action came.
    pub via: Via,
}

impl Actor {
    /// An account at the console.
    #[must_use]
    pub fn at_console(name: &str) -> Self {
        let name = name.to_owned();
        Self {
            name,
            via: Via::Console,
        }
    }

    /// The Unix user who runs this command. With a shell, they may do everything.
    #[must_use]
    pub fn on_the_box() -> Self {
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::current());
        let name = user.ok().flatten().map(|user| user.name);
        Self {
            name: name.unwrap_or_else(|| nix::unistd::Uid::current().to_string()),
            via: Via::Command,
        }
    }

    /// The system itself, such as the demo.
    #[must_use]
    pub fn system() -> Self {
        let name = "seckill".to_owned();
        Self {
            name,
            via: Via::System,
        }
    }
}

/// An action for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Its name, such as `round.approve`.
    pub action: &'static str,
    /// The object it changed, such as a round's id.
    pub target: String,
    /// Details, by action.
    pub detail: serde_json::Value,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Its number; later entries have higher ones.
    pub id: u64,
    /// When, epoch milliseconds.
    pub at_ms: u64,
    /// The author: an account, or a Unix user.
    pub who: String,
    /// `console`, `command` or `system`.
    pub via: String,
    /// The action, such as `round.approve`.
    pub action: String,
    /// The object it changed, such as a round's id.
    pub target: String,
    /// Details, by action.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
}

/// A query of the log; an empty text matches every entry.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only entries older than this one.
    pub before: Option<u64>,
    /// The author's name.
    pub who: String,
    /// The object; of a round also each of its products (`ROUND::PRODUCT`).
    pub target: String,
    /// A prefix of the action, such as `round.`.
    pub action: String,
    /// Only entries of this time or later, epoch milliseconds.
    pub from_ms: u64,
    /// Only entries before this time, epoch milliseconds.
    pub until_ms: Option<u64>,
    /// Most entries in the reply.
    pub limit: u32,
}

impl Store {
    /// Adds an entry for an action outside of a transaction of this store; returns its
    /// number.
    ///
    /// # Errors
    /// The database.
    pub async fn note_audit(
        &self,
        by: &Actor,
        done: &Done,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        let mut connection = self.main().writer().acquire().await?;
        note(&mut connection, by, done, now_ms).await?;
        // On the connection that has written it; the databases differ in how they tell.
        let id: i64 = sqlx::query_scalar(
            "SELECT MAX(id) FROM audit WHERE who = ? AND action = ? AND target = ? AND at_ms = ?",
        )
        .bind(&by.name)
        .bind(done.action)
        .bind(&done.target)
        .bind(signed(now_ms))
        .fetch_one(&mut connection)
        .await?;
        Ok(unsigned(id))
    }

    /// Removes the entry of an action that was then refused, so that it did not happen.
    ///
    /// # Errors
    /// The database.
    pub async fn forget_audit(&self, id: u64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM audit WHERE id = ?")
            .bind(signed(id))
            .execute(self.main().writer())
            .await?;
        Ok(())
    }

    /// Completes the entry of an action with what came of it.
    ///
    /// # Errors
    /// The database.
    pub async fn amend_audit(&self, id: u64, detail: &serde_json::Value) -> Result<(), StoreError> {
        sqlx::query("UPDATE audit SET detail = ? WHERE id = ?")
            .bind(detail.to_string())
            .bind(signed(id))
            .execute(self.main().writer())
            .await?;
        Ok(())
    }

    /// Entries of the log, newest first.
    ///
    /// # Errors
    /// The database.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        let within = format!("{}::", query.target);
        // PostgreSQL counts characters in 32 bits.
        let length = |text: &str| i32::try_from(text.chars().count()).unwrap_or(i32::MAX);
        let rows = sqlx::query(
            "SELECT id, at_ms, who, via, action, target, detail FROM audit
             WHERE id < ? AND (? = '' OR who = ?)
               AND (? = '' OR target = ? OR SUBSTR(target, 1, ?) = ?)
               AND SUBSTR(action, 1, ?) = ? AND at_ms >= ? AND at_ms < ?
             ORDER BY id DESC LIMIT ?",
        )
        .bind(query.before.map_or(i64::MAX, signed))
        .bind(&query.who)
        .bind(&query.who)
        .bind(&query.target)
        .bind(&query.target)
        .bind(length(&within))
        .bind(&within)
        .bind(length(&query.action))
        .bind(&query.action)
        .bind(signed(query.from_ms))
        .bind(query.until_ms.map_or(i64::MAX, signed))
        .bind(i64::from(query.limit))
        .fetch_all(self.main().readers())
        .await?;
        rows.iter().map(entry).collect()
    }
}

impl Store {
    /// The round that this one was copied from, as the log has it.
    ///
    /// # Errors
    /// The database.
    pub async fn copied_from(&self, round: &str) -> Result<Option<String>, StoreError> {
        let detail: Option<String> = sqlx::query_scalar(
            "SELECT detail FROM audit WHERE target = ? AND action = 'round.copy'
             AND id > (SELECT COALESCE(MAX(gone.id), 0) FROM audit gone
                       WHERE gone.target = ? AND gone.action = 'round.delete')
             ORDER BY id DESC LIMIT 1",
        )
        .bind(round)
        .bind(round)
        .fetch_optional(self.main().readers())
        .await?;
        let detail: Option<serde_json::Value> =
            detail.and_then(|detail| serde_json::from_str(&detail).ok());
        let from = detail.and_then(|detail| detail["from"].as_str().map(str::to_owned));
        Ok(from.filter(|from| from != round))
    }

    /// The latest approved round of a series other than `round`.
    ///
    /// # Errors
    /// The database.
    pub async fn approved_of_series(
        &self,
        series: &str,
        round: &str,
    ) -> Result<Option<String>, StoreError> {
        let id = sqlx::query_scalar(
            "SELECT id FROM rounds WHERE series = ? AND id <> ? AND state = 'approved'
             ORDER BY opens_ms DESC LIMIT 1",
        );
        let id = id.bind(series).bind(round);
        Ok(id.fetch_optional(self.main().readers()).await?)
    }
}

/// Adds an entry for an action in this transaction.
pub(super) async fn note(
    connection: &mut Session,
    by: &Actor,
    done: &Done,
    now_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit (at_ms, who, via, action, target, detail) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(signed(now_ms))
    .bind(&by.name)
    .bind(by.via.as_str())
    .bind(done.action)
    .bind(&done.target)
    .bind(done.detail.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

fn entry(row: &AnyRow) -> Result<AuditEntry, StoreError> {
    let detail: String = row.try_get(6)?;
    Ok(AuditEntry {
        id: unsigned(row.try_get(0)?),
        at_ms: unsigned(row.try_get(1)?),
        who: row.try_get(2)?,
        via: row.try_get(3)?,
        action: row.try_get(4)?,
        target: row.try_get(5)?,
        detail: serde_json::from_str(&detail).unwrap_or(serde_json::Value::String(detail)),
    })
}
