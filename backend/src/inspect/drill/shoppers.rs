//! Shoppers, and the record of what they were told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seckill_core::history::record::{Answer, Call, What};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::{Client, Reply};
use super::system::ROUND;

/// How long a shopper goes on trying.
const STAYS: Duration = Duration::from_secs(30);
/// How long they ask what became of a click that is in progress: as the page does, until
/// they know, or something is wrong.
const ASKS: Duration = Duration::from_secs(240);
/// Pause before they try or ask again.
const PAUSE: Duration = Duration::from_millis(300);

/// Shoppers who come one after the other.
pub(super) struct Crowd {
    began: Instant,
    shoppers: JoinSet<()>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Crowd {
    /// So many shoppers, so many a second, from now on.
    pub(super) fn arriving(
        url: String,
        count: u64,
        per_second: u32,
        pays_at_provider: bool,
    ) -> Self {
        let began = Instant::now();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let mut shoppers = JoinSet::new();
        let client = Client::new(&url);
        for number in 0..count {
            let shopper = Shopper {
                number,
                user: format!("s{number}"),
                client: client.clone(),
                calls: Arc::clone(&calls),
                cookie: String::new(),
                pays_at_provider,
            };
            let at = began + Duration::from_secs(1).mul_f64(number as f64 / f64::from(per_second));
            shoppers.spawn(async move {
                tokio::time::sleep_until(at).await;
                shopper.shop().await;
            });
        }
        Self {
            began,
            shoppers,
            calls,
        }
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Waits until all have gone; returns what they were told.
    pub(super) async fn finish(mut self) -> Vec<Call> {
        while self.shoppers.join_next().await.is_some() {}
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One of them. Every fifth pays, every seventh cancels, every eleventh clicks twice.
struct Shopper {
    number: u64,
    user: String,
    client: Client,
    calls: Arc<Mutex<Vec<Call>>>,
    cookie: String,
    /// Whether they pay at a payment provider's page, not at the demo's button.
    pays_at_provider: bool,
}

impl Shopper {
    async fn shop(mut self) {
        let leaves = Instant::now() + STAYS;
        let Some(path) = self.find_button(leaves).await else {
            return;
        };
        let request = format!("r-{}", self.number);
        if !self.click_until_decided(&path, &request, leaves).await {
            return;
        }
        if self.number.is_multiple_of(11) {
            self.click(&path, &format!("again-{}", self.number)).await;
        }
        let Some(order) = self.wait_for_order().await else {
            return;
        };
        let paid = What::Pay {
            order: order.clone(),
        };
        let cancelled = What::Cancel {
            order: order.clone(),
        };
        match self.number {
            number if number.is_multiple_of(5) && self.pays_at_provider => {
                self.pay_at_provider(paid, &order, leaves).await;
            }
            number if number.is_multiple_of(5) => self.decide(paid, &order, "pay").await,
            number if number.is_multiple_of(7) => self.decide(cancelled, &order, "cancel").await,
            _ => {}
        }
    }

    /// Logs in and fetches the hidden URL.
    async fn find_button(&mut self, leaves: Instant) -> Option<String> {
        let body = format!(r#"{{"user":"{}"}}"#, self.user);
        let kind = [("content-type", "application/json")];
        let path = format!("/api/rounds/{ROUND}/products/1/path");
        while Instant::now() < leaves {
            if self.cookie.is_empty() {
                let login = self
                    .client
                    .send_text("POST", "/api/session", &kind, body.clone());
                self.cookie = login.await.and_then(|it| it.cookie).unwrap_or_default();
            }
            if !self.cookie.is_empty()
                && let Some(reply) = self.client.get(&path, &self.cookie).await
                && let Some(path) = reply.json["path"].as_str()
            {
                return Some(path.to_owned());
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    /// Clicks until there is an answer that a page would not try again after; returns
    /// whether it is in progress.
    async fn click_until_decided(&self, path: &str, request: &str, leaves: Instant) -> bool {
        while Instant::now() < leaves {
            match self.click(path, request).await {
                Answer::Accepted => return true,
                Answer::Refused(code)
                    if !["busy", "unavailable", "halted"].contains(&code.as_str()) =>
                {
                    return code == "duplicate";
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        false
    }

    async fn click(&self, path: &str, request: &str) -> Answer {
        let what = What::Buy {
            request: request.to_owned(),
            quantity: 1,
        };
        let headers = [
            ("cookie", self.cookie.as_str()),
            ("idempotency-key", request),
        ];
        self.call(what, self.client.send("POST", path, &headers, ""))
            .await
    }

    /// Asks what became of it until there is an order, or nothing.
    async fn wait_for_order(&self) -> Option<String> {
        let knows_by = Instant::now() + ASKS;
        let path = format!("/api/rounds/{ROUND}/products/1/result");
        let mut nones = 0;
        while Instant::now() < knows_by {
            let asked = self.client.get(&path, &self.cookie);
            if let Answer::Status { status, order } = self.call(What::Result, asked).await {
                match (status.as_str(), order) {
                    ("ordered", Some(order)) => return Some(order),
                    ("failed" | "cancelled" | "paid", _) => return None,
                    // As the page does: a request under way is waited for.
                    ("none", _) if nones >= 10 => return None,
                    ("none", _) => nones += 1,
                    _ => nones = 0,
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    async fn decide(&self, what: What, order: &str, verb: &str) {
        let path = format!("/api/orders/{order}/{verb}");
        let headers = [("cookie", self.cookie.as_str())];
        self.call(what, self.client.send("POST", &path, &headers, ""))
            .await;
        let path = format!("/api/rounds/{ROUND}/products/1/result");
        self.call(What::Result, self.client.get(&path, &self.cookie))
            .await;
    }

    /// Pays at the provider's page, and tries again while it is away.
    async fn pay_at_provider(&self, what: What, order: &str, leaves: Instant) {
        let path = format!("/api/orders/{order}/pay");
        let headers = [
            ("cookie", self.cookie.as_str()),
            ("content-type", "application/json"),
        ];
        while Instant::now() < leaves {
            let sent = async {
                let body = r#"{"provider":"signed"}"#;
                let reply = self.client.send("POST", &path, &headers, body).await?;
                match reply.json["pay_url"].as_str() {
                    // It names the provider's host.
                    Some(page) => Client::new("").get(page, "").await,
                    None => Some(reply),
                }
            };
            if self.call(what.clone(), sent).await == Answer::Done {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn call(&self, what: What, sent: impl Future<Output = Option<Reply>>) -> Answer {
        let called_us = now_us();
        let reply = sent.await;
        let answer = read(&what, reply);
        let call = Call {
            user: self.user.clone(),
            what,
            called_us,
            returned_us: now_us(),
            answer: answer.clone(),
        };
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call);
        answer
    }
}

fn read(what: &What, reply: Option<Reply>) -> Answer {
    let Some(Reply { status, json, .. }) = reply else {
        return Answer::Lost;
    };
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    match (what, status, text("code")) {
        (_, _, Some(code)) => Answer::Refused(code),
        (What::Buy { .. }, 202, _) => Answer::Accepted,
        (What::Result, 200, _) => match text("status") {
            Some(status) => Answer::Status {
                status,
                order: text("order"),
            },
            None => Answer::Lost,
        },
        (What::Pay { .. } | What::Cancel { .. }, 200 | 202, _) => Answer::Done,
        _ => Answer::Lost,
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
