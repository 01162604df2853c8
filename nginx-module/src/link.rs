//! The worker's one connection to Redis, and the supervisor that keeps it up.
//!
//! find the server that takes writes → log in → load the scripts → publish → work →
//! withdraw → back off.
//!
//! Two things end a connection besides its loss: a reply by which the server is not
//! (or no longer) the one that takes writes, and Sentinels that name another. A
//! server that refuses to work for now, as without memory, keeps its connection; it
//! counts as away all the same until a command succeeds.

mod open;
mod scripts;
mod watch;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use async_task::Task;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use seckill_core::redis::condition::Condition;

use crate::conf::Target;
use crate::net::stream::{self, Meter};
use crate::state::Zone;
use crate::{clock, error_log, rt};

pub(crate) use scripts::Scripts;

/// Longest time without any reply before the connection is dropped: a stopped server
/// accepts bytes but never replies. Requests that may wait for longer are waited for.
const STALLED: Duration = Duration::from_millis(1_000);
/// Pause after the first failed attempt; it doubles with each further one.
const FIRST_PAUSE_MS: u64 = 25;
/// Longest pause between attempts; the gate must work again within a second.
const LONGEST_PAUSE_MS: u64 = 400;
/// A connection that lasted for so long has been of use: the next attempt is at once.
const LASTING_MS: u64 = 1_000;
/// For how long nobody waits for a server that refused to work; then one request
/// tries again.
const REFUSED_MS: u64 = 250;

/// A live connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link {
    /// Shared by the commands of all requests, which gather into one write.
    pub(crate) connection: MultiplexedConnection,
    /// Loaded on this very connection.
    pub(crate) scripts: Rc<Scripts>,
    /// Counts what comes over it.
    meter: Meter,
    /// How long nothing may come over it while a reply is due.
    patience: Duration,
    /// The server that it leads to.
    server: Rc<str>,
}

/// The state of the connection.
enum Status {
    /// The worker has just started and is connecting; these tasks wait for it.
    Starting(Vec<Waker>),
    /// Connected; until the moment, monotonic ms, the server counts as away because it
    /// refused to work.
    Up(Link, u64),
    /// Redis is away.
    Away,
}

/// What ends a connection from outside of its own work.
#[derive(Default)]
struct End {
    reason: Option<String>,
    waker: Option<Waker>,
}

thread_local! {
    static STATUS: RefCell<Status> = const { RefCell::new(Status::Starting(Vec::new())) };
    static END: RefCell<End> = RefCell::default();
    static SUPERVISOR: RefCell<Option<Task<()>>> = const { RefCell::new(None) };
    /// Where outages are recorded: the zone, and the servers' name.
    static REPORT: RefCell<Option<(Zone, String)>> = const { RefCell::new(None) };
    /// Whether the connection has carried a successful write.
    static PROVEN: Cell<bool> = const { Cell::new(false) };
}

/// Whether Redis is known to be away, so that there is nothing to wait for.
pub(crate) fn is_away() -> bool {
    STATUS.with_borrow(|status| match status {
        Status::Away => true,
        Status::Up(_, refused_until_ms) => is_refused(*refused_until_ms),
        Status::Starting(_) => false,
    })
}

fn is_refused(until_ms: u64) -> bool {
    until_ms > 0 && clock::monotonic_ms() < until_ms
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
            Status::Up(_, refused_until_ms) if is_refused(*refused_until_ms) => Poll::Ready(None),
            Status::Up(link, _) => Poll::Ready(Some(link.clone())),
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
/// until that returns the reason why the connection is of no use any more. Outages
/// are recorded in the zone.
pub(crate) fn start(target: Target, zone: Zone, work: impl AsyncFn(Link) -> String + 'static) {
    REPORT.set(Some((zone.clone(), target.name())));
    let task = rt::spawn(supervise(target, zone, work));
    SUPERVISOR.with_borrow_mut(|slot| *slot = Some(task));
}

/// Goes on with all tasks until `done`, or for `limit`: for the end of a worker, when
/// nginx's event loop has ended. No timer fires meanwhile.
pub(crate) fn go_on(limit: Duration, done: impl Fn() -> bool) {
    let end = Instant::now() + limit;
    rt::drain();
    while !done() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        stream::turn(left);
        rt::drain();
    }
}

/// Closes the connection, at the end of a worker.
pub(crate) fn stop() {
    let supervisor = SUPERVISOR.with_borrow_mut(Option::take);
    set(Status::Away);
    drop(supervisor);
    rt::drain();
}

