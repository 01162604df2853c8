//! Turns judgements into proposals or bans, as the rules say.

use std::collections::VecDeque;
use std::net::IpAddr;

use seckill_core::shared::bans::Ban;
use seckill_core::shared::bans::listed;
use seckill_core::shared::bans::listed::{Kind, Record};
use seckill_core::shared::prefix::Prefix;
use seckill_core::suspicion::{Judgement, Subject};

use crate::config::analysis::{Policy, Rules};
use crate::edges::bans;
use crate::redis::{RedisLink, RedisLinkError};
use crate::store::findings::{Finding, FindingState};
use crate::store::{LazyStore, StoreError};

/// The name under which the analysis bans.
pub const BY: &str = "analysis";
/// Most judgements that wait to be acted upon.
const WAITING: usize = 20_000;

/// Why a judgement could not be acted upon; it will be tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum ActError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Redis(#[from] RedisLinkError),
}

/// Acts on judgements, within the permitted number of bans a minute.
#[derive(Debug)]
pub(super) struct Enforcer {
    rules: Rules,
    store: LazyStore,
    redis: RedisLink,
    /// Judgements, each with whether it was proposed already.
    waiting: VecDeque<(Judgement, bool)>,
    /// When the bans of the last minute were set, epoch milliseconds.
    banned: VecDeque<u64>,
}

impl Enforcer {
    pub(super) fn new(rules: Rules, store: LazyStore, redis: RedisLink) -> Self {
        Self {
            rules,
            store,
            redis,
            waiting: VecDeque::new(),
            banned: VecDeque::new(),
        }
    }

    pub(super) fn add(&mut self, judgements: Vec<Judgement>) {
        for judgement in judgements {
            if self.waiting.len() >= WAITING {
                // The oldest are judged again when their scores grow.
                self.waiting.pop_front();
            }
            self.waiting.push_back((judgement, false));
        }
        // Addresses first: one ban of an address does the work of many.
        self.waiting
            .make_contiguous()
            .sort_by_key(|(judgement, _)| {
                (
                    matches!(judgement.subject, Subject::User(_)),
                    std::cmp::Reverse(judgement.score),
                )
            });
    }

    /// Acts on the judgements that wait. Those over the limit of bans go on waiting, and
    /// are proposals meanwhile.
    pub(super) async fn act(&mut self, now_ms: u64) -> Result<(), ActError> {
        while self.banned.front().is_some_and(|at| at + 60_000 <= now_ms) {
            self.banned.pop_front();
        }
        let mut later = VecDeque::new();
        let mut held = 0_usize;
        while let Some((judgement, is_proposed)) = self.waiting.pop_front() {
            let has_room = self.banned.len() < self.rules.bans_per_minute;
            match self.act_on(&judgement, is_proposed, has_room, now_ms).await {
                Ok(Acted::Done) => {}
                Ok(Acted::Banned) => self.banned.push_back(now_ms),
                Ok(Acted::Later) => {
                    held += usize::from(!is_proposed);
                    later.push_back((judgement, true));
                }
                Err(error) => {
                    self.waiting.push_front((judgement, is_proposed));
                    self.waiting.append(&mut later);
                    return Err(error);
                }
            }
        }
        if held > 0 {
            let (waiting, most) = (later.len(), self.rules.bans_per_minute);
            tracing::warn!(
                waiting,
                most,
                "more bans than a minute may have; the others wait"
            );
        }
        self.waiting = later;
        Ok(())
    }

    async fn act_on(
        &self,
        judgement: &Judgement,
        is_proposed: bool,
        has_room: bool,
        now_ms: u64,
    ) -> Result<Acted, ActError> {
        let (kind, name) = match &judgement.subject {
            Subject::User(name) => (Kind::User, name),
            Subject::Address(name) => (Kind::Address, name),
        };
        let Ok(banned) = kind.read(name) else {
            return Ok(Acted::Done);
        };
        if self.is_allowed(&banned) {
            return Ok(Acted::Done);
        }
        let wants_ban = self.rules.policy == Policy::Ban
            && judgement.score >= self.rules.ban_score
            && !judgement.is_doubtful;
        let known = self.store.get().await?.finding(kind.as_str(), name).await?;
        if let Some(known) = &known {
            let waits_for_ban = wants_ban && known.state == FindingState::Proposed;
            // Lines are read again after a restart.
            let is_old = known.score >= judgement.score && known.is_settled(now_ms);
            if known.is_good(now_ms) || is_old && !waits_for_ban {
                return Ok(Acted::Done);
            }
        }
        let bans = wants_ban && has_room;
        if is_proposed && !bans {
            return Ok(Acted::Later);
        }
        let mut finding = Finding::new(kind.as_str(), name, judgement, now_ms);
        if let Some(known) = known.filter(|known| known.state == FindingState::Banned) {
            // In force, or it would not be settled.
            (finding.state, finding.ban_until_ms) = (known.state, known.ban_until_ms);
        }
        if bans {
            finding.state = FindingState::Banned;
            finding.ban_until_ms = Some(now_ms + self.rules.ban_for_ms);
            self.ban(&banned, judgement, now_ms).await?;
        }
        self.store.get().await?.put_finding(&finding).await?;
        tracing::info!(
            kind = finding.kind,
            name,
            score = finding.score,
            banned = bans,
            reason = judgement.summary(listed::MAX_TEXT),
            "found"
        );
        Ok(match (bans, wants_ban) {
            (true, _) => Acted::Banned,
            (false, true) => Acted::Later,
            (false, false) => Acted::Done,
        })
    }

    fn is_allowed(&self, banned: &Ban<'_>) -> bool {
        let Ban::Address(prefix) = banned else {
            return false;
        };
        let text = prefix.to_string();
        let address = text
            .split('/')
            .next()
            .and_then(|it| it.parse::<IpAddr>().ok());
        // Either may be the wider one.
        let inside = |allowed: &Prefix| {
            let first = allowed.to_string();
            let first = first
                .split('/')
                .next()
                .and_then(|it| it.parse::<IpAddr>().ok());
            address.is_some_and(|it| allowed.covers(it))
                || first.is_some_and(|it| prefix.covers(it))
        };
        self.rules.allow.iter().any(inside)
    }

    async fn ban(
        &self,
        banned: &Ban<'_>,
        judgement: &Judgement,
        now_ms: u64,
    ) -> Result<(), RedisLinkError> {
        // A ban that a person has set, for longer or for another reason, stays.
        let mut conn = self.redis.conn().await?;
        let known: Option<String> = redis::cmd("HGET")
            .arg(seckill_core::keys::BANS)
            .arg(listed::field(banned))
            .query_async(&mut conn)
            .await?;
        let in_force = |record: &Record| record.expires_ms.is_none_or(|until| until > now_ms);
        if known
            .and_then(|text| Record::parse(&text))
            .filter(in_force)
            .is_some_and(|record| record.by != BY)
        {
            return Ok(());
        }
        let record = Record {
            expires_ms: Some(now_ms + self.rules.ban_for_ms),
            at_ms: now_ms,
            by: BY.to_owned(),
            reason: judgement.summary(listed::MAX_TEXT),
        };
        bans::add(&mut conn, banned, &record, now_ms).await?;
        Ok(())
    }
}

/// What a judgement led to.
enum Acted {
    Done,
    Banned,
    Later,
}
