//! Posts the board's alerts to a system of the shop's: when one begins and when it is over.
//!
//! The signature is that of notifications to buyers. An alert counts once it is there in
//! two looks in a row, and is over once it is in none of two: what flickers is no call at
//! night. Of several ops roles one posts; while Redis is away each does, since an alert
//! that comes twice is better than none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Request, Uri, header};
use http_body_util::Full;
use seckill_core::keys;
use seckill_core::orders::payment;
use seckill_core::signing::keyring::Keyring;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Board;
use super::alerts::Alert;
use crate::http::client::HttpClient;
use crate::now_ms;
use crate::redis::RedisLink;

/// Pause between two looks.
const EVERY: Duration = Duration::from_secs(3);
/// For how long an ops role that posts is the one, in ms.
const SENDER_MS: u64 = 15_000;

/// Where alerts are posted.
#[derive(Debug)]
pub struct AlertHook {
    client: HttpClient,
    to: Uri,
    keys: Arc<Keyring>,
}

impl AlertHook {
    /// Posts to `to`, signed with the first of `keys`.
    ///
    /// # Errors
    /// The machine's certificates cannot be read, and `to` needs them.
    pub fn new(to: Uri, keys: Arc<Keyring>) -> Result<Self, std::io::Error> {
        let client = HttpClient::new(to.scheme_str())?;
        Ok(Self { client, to, keys })
    }

    async fn post(&self, event: &Event) -> Result<(), String> {
        let body = event.body(now_ms()).to_string();
        let signature = payment::sign(&self.keys, now_ms(), body.as_bytes());
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.to)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "seckill")
            .header("idempotency-key", event.id())
            .header("x-seckill-signature", signature)
            .body(Full::from(body))
            .map_err(|error| error.to_string())?;
        match self.client.send(request).await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("the receiver responded {}", response.status())),
            Err(reason) => Err(reason),
        }
    }
}

/// An alert that began, or is over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    began: bool,
    since_ms: u64,
    alert: Alert,
}

impl Event {
    /// The same at every try.
    fn id(&self) -> String {
        let what = if self.began { "began" } else { "over" };
        let key = key(&self.alert);
        let written: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
        format!("{what}-{written}-{}", self.since_ms)
    }

    fn body(&self, now_ms: u64) -> Value {
        json!({
            "event": if self.began { "alert.began" } else { "alert.over" },
            "at_ms": now_ms,
            "since_ms": self.since_ms,
            "code": self.alert.code,
            "level": self.alert.level,
            "subject": self.alert.subject,
            "message": self.alert.message,
        })
    }
}

/// What an alert is known by: its numbers change while it lasts.
fn key(alert: &Alert) -> String {
    let code = serde_json::to_value(alert.code).unwrap_or_default();
    let code = code.as_str().unwrap_or_default();
    format!("{code} {}", alert.subject)
}

/// One alert as it is followed.
#[derive(Debug, Clone)]
struct Followed {
    alert: Alert,
    since_ms: u64,
    /// Looks in a row in which it was there; in which it was not.
    seen: u32,
    missed: u32,
    /// Whether its begin was posted.
    posted: bool,
}

/// The alerts that are followed.
#[derive(Debug, Default)]
struct Following(BTreeMap<String, Followed>);

impl Following {
    /// Takes one look in; returns what is to be posted.
    fn look(&mut self, alerts: &[Alert], now_ms: u64) -> Vec<Event> {
        for alert in alerts {
            let followed = self.0.entry(key(alert)).or_insert_with(|| Followed {
                alert: alert.clone(),
                since_ms: now_ms,
                seen: 0,
                missed: 0,
                posted: false,
            });
            followed.alert = alert.clone();
            followed.seen += 1;
            followed.missed = 0;
        }
        for (key_, followed) in &mut self.0 {
            if !alerts.iter().any(|alert| key(alert) == *key_) {
                followed.missed += 1;
                followed.seen = 0;
            }
        }
        // What flickered and was never posted is forgotten.
        self.0
            .retain(|_, followed| followed.posted || followed.missed == 0);
        let event = |followed: &Followed| {
            let began = !followed.posted && followed.seen >= 2;
            let over = followed.posted && followed.missed >= 2;
            (began || over).then(|| Event {
                began,
                since_ms: followed.since_ms,
                alert: followed.alert.clone(),
            })
        };
        self.0.values().filter_map(event).collect()
    }

