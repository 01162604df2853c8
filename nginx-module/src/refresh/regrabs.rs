//! Buyers who may buy again: the back end names them in a stream, and the edge
//! forgets that it admitted them.
//!
//! The position in the stream is kept in the zone, so that no worker reads a name
//! twice, and names written while Redis was away are read afterwards.

use redis::RedisResult;
use seckill_core::ids::Item;
use seckill_core::keys;

use crate::conf::Edge;
use crate::link::Link;
use crate::state::SeenClick;

/// Entries read with one command.
const BATCH: usize = 1_000;
/// Most commands in one pass; the rest is read in the next.
const BATCHES: usize = 10;

/// An entry's id, and its fields as names and values in turn. Bytes: an entry that
/// is not text must not prevent reading the rest.
type Entry = (String, Vec<Vec<u8>>);

/// Forgets the buyers named since the last call.
///
/// # Errors
/// The connection's error, or Redis's where the key is no stream.
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
                SeenClick::new(&edge.zone, user, product, Some("")).forget(&edge.zone);
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

/// The buyer whom an entry names; `None` for an invalid entry.
fn buyer(fields: &[Vec<u8>]) -> Option<(Item, &str)> {
    let field = |name: &str| {
        let mut pairs = fields.chunks_exact(2);
        let pair = pairs.find(|pair| pair[0] == name.as_bytes())?;
        std::str::from_utf8(&pair[1]).ok()
    };
    Some((Item::parse(field("item")?)?, field("user")?))
}
