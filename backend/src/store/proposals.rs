//! Changes of approved rounds that wait for a second person.
//!
//! waiting → approved (then carried out) | rejected | withdrawn | outdated. Each step is
//! one conditional update in one transaction with its entry in the audit log: of two
//! people at once one decides, and the other learns who did.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::audit::{Actor, Done, note};
use super::difference::Difference;
use super::session::Session;
use super::{Store, StoreError, signed, unsigned};

/// After this long an approval that was not carried out may be approved once more, in ms:
/// whoever carried it out was interrupted.
const CARRIED_WITHIN_MS: u64 = 60_000;

const COLUMNS: &str = "id, round, form, changes, reason, state, proposed_by, via, proposed_ms, \
                       decided_by, decided_ms, decision, carried_ms";

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProposalState {
    /// It waits for a second person.
    Waiting,
    /// A second person approved it.
    Approved,
    /// A second person rejected it.
    Rejected,
    /// It was withdrawn.
    Withdrawn,
    /// What it was to change had changed before it was approved.
    Outdated,
}

impl ProposalState {
    const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Approved,
        Self::Rejected,
        Self::Withdrawn,
        Self::Outdated,
    ];

    /// Its stored form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Outdated => "outdated",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// The audit log's name of the step that leads here.
    fn action(self) -> &'static str {
        match self {
            Self::Waiting => "proposal.make",
            Self::Approved => "proposal.approve",
            Self::Rejected => "proposal.reject",
            Self::Withdrawn => "proposal.withdraw",
            Self::Outdated => "proposal.outdate",
        }
    }
}

/// A change of an approved round that somebody proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Its number.
    pub id: u64,
    /// The round.
    pub round: String,
    /// The whole round as it is to be: the editor's form, as JSON.
    pub form: String,
    /// What differs from the round as it was when this was proposed.
    pub changes: Vec<Difference>,
    /// Why the change is proposed.
    pub reason: String,
    /// What became of it.
    pub state: ProposalState,
    /// Who proposed it.
    pub proposed_by: String,
    /// When it was proposed, epoch milliseconds.
    pub proposed_ms: u64,
    /// Who decided on it, if somebody did.
    pub decided_by: Option<String>,
    /// When it was decided, epoch milliseconds.
    pub decided_ms: Option<u64>,
    /// Why it was rejected or is outdated.
    pub decision: String,
    /// When it was carried out, epoch milliseconds.
    pub carried_ms: Option<u64>,
}

/// A change that is to be proposed.
#[derive(Debug, Clone, Copy)]
pub struct NewProposal<'a> {
    /// The round.
    pub round: &'a str,
    /// The whole round as it is to be: the editor's form, as JSON.
    pub form: &'a str,
    /// What differs from the round as it is.
    pub changes: &'a [Difference],
    /// Why the change is proposed.
    pub reason: &'a str,
}

impl Store {
    /// Records a proposal; returns its number. The same change proposed again by the same
    /// person, while it waits, is the same proposal.
    ///
    /// # Errors
    /// The database.
    pub async fn propose(
        &self,
        new: NewProposal<'_>,
        by: &Actor,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        let changes = serde_json::to_string(new.changes).unwrap_or_default();
        let mut transaction = self.main().begin().await?;
        let same = "SELECT MAX(id) FROM proposals WHERE state = 'waiting' AND round = ?
                    AND proposed_by = ? AND changes = ?";
        let find = || {
            sqlx::query_scalar(same)
                .bind(new.round)
                .bind(&by.name)
                .bind(&changes)
        };
        let before: Option<i64> = find().fetch_one(&mut *transaction).await?;
        if let Some(before) = before {
            return Ok(unsigned(before));
        }
        sqlx::query(
            "INSERT INTO proposals (round, form, changes, reason, state, proposed_by, via,
             proposed_ms, decision) VALUES (?, ?, ?, ?, 'waiting', ?, ?, ?, '')",
        )
        .bind(new.round)
        .bind(new.form)
        .bind(&changes)
        .bind(new.reason)
        .bind(&by.name)
        .bind(by.via.as_str())
        .bind(signed(now_ms))
        .execute(&mut *transaction)
        .await?;
        let id: Option<i64> = find().fetch_one(&mut *transaction).await?;
        let id = unsigned(id.unwrap_or_default());
        let mut detail = Difference::detail(new.changes);
        detail["proposal"] = id.into();
        detail["reason"] = new.reason.into();
        let done = Done {
            action: ProposalState::Waiting.action(),
            target: new.round.to_owned(),
            detail,
        };
        note(&mut transaction, by, &done, now_ms).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// The proposal of this number.
    ///
    /// # Errors
    /// The database, or a row that cannot be read.
    pub async fn proposal(&self, id: u64) -> Result<Option<Proposal>, StoreError> {
        let statement =
            sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM proposals WHERE id = ?"));
        let row = sqlx::query(statement)
            .bind(signed(id))
            .fetch_optional(self.main().readers())
            .await?;
        row.as_ref().map(proposal).transpose()
    }