    /// Notes that this was posted, or is another's to post.
    fn posted(&mut self, event: &Event) {
        let key = key(&event.alert);
        if !event.began {
            self.0.remove(&key);
        } else if let Some(followed) = self.0.get_mut(&key) {
            followed.posted = true;
        }
    }
}

/// Posts alerts until `stop`.
pub async fn run(board: Board, redis: RedisLink, hook: Arc<AlertHook>, stop: CancellationToken) {
    let mut following = Following::default();
    let me = format!("{}-{}", std::process::id(), now_ms());
    loop {
        if let Some(alerts) = board.alerts().await {
            for event in following.look(&alerts, now_ms()) {
                if !is_sender(&redis, &me).await {
                    following.posted(&event);
                    continue;
                }
                match hook.post(&event).await {
                    Ok(()) => following.posted(&event),
                    Err(reason) => {
                        // The next look tries again.
                        tracing::warn!(reason, "an alert was not delivered to alerts_webhook");
                        break;
                    }
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(EVERY) => {}
        }
    }
}

/// Whether this process is the one that posts, or Redis is away.
async fn is_sender(redis: &RedisLink, me: &str) -> bool {
    let Ok(mut conn) = redis.conn().await else {
        return true;
    };
    let mut set = redis::cmd("SET");
    set.arg(keys::ALERT_SENDER).arg(me);
    set.arg("NX").arg("PX").arg(SENDER_MS);
    let mut get = redis::cmd("GET");
    get.arg(keys::ALERT_SENDER);
    let mut keep = redis::cmd("PEXPIRE");
    keep.arg(keys::ALERT_SENDER).arg(SENDER_MS);
    let taken: Result<Option<String>, _> = set.query_async(&mut conn).await;
    let holder: Result<Option<String>, _> = get.query_async(&mut conn).await;
    match (taken, holder) {
        (_, Ok(Some(holder))) if holder != me => false,
        (Ok(_), Ok(_)) => {
            let _: Result<i64, _> = keep.query_async(&mut conn).await;
            true
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::alerts::{Code, Level};
    use super::*;

    fn alert(subject: &str) -> Alert {
        Alert {
            code: Code::DeadLetters,
            level: Level::Warning,
            subject: subject.to_owned(),
            values: BTreeMap::new(),
            message: "There are dead letters.".to_owned(),
        }
    }

    #[test]
    fn an_alert_is_posted_when_it_has_begun_and_when_it_is_over() {
        let mut following = Following::default();
        assert_eq!(following.look(&[alert("a")], 1), []);
        let began = following.look(&[alert("a")], 2);
        assert_eq!(
            (began.len(), began[0].began, began[0].since_ms),
            (1, true, 1)
        );
        // Not delivered: it is posted again.
        assert_eq!(following.look(&[alert("a")], 3)[0].id(), began[0].id());
        following.posted(&began[0]);
        assert_eq!(following.look(&[alert("a")], 4), []);
        assert_eq!(following.look(&[], 5), []);
        let over = following.look(&[], 6);
        assert_eq!((over.len(), over[0].began), (1, false));
        assert_ne!(over[0].id(), began[0].id());
        following.posted(&over[0]);
        assert_eq!(following.look(&[], 7), []);
    }

    #[test]
    fn what_flickers_calls_nobody() {
        let mut following = Following::default();
        for now in 0..6 {
            let there = if now % 2 == 0 {
                vec![alert("a")]
            } else {
                vec![]
            };
            assert_eq!(following.look(&there, now), []);
        }
        following.look(&[alert("b")], 10);
        let began = following.look(&[alert("b")], 11);
        following.posted(&began[0]);
        for now in 12..18 {
            let there = if now % 2 == 0 {
                vec![]
            } else {
                vec![alert("b")]
            };
            assert_eq!(following.look(&there, now), [], "it was not over");
        }
    }
}
