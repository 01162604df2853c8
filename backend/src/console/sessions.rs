//! The sessions of operators, in Redis: with the database stopped, operators who are
//! logged in stay logged in and go on watching.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::AsyncCommands as _;
use seckill_core::keys;
use sha2::{Digest as _, Sha256};

use super::error::ConsoleError;
use crate::now_ms;
use crate::redis::{RedisLink, scripts};
use crate::store::LazyStore;
use crate::store::accounts::{Account, Role};

/// An unused session ends after this time, in seconds.
const IDLE_S: i64 = 2 * 3_600;
/// A session ends after this time, however much it is used.
const LIFE_MS: u64 = 12 * 3_600_000;
/// How long an account is cached before it is read from the database again: a removed
/// account is logged out within this time.
const CACHED: Duration = Duration::from_secs(3);
/// The field of a session with its ID token.
const ID_TOKEN: &str = "id_token";
/// Characters of a browser's name that are kept.
const MOST_AGENT: usize = 200;
/// Timeout of that read.
const TIMEOUT: Duration = Duration::from_millis(800);

/// A session of the console.
#[derive(Debug, Clone)]
pub struct Session {
    /// The digest of its id, which is part of its key in Redis.
    pub(super) digest: String,
    /// The account.
    pub name: String,
    /// The account's role.
    pub role: Role,
    /// The token that every writing request has to carry.
    pub csrf: String,
    /// What has to be done before anything else.
    pub must: Option<Must>,
    /// How its owner logged in.
    pub by: By,
    /// Whether the account has a second factor; each change of that begins a new session.
    pub has_factor: bool,
    began_ms: u64,
    version: u64,
}

/// What an operator has to do before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Must {
    /// Choose a password that nobody else knows.
    Password,
    /// Set up a second factor.
    Factor,
}

impl Must {
    /// Its stored form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Factor => "factor",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Password, Self::Factor]
            .into_iter()
            .find(|must| must.as_str() == text)
    }
}

/// How somebody logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The person logged in by a password of ours.
    Password,
    /// The person logged in by single sign-on.
    Oidc,
}

impl By {
    /// Its stored form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Oidc => "oidc",
        }
    }

    /// Sessions that an earlier version began have none.
    fn of(text: Option<&String>) -> Self {
        match text.map(String::as_str) {
            Some("oidc") => Self::Oidc,
            _ => Self::Password,
        }
    }
}

/// A session as its owner sees it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The digest of its id.
    pub digest: String,
    /// When it began, epoch milliseconds.
    pub began_ms: u64,
    /// When it was last used, epoch milliseconds.
    pub used_ms: u64,
    /// The address from which the session was begun.
    pub address: String,
    /// The browser with which the session was begun.
    pub agent: String,
    /// How its owner logged in.
    pub by: By,
}

/// All sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    redis: RedisLink,
    store: LazyStore,
    accounts: Arc<Mutex<HashMap<String, CachedAccount>>>,
}

/// An account as it was last read.
#[derive(Debug, Clone, Copy)]
struct CachedAccount {
    read_at: Instant,
    /// Role and version; `None` if the database was away, `Some(None)` if there is no
    /// such account.
    account: Option<Option<(Role, u64)>>,
}

impl Sessions {
    pub(super) fn new(redis: RedisLink, store: LazyStore) -> Self {
        Self {
            redis,
            store,
            accounts: Arc::default(),
        }
    }

    /// Begins a session under a new random id, which goes into the cookie.
    pub(super) async fn begin(
        &self,
        account: &Account,
        (must, by): (Option<Must>, By),
        (address, agent): (&str, &str),
    ) -> Result<(String, Session), ConsoleError> {
        let (id, csrf) = (random_hex()?, random_hex()?);
        let session = Session {
            digest: digest(&id),
            name: account.name.clone(),
            role: account.role,
            csrf,
            must,
            by,
            has_factor: account.totp.is_some(),
            began_ms: now_ms(),
            version: account.version,
        };
        let key = keys::console_session(&session.digest);
        let fields = [
            ("name", session.name.clone()),
            ("role", session.role.as_str().to_owned()),
            ("csrf", session.csrf.clone()),
            ("began_ms", session.began_ms.to_string()),
            ("version", session.version.to_string()),
            ("must", must.map_or("", Must::as_str).to_owned()),
            ("by", by.as_str().to_owned()),
            ("factor", u8::from(session.has_factor).to_string()),
            ("address", address.to_owned()),
            ("agent", agent.chars().take(MOST_AGENT).collect()),
        ];
        let list = keys::console_sessions(&session.name);
        let over = session.began_ms.saturating_sub(LIFE_MS);
        let mut conn = self.redis.conn().await?;
        let mut write = redis::pipe();
        write
            .hset_multiple(&key, &fields)
            .expire(&key, IDLE_S)
            .zadd(&list, &session.digest, session.began_ms)
            .zrembyscore(&list, 0, over)
            .pexpire(&list, i64::try_from(LIFE_MS).unwrap_or(i64::MAX));
        let () = scripts::together(&write).run(&mut conn).await?;
        self.cache(&session.name, Some(Some((session.role, session.version))));
        Ok((id, session))
    }