    /// Proposals of one state, or of all without it, of one round or of all; the newest
    /// first, with the number of all that match.
    ///
    /// # Errors
    /// The database, or a row that cannot be read.
    pub async fn proposals(
        &self,
        state: Option<ProposalState>,
        round: &str,
        limit: u32,
    ) -> Result<(Vec<Proposal>, u64), StoreError> {
        let state = state.map_or("", ProposalState::as_str);
        let found = "FROM proposals WHERE (? = '' OR state = ?) AND (? = '' OR round = ?)";
        let count = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) {found}"));
        let total: i64 = sqlx::query_scalar(count)
            .bind(state)
            .bind(state)
            .bind(round)
            .bind(round)
            .fetch_one(self.main().readers())
            .await?;
        let page =
            sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} {found} ORDER BY id DESC LIMIT ?"));
        let rows = sqlx::query(page)
            .bind(state)
            .bind(state)
            .bind(round)
            .bind(round)
            .bind(i64::from(limit))
            .fetch_all(self.main().readers())
            .await?;
        let proposals: Result<Vec<Proposal>, StoreError> = rows.iter().map(proposal).collect();
        Ok((proposals?, unsigned(total)))
    }

    /// The pictures that waiting proposals name, as rounds name theirs.
    ///
    /// # Errors
    /// The database, or a row that cannot be read.
    pub(super) async fn proposed_pictures(&self) -> Result<Vec<String>, StoreError> {
        let waiting = Some(ProposalState::Waiting);
        let (proposals, _) = self.proposals(waiting, "", u32::MAX).await?;
        let changes = proposals.into_iter().flat_map(|it| it.changes);
        Ok(changes
            .filter(|change| change.field.ends_with(".picture"))
            .filter_map(|change| change.to.as_str().map(str::to_owned))
            .filter(|picture| !picture.is_empty())
            .collect())
    }

    /// Decides a proposal that waits, or approves one again whose approval was interrupted
    /// before it was carried out. `false` if somebody else has decided it.
    ///
    /// # Errors
    /// The database.
    pub async fn decide_proposal(
        &self,
        proposal: &Proposal,
        state: ProposalState,
        decision: &str,
        by: &Actor,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.main().begin().await?;
        let decided = sqlx::query(
            "UPDATE proposals SET state = ?, decision = ?, decided_by = ?, decided_ms = ?
             WHERE id = ? AND (state = 'waiting' OR (? = 'approved' AND state = 'approved'
             AND carried_ms IS NULL AND decided_ms < ?))",
        )
        .bind(state.as_str())
        .bind(decision)
        .bind(&by.name)
        .bind(signed(now_ms))
        .bind(signed(proposal.id))
        .bind(state.as_str())
        .bind(signed(now_ms.saturating_sub(CARRIED_WITHIN_MS)))
        .execute(&mut *transaction)
        .await?;
        if decided.rows_affected() == 0 {
            return Ok(false);
        }
        note_step(&mut transaction, proposal, state, decision, by, now_ms).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Records that an approved proposal was carried out.
    ///
    /// # Errors
    /// The database.
    pub async fn proposal_carried_out(&self, id: u64, now_ms: u64) -> Result<(), StoreError> {
        sqlx::query("UPDATE proposals SET carried_ms = ? WHERE id = ? AND state = 'approved'")
            .bind(signed(now_ms))
            .bind(signed(id))
            .execute(self.main().writer())
            .await?;
        Ok(())
    }

    /// What becomes of an approved proposal that was not carried out: it waits again, or is
    /// outdated, for this reason.
    ///
    /// # Errors
    /// The database.
    pub async fn proposal_not_carried_out(
        &self,
        proposal: &Proposal,
        state: ProposalState,
        why: &str,
        by: &Actor,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.main().begin().await?;
        let waits = state == ProposalState::Waiting;
        sqlx::query(
            "UPDATE proposals SET state = ?, decision = ?, decided_by = ?, decided_ms = ?
             WHERE id = ? AND state = 'approved' AND carried_ms IS NULL",
        )
        .bind(state.as_str())
        .bind(if waits { "" } else { why })
        .bind((!waits).then_some(&by.name))
        .bind((!waits).then_some(signed(now_ms)))
        .bind(signed(proposal.id))
        .execute(&mut *transaction)
        .await?;
        let action = match waits {
            true => "proposal.fail",
            false => state.action(),
        };
        let done = Done {
            action,
            target: proposal.round.clone(),
            detail: serde_json::json!({ "proposal": proposal.id, "reason": why }),
        };
        note(&mut transaction, by, &done, now_ms).await?;
        Ok(transaction.commit().await?)
    }
}

async fn note_step(
    connection: &mut Session,
    proposal: &Proposal,
    state: ProposalState,
    decision: &str,
    by: &Actor,
    now_ms: u64,
) -> Result<(), StoreError> {
    let mut detail = Difference::detail(&proposal.changes);
    detail["proposal"] = proposal.id.into();
    detail["proposed_by"] = proposal.proposed_by.clone().into();
    if !decision.is_empty() {
        detail["reason"] = decision.into();
    }
    let done = Done {
        action: state.action(),
        target: proposal.round.clone(),
        detail,
    };
    note(connection, by, &done, now_ms).await
}

fn proposal(row: &AnyRow) -> Result<Proposal, StoreError> {
    let id: i64 = row.try_get(0)?;
    let unreadable = |column, value: String| StoreError::Row {
        table: "proposals",
        id: id.to_string(),
        column,
        value,
    };
    let changes: String = row.try_get(3)?;
    let state: String = row.try_get(5)?;
    Ok(Proposal {
        id: unsigned(id),
        round: row.try_get(1)?,
        form: row.try_get(2)?,
        changes: serde_json::from_str(&changes).map_err(|_| unreadable("changes", changes))?,
        reason: row.try_get(4)?,
        state: ProposalState::parse(&state).ok_or_else(|| unreadable("state", state))?,
        proposed_by: row.try_get(6)?,
        proposed_ms: unsigned(row.try_get(8)?),
        decided_by: row.try_get(9)?,
        decided_ms: row.try_get::<Option<i64>, _>(10)?.map(unsigned),
        decision: row.try_get(11)?,
        carried_ms: row.try_get::<Option<i64>, _>(12)?.map(unsigned),
    })
}