async fn supervise(target: Target, zone: Zone, work: impl AsyncFn(Link) -> String) {
    let mut pause_ms = FIRST_PAUSE_MS;
    loop {
        match open::open(&target).await {
            Ok((link, mut driver)) => {
                let since_ms = clock::monotonic_ms();
                PROVEN.set(false);
                END.take();
                set(Status::Up(link.clone(), 0));
                // The end of the connection is noticed at once: until then requests
                // would be sent into nothing, with the permits that they return.
                let closed = async {
                    (&mut driver).await;
                    "the connection was closed".to_owned()
                };
                let outside = rt::first(ended(), watch::watch(&target, &zone, &link));
                let reason = rt::first(rt::first(work(link.clone()), closed), outside).await;
                set(Status::Away);
                drop(driver);
                let now_ms = clock::monotonic_ms();
                zone.counters().lose_redis(now_ms);
                let lasted_ms = now_ms - since_ms;
                if PROVEN.get() || lasted_ms >= LASTING_MS {
                    pause_ms = FIRST_PAUSE_MS;
                }
                report(true, |name| {
                    let server = &link.server;
                    if **server == *name {
                        format!("redis at {name} is away: {reason}")
                    } else {
                        format!("redis at {name} is away: {reason} ({server})")
                    }
                });
            }
            Err(reason) => {
                set(Status::Away);
                report(true, |name| {
                    format!("redis at {name} cannot be reached: {reason}")
                });
            }
        }
        // Jitter keeps the workers of many edges from connecting all at once.
        let jitter_ms = ngx::ffi::ngx_random() as u64 % pause_ms;
        rt::sleep(Duration::from_millis(pause_ms / 2 + jitter_ms / 2)).await;
        pause_ms = (pause_ms * 2).min(LONGEST_PAUSE_MS);
    }
}

/// Writes a line about a change between reachable and away, if one is due.
fn report(away: bool, line: impl FnOnce(&str) -> String) {
    REPORT.with_borrow(|report| {
        let Some((zone, name)) = report else { return };
        if zone.log_outage(away) {
            if away {
                error_log::warn(&line(name));
            } else {
                error_log::notice(&line(name));
            }
        }
    });
}

/// Completes with the reason when [`judge`] has ended the connection.
async fn ended() -> String {
    std::future::poll_fn(|context| {
        END.with_borrow_mut(|end| match end.reason.take() {
            Some(reason) => Poll::Ready(reason),
            None => {
                end.waker = Some(context.waker().clone());
                Poll::Pending
            }
        })
    })
    .await
}

/// What an error says of the server. What is no reply at all counts as a lost
/// connection; a reply of an unexpected type is the command's fault.
fn condition(error: &RedisError) -> Condition {
    match error.code() {
        Some(code) => Condition::of(code, error.detail().unwrap_or_default()),
        None if error.kind() == redis::ErrorKind::UnexpectedReturnType => Condition::Working,
        None => Condition::Unfit,
    }
}

/// An error as Redis words it: `READONLY You can't write against a read only replica.`
pub(crate) fn text_of(error: &RedisError) -> String {
    match error.code() {
        Some(code) => format!("{code} {}", error.detail().unwrap_or_default()),
        None => error.to_string(),
    }
}

/// Whether an error ends the connection: no reply came, the server is not the one to
/// work with, or it has forgotten the scripts, which are loaded on connecting.
pub(crate) fn is_lost(error: &RedisError) -> bool {
    matches!(condition(error), Condition::Unfit | Condition::Forgotten)
}

/// Draws the consequences of a command's error for the connection; whether Redis is
/// away by it. Otherwise the command itself was at fault.
pub(crate) fn judge(error: &RedisError) -> bool {
    match condition(error) {
        Condition::Working => false,
        Condition::Refusing => {
            let until_ms = clock::monotonic_ms() + REFUSED_MS;
            STATUS.with_borrow_mut(|status| {
                if let Status::Up(_, refused_until_ms) = status {
                    *refused_until_ms = until_ms;
                }
            });
            report(true, |name| {
                let why = text_of(error);
                format!("redis at {name} is away: it refuses to work: {why}")
            });
            true
        }
        Condition::Unfit | Condition::Forgotten => {
            if error.code().is_some() {
                end(text_of(error));
            }
            true
        }
    }
}

/// Ends the connection. Without a connection there is nothing to end.
fn end(reason: String) {
    let was_up = STATUS.with_borrow_mut(|status| {
        let is_up = matches!(status, Status::Up(..));
        if is_up {
            *status = Status::Away;
        }
        is_up
    });
    if was_up {
        END.with_borrow_mut(|end| {
            end.reason = Some(reason);
            if let Some(waker) = end.waker.take() {
                waker.wake();
            }
        });
    }
}

/// Records that a write succeeded: Redis works.
pub(crate) fn works() {
    PROVEN.set(true);
    STATUS.with_borrow_mut(|status| {
        if let Status::Up(_, refused_until_ms) = status {
            *refused_until_ms = 0;
        }
    });
    report(false, |name| format!("redis at {name} is back"));
}

impl Link {
    /// The future's result, or an error's text once no byte has come over this connection
    /// for too long. A future of many commands may take longer on a busy machine.
    pub(crate) async fn unless_stalled<T>(
        &self,
        future: impl Future<Output = T>,
    ) -> Result<T, String> {
        let ended = unless_stalled(&self.meter, self.patience, future).await;
        ended.ok_or_else(|| format!("no reply for {} ms", self.patience.as_millis()))
    }
}

async fn unless_stalled<T>(
    meter: &Meter,
    patience: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = std::pin::pin!(future);
    loop {
        let before = meter.received();
        match rt::timeout(patience, future.as_mut()).await {
            Some(value) => return Some(value),
            None if meter.received() == before => return None,
            None => {}
        }
    }
}
