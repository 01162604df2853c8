//! What all actors share: the product, the server's clock, and every response.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::Method;
use seckill_core::captcha::pass;
use seckill_core::signing::keyring::Keyring;
use tokio::time::sleep;

use super::people::Actor;
use crate::client::{Call, CallError, Edge, Response};

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    /// A page, a file, the time, a state.
    Look,
    /// A purchase URL.
    Path,
    /// A click.
    Click,
    /// The result, and paying.
    After,
}

/// One request and its response.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// What the request was for.
    pub kind: RequestKind,
    /// The response: a code of the contract, or the status.
    pub code: String,
    /// When it was sent, in ms from the opening.
    pub at_ms: i64,
    /// How long it took.
    pub took: Duration,
    /// Whether a bot sent it.
    pub is_bot: bool,
}

/// How the sale ended for one actor.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// They loaded the page.
    pub looked: bool,
    /// They have a purchase URL.
    pub has_url: bool,
    /// How often they clicked.
    pub clicks: u32,
    /// Their purchase was accepted.
    pub accepted: bool,
    /// Their order.
    pub order: Option<String>,
    /// They paid.
    pub paid: bool,
    /// When they were first refused as banned, in ms from the opening.
    pub blocked_ms: Option<i64>,
    /// Why they could not even begin.
    pub trouble: Option<String>,
}

/// What all actors share.
#[derive(Debug)]
pub struct World {
    /// `host:port` of the edge.
    pub authority: String,
    /// Round id.
    pub round: String,
    /// Product id.
    pub product: String,
    /// When it opens, by the server's clock.
    pub opens_ms: u64,
    /// When the actors leave, by the server's clock.
    pub until_ms: u64,
    /// Signs captcha passes, where the shop wants them.
    pub keyring: Option<Keyring>,
    /// Server's clock minus ours, ms.
    pub ahead_ms: i64,
    /// All responses.
    pub seen: Mutex<Vec<Exchange>>,
}

impl World {
    /// The server's clock.
    pub fn now_ms(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let ours = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        u64::try_from(ours.saturating_add(self.ahead_ms)).unwrap_or(0)
    }

    /// Whether it is time to leave.
    pub fn is_over(&self) -> bool {
        self.now_ms() >= self.until_ms
    }

    /// Waits until the server's clock shows this; not beyond the end.
    pub async fn until(&self, at_ms: u64) {
        let left = at_ms.min(self.until_ms).saturating_sub(self.now_ms());
        sleep(Duration::from_millis(left)).await;
    }

    /// A path of the product's API.
    pub fn api(&self, what: &str) -> String {
        let Self { round, product, .. } = self;
        format!("/api/rounds/{round}/products/{product}/{what}")
    }

    fn since_opening(&self) -> i64 {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        signed(self.now_ms()) - signed(self.opens_ms)
    }
}

/// An actor's browser, or a program that acts as one.
pub struct Visit<'w> {
    /// What all actors share.
    pub world: &'w World,
    /// Whose browser it is.
    pub actor: &'w Actor,
    edge: Edge,
    cookie: Option<String>,
    /// The actor's purchase URL.
    pub path: Option<String>,
    /// How the sale has gone for them so far.
    pub outcome: Outcome,
    requests: u32,
}

impl<'w> Visit<'w> {
    /// Opens the browser.
    pub fn new(world: &'w World, actor: &'w Actor) -> Self {
        // A browser keeps up to six; two are enough here.
        let edge = Edge::new(&world.authority, 2).from(actor.source, actor.agent);
        Self {
            world,
            actor,
            edge,
            cookie: None,
            path: None,
            outcome: Outcome::default(),
            requests: 0,
        }
    }

    async fn send(&mut self, kind: RequestKind, call: Call<'_>) -> Option<Response> {
        let sent = Instant::now();
        let at_ms = self.world.since_opening();
        let call = Call {
            cookie: self.cookie.as_deref(),
            ..call
        };
        let answer = self.edge.call(call).await;
        let code = match &answer {
            Ok(answer) => answer.code(),
            Err(CallError::Connection(_)) => "no_connection".to_owned(),
            Err(CallError::Timeout) => "no_answer".to_owned(),
            Err(CallError::Request(_)) => "malformed".to_owned(),
        };
        if code == "blocked" && self.outcome.blocked_ms.is_none() {
            self.outcome.blocked_ms = Some(at_ms);
        }
        let seen = Exchange {
            kind,
            code,
            at_ms,
            took: sent.elapsed(),
            is_bot: self.actor.bot_kind.is_some(),
        };
        let mut all = self
            .world
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(seen);
        answer.ok()
    }

    /// Sends a GET; `None` without a response.
    pub async fn get(&mut self, kind: RequestKind, path: &str) -> Option<Response> {
        self.send(kind, Call::new(&Method::GET, path)).await
    }

