//! The scripts, embedded. Each file's header says what it takes and replies.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, Script};
use seckill_core::ids::Item;
use seckill_core::keys;

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $path:literal;)*) => {
        $(
            $(#[$doc])*
            pub static $name: LazyLock<Script> =
                LazyLock::new(|| Script::new(include_str!(concat!("../../../lua/", $path))));
        )*

        const CODES: &[&str] = &[$(include_str!(concat!("../../../lua/", $path))),*];
    };
}

scripts! {
    /// Gives a segment its stock, once.
    PRELOAD = "stock/preload.lua";
    /// One purchase.
    PURCHASE = "stock/purchase.lua";
    /// Closes leases on one segment.
    CLOSE_LEASE = "stock/close_lease.lua";
    /// Tells a buyer's record its order number.
    ORDERED = "stock/ordered.lua";
    /// Gives back the permits of a request that bought nothing.
    REFUND = "permits/refund.lua";
    /// Gives back what is left of closed leases.
    SETTLE = "permits/settle.lua";
}

/// Tells Redis all scripts, in one round trip.
pub(super) async fn load_all(conn: &mut MultiplexedConnection) -> Result<(), RedisError> {
    let mut pipe = Pipeline::new();
    for code in CODES {
        pipe.cmd("SCRIPT").arg("LOAD").arg(code).ignore();
    }
    pipe.exec_async(conn).await
}

/// Puts `amount` items up for sale in a segment; `false` if it had its stock already.
///
/// # Errors
/// Redis did not answer, or the key holds something else (`BADSTOCK`).
pub async fn preload(
    conn: &mut MultiplexedConnection,
    item: &Item,
    segment: u16,
    amount: u64,
) -> Result<bool, RedisError> {
    PRELOAD
        .key(keys::stock(item, segment))
        .arg(amount)
        .invoke_async(conn)
        .await
}
