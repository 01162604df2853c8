//! A watcher of the board, and the shop whose board it is.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::tz::TimeZone;
use seckill::console::board::{Board, Sources, api};
use seckill::redis::RedisLink;
use seckill::redis::segments::Segments;
use seckill::store::LazyStore;
use seckill_core::keys;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::common::shop::Shop;
use crate::common::{DEADLINE, item};

/// The sources of a shop's board, which no edge feeds.
pub(crate) async fn sources(shop: &Shop) -> Sources {
    let mut conn = shop.link.conn().await.unwrap();
    let mut info = redis::pipe();
    info.hset(keys::info(&item()), "title", "Phone")
        .hset(keys::info(&item()), "limit", 100)
        .hset(keys::round_info("1"), "name", "Noon");
    info.exec_async(&mut conn).await.unwrap();
    Sources {
        redis: shop.link.clone(),
        segments: Segments::on(shop.link.clone()),
        store: LazyStore::opened(shop.store.clone()),
        edges: Vec::new(),
        in_streams: true,
        time_zone: TimeZone::UTC,
        linger: Duration::from_millis(100),
        stop: shop.stop.clone(),
    }
}

pub(crate) fn board(sources: Sources) -> Router {
    api::router().with_state(Board::new(sources))
}

/// A client that reads the board's stream, like a page that is open.
pub(crate) struct Watcher {
    body: Body,
    text: String,
    pub(crate) board: Value,
    pub(crate) history: Value,
    /// Events that said no more than that the stream is alive.
    pub(crate) alive: usize,
}

impl Watcher {
    pub(crate) async fn of(app: &Router) -> Self {
        let request = Request::get("/ops/api/board/stream");
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut watcher = Self {
            body: response.into_body(),
            text: String::new(),
            board: Value::Null,
            history: Value::Null,
            alive: 0,
        };
        while watcher.board.is_null() {
            assert!(watcher.event().await, "the stream ended");
        }
        watcher
    }

    /// Takes the next event; `false` at the end of the stream.
    pub(crate) async fn event(&mut self) -> bool {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                self.take(&event);
                return true;
            }
            let frame = tokio::time::timeout(DEADLINE, self.body.frame()).await;
            match frame.unwrap() {
                Some(frame) => {
                    let bytes = frame.unwrap().into_data().unwrap();
                    self.text.push_str(std::str::from_utf8(&bytes).unwrap());
                }
                None => return false,
            }
        }
    }

    fn take(&mut self, event: &str) {
        let data = |kind: &str| {
            let data = event.strip_prefix(&format!("event: {kind}\ndata: "))?;
            Some(serde_json::from_str::<Value>(data).unwrap())
        };
        if let Some(mut snapshot) = data("snapshot") {
            self.board = snapshot["board"].take();
            self.history = snapshot["history"].take();
        } else if let Some(patch) = data("patch") {
            apply(&mut self.board, &patch);
        } else {
            assert_eq!(data("alive"), Some(json!({})), "{event}");
            self.alive += 1;
        }
    }

    /// Watches until the board is as wanted.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        while !is_so(&self.board) {
            assert!(began.elapsed() < DEADLINE, "{what}: {:#}", self.board);
            assert!(self.event().await, "the stream ended before {what}");
        }
    }

    pub(crate) fn product(&self) -> &Value {
        &self.board["products"]["1::153"]
    }
}

/// A JSON merge patch.
fn apply(target: &mut Value, patch: &Value) {
    match patch {
        Value::Object(changes) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (name, change) in changes {
                match change {
                    Value::Null => drop(target.as_object_mut().unwrap().remove(name)),
                    change => apply(&mut target[name], change),
                }
            }
        }
        other => *target = other.clone(),
    }
}

pub(crate) fn alerts(board: &Value, code: &str) -> usize {
    let all = board["alerts"].as_array().unwrap();
    all.iter().filter(|alert| alert["code"] == code).count()
}

pub(crate) async fn set_stock(link: &RedisLink, field: &str, amount: i64) {
    let mut conn = link.conn().await.unwrap();
    let mut set = redis::cmd("HSET");
    set.arg(keys::stock(&item(), 1)).arg(field).arg(amount);
    set.exec_async(&mut conn).await.unwrap();
}
