//! Replaying purchase journals: `lua/stock/replay.lua`.

use std::sync::LazyLock;

use redis::{Script, from_redis_value};
use seckill_core::ids::Item;
use seckill_core::journal::Id;
use seckill_core::keys;
use seckill_core::stock::ledger::EntryId;

use super::stock::{Purchase, purchase_arguments, purchase_keys};
use super::{Call, unexpected};

/// `purchase.lua` as a function, which a replay calls.
static REPLAY: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        lua!("stock/prelude.lua"),
        "local function purchase(KEYS, ARGV)\n",
        lua!("stock/purchase.lua"),
        "end\n",
        lua!("stock/replay.lua")
    ))
});

/// A record of a purchase journal.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// The file that it is in.
    pub file: Id,
    /// Its number.
    pub seq: u64,
    /// Number of the record of that file that was replayed on the segment before it; 0
    /// if none was.
    pub before: u64,
    /// When the request was admitted, or when the purchase was made that the segment has
    /// forgotten, epoch ms.
    pub at_ms: u64,
}

/// What became of a journalled request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// It is decided.
    Decided {
        /// Whether it bought, now or by an earlier attempt.
        bought: bool,
        /// The event, if it bought now.
        event: Option<EntryId>,
    },
    /// Too few items here, and perhaps more elsewhere: nothing was done.
    Empty,
    /// Another record than the one before it was replayed last: nothing was done.
    Behind,
}

/// For how long a segment remembers what was replayed, in ms.
const KEEP_REPLAYED_MS: u64 = 7 * 86_400_000;

/// Replays one record of a purchase journal, once and in its order.
#[must_use]
pub fn replay(item: &Item, segment: u16, record: Record, it: &Purchase<'_>) -> Call<Replayed> {
    let call = Call::decoded(&REPLAY, 7 + usize::from(it.pass.is_some()), |reply| {
        let text: String = from_redis_value(reply)?;
        let (word, id) = text.split_once(' ').unwrap_or((&text, ""));
        let decided = |bought| Replayed::Decided {
            bought,
            event: EntryId::parse(id),
        };
        Ok(match word {
            "accepted" | "repeated" | "duplicate" => decided(true),
            "sold_out" | "surplus" | "captcha" => decided(false),
            "empty" => Replayed::Empty,
            "behind" => Replayed::Behind,
            other => return Err(unexpected("replay.lua", &other)),
        })
    });
    let call = call
        .arg(keys::journals(item, segment))
        .arg(keys::refused(item, segment))
        .arg(keys::forgotten(item, segment));
    let call = purchase_keys(call, item, segment, it)
        .arg(record.file.to_string())
        .arg(record.seq)
        .arg(record.before)
        .arg(KEEP_REPLAYED_MS)
        .arg(record.at_ms);
    purchase_arguments(call, item, segment, it)
}
