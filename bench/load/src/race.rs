//! A race of many buyers for few items: all log in, fetch their URLs, wait for the
//! opening, click at once, and poll the results at the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::Method;
use seckill_core::captcha::pass;
use seckill_core::signing::keyring::Keyring;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::{Call, CallError, Edge, Response};
use crate::report::{BuyerOutcome, Report, Tally};

/// Pause before a retry after "busy", "unavailable" or no response.
const RETRY: Duration = Duration::from_millis(250);
/// How long a buyer polls the result of their purchase.
const RESULT_TIMEOUT: Duration = Duration::from_secs(180);
/// The code under which a click is counted that was accepted and then unknown.
const LOST: &str = "202_then_none";
/// Pause before a buyer clicks again after "sold out".
const SOLD_OUT_RETRY: Duration = Duration::from_secs(2);

/// How to race.
#[derive(Debug, Clone)]
pub struct Options {
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// How many buyers.
    pub buyers: usize,
    /// What their names begin with.
    pub prefix: String,
    /// How many begin to click a second; all at once if `None`.
    pub rate: Option<u32>,
    /// Clicks of each at once, each a purchase of its own.
    pub clicks_per_buyer: usize,
    /// Retry after "busy", "unavailable", lost connections and purchases that a dying
    /// back end forgot, as the same click.
    pub retry_busy: bool,
    /// Keep clicking after "sold out" until every response was "sold out" for this
    /// long: permits may come back.
    pub until_sold_out: Option<Duration>,
    /// Longest time for the whole race after the opening.
    pub limit: Duration,
    /// Signs a captcha pass for every click, as the back end does for a buyer who has
    /// solved a puzzle.
    pub keyring: Option<Keyring>,
}

impl Options {
    /// How long after the opening this buyer first clicks.
    fn turn_of(&self, index: usize) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| {
            Duration::from_secs(1) / rate.max(1) * u32::try_from(index).unwrap_or(u32::MAX)
        })
    }
}

/// Why a race could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RaceError {
    /// The clock of the server could not be read.
    #[error("GET /api/time: {0}; is the system up, and is --base its address?")]
    Time(String),
    /// A buyer could not log in.
    #[error("{user} cannot log in: {reason}; is the demo login on (SECKILL_DEMO_LOGIN=on)?")]
    Login {
        /// The buyer.
        user: String,
        /// The server's response.
        reason: String,
    },
    /// A buyer got no purchase URL.
    #[error("{user} gets no purchase URL: {reason}")]
    Path {
        /// The buyer.
        user: String,
        /// The server's response.
        reason: String,
    },
    /// A task of this program panicked.
    #[error("a buyer was lost: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A buyer ready to click.
#[derive(Debug)]
struct Buyer {
    user: String,
    cookie: String,
    path: String,
    opens_ms: u64,
}

/// What all buyers of a race share.
#[derive(Debug)]
struct Race {
    edge: Edge,
    options: Options,
    /// Server's clock minus ours, ms.
    ahead_ms: i64,
    tally: Mutex<Tally>,
}

/// Runs a race against the edge at `authority` (`host:port`).
///
/// # Errors
/// [`RaceError`] if it could not begin; what happens in it is in the report.
pub async fn run(
    authority: &str,
    connections: usize,
    options: Options,
) -> Result<Report, RaceError> {
    let edge = Edge::new(authority, connections);
    let ahead_ms = clock_offset(&edge).await?;
    let race = Arc::new(Race {
        edge,
        options,
        ahead_ms,
        tally: Mutex::default(),
    });

    let mut entering = JoinSet::new();
    for number in 0..race.options.buyers {
        let user = format!("{}{number:05}", race.options.prefix);
        entering.spawn(enter(Arc::clone(&race), user));
    }
    let mut buyers = Vec::new();
    while let Some(buyer) = entering.join_next().await {
        buyers.push(buyer??);
    }

    let opens_ms = buyers.iter().map(|buyer| buyer.opens_ms).max().unwrap_or(0);
    let wait_ms = opens_ms.saturating_sub(race.server_now_ms());
    sleep(Duration::from_millis(wait_ms)).await;
    let began = Instant::now();
    // Quiet counts from the opening, not from the start of the program.
    *race.tally.lock().unwrap_or_else(PoisonError::into_inner) = Tally::default();
    let outcomes = shop(&race, buyers, began).await?;
    let elapsed = began.elapsed();
    let outcomes = settle(&race, outcomes).await?;
    let tally = std::mem::take(&mut *race.tally.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Report::new(&outcomes, tally, elapsed))
}