    /// The session with this id.
    ///
    /// # Errors
    /// There is none, it has ended, or its account has changed; or Redis is away.
    pub(super) async fn find(&self, id: &str) -> Result<Session, ConsoleError> {
        if !is_id(id) {
            return Err(ConsoleError::LoginRequired);
        }
        let digest = digest(id);
        let key = keys::console_session(&digest);
        let mut conn = self.redis.conn().await?;
        let (fields, _): (HashMap<String, String>, i64) = redis::pipe()
            .hgetall(&key)
            .expire(&key, IDLE_S)
            .query_async(&mut conn)
            .await?;
        let session = read(digest, &fields).ok_or(ConsoleError::LoginRequired)?;
        if now_ms() >= session.began_ms.saturating_add(LIFE_MS)
            || !self.is_unchanged(&session).await
        {
            self.end(&session.digest).await?;
            return Err(ConsoleError::LoginRequired);
        }
        Ok(session)
    }

    /// Remembers by which ID token a session began, for logging out at the provider.
    ///
    /// # Errors
    /// Redis is away.
    pub(super) async fn keep_id_token(
        &self,
        session: &Session,
        token: &str,
    ) -> Result<(), ConsoleError> {
        let key = keys::console_session(&session.digest);
        let mut conn = self.redis.conn().await?;
        // With an end of its own: the session may have ended since.
        let mut write = redis::pipe();
        write.hset(&key, ID_TOKEN, token).expire(&key, IDLE_S);
        let () = scripts::together(&write).run(&mut conn).await?;
        Ok(())
    }

    /// The ID token by which a session began, if it is known.
    ///
    /// # Errors
    /// Redis is away.
    pub(super) async fn id_token(&self, session: &Session) -> Result<Option<String>, ConsoleError> {
        let mut conn = self.redis.conn().await?;
        let key = keys::console_session(&session.digest);
        Ok(conn.hget(key, ID_TOKEN).await?)
    }

    /// The sessions of an account, latest first.
    ///
    /// # Errors
    /// Redis is away.
    pub(super) async fn list(&self, name: &str) -> Result<Vec<Listed>, ConsoleError> {
        let mut conn = self.redis.conn().await?;
        let digests: Vec<String> = conn.zrevrange(keys::console_sessions(name), 0, -1).await?;
        let mut listed = Vec::new();
        for digest in digests {
            let key = keys::console_session(&digest);
            let (fields, left_s): (HashMap<String, String>, i64) = redis::pipe()
                .hgetall(&key)
                .ttl(&key)
                .query_async(&mut conn)
                .await?;
            let Some(session) = read(digest, &fields).filter(|it| it.name == name) else {
                continue;
            };
            let idle_s = u64::try_from(IDLE_S - left_s).unwrap_or(0);
            let of = |field: &str| fields.get(field).cloned().unwrap_or_default();
            listed.push(Listed {
                digest: session.digest,
                began_ms: session.began_ms,
                used_ms: now_ms().saturating_sub(idle_s * 1_000),
                address: of("address"),
                agent: of("agent"),
                by: session.by,
            });
        }
        Ok(listed)
    }

    /// Ends the session.
    pub(super) async fn end(&self, digest: &str) -> Result<(), ConsoleError> {
        let mut conn = self.redis.conn().await?;
        let () = conn.del(keys::console_session(digest)).await?;
        Ok(())
    }

    /// Ends the session with this id, if there is one.
    pub(super) async fn end_id(&self, id: &str) -> Result<(), ConsoleError> {
        self.end(&digest(id)).await
    }

    /// Whether the account is still what it was when the session began. While the
    /// database is away nobody can have changed it.
    async fn is_unchanged(&self, session: &Session) -> bool {
        let known = self.account(&session.name).await;
        known.is_none_or(|account| account == Some((session.role, session.version)))
    }

    async fn account(&self, name: &str) -> Option<Option<(Role, u64)>> {
        let kept = self.lock().get(name).copied();
        if let Some(kept) = kept
            && kept.read_at.elapsed() < CACHED
        {
            return kept.account;
        }
        let read = async { self.store.get().await?.account(name).await };
        let account = match tokio::time::timeout(TIMEOUT, read).await {
            Ok(Ok(account)) => {
                let enabled = account.filter(|it| !it.is_disabled);
                Some(enabled.map(|it| (it.role, it.version)))
            }
            _ => None,
        };
        self.cache(name, account);
        account
    }

    fn cache(&self, name: &str, account: Option<Option<(Role, u64)>>) {
        let read_at = Instant::now();
        let mut accounts = self.lock();
        // Names come from sessions, so that there are no more than accounts.
        accounts.insert(name.to_owned(), CachedAccount { read_at, account });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, CachedAccount>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(digest: String, fields: &HashMap<String, String>) -> Option<Session> {
    Some(Session {
        digest,
        name: fields.get("name")?.clone(),
        role: Role::parse(fields.get("role")?)?,
        csrf: fields.get("csrf")?.clone(),
        must: fields.get("must").and_then(|must| Must::parse(must)),
        by: By::of(fields.get("by")),
        // Sessions that an earlier version began do not say; theirs may have one.
        has_factor: fields.get("factor").is_none_or(|it| it == "1"),
        began_ms: fields.get("began_ms")?.parse().ok()?,
        version: fields.get("version")?.parse().ok()?,
    })
}

/// Whether a text may be 256 random bits, written in hex.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// 256 random bits, written in hex.
pub(super) fn random_hex() -> Result<String, ConsoleError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| ConsoleError::internal(&error))?;
    Ok(hex(&bytes))
}

/// The id itself is random enough that a plain hash cannot be turned back.
pub(super) fn digest(id: &str) -> String {
    hex(&Sha256::digest(id.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
