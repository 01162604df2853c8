//! The amounts set aside for the products of a round at its approval.

use seckill_core::ids::Item;

use super::audit::{Actor, Done, note};
use super::round_rows::amounts_text;
use super::session::Session;
use super::{Store, StoreError, signed};

/// Products that one statement updates: each row is compared with each of them.
const FROZEN_AT_ONCE: usize = 100;

impl Store {
    /// Records how the amounts of approved products are divided among their segments,
    /// unless that was recorded before.
    ///
    /// # Errors
    /// The database; then nothing was recorded.
    pub async fn freeze_segments(
        &self,
        round: &str,
        products: &[(&str, &[u64])],
    ) -> Result<(), StoreError> {
        if products.is_empty() {
            return Ok(());
        }
        // One transaction: a commit each would wait for the disk ten thousand times.
        let mut transaction = self.main().begin().await?;
        for chunk in products.chunks(FROZEN_AT_ONCE) {
            freeze(&mut transaction, round, chunk).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Records the adjusted amount of an approved product, with its entry in the audit
    /// log if it is another one, or if the stock has changed.
    ///
    /// # Errors
    /// The database.
    pub async fn set_frozen_amount(
        &self,
        item: &Item,
        amount: u64,
        (by, done, has_changed): (&Actor, &Done, bool),
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.main().begin().await?;
        let changed = sqlx::query(
            "UPDATE frozen_stock SET amount = ? WHERE round = ? AND product = ? AND amount <> ?",
        )
        .bind(signed(amount))
        .bind(item.round())
        .bind(item.product())
        .bind(signed(amount))
        .execute(&mut *transaction)
        .await?;
        if has_changed || changed.rows_affected() > 0 {
            note(&mut transaction, by, done, now_ms).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn check_reachable(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1")
            .execute(self.main().writer())
            .await?;
        Ok(())
    }
}

/// Sets the amounts of a round aside, once: preloading again starts from the same numbers.
pub(super) async fn set_aside(
    connection: &mut Session,
    id: &str,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO frozen_stock (round, product, amount, frozen_ms)
         SELECT p.round, p.product, p.amount, ? FROM round_products p
         LEFT JOIN frozen_stock f ON f.round = p.round AND f.product = p.product
         WHERE p.round = ? AND f.round IS NULL",
    )
    .bind(now)
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}

async fn freeze(
    connection: &mut Session,
    round: &str,
    products: &[(&str, &[u64])],
) -> Result<(), StoreError> {
    let cases = "WHEN ? THEN ? ".repeat(products.len());
    let ids = vec!["?"; products.len()].join(", ");
    let statement = sqlx::AssertSqlSafe(format!(
        "UPDATE frozen_stock SET segments = CASE product {cases}ELSE segments END
         WHERE round = ? AND segments = '' AND product IN ({ids})"
    ));
    let mut update = sqlx::query(statement);
    for (product, segments) in products {
        update = update.bind(*product).bind(amounts_text(segments));
    }
    update = update.bind(round);
    for (product, _) in products {
        update = update.bind(*product);
    }
    update.execute(connection).await?;
    Ok(())
}
