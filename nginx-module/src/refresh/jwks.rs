//! Takes over the key sets that the back end has fetched (`seckill_jwt jwks=https://…`).
//!
//! Every worker polls for itself, once a second, and keeps what it has while Redis is
//! away. When a token named a key that is in no set, it asks the back end to fetch again.

use std::collections::HashMap;
use std::time::Duration;

use async_task::Task;
use redis::RedisResult;
use seckill_core::keys;
use seckill_core::signing::jwt::KeySet;

use super::failing::Failing;
use crate::conf::Edge;
use crate::link::Link;
use crate::{error_log, rt, tokens};

/// How often the sets are read.
const POLL: Duration = Duration::from_secs(1);
/// How long a wish for newer sets lasts, in ms, if no back end hears it.
const WANTED_MS: u64 = 10_000;

/// Starts following, on a worker's connection, until the task is dropped; `None` if no
/// key set lies behind a URL.
pub(super) fn follow(link: Link, edge: Edge) -> Option<Task<()>> {
    (!edge.jwks.is_empty()).then(|| rt::spawn(run(link, edge)))
}

async fn run(mut link: Link, edge: Edge) {
    let mut read = HashMap::new();
    let mut failing = Failing::default();
    loop {
        let updated = update(&mut link, &edge, &mut read).await;
        // A broken connection is noticed, and logged, by its supervisor.
        let _ = failing.tolerate("the key sets cannot be read", updated);
        rt::sleep(POLL).await;
    }
}

async fn update(
    link: &mut Link,
    edge: &Edge,
    read: &mut HashMap<String, Vec<u8>>,
) -> RedisResult<()> {
    if tokens::take_wanted() {
        let mut wanted = redis::cmd("SET");
        wanted
            .arg(keys::JWKS_WANTED)
            .arg(1)
            .arg("PX")
            .arg(WANTED_MS);
        wanted.exec_async(&mut link.connection).await?;
    }
    for url in edge.jwks.iter() {
        let mut get = redis::cmd("HGET");
        get.arg(keys::JWKS).arg(url);
        let text: Option<Vec<u8>> = get.query_async(&mut link.connection).await?;
        let Some(text) = text else { continue };
        if read.get(url) == Some(&text) {
            continue;
        }
        match KeySet::parse_public(&text) {
            Ok(keys) => tokens::put(url, keys),
            Err(error) => error_log::warn(&format!("the key set of {url} is not used: {error}")),
        }
        read.insert(url.clone(), text);
    }
    Ok(())
}
