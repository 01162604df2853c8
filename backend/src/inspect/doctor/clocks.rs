//! The clocks of the edges and of Redis beside that of this machine, where the back end
//! runs.

use std::time::Instant;

use axum::body::{Bytes, to_bytes};
use axum::http::uri::Authority;
use axum::http::{Request, Uri};
use http_body_util::Full;
use serde::Deserialize;
use tokio::time::timeout;

use super::Finding;
use crate::config::Config;
use crate::http::client::HttpClient;
use crate::now_ms;
use crate::redis::{RESPONSE_TIMEOUT, RedisLink};

const SUBJECT: &str = "clock";
/// A difference that buyers may notice at the opening, in ms.
const NOTICED_MS: i64 = 50;
/// A difference that refuses what should pass, in ms: signatures expire, and a sale
/// opens at one place and not at the other.
const HARMFUL_MS: i64 = 1_000;

/// A clock that was read.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// How far it is ahead of ours, in ms, if it was read in the middle of the round trip.
    ahead_ms: i64,
    /// How wrong that may be: half of the round trip.
    within_ms: i64,
}

/// Reads the clocks.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Ok(link) = RedisLink::lazy(&config.redis_url) {
        // That Redis is away is a finding already.
        if let Some(reading) = of_redis(&link).await {
            findings.push(judge(&format!("Redis at {}", link.address()), reading));
        }
    }
    for time in edges(config) {
        let edge = time.authority().map_or("", Authority::as_str);
        match of_edge(&time).await {
            Ok(reading) => findings.push(judge(&format!("the edge at {edge}"), reading)),
            // Nobody said that there is one on this machine.
            Err(_) if config.edges.is_empty() => {}
            Err(reason) => findings.push(Finding::doubtful(
                SUBJECT,
                format!("the edge at {edge} does not tell the time ({reason})"),
                "see that nginx runs there and serves seckill_time at /api/time; the setting \
                 \"edges\" lists the edges",
            )),
        }
    }
    findings
}

/// Where the edges tell the time: those of the setting, else the one of this machine.
fn edges(config: &Config) -> Vec<Uri> {
    let time = |edge: &Uri| {
        // Without credentials, which may stand before the host.
        let host = edge.authority()?.as_str().rsplit('@').next()?;
        format!("{}://{host}/api/time", edge.scheme_str()?)
            .parse()
            .ok()
    };
    if config.edges.is_empty() {
        let own = format!("http://127.0.0.1:{}/api/time", config.port);
        return own.parse().into_iter().collect();
    }
    config.edges.iter().filter_map(time).collect()
}

async fn of_redis(link: &RedisLink) -> Option<Reading> {
    let mut conn = link.conn().await.ok()?;
    let mut best: Option<Reading> = None;
    // The quickest of some round trips says it best.
    for _ in 0..5 {
        let (started, began_ms) = (Instant::now(), now_ms());
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut conn).await.ok()?;
        let reading = reading(seconds * 1_000 + micros / 1_000, began_ms, started);
        if best.is_none_or(|best| reading.within_ms < best.within_ms) {
            best = Some(reading);
        }
    }
    best
}

#[derive(Deserialize)]
struct EdgeTime {
    now_ms: u64,
}

async fn of_edge(time: &Uri) -> Result<Reading, String> {
    let client = HttpClient::new(time.scheme_str()).map_err(|error| error.to_string())?;
    let mut best: Option<Reading> = None;
    for _ in 0..3 {
        let request = Request::get(time.clone())
            .body(Full::new(Bytes::new()))
            .map_err(|error| error.to_string())?;
        let (started, began_ms) = (Instant::now(), now_ms());
        let response = timeout(RESPONSE_TIMEOUT * 4, client.send(request))
            .await
            .map_err(|_| "no response in time".to_owned())??;
        if !response.status().is_success() {
            return Err(format!("it responds with {}", response.status()));
        }
        let body = to_bytes(response.into_body(), 4096)
            .await
            .map_err(|error| error.to_string())?;
        let edge: EdgeTime =
            serde_json::from_slice(&body).map_err(|_| "the response is not its time".to_owned())?;
        let reading = reading(edge.now_ms, began_ms, started);
        if best.is_none_or(|best| reading.within_ms < best.within_ms) {
            best = Some(reading);
        }
    }
    best.ok_or_else(|| "no response".to_owned())
}

/// What `their_ms` means that was read between then and now.
fn reading(their_ms: u64, began_ms: u64, started: Instant) -> Reading {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let took = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
    // Milliseconds that were cut off count as uncertainty.
    Reading {
        ahead_ms: signed(their_ms) - signed(began_ms) - took / 2,
        within_ms: took / 2 + 1,
    }
}

/// Only what the round trip does not explain counts.
fn judge(whose: &str, reading: Reading) -> Finding {
    let Reading {
        ahead_ms,
        within_ms,
    } = reading;
    let sure = (ahead_ms.abs() - within_ms).max(0);
    let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
    let found = format!("{whose} is {} ms {side} this machine", ahead_ms.abs());
    let cure = "let one time service set all clocks: apt-get install chrony, on every machine";
    if sure >= HARMFUL_MS {
        Finding::wrong(SUBJECT, found, cure)
    } else if sure >= NOTICED_MS {
        Finding::doubtful(SUBJECT, found, cure)
    } else {
        Finding::fine(
            SUBJECT,
            format!(
                "{whose} agrees with this machine within {} ms",
                ahead_ms.abs() + within_ms
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::doctor::Grade;

    fn grade(ahead_ms: i64, within_ms: i64) -> Grade {
        judge(
            "it",
            Reading {
                ahead_ms,
                within_ms,
            },
        )
        .grade
    }

    #[test]
    fn only_what_the_round_trip_does_not_explain_counts() {
        assert_eq!(grade(3, 1), Grade::Fine);
        assert_eq!(grade(1_000, 990), Grade::Fine);
        assert_eq!(grade(60, 2), Grade::Doubtful);
        assert_eq!(grade(-60, 2), Grade::Doubtful);
        assert_eq!(grade(-5_000, 2), Grade::Wrong);
    }

    #[test]
    fn the_side_is_named() {
        let behind = Reading {
            ahead_ms: -5_000,
            within_ms: 1,
        };
        assert!(judge("it", behind).found.contains("5000 ms behind"));
    }
}
