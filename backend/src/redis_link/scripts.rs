//! The scripts, embedded. Each file's header says what it takes and replies.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Script};
use seckill_core::ids::Item;
use seckill_core::keys;

macro_rules! script {
    ($(#[$doc:meta])* $name:ident, $path:literal) => {
        $(#[$doc])*
        pub static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!(concat!("../../../lua/", $path))));
    };
}

script!(
    /// Gives a segment its stock, once.
    PRELOAD, "stock/preload.lua"
);
script!(
    /// One purchase.
    PURCHASE, "stock/purchase.lua"
);
script!(
    /// Closes leases on one segment.
    CLOSE_LEASE, "stock/close_lease.lua"
);
script!(
    /// Tells a buyer's record its order number.
    ORDERED, "stock/ordered.lua"
);
script!(
    /// Gives back the permits of a request that bought nothing.
    REFUND, "permits/refund.lua"
);
script!(
    /// Gives back what is left of closed leases.
    SETTLE, "permits/settle.lua"
);

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
