//! Locks that processes take in turn, each a row of the table `locks`.

use std::time::Duration;

use tokio::time::Instant;

use super::session::Session;
use super::{Store, StoreError, signed};

/// Held by whoever changes which products are in which rounds.
const ROUNDS: &str = "rounds";
/// How long a lock is held, in ms, unless its holder renews it or gives it back.
const LIFE_MS: u64 = 30_000;
/// How often somebody who waits for a lock tries to get it.
const TURN: Duration = Duration::from_millis(50);

/// A lock that is held over several steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    name: String,
    holder: String,
}

/// Lets no other transaction that calls this go on until this one has ended. To be called
/// before the transaction reads anything: what it then reads is what the others have left.
///
/// # Errors
/// The database.
pub(super) async fn one_at_a_time(transaction: &mut Session) -> Result<(), StoreError> {
    sqlx::query("UPDATE locks SET until_ms = until_ms WHERE name = ?")
        .bind(ROUNDS)
        .execute(transaction)
        .await?;
    Ok(())
}

impl Store {
    /// Locks the round of this id, for a change that takes several steps; `None` if
    /// somebody else has had it for all of `patience`.
    ///
    /// # Errors
    /// The database.
    pub async fn lock_round(
        &self,
        id: &str,
        patience: Duration,
    ) -> Result<Option<Lock>, StoreError> {
        let lock = Lock {
            name: format!("round:{id}"),
            holder: random_name(),
        };
        let deadline = Instant::now() + patience;
        loop {
            if self.renew(&lock).await? {
                return Ok(Some(lock));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(TURN).await;
        }
    }

    /// Holds a lock for half a minute more; `false` if it is somebody else's by now.
    ///
    /// # Errors
    /// The database.
    pub async fn renew(&self, lock: &Lock) -> Result<bool, StoreError> {
        let now_ms = crate::now_ms();
        let until_ms = signed(now_ms + LIFE_MS);
        let taken = sqlx::query(
            "UPDATE locks SET holder = ?, until_ms = ?
             WHERE name = ? AND (holder = ? OR until_ms <= ?)",
        )
        .bind(&lock.holder)
        .bind(until_ms)
        .bind(&lock.name)
        .bind(&lock.holder)
        .bind(signed(now_ms))
        .execute(self.main().writer())
        .await?;
        if taken.rows_affected() > 0 {
            return Ok(true);
        }
        let added = sqlx::query("INSERT INTO locks (name, holder, until_ms) VALUES (?, ?, ?)")
            .bind(&lock.name)
            .bind(&lock.holder)
            .bind(until_ms)
            .execute(self.main().writer())
            .await;
        match added {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a lock back.
    ///
    /// # Errors
    /// The database; then the lock is free after half a minute.
    pub async fn unlock(&self, lock: &Lock) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM locks WHERE name = ? AND holder = ?")
            .bind(&lock.name)
            .bind(&lock.holder)
            .execute(self.main().writer())
            .await?;
        Ok(())
    }
}

fn random_name() -> String {
    let mut random = [0; 16];
    // Without randomness, which Linux always has, two holders would be one.
    let _ = getrandom::fill(&mut random);
    format!("{:032x}", u128::from_le_bytes(random))
}
