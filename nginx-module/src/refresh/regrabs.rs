//! Buyers who may buy again: the back end names them in a stream, and the edge
//! forgets that it has let them pass.
//!
//! How far it was read lies in the zone, so that no worker reads a name twice,
//! and what was written while Redis could not be reached is read afterwards.

use redis::RedisResult;
use seckill_core::ids::Item;
use seckill_core::keys;

use crate::conf::Edge;
use crate::link::Link;
use crate::state::Known;

/// Names read with one command.
const BATCH: usize = 1_000;
/// Commands in one poll; the rest waits for the next one.
const BATCHES: usize = 10;

/// An entry's id, and its fields as names and values in turn. Bytes: what is no text
/// must not keep the rest from being read.
type Entry = (String, Vec<Vec<u8>>);

/// Forgets everybody who was named since the last call.
///
/// # Errors
/// The connection's error, also where the key holds something else.
pub(super) async fn follow(link: &mut Link, edge: &Edge) -> RedisResult<()> {
    for _ in 0..BATCHES {
        let (ms, number) = edge.zone.regrabs_read();
        let entries: Vec<Entry> = redis::cmd("XRANGE")
            .arg(keys::REGRABS)
            .arg(format!("({ms}-{number}"))
            .arg(&["+", "COUNT"])
            .arg(BATCH)
            .query_async(&mut link.connection)
            .await?;
        let Some((last, _)) = entries.last() else {
            return Ok(());
        };
        if let Some(position) = position(last) {
            edge.zone.set_regrabs_read(position);
        }
        for (_, fields) in &entries {
            if let Some((item, user)) = buyer(fields) {
                let product = (item.round(), item.product());
                Known::new(&edge.zone, user, product, Some("")).forget(&edge.zone);
            }
        }
        if entries.len() < BATCH {
            return Ok(());
        }
    }
    Ok(())
}

/// An entry's id as numbers.
fn position(id: &str) -> Option<(u64, u64)> {
    let (ms, number) = id.split_once('-')?;
    Some((ms.parse().ok()?, number.parse().ok()?))
}

/// Whom an entry names; what does not read as one names nobody.
fn buyer(fields: &[Vec<u8>]) -> Option<(Item, &str)> {
    let field = |name: &str| {
        let mut pairs = fields.chunks_exact(2);
        let pair = pairs.find(|pair| pair[0] == name.as_bytes())?;
        std::str::from_utf8(&pair[1]).ok()
    };
    Some((Item::parse(field("item")?)?, field("user")?))
}
