//! The scripts, embedded. Each file's header says what it takes and replies.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind};
use seckill_core::ids::Item;
use seckill_core::keys;

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $path:literal;)*) => {
        $(
            $(#[$doc])*
            pub static $name: LazyLock<Script> =
                LazyLock::new(|| Script::new(include_str!(concat!("../../../lua/", $path))));
        )*

        const CODES: &[&str] = &[$(include_str!(concat!("../../../lua/", $path))),*];
    };
}

scripts! {
    /// Gives a segment its stock, once.
    PRELOAD = "stock/preload.lua";
    /// One purchase.
    PURCHASE = "stock/purchase.lua";
    /// Moves stock from one segment to another.
    TRANSFER = "stock/transfer.lua";
    /// Changes how many items a segment has.
    ADJUST = "stock/adjust.lua";
    /// Puts a segment back after its Redis lost it.
    REBUILD_SEGMENT = "stock/rebuild.lua";
    /// Sets the count of permits after its Redis was lost.
    REBUILD_PERMITS = "permits/rebuild.lua";
    /// Closes leases on one segment.
    CLOSE_LEASE = "stock/close_lease.lua";
    /// Tells a buyer's record its order number.
    ORDERED = "stock/ordered.lua";
    /// Takes out of an outbox what every reader is done with.
    TRIM = "stock/trim.lua";
    /// Counts the stock of a paid order as sold.
    CONFIRM = "stock/confirm.lua";
    /// Gives the stock of a purchase back for sale.
    RELEASE = "stock/release.lua";
    /// Gives back permits that bought nothing, or whose purchase came to nothing.
    REFUND = "permits/refund.lua";
    /// Gives back what is left of closed leases.
    SETTLE = "permits/settle.lua";
    /// Bans somebody, or edits his ban.
    BAN_ADD = "bans/add.lua";
    /// Lifts a ban.
    BAN_LIFT = "bans/lift.lua";
    /// Lets go of the lock of a day's document.
    DAY_UNLOCK = "day/unlock.lua";
    /// Lets in messages whose time has come.
    QUEUE_DUE = "queue/due.lua";
    /// Keeps messages back that a worker gives back.
    QUEUE_RELEASE = "queue/release.lua";
    /// Hands out a puzzle, within limits.
    CAPTCHA_ISSUE = "captcha/issue.lua";
}

/// Tells Redis all scripts, in one round trip.
pub(super) async fn load_all(conn: &mut MultiplexedConnection) -> Result<(), RedisError> {
    let mut pipe = Pipeline::new();
    for code in CODES {
        pipe.cmd("SCRIPT").arg("LOAD").arg(code).ignore();
    }
    pipe.exec_async(conn).await
}

/// Runs a pipeline of calls of `script`, each answered by itself. A script that
/// Redis has forgotten is loaded, and those calls that missed it are made again.
pub(crate) async fn run_all<T: redis::FromRedisValue>(
    conn: &mut MultiplexedConnection,
    script: &Script,
    calls: &[redis::Cmd],
) -> RedisResult<Vec<RedisResult<T>>> {
    let mut pipe = Pipeline::with_capacity(calls.len());
    for call in calls {
        pipe.add_command(call.clone());
    }
    let pipe = pipe.ignore_errors();
    let replies: Vec<RedisResult<T>> = pipe.query_async(conn).await?;
    let missed = |reply: &RedisResult<T>| reply.as_ref().is_err_and(is_unknown_script);
    if !replies.iter().any(missed) {
        return Ok(replies);
    }
    script.load_async(conn).await?;
    // Calls that were made are answered as repeated: every script is idempotent.
    pipe.query_async(conn).await
}

/// One call of a script on the path that every purchase takes. Keys and arguments
/// are written straight into the command, where an invocation of [`Script`] would
/// keep a copy of each.
pub(crate) struct Call {
    script: &'static Script,
    cmd: redis::Cmd,
}

impl Call {
    /// A call with so many keys, all of which come before the first argument.
    pub(crate) fn new(script: &'static Script, keys: usize) -> Self {
        let mut cmd = redis::Cmd::with_capacity(19, 512);
        cmd.arg("EVALSHA").arg(script.get_hash()).arg(keys);
        Self { script, cmd }
    }

    /// The next key, or the next argument behind the keys.
    pub(crate) fn arg(&mut self, it: impl redis::ToRedisArgs) -> &mut Self {
        self.cmd.arg(it);
        self
    }

    /// Runs it. A script that Redis has forgotten is loaded and called again:
    /// nothing was executed then.
    pub(crate) async fn run<T: redis::FromRedisValue>(
        &self,
        conn: &mut MultiplexedConnection,
    ) -> RedisResult<T> {
        match self.cmd.query_async(conn).await {
            Err(error) if is_unknown_script(&error) => {
                self.script.load_async(conn).await?;
                self.cmd.query_async(conn).await
            }
            reply => reply,
        }
    }
}

/// A call of `script` for [`run_all`].
pub(crate) fn call(script: &Script, keys: &[String]) -> redis::Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(script.get_hash()).arg(keys.len()).arg(keys);
    cmd
}

/// Whether Redis has not been told the script yet, or has forgotten it.
fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) || error.code() == Some("NOSCRIPT")
}

/// Puts `amount` items up for sale in a segment; `false` if it had its stock already.
///
/// # Errors
/// Redis did not answer, or the key holds something else (`BADSTOCK`).
pub async fn preload(
    conn: &mut MultiplexedConnection,
    item: &Item,
    segment: u16,
    amount: u64,
) -> Result<bool, RedisError> {
    let calls = [preload_call(item, segment, amount)];
    let replies = run_all(conn, &PRELOAD, &calls).await?;
    replies.into_iter().next().unwrap_or(Ok(false))
}

/// The call that does so, for [`run_all`].
pub(crate) fn preload_call(item: &Item, segment: u16, amount: u64) -> redis::Cmd {
    let keys = [keys::stock(item, segment), keys::outbox(item, segment)];
    let mut call = call(&PRELOAD, &keys);
    call.arg(amount)
        .arg(item.round())
        .arg(item.product())
        .arg(segment);
    call
}
