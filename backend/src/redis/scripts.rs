//! The Lua scripts of `lua/`, compiled in: one function a script, one module a
//! folder. A function takes plain values and writes the script's KEYS and ARGV; the
//! [`Call`] that it returns is run by itself or with others ([`run_all`]), and reads
//! the reply. Each script's header says what it does and what it keeps true.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, Script, ServerErrorKind,
    ToRedisArgs, Value, from_redis_value,
};

/// The text of a file below `lua/`.
macro_rules! lua {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../lua/", $path))
    };
}

/// Embeds scripts; `ALL` lists their texts. A script that is written as a sum of files
/// is these files' texts, one after the other.
macro_rules! scripts {
    ($($name:ident = $first:literal $(+ $next:literal)*;)*) => {
        $(
            static $name: std::sync::LazyLock<redis::Script> = std::sync::LazyLock::new(|| {
                redis::Script::new(concat!(lua!($first) $(, lua!($next))*))
            });
        )*

        pub(super) const ALL: &[&str] = &[$(concat!(lua!($first) $(, lua!($next))*)),*];
    };
}

/// `lua/bans`: the list of bans.
pub mod bans;
/// `lua/captcha`: puzzles within limits.
pub mod captcha;
/// `lua/commands`: several commands in one atomic step.
pub mod commands;
/// `lua/day`: the lock of the document of the day.
pub mod day;
/// `lua/permits`, as far as the back end runs it.
pub mod permits;
/// `lua/queue`: the queue on Redis Streams.
pub mod queue;
/// `lua/stock/replay.lua`: purchases that were journalled.
pub mod replay;
/// `lua/sale`: changes of the catalogue.
pub mod sale;
/// `lua/sessions`: sessions that are revoked.
pub mod sessions;
/// `lua/stock`: everything that changes a segment.
pub mod stock;

pub use commands::together;

/// One call of a script, whose reply is a `T`. Every script may be called again with
/// the same arguments: what was done then is not done a second time.
#[derive(Debug)]
pub struct Call<T> {
    script: &'static LazyLock<Script>,
    /// Keys and arguments are written straight into the command, where an invocation
    /// of [`Script`] would keep a copy of each.
    command: Cmd,
    decode: fn(Value) -> RedisResult<T>,
}

impl<T: FromRedisValue> Call<T> {
    /// A call with this many keys, all of which come before the first argument. The
    /// reply is read as it comes.
    fn new(script: &'static LazyLock<Script>, keys: usize) -> Self {
        Self::decoded(script, keys, |reply| Ok(from_redis_value(reply)?))
    }
}

impl<T> Call<T> {
    /// The same with a reply that `decode` reads.
    fn decoded(
        script: &'static LazyLock<Script>,
        keys: usize,
        decode: fn(Value) -> RedisResult<T>,
    ) -> Self {
        let mut command = Cmd::with_capacity(19, 512);
        command.arg("EVALSHA").arg(script.get_hash()).arg(keys);
        Self {
            script,
            command,
            decode,
        }
    }

    /// The next key, or the next argument behind the keys.
    fn arg(mut self, it: impl ToRedisArgs) -> Self {
        self.command.arg(it);
        self
    }

    /// Runs it. A script that Redis has forgotten is loaded and called again: nothing
    /// was executed then.
    ///
    /// # Errors
    /// Redis refused, or did not reply in time.
    pub async fn run(&self, conn: &mut MultiplexedConnection) -> RedisResult<T> {
        let reply = match self.command.query_async(conn).await {
            Err(error) if is_unknown_script(&error) => {
                self.script.load_async(conn).await?;
                self.command.query_async(conn).await
            }
            reply => reply,
        };
        (self.decode)(reply?)
    }
}

/// Runs calls in one pipeline, each with a reply or an error of its own. Scripts that
/// Redis has forgotten are loaded, and all calls are made again.
///
/// # Errors
/// The pipeline as a whole failed: each of its calls may have been executed or not.
pub async fn run_all<T>(
    conn: &mut MultiplexedConnection,
    calls: &[Call<T>],
) -> RedisResult<Vec<RedisResult<T>>> {
    if calls.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipe = Pipeline::with_capacity(calls.len());
    for call in calls {
        pipe.add_command(call.command.clone());
    }
    let pipe = pipe.ignore_errors();
    let mut replies: Vec<RedisResult<Value>> = pipe.query_async(conn).await?;
    let mut missing: Vec<&LazyLock<Script>> = Vec::new();
    for (call, reply) in calls.iter().zip(&replies) {
        let known = missing.iter().any(|it| std::ptr::eq(*it, call.script));
        if !known && reply.as_ref().is_err_and(is_unknown_script) {
            missing.push(call.script);
        }
    }
    if !missing.is_empty() {
        for script in missing {
            script.load_async(conn).await?;
        }
        replies = pipe.query_async(conn).await?;
    }
    let decoded = calls.iter().zip(replies);
    Ok(decoded.map(|(call, reply)| (call.decode)(reply?)).collect())
}

/// Loads all scripts, in one round trip.
pub(super) async fn load_all(conn: &mut MultiplexedConnection) -> RedisResult<()> {
    let mut pipe = Pipeline::new();
    let folders = [
        bans::ALL,
        captcha::ALL,
        commands::ALL,
        day::ALL,
        permits::ALL,
        queue::ALL,
        sale::ALL,
        sessions::ALL,
        stock::ALL,
    ];
    for text in folders.into_iter().flatten() {
        pipe.cmd("SCRIPT").arg("LOAD").arg(text).ignore();
    }
    pipe.exec_async(conn).await
}

/// Whether Redis has not been given the script yet, or has forgotten it.
fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) || error.code() == Some("NOSCRIPT")
}

/// The error of a reply that no version of the script gives.
fn unexpected(script: &str, reply: &impl std::fmt::Debug) -> RedisError {
    let detail = format!("{script} replied {reply:?}");
    RedisError::from((
        redis::ErrorKind::UnexpectedReturnType,
        "unexpected reply",
        detail,
    ))
}
