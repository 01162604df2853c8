//! The worker's one connection to Redis, and the supervisor that keeps it up.
//!
//! connect → log in → load the scripts → publish → work → withdraw → back off.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use async_task::Task;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisResult};

use crate::conf::Target;
use crate::net::stream::{self, PeerStream};
use crate::{error_log, rt};

/// Longest time without any reply before the connection is dropped: a stopped server
/// accepts bytes but never replies.
pub(crate) const STALLED: Duration = Duration::from_millis(1_000);
/// Pause after the first failed attempt; it doubles with each further one.
const FIRST_PAUSE_MS: u64 = 25;
/// Longest pause between attempts; the gate must work again within a second.
const LONGEST_PAUSE_MS: u64 = 400;

const TAKE: &str = include_str!("../../lua/permits/take.lua");
const GIVE_BACK: &str = include_str!("../../lua/permits/give_back.lua");
const RENEW: &str = include_str!("../../lua/permits/renew.lua");
const HEARTBEAT: &str = include_str!("../../lua/permits/heartbeat.lua");

/// SHA-1 names of the loaded scripts.
pub(crate) struct Scripts {
    /// `lua/permits/take.lua`
    pub(crate) take: String,
    /// `lua/permits/give_back.lua`
    pub(crate) give_back: String,
    /// `lua/permits/renew.lua`
    pub(crate) renew: String,
    /// `lua/permits/heartbeat.lua`
    pub(crate) heartbeat: String,
}

/// A live connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link {
    /// Shared by the commands of all requests, which gather into one write.
    pub(crate) connection: MultiplexedConnection,
    /// Loaded on this very connection.
    pub(crate) scripts: Rc<Scripts>,
}

/// The state of the connection.
enum Status {
    /// The worker has just started and is connecting; these tasks wait for it.
    Starting(Vec<Waker>),
    /// Connected.
    Up(Link),
    /// Redis is away.
    Away,
}

thread_local! {
    static STATUS: RefCell<Status> = const { RefCell::new(Status::Starting(Vec::new())) };
    static SUPERVISOR: RefCell<Option<Task<()>>> = const { RefCell::new(None) };
}

/// Whether Redis is known to be away, so that there is nothing to wait for.
pub(crate) fn is_away() -> bool {
    STATUS.with_borrow(|status| matches!(status, Status::Away))
}

/// The connection, unless Redis is away. A worker that has just started, after a
/// reload for example, makes its first requests wait instead of refusing them.
pub(crate) async fn ready() -> Option<Link> {
    std::future::poll_fn(|context| {
        STATUS.with_borrow_mut(|status| match status {
            Status::Starting(waiting) => {
                waiting.push(context.waker().clone());
                Poll::Pending
            }
            Status::Up(link) => Poll::Ready(Some(link.clone())),
            Status::Away => Poll::Ready(None),
        })
    })
    .await
}

/// Publishes the state, and wakes the tasks that wait for it.
fn set(status: Status) {
    let old = STATUS.replace(status);
    if let Status::Starting(waiting) = old {
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Starts the supervisor of this worker. It runs `work` on every new connection,
/// until that returns the reason why the connection is of no use any more.
pub(crate) fn start(target: Target, work: impl AsyncFn(Link) -> String + 'static) {
    let task = rt::spawn(supervise(target, work));
    SUPERVISOR.with_borrow_mut(|slot| *slot = Some(task));
}

/// Closes the connection, at the end of a worker.
pub(crate) fn stop() {
    let supervisor = SUPERVISOR.with_borrow_mut(Option::take);
    set(Status::Away);
    drop(supervisor);
    rt::drain();
}

async fn supervise(target: Target, work: impl AsyncFn(Link) -> String) {
    let name = target.address.name();
    let mut pause_ms = FIRST_PAUSE_MS;
    let mut reported = false;
    loop {
        match unless_stalled(open(&target)).await {
            Some(Ok((link, mut driver))) => {
                if reported {
                    error_log::notice(&format!("redis at {name} is back"));
                }
                pause_ms = FIRST_PAUSE_MS;
                set(Status::Up(link.clone()));
                // The end of the connection is noticed at once: until then requests
                // would be sent into nothing, with the permits that they return.
                let closed = async {
                    (&mut driver).await;
                    "the connection was closed".to_owned()
                };
                let reason = rt::first(work(link), closed).await;
                set(Status::Away);
                drop(driver);
                error_log::warn(&format!("redis at {name} is away: {reason}"));
                reported = true;
            }
            failure => {
                set(Status::Away);
                if !reported {
                    let reason = match failure {
                        Some(Err(error)) => error.to_string(),
                        _ => "no reply".to_owned(),
                    };
                    error_log::warn(&format!("redis at {name} cannot be reached: {reason}"));
                    reported = true;
                }
            }
        }
        // Jitter keeps the workers of many edges from connecting all at once.
        let jitter_ms = ngx::ffi::ngx_random() as u64 % pause_ms;
        rt::sleep(Duration::from_millis(pause_ms / 2 + jitter_ms / 2)).await;
        pause_ms = (pause_ms * 2).min(LONGEST_PAUSE_MS);
    }
}

/// Connects, logs in and loads the scripts. The task drives the
/// connection's input and output; dropping it closes the socket.
async fn open(target: &Target) -> RedisResult<(Link, Task<()>)> {
    let stream = PeerStream::connect(&target.address).await?;
    let mut info = RedisConnectionInfo::default().set_db(target.spec.db);
    if let Some(password) = &target.spec.password {
        info = info.set_password(password);
    }
    // The crate's own timeouts need tokio's timer, which does not run here.
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_connection_timeout(None);
    let (mut connection, driver) =
        MultiplexedConnection::new_with_config(&info, stream, config).await?;
    let driver = rt::spawn(driver);
    let scripts = load_scripts(&mut connection).await?;
    Ok((
        Link {
            connection,
            scripts: Rc::new(scripts),
        },
        driver,
    ))
}

async fn load_scripts(connection: &mut MultiplexedConnection) -> RedisResult<Scripts> {
    let (take, give_back, renew, heartbeat) = redis::pipe()
        .cmd("SCRIPT")
        .arg("LOAD")
        .arg(TAKE)
        .cmd("SCRIPT")
        .arg("LOAD")
        .arg(GIVE_BACK)
        .cmd("SCRIPT")
        .arg("LOAD")
        .arg(RENEW)
        .cmd("SCRIPT")
        .arg("LOAD")
        .arg(HEARTBEAT)
        .query_async(connection)
        .await?;
    Ok(Scripts {
        take,
        give_back,
        renew,
        heartbeat,
    })
}

/// The future's result, or `None` once no byte has come from Redis for [`STALLED`]. A
/// future of many commands may take longer on a busy machine.
pub(crate) async fn unless_stalled<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    loop {
        let before = stream::received();
        match rt::timeout(STALLED, future.as_mut()).await {
            Some(value) => return Some(value),
            None if stream::received() == before => return None,
            None => {}
        }
    }
}

/// Whether an error ends the connection: no reply came, or Redis has forgotten the
/// scripts, which are loaded on connecting.
pub(crate) fn is_lost(error: &redis::RedisError) -> bool {
    error.code().is_none_or(|code| code == "NOSCRIPT")
        && error.kind() != redis::ErrorKind::UnexpectedReturnType
}