async fn clock_offset(edge: &Edge) -> Result<i64, RaceError> {
    let answer = edge
        .call(Call::new(&Method::GET, "/api/time"))
        .await
        .map_err(|error| RaceError::Time(error.to_string()))?;
    let theirs = answer
        .number("now_ms")
        .ok_or_else(|| RaceError::Time(description(&answer)))?;
    Ok(signed(theirs) - signed(our_now_ms()))
}

/// Logs a buyer in and fetches their URL, waiting for the last minute if need be.
async fn enter(race: Arc<Race>, user: String) -> Result<Buyer, RaceError> {
    let body = serde_json::json!({ "user": user }).to_string();
    let call = Call {
        body: &body,
        ..Call::new(&Method::POST, "/api/session")
    };
    let login = race.call_with_retries(call).await;
    let cookie = match login {
        Ok(Response {
            cookie: Some(cookie),
            status: 200..300,
            ..
        }) => cookie,
        Ok(answer) => {
            return Err(RaceError::Login {
                user,
                reason: description(&answer),
            });
        }
        Err(error) => {
            return Err(RaceError::Login {
                user,
                reason: error.to_string(),
            });
        }
    };
    let url = format!("{}/path", race.product_url());
    let call = Call {
        cookie: Some(&cookie),
        ..Call::new(&Method::GET, &url)
    };
    loop {
        let answer = match race.call_with_retries(call).await {
            Ok(answer) => answer,
            Err(error) => {
                return Err(RaceError::Path {
                    user,
                    reason: error.to_string(),
                });
            }
        };
        if answer.status == 425 {
            sleep(Duration::from_secs(1)).await;
            continue;
        }
        let (Some(path), Some(opens_ms)) = (answer.text("path"), answer.number("opens_ms")) else {
            return Err(RaceError::Path {
                user,
                reason: description(&answer),
            });
        };
        return Ok(Buyer {
            user,
            cookie,
            path,
            opens_ms,
        });
    }
}

/// Every click of every buyer, all at once or at the rate of the options.
async fn shop(
    race: &Arc<Race>,
    buyers: Vec<Buyer>,
    began: Instant,
) -> Result<Vec<(Arc<Buyer>, Vec<String>)>, RaceError> {
    let buyers: Vec<_> = buyers.into_iter().map(Arc::new).collect();
    let mut clicks = JoinSet::new();
    for click in 0..race.options.clicks_per_buyer {
        for (index, buyer) in buyers.iter().enumerate() {
            let (race, buyer) = (Arc::clone(race), Arc::clone(buyer));
            let deadline = began + race.options.limit;
            let first = began + race.options.turn_of(index);
            clicks.spawn(async move {
                tokio::time::sleep_until(first.into()).await;
                (index, race.click(&buyer, click, deadline).await)
            });
        }
    }
    let mut codes = vec![Vec::new(); buyers.len()];
    while let Some(done) = clicks.join_next().await {
        let (index, code) = done?;
        codes[index].push(code);
    }
    Ok(buyers.into_iter().zip(codes).collect())
}

/// Polls the result of every buyer's purchase until it is decided.
async fn settle(
    race: &Arc<Race>,
    codes: Vec<(Arc<Buyer>, Vec<String>)>,
) -> Result<Vec<BuyerOutcome>, RaceError> {
    let mut polling = JoinSet::new();
    for (buyer, clicks) in codes {
        let race = Arc::clone(race);
        polling.spawn(async move {
            let (status, order) = race.result(&buyer).await;
            BuyerOutcome {
                user: buyer.user.clone(),
                clicks,
                status,
                order,
            }
        });
    }
    let mut outcomes = Vec::new();
    while let Some(outcome) = polling.join_next().await {
        outcomes.push(outcome?);
    }
    Ok(outcomes)
}

impl Race {
    fn product_url(&self) -> String {
        let Options { round, product, .. } = &self.options;
        format!("/api/rounds/{round}/products/{product}")
    }

    fn server_now_ms(&self) -> u64 {
        u64::try_from(signed(our_now_ms()) + self.ahead_ms).unwrap_or(0)
    }

