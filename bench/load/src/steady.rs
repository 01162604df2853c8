//! Buyers who come at a steady rate for as long as is wanted: each opens the page, logs
//! in, buys, and pays, cancels or lets the time pass. Every response is counted, also
//! those that are retried, so that what a shopper would have noticed shows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::Method;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::client::{Call, CallError, Edge, Response};

/// Pause before a retry, and between two looks at a result.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a buyer goes on with one step before they leave.
const PATIENCE: Duration = Duration::from_secs(60);
/// Failures that are told one by one; the others are only counted.
const TOLD: usize = 200;

/// Who comes, for what, and for how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// Round id.
    pub round: String,
    /// Product ids, which the buyers want in turn.
    pub products: Vec<String>,
    /// Buyers a second.
    pub rate: u32,
    /// What their names begin with.
    pub prefix: String,
    /// Once this file exists, nobody comes any more; those who are there finish.
    pub until: PathBuf,
}

/// A response that a shopper would have noticed, or after which their page tries again.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// When it came, epoch milliseconds.
    pub at_ms: u64,
    /// Who got it.
    pub user: String,
    /// For which product.
    pub product: String,
    /// Which step it was of.
    pub step: String,
    /// Its code.
    pub code: String,
}

/// What became of all of them.
#[derive(Debug, Default, Serialize)]
pub struct SteadyReport {
    /// How many came.
    pub buyers: u64,
    /// Responses by product, step and code; `no_connection` and `no_answer` stand for
    /// those that did not come.
    pub codes: BTreeMap<String, BTreeMap<String, u64>>,
    /// Buyers by product and how it ended for them.
    pub ends: BTreeMap<String, BTreeMap<String, u64>>,
    /// How many responses a shopper would have noticed: statuses from 500 on, and those
    /// that did not come.
    pub failed: u64,
    /// The first of them.
    pub failures: Vec<Failure>,
}

impl SteadyReport {
    fn note(&mut self, buyer: &Buyer, step: &str, (code, failed): (&str, bool)) {
        let steps = self.codes.entry(buyer.product.clone()).or_default();
        *steps.entry(format!("{step} {code}")).or_default() += 1;
        if !failed {
            return;
        }
        self.failed += 1;
        if self.failures.len() < TOLD {
            self.failures.push(Failure {
                at_ms: now_ms(),
                user: buyer.user.clone(),
                product: buyer.product.clone(),
                step: step.to_owned(),
                code: code.to_owned(),
            });
        }
    }
}

/// A code, and whether it is one that a shopper would notice.
fn judge(answer: &Result<Response, CallError>) -> (String, bool) {
    match answer {
        Ok(answer) => (answer.code(), answer.status >= 500),
        Err(CallError::Connection(_)) => ("no_connection".to_owned(), true),
        Err(CallError::Timeout) => ("no_answer".to_owned(), true),
        Err(CallError::Request(_)) => ("malformed".to_owned(), true),
    }
}

struct Crowd {
    authority: String,
    options: Options,
    report: Mutex<SteadyReport>,
}

struct Buyer {
    crowd: Arc<Crowd>,
    number: u64,
    user: String,
    product: String,
}

/// Lets buyers come to the edge at `authority` until the file is there.
///
/// # Errors
/// A task of this program panicked.
pub async fn run(
    authority: &str,
    options: Options,
) -> Result<SteadyReport, tokio::task::JoinError> {
    let every = Duration::from_secs(1) / options.rate.max(1);
    let crowd = Arc::new(Crowd {
        authority: authority.to_owned(),
        options,
        report: Mutex::default(),
    });
    let mut buyers = JoinSet::new();
    let mut turns = interval(every);
    // After a pause of the machine, nobody comes in a burst.
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    while !crowd.options.until.exists() {
        turns.tick().await;
        let buyer = Buyer::new(&crowd, number);
        number += 1;
        buyers.spawn(async move {
            let end = buyer.shop().await;
            let mut report = buyer.report();
            let ends = report.ends.entry(buyer.product.clone()).or_default();
            *ends.entry(end).or_default() += 1;
        });
        while let Some(done) = buyers.try_join_next() {
            done?;
        }
    }
    while let Some(done) = buyers.join_next().await {
        done?;
    }
    let mut report =
        std::mem::take(&mut *crowd.report.lock().unwrap_or_else(PoisonError::into_inner));
    report.buyers = number;
    Ok(report)
}

