//! The worker's executor: futures run on nginx's own event loop, one thread.
//!
//! Differs from `ngx::async_` in one rule: waking a task never runs it on the
//! waker's stack. A wake posts one event, and all tasks woken meanwhile run
//! together when nginx comes to it. That way commands of many requests gather
//! into one write to Redis (13 to 15 a write were seen, against one when each
//! wake runs inline), and no future runs while somebody up the stack holds a
//! borrow.

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_task::{Runnable, ScheduleInfo, Task, WithInfo};
use ngx::ffi::{
    ngx_add_timer, ngx_cycle, ngx_del_timer, ngx_event_t, ngx_exiting, ngx_post_event,
    ngx_posted_events, ngx_posted_next_events, ngx_queue_t,
};

struct Executor {
    event: ngx_event_t,
    queue: VecDeque<Runnable>,
    /// Whether tasks have run: nginx's event loop turns.
    has_run: bool,
}

struct Worker(UnsafeCell<Option<Executor>>);

// SAFETY: nginx workers have one thread, and this module starts none; the type
// only has to be Sync to live in a static. A `thread_local!` would be the safer
// choice, but its destructor order at exit is undefined against nginx's own.
unsafe impl Sync for Worker {}

static WORKER: Worker = Worker(UnsafeCell::new(None));

/// The executor, made at its first use.
///
/// # Safety
/// Only on the worker's thread, and the borrow must end before any task runs.
unsafe fn executor() -> &'static mut Executor {
    // SAFETY: one thread, and by this function's contract no other borrow is alive.
    let slot = unsafe { &mut *WORKER.0.get() };
    slot.get_or_insert_with(|| {
        // SAFETY: an all-zero ngx_event_t is what nginx itself starts from.
        let mut event: ngx_event_t = unsafe { std::mem::zeroed() };
        event.handler = Some(run_queue);
        Executor {
            event,
            queue: VecDeque::with_capacity(1024),
            has_run: false,
        }
    })
}

/// Queues a task, and has nginx run all that are queued.
///
/// `init_process` comes before the first turn of the event loop, which begins by waiting
/// for sockets and timers, and for ever if there are none: a worker alone, which hears
/// nothing of others either, would do nothing until its first request. It does not wait
/// while an event is posted for the next turn.
fn post(runnable: Runnable, queue: *mut ngx_queue_t) {
    // SAFETY: one thread; the borrow ends with this function, which runs no task.
    // The cycle's log is read anew each time because a reload replaces it.
    unsafe {
        let executor = executor();
        let queue = if executor.has_run {
            queue
        } else {
            &raw mut ngx_posted_next_events
        };
        executor.event.log = (*ngx_cycle).log;
        executor.event.data = ptr::from_mut(&mut executor.event).cast();
        executor.queue.push_back(runnable);
        ngx_post_event(&mut executor.event, queue);
    }
}

extern "C" fn run_queue(_event: *mut ngx_event_t) {
    // SAFETY: the borrow ends before the first task runs.
    let mut ready = unsafe {
        let executor = executor();
        executor.has_run = true;
        std::mem::take(&mut executor.queue)
    };
    for runnable in ready.drain(..) {
        runnable.run();
    }
    // Give the allocation back for the next round unless one was made meanwhile.
    // SAFETY: no task is running any more.
    let queue = unsafe { &mut executor().queue };
    if queue.is_empty() && queue.capacity() < ready.capacity() {
        *queue = ready;
    }
}

/// Starts a task. Dropping the handle cancels it; the future itself is then
/// dropped by the executor, never on the canceller's stack.
pub(crate) fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    let schedule = WithInfo(|runnable: Runnable, info: ScheduleInfo| {
        let queue = if info.woken_while_running {
            // A task that wakes itself waits for the next turn of the loop, so
            // that it cannot keep nginx from its sockets.
            &raw mut ngx_posted_next_events
        } else {
            &raw mut ngx_posted_events
        };
        post(runnable, queue);
    });
    // SAFETY: `spawn_unchecked` requires Send and Sync because wakers may move
    // between threads; here there is only one. Future and schedule are 'static.
    let (runnable, task) = unsafe { async_task::spawn_unchecked(future, schedule) };
    runnable.schedule();
    task
}

/// Whether this worker is leaving, as soon as its requests and timers have ended.
pub(crate) fn is_leaving() -> bool {
    // SAFETY: nginx's own thread writes to it, which is this one.
    unsafe { ngx_exiting != 0 }
}

/// Runs queued tasks until none is left, for the end of a worker: cancelled
/// futures own sockets that nginx would otherwise report as left open.
pub(crate) fn drain() {
    // SAFETY: called from `exit_process`, outside any task.
    while unsafe { !executor().queue.is_empty() } {
        run_queue(ptr::null_mut());
    }
}

/// Completes after a time.
///
/// The timer is cancelable: a worker that is leaving does not wait for it.
pub(crate) fn sleep(duration: Duration) -> Sleep {
    Sleep {
        duration,
        holds_worker: false,
        timer: None,
    }
}