    /// Repeats a call while the system is away or busy, for a minute at most.
    async fn call_with_retries(&self, call: Call<'_>) -> Result<Response, CallError> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let result = self.edge.call(call).await;
            let again = match &result {
                Ok(answer) => matches!(answer.status, 429 | 500..),
                Err(error) => !matches!(error, CallError::Request(_)),
            };
            if !again || Instant::now() > deadline {
                return result;
            }
            sleep(RETRY).await;
        }
    }

    /// One click, repeated under the same request id as the options say. Returns the
    /// code of the last response.
    async fn click(&self, buyer: &Buyer, number: usize, deadline: Instant) -> String {
        let request = format!("{}-{number}", buyer.user);
        loop {
            let pass = self.pass(&buyer.user);
            let call = Call {
                cookie: Some(&buyer.cookie),
                request: Some(&request),
                captcha: pass.as_deref(),
                ..Call::new(&Method::POST, &buyer.path)
            };
            let sent = Instant::now();
            let code = match self.edge.call(call).await {
                Ok(answer) => answer.code(),
                Err(CallError::Connection(_)) => "no_connection".to_owned(),
                Err(CallError::Timeout) => "no_answer".to_owned(),
                Err(CallError::Request(_)) => "malformed".to_owned(),
            };
            let lost = code == "202" && self.options.retry_busy && self.is_lost(buyer).await;
            let pause = {
                let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.note(if lost { LOST } else { &code }, sent.elapsed());
                if lost {
                    Some(RETRY)
                } else {
                    self.pause_after(&code, tally.quiet_for())
                }
            };
            match pause {
                Some(pause) if Instant::now() + pause < deadline => sleep(pause).await,
                _ => return code,
            }
        }
    }

    /// A new captcha pass, if passes are needed.
    fn pass(&self, user: &str) -> Option<String> {
        let key = self.options.keyring.as_ref()?.first();
        let item = (&*self.options.round, &*self.options.product);
        let mut nonce = [0; 8];
        // Without a nonce the click is sent without a pass, and its response says so.
        getrandom::fill(&mut nonce).ok()?;
        let expires_ms = self.server_now_ms() + pass::PASS_LIFE_MS;
        Some(pass::sign(key, item, user, expires_ms, nonce))
    }

    /// Whether an accepted purchase is unknown. The edge responds 202 also when the back
    /// end died while handling the request: then a shopper's page finds no purchase, and
    /// clicks again.
    async fn is_lost(&self, buyer: &Buyer) -> bool {
        let url = format!("{}/result", self.product_url());
        let call = Call {
            cookie: Some(&buyer.cookie),
            ..Call::new(&Method::GET, &url)
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.call_with_retries(call).await;
            let status = answer.ok().and_then(|answer| answer.text("status"));
            // As long as the buyer's record cannot be read, it may exist.
            if status.as_deref() != Some("unknown") || Instant::now() > deadline {
                return status.as_deref() == Some("none");
            }
            sleep(RETRY).await;
        }
    }

    /// How long to wait before clicking again after `code`; `None` to give up.
    fn pause_after(&self, code: &str, quiet: Duration) -> Option<Duration> {
        match code {
            "busy" | "unavailable" | "no_connection" | "no_answer" | "500" | "502" | "503"
            | "504" => self.options.retry_busy.then_some(RETRY),
            "too_early" => Some(Duration::from_millis(20)),
            "sold_out" => self
                .options
                .until_sold_out
                .and_then(|needed| (quiet < needed).then_some(SOLD_OUT_RETRY)),
            _ => None,
        }
    }

    /// The state of the buyer's purchase once it is decided, and their order.
    async fn result(&self, buyer: &Buyer) -> (String, Option<String>) {
        let url = format!("{}/result", self.product_url());
        let call = Call {
            cookie: Some(&buyer.cookie),
            ..Call::new(&Method::GET, &url)
        };
        let deadline = Instant::now() + RESULT_TIMEOUT;
        loop {
            let answer = self.call_with_retries(call).await;
            let status = answer
                .as_ref()
                .ok()
                .and_then(|answer| answer.text("status"));
            let undecided = matches!(
                status.as_deref(),
                Some("processing" | "succeeded" | "unknown") | None
            );
            if undecided && Instant::now() < deadline {
                sleep(RETRY).await;
                continue;
            }
            let order = answer.ok().and_then(|answer| answer.text("order"));
            return (status.unwrap_or_default(), order);
        }
    }
}

fn description(answer: &Response) -> String {
    format!(
        "HTTP {} {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    )
}

fn our_now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