    /// Logs in; retries while the shop is busy.
    pub async fn log_in(&mut self) -> bool {
        let body = serde_json::json!({ "user": self.actor.user }).to_string();
        for attempt in 0..10 {
            let call = Call {
                body: &body,
                ..Call::new(&Method::POST, "/api/session")
            };
            match self.send(RequestKind::Look, call).await {
                Some(answer) if answer.status < 300 && answer.cookie.is_some() => {
                    self.cookie = answer.cookie;
                    return true;
                }
                Some(answer) if answer.status < 500 && answer.status != 429 => {
                    self.outcome.trouble = Some(format!("login: {}", answer.code()));
                    return false;
                }
                _ => sleep(Duration::from_millis(200 << attempt.min(4))).await,
            }
        }
        self.outcome.trouble = Some("login: no answer".to_owned());
        false
    }

    /// Loads the page as a browser does, and requests the time and the state.
    pub async fn load_page(&mut self, gap_ms: u64) {
        let World { round, product, .. } = self.world;
        let page = format!("/product/{round}-{product}.html");
        let answer = self.get(RequestKind::Look, &page).await;
        let html = answer.map(|it| it.body).unwrap_or_default();
        for file in assets(&String::from_utf8_lossy(&html)) {
            self.get(RequestKind::Look, &file).await;
        }
        self.outcome.looked = true;
        self.get(RequestKind::Look, "/api/session").await;
        let state = self.world.api("state");
        self.get(RequestKind::Look, &state).await;
        for _ in 0..5 {
            self.get(RequestKind::Look, "/api/time").await;
            sleep(Duration::from_millis(gap_ms)).await;
        }
    }

    /// Requests the purchase URL; returns the code of the response.
    pub async fn fetch_path(&mut self) -> String {
        let url = self.world.api("path");
        match self.get(RequestKind::Path, &url).await {
            Some(answer) => {
                if let Some(path) = answer.text("path") {
                    self.path = Some(path);
                    self.outcome.has_url = true;
                }
                answer.code()
            }
            None => "no_answer".to_owned(),
        }
    }

    /// Clicks; returns the code of the response. Each click is a request of its own unless
    /// `again`.
    pub async fn click(&mut self, again: bool) -> String {
        let Some(path) = self.path.clone() else {
            return "no_url".to_owned();
        };
        self.click_at(&path, again).await
    }

    /// The same with another URL than one's own.
    pub async fn click_at(&mut self, path: &str, again: bool) -> String {
        self.requests += u32::from(!again);
        self.outcome.clicks += 1;
        let request = format!("{}-{}", self.world.opens_ms % 1_000_000_000, self.requests);
        let pass = self.pass();
        let call = Call {
            request: Some(&request),
            captcha: pass.as_deref(),
            ..Call::new(&Method::POST, path)
        };
        let code = match self.send(RequestKind::Click, call).await {
            Some(answer) => answer.code(),
            None => "no_answer".to_owned(),
        };
        self.outcome.accepted |= code == "202";
        code
    }

    fn pass(&self) -> Option<String> {
        let key = self.world.keyring.as_ref()?.first();
        let item = (&*self.world.round, &*self.world.product);
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce).ok()?;
        let expires_ms = self.world.now_ms() + pass::PASS_LIFE_MS;
        Some(pass::sign(key, item, &self.actor.user, expires_ms, nonce))
    }

    /// Requests the result once; records the order.
    pub async fn result(&mut self) -> Option<String> {
        let url = self.world.api("result");
        let answer = self.get(RequestKind::After, &url).await?;
        if let Some(order) = answer.text("order") {
            self.outcome.order = Some(order);
        }
        answer.text("status")
    }

    /// Polls the result until it is decided, as the page does.
    pub async fn follow(&mut self) -> String {
        sleep(Duration::from_millis(300)).await;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.result().await.unwrap_or_default();
            let is_open = matches!(&*status, "processing" | "succeeded" | "unknown" | "");
            if !is_open || Instant::now() > deadline {
                return status;
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Pays the order, if there is one.
    pub async fn pay(&mut self) {
        let Some(order) = self.outcome.order.clone() else {
            return;
        };
        let path = format!("/api/orders/{order}/pay");
        let answer = self
            .send(RequestKind::After, Call::new(&Method::POST, &path))
            .await;
        self.outcome.paid = answer.is_some_and(|answer| answer.status < 300);
    }
}

/// The files that a page names, each once.
fn assets(html: &str) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for part in html.split("=\"/assets/").skip(1) {
        let name = part.split(['"', '#']).next().unwrap_or_default();
        let file = format!("/assets/{name}");
        if !name.is_empty() && !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_s_files_are_found_once_each() {
        let html = r##"<link href="/assets/a.css"><use href="/assets/b.svg#x"/><use href="/assets/b.svg#y"/>"##;
        assert_eq!(assets(html), ["/assets/a.css", "/assets/b.svg"]);
    }
}
