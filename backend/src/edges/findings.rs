//! An operator's decisions on what the analysis found: it is a program, or it is a
//! person. Each is in the audit log, whether it was made at the console or by command.

use seckill_core::shared::bans::BadBan;
use seckill_core::shared::bans::listed;
use seckill_core::shared::bans::listed::{Kind, Record};
use serde_json::json;

use crate::edges::bans;
use crate::redis::{RedisLink, RedisLinkError};
use crate::store::findings::{Finding, FindingState};
use crate::store::{Actor, Done, Store, StoreError};

/// How long a dismissed finding protects its subject from new ones, in ms: 90 days.
pub const GOOD_FOR_MS: u64 = 90 * 86_400_000;

/// Why a decision was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// There is nothing to decide on.
    #[error("nothing was found about {0} {1}; \"seckill findings list\" shows what was")]
    Unknown(String, String),
    /// The subject is neither an address nor a user.
    #[error(transparent)]
    Subject(#[from] BadBan),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis is away.
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
    /// It is dismissed, and Redis is away.
    #[error("it is dismissed, but its ban was not lifted: {0}; dismiss it again")]
    NotLifted(RedisLinkError),
}

impl DecideError {
    /// Whether the decision, or a part of it, may have taken effect all the same.
    fn may_have_happened(&self) -> bool {
        match self {
            Self::Unknown(..) | Self::Subject(_) => false,
            Self::Store(_) | Self::NotLifted(_) => true,
            Self::Redis(error) => error.may_have_happened(),
        }
    }
}

/// A decision and who makes it.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// Whether the subject is an address or a user.
    pub kind: Kind,
    /// The address or the user.
    pub subject: &'a str,
    /// Who decides, and from which address.
    pub by: &'a Actor,
    /// When it is made, epoch milliseconds.
    pub now_ms: u64,
}

impl Decision<'_> {
    /// Carries the decision out, with its entry in the audit log: the log may hold one that
    /// broke off and has to be made again, and never misses one.
    async fn recorded(
        &self,
        store: &Store,
        action: &'static str,
        (finding, until_ms): (&Finding, u64),
        act: impl Future<Output = Result<(), DecideError>>,
    ) -> Result<Finding, DecideError> {
        let done = Done {
            action,
            target: format!("{} {}", finding.kind, finding.subject),
            detail: json!({ "score": finding.score, "ban_until_ms": until_ms }),
        };
        let detail = done.detail.clone();
        let act = async { act.await.map(|()| ((), Some(detail))) };
        store
            .recorded(self.by, done, act, DecideError::may_have_happened)
            .await??;
        self.finding(store).await
    }

    async fn finding(&self, store: &Store) -> Result<Finding, DecideError> {
        // What can be no subject is not looked for: PostgreSQL refuses a zero byte.
        self.kind.read(self.subject)?;
        let found = store.finding(self.kind.as_str(), self.subject).await?;
        let unknown =
            || DecideError::Unknown(self.kind.as_str().to_owned(), self.subject.to_owned());
        found.ok_or_else(unknown)
    }

    /// Confirms that it is a program: bans it for a time, with the analysis's reasons.
    ///
    /// # Errors
    /// [`DecideError`]; it may be banned without being recorded as decided. Make the
    /// decision again.
    pub async fn confirm(
        &self,
        store: &Store,
        redis: &RedisLink,
        for_ms: u64,
    ) -> Result<Finding, DecideError> {
        let finding = self.finding(store).await?;
        let until_ms = self.now_ms.saturating_add(for_ms);
        let record = Record {
            expires_ms: Some(until_ms),
            at_ms: self.now_ms,
            by: self.by.name.clone(),
            reason: reason_of(&finding),
        };
        let banned = self.kind.read_new(self.subject)?;
        let act = async {
            bans::add(&mut redis.conn().await?, &banned, &record, self.now_ms).await?;
            let key = (self.kind.as_str(), self.subject);
            store
                .decide_finding(key, FindingState::Confirmed, until_ms, &self.by.name)
                .await?;
            Ok(())
        };
        self.recorded(store, "finding.confirm", (&finding, until_ms), act)
            .await
    }

    /// Decides that it is a person: lifts the ban, and protects the subject from new findings
    /// for [`GOOD_FOR_MS`].
    ///
    /// # Errors
    /// [`DecideError`]; make the decision again.
    pub async fn dismiss(&self, store: &Store, redis: &RedisLink) -> Result<Finding, DecideError> {
        let finding = self.finding(store).await?;
        let banned = self.kind.read(self.subject)?;
        let act = async {
            // Recorded first: otherwise the analysis might ban again in between.
            let key = (self.kind.as_str(), self.subject);
            let until_ms = self.now_ms.saturating_add(GOOD_FOR_MS);
            store
                .decide_finding(key, FindingState::Dismissed, until_ms, &self.by.name)
                .await?;
            let lift = async { bans::lift(&mut redis.conn().await?, &banned).await };
            lift.await.map_err(DecideError::NotLifted)?;
            Ok(())
        };
        self.recorded(store, "finding.dismiss", (&finding, 0), act)
            .await
    }
}

/// The sentences of a finding, as far as a ban's reason has room for them.
fn reason_of(finding: &Finding) -> String {
    let sentences: Vec<&str> = finding
        .reasons
        .iter()
        .filter_map(|reason| reason.get("sentence")?.as_str())
        .collect();
    sentences
        .join("; ")
        .chars()
        .take(listed::MAX_TEXT)
        .collect()
}
