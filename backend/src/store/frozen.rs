//! The amounts set aside for the products of a round at its approval.

use sqlx::AnyConnection;

use super::round_rows::amounts_text;
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

    /// Records the adjusted amount of an approved product.
    ///
    /// # Errors
    /// The database.
    pub async fn set_frozen_amount(
        &self,
        round: &str,
        product: &str,
        amount: u64,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE frozen_stock SET amount = ? WHERE round = ? AND product = ?")
            .bind(signed(amount))
            .bind(round)
            .bind(product)
            .execute(self.main().writer())
            .await?;
        Ok(())
    }
}

/// Sets the amounts of a round aside, once: preloading again starts from the same numbers.
pub(super) async fn set_aside(
    connection: &mut AnyConnection,
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
    connection: &mut AnyConnection,
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
