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
use crate::redis::RedisLink;
use crate::store::LazyStore;
use crate::store::accounts::{Account, Role};

/// An unused session ends after this time, in seconds.
const IDLE_S: i64 = 2 * 3_600;
/// A session ends after this time, however much it is used.
const LIFE_MS: u64 = 12 * 3_600_000;
/// How long an account is cached before it is read from the database again: a removed
/// account is logged out within this time.
const CACHED: Duration = Duration::from_secs(3);
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
    began_ms: u64,
    version: u64,
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
    pub(super) async fn begin(&self, account: &Account) -> Result<(String, Session), ConsoleError> {
        let (id, csrf) = (random_hex()?, random_hex()?);
        let session = Session {
            digest: digest(&id),
            name: account.name.clone(),
            role: account.role,
            csrf,
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
        ];
        let mut conn = self.redis.conn().await?;
        redis::pipe()
            .atomic()
            .hset_multiple(&key, &fields)
            .expire(&key, IDLE_S)
            .exec_async(&mut conn)
            .await?;
        self.cache(&session.name, Some(Some((session.role, session.version))));
        Ok((id, session))
    }

    /// The session with this id.
    ///
    /// # Errors
    /// There is none, it has ended, or its account has changed; or Redis is away.
    pub(super) async fn find(&self, id: &str) -> Result<Session, ConsoleError> {
        if id.len() != 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
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
            Ok(Ok(account)) => Some(account.map(|it| (it.role, it.version))),
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
        began_ms: fields.get("began_ms")?.parse().ok()?,
        version: fields.get("version")?.parse().ok()?,
    })
}

/// 256 random bits, written in hex.
fn random_hex() -> Result<String, ConsoleError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| ConsoleError::internal(&error))?;
    Ok(hex(&bytes))
}

/// The id itself is random enough that a plain hash cannot be turned back.
fn digest(id: &str) -> String {
    hex(&Sha256::digest(id.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