impl Buyer {
    fn new(crowd: &Arc<Crowd>, number: u64) -> Self {
        let products = &crowd.options.products;
        let at = usize::try_from(number).unwrap_or(0) % products.len().max(1);
        Self {
            user: format!("{}{number:06}", crowd.options.prefix),
            product: products.get(at).cloned().unwrap_or_default(),
            crowd: Arc::clone(crowd),
            number,
        }
    }

    fn report(&self) -> std::sync::MutexGuard<'_, SteadyReport> {
        let report = &self.crowd.report;
        report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request on a connection of its own: one that is kept alive may be closed by a
    /// worker that leaves just when a request is on its way, which HTTP allows.
    async fn call(&self, step: &str, call: Call<'_>) -> Option<Response> {
        let answer = Edge::new(&self.crowd.authority, 1).call(call).await;
        let (code, failed) = judge(&answer);
        self.report().note(self, step, (&code, failed));
        answer.ok()
    }

    /// The same until there is a response that is neither "busy" nor a failure.
    async fn call_surely(&self, step: &str, call: Call<'_>) -> Option<Response> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            match self.call(step, call).await {
                Some(answer) if answer.status < 500 && answer.status != 429 => return Some(answer),
                _ => sleep(PAUSE).await,
            }
        }
        None
    }

    /// Everything that they do; how it ended.
    async fn shop(&self) -> String {
        self.bought().await.unwrap_or_else(|end| end)
    }

    async fn bought(&self) -> Result<String, String> {
        let left = |step: &str| format!("left at {step}");
        let (round, product) = (&self.crowd.options.round, &self.product);
        let page = format!("/product/{round}-{product}.html");
        self.call_surely("page", Call::new(&Method::GET, &page))
            .await
            .ok_or_else(|| left("page"))?;
        let body = serde_json::json!({ "user": self.user }).to_string();
        let login = Call {
            body: &body,
            ..Call::new(&Method::POST, "/api/session")
        };
        let login = self.call_surely("login", login).await;
        let cookie = login
            .and_then(|it| it.cookie)
            .ok_or_else(|| left("login"))?;
        let signed_in = |method, path| Call {
            cookie: Some(&cookie),
            ..Call::new(method, path)
        };
        let url = format!("/api/rounds/{round}/products/{product}");
        let path = format!("{url}/path");
        let path = self
            .call_surely("path", signed_in(&Method::GET, &path))
            .await;
        let path = path
            .and_then(|it| it.text("path"))
            .ok_or_else(|| left("path"))?;
        let click = Call {
            request: Some(&self.user),
            ..signed_in(&Method::POST, &path)
        };
        let click = self.call_surely("click", click).await;
        let click = click.ok_or_else(|| left("click"))?;
        if click.status >= 300 {
            return Err(click.code());
        }
        let result = format!("{url}/result");
        let order = self.result(signed_in(&Method::GET, &result)).await?;
        let order = format!("/api/orders/{order}");
        let step = match self.number / self.crowd.options.products.len().max(1) as u64 % 3 {
            0 => "pay",
            1 => "cancel",
            _ => return Ok("ordered, not paid".to_owned()),
        };
        let decide = format!("{order}/{step}");
        self.call_surely(step, signed_in(&Method::POST, &decide))
            .await
            .ok_or_else(|| left(step))?;
        let state = self
            .call_surely("order", signed_in(&Method::GET, &order))
            .await;
        let state = state.and_then(|it| it.text("status"));
        let state = state.ok_or_else(|| left("order"))?;
        Ok(format!("ordered, then {step}: {state}"))
    }

    /// The number of their order, once it is placed.
    ///
    /// # Errors
    /// How else it ended.
    async fn result(&self, look: Call<'_>) -> Result<String, String> {
        let began = Instant::now();
        let mut status = String::new();
        while began.elapsed() < PATIENCE {
            let answer = self.call_surely("result", look).await;
            let answer = answer.ok_or("left at result")?;
            status = answer.text("status").unwrap_or_default();
            match status.as_str() {
                "processing" | "succeeded" | "unknown" => sleep(PAUSE).await,
                "ordered" => return answer.text("order").ok_or("no order number".to_owned()),
                "none" => {
                    // Accepted, and nobody knows of it.
                    self.report().note(self, "result", ("none", true));
                    return Err("lost".to_owned());
                }
                other => return Err(format!("result: {other}")),
            }
        }
        Err(format!("still {status} after {} s", PATIENCE.as_secs()))
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.unwrap_or_default().as_millis();
    u64::try_from(ms).unwrap_or(u64::MAX)
}
