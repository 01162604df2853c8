//! In whose hands an account may be: who worked on a round, and who gave whom their
//! password, role, state or person at the console, all by the audit log.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, signed, unsigned};

/// Accounts, each as it was before an entry of the audit log: who got it later does not
/// count.
pub type Hands = BTreeMap<String, u64>;

impl Store {
    /// Who made, imported, changed or submitted a round at the console, or proposed a change
    /// of it, since a round of this id was last deleted; each with their last entry in the
    /// audit log.
    ///
    /// # Errors
    /// The database.
    pub async fn workers(&self, round: &str) -> Result<Hands, StoreError> {
        let rows = sqlx::query(
            "SELECT who, MAX(id) FROM audit WHERE target = ? AND via = 'console'
             AND action IN ('round.create', 'round.copy', 'round.edit', 'round.import',
                            'round.submit', 'proposal.make')
             AND id > (SELECT COALESCE(MAX(gone.id), 0) FROM audit gone
                       WHERE gone.target = ? AND gone.action = 'round.delete')
             GROUP BY who",
        )
        .bind(round)
        .bind(round)
        .fetch_all(self.main().readers())
        .await?;
        rows.iter().map(hand).collect()
    }

    /// Whether this person is one of them ([`Store::workers`]).
    ///
    /// # Errors
    /// The database.
    pub async fn has_worked_on(&self, round: &str, who: &str) -> Result<bool, StoreError> {
        Ok(self.workers(round).await?.contains_key(who))
    }

    /// Everybody who may hold one of these accounts: those who gave it its password, role,
    /// state or person at the console since this time, those who gave them theirs, and so
    /// on. A chain leads back in time only: whoever got an account has not what its owner
    /// did before.
    ///
    /// # Errors
    /// The database.
    pub async fn hands(&self, of: Hands, since_ms: u64) -> Result<Hands, StoreError> {
        let mut found = Hands::new();
        let mut open: Vec<(String, u64)> = of.into_iter().collect();
        while let Some((account, before)) = open.pop() {
            if found.get(&account).is_some_and(|known| *known >= before) {
                continue;
            }
            open.extend(self.givers(&account, before, since_ms).await?);
            found.insert(account, before);
        }
        Ok(found)
    }

    /// Who gave an account something at the console before this entry of the audit log, each
    /// with their last entry. Whoever has a shell may do everything: with a password of
    /// theirs, an account is its owner's again.
    async fn givers(
        &self,
        account: &str,
        before: u64,
        since_ms: u64,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT who, MAX(id) FROM audit WHERE target = ? AND id < ? AND at_ms >= ?
             AND via = 'console' AND who <> ? AND action LIKE 'account.%'
             AND id > (SELECT COALESCE(MAX(anew.id), 0) FROM audit anew
                       WHERE anew.target = ? AND anew.id < ? AND anew.via = 'command'
                       AND anew.action IN ('account.create', 'account.password'))
             GROUP BY who",
        )
        .bind(account)
        .bind(signed(before))
        .bind(signed(since_ms))
        .bind(account)
        .bind(account)
        .bind(signed(before))
        .fetch_all(self.main().readers())
        .await?;
        rows.iter().map(hand).collect()
    }
}

fn hand(row: &AnyRow) -> Result<(String, u64), StoreError> {
    Ok((row.try_get(0)?, unsigned(row.try_get(1)?)))
}