/// The same with a timer for which a worker that is leaving waits.
pub(crate) fn hold(duration: Duration) -> Sleep {
    Sleep {
        duration,
        holds_worker: true,
        timer: None,
    }
}

struct Timer {
    event: ngx_event_t,
    waker: Option<Waker>,
    fired: bool,
}

/// See [`sleep`].
pub(crate) struct Sleep {
    duration: Duration,
    holds_worker: bool,
    timer: Option<Box<Timer>>,
}

extern "C" fn timer_fired(event: *mut ngx_event_t) {
    // SAFETY: `data` was set to the boxed Timer that owns this event, and the
    // box deletes the timer before it goes.
    let timer = unsafe { &mut *(*event).data.cast::<Timer>() };
    timer.fired = true;
    if let Some(waker) = timer.waker.take() {
        waker.wake();
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (duration, cancelable) = (self.duration, u32::from(!self.holds_worker));
        let timer = self.timer.get_or_insert_with(|| {
            // SAFETY: as in `executor`; the box gives the event a fixed address.
            let event: ngx_event_t = unsafe { std::mem::zeroed() };
            let mut timer = Box::new(Timer {
                event,
                waker: None,
                fired: false,
            });
            timer.event.handler = Some(timer_fired);
            timer.event.data = ptr::from_mut(timer.as_mut()).cast();
            timer.event.set_cancelable(cancelable);
            // SAFETY: the event is initialised and stays where it is.
            unsafe {
                timer.event.log = (*ngx_cycle).log;
                ngx_add_timer(&mut timer.event, duration.as_millis() as _);
            }
            timer
        });
        if timer.fired {
            return Poll::Ready(());
        }
        timer.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = &mut self.timer
            && timer.event.timer_set() != 0
        {
            // SAFETY: the timer is set, so it is in nginx's tree.
            unsafe { ngx_del_timer(&mut timer.event) };
        }
    }
}

/// The future's result, or `None` once `limit` has passed.
pub(crate) async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    race(future, sleep(limit)).await
}

/// The same for a command that must not be abandoned: a worker that is leaving waits
/// for it. A lost reply would strand the permits in it.
pub(crate) async fn finish<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    race(future, hold(limit)).await
}

/// The results of both. `one` is polled first, so that what it sends is sent first.
pub(crate) async fn both<A, B>(
    one: impl Future<Output = A>,
    other: impl Future<Output = B>,
) -> (A, B) {
    let mut one = std::pin::pin!(one);
    let mut other = std::pin::pin!(other);
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(move |context| {
        if first.is_none()
            && let Poll::Ready(value) = one.as_mut().poll(context)
        {
            first = Some(value);
        }
        if second.is_none()
            && let Poll::Ready(value) = other.as_mut().poll(context)
        {
            second = Some(value);
        }
        match (first.take(), second.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            (one, other) => {
                (first, second) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}

/// The result of whichever ends first; the other one is dropped.
pub(crate) async fn first<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    let mut one = std::pin::pin!(one);
    let mut other = std::pin::pin!(other);
    std::future::poll_fn(move |context| match one.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(value),
        Poll::Pending => other.as_mut().poll(context),
    })
    .await
}

/// Runs futures at the same time: their results in their order, `None` for those that
/// took too long. Once `enough` of the results are good, the others have `grace` left.
pub(crate) async fn gather<F: Future>(
    futures: impl Iterator<Item = F>,
    enough: usize,
    is_good: impl Fn(&F::Output) -> bool,
    grace: Duration,
) -> Vec<Option<F::Output>> {
    let mut running: Vec<_> = futures.map(|future| Some(Box::pin(future))).collect();
    let mut results: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    let mut patience: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(move |context| {
        for (slot, result) in running.iter_mut().zip(&mut results) {
            if let Some(future) = slot
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = None;
                *result = Some(value);
            }
        }
        let good = results.iter().flatten().filter(|value| is_good(value));
        let is_enough = good.count() >= enough;
        // A good one before all that still run cannot be bettered.
        let first_open = running.iter().position(Option::is_some);
        let is_first = enough == 1
            && results
                .iter()
                .take(first_open.unwrap_or(0))
                .flatten()
                .any(&is_good);
        if first_open.is_none() || is_first {
            return Poll::Ready(std::mem::take(&mut results));
        }
        if is_enough {
            let patience = patience.get_or_insert_with(|| Box::pin(sleep(grace)));
            if patience.as_mut().poll(context).is_ready() {
                return Poll::Ready(std::mem::take(&mut results));
            }
        }
        Poll::Pending
    })
    .await
}

async fn race<T>(future: impl Future<Output = T>, limit: Sleep) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut limit = std::pin::pin!(limit);
    std::future::poll_fn(move |context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        limit.as_mut().poll(context).map(|()| None)
    })
    .await
}
