//! The scripts that the edge runs in Redis.

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

const TAKE: &str = include_str!("../../../lua/permits/take.lua");
const REPORT: &str = include_str!("../../../lua/permits/report.lua");
const RENEW: &str = include_str!("../../../lua/permits/renew.lua");
const WINNERS: &str = include_str!("../../../lua/permits/winners.lua");
const COUNT: &str = include_str!("../../../lua/permits/count.lua");
const RATE: &str = include_str!("../../../lua/rate/take.lua");
const HEARTBEAT: &str = include_str!("../../../lua/permits/heartbeat.lua");
const LAPSE: &str = include_str!("../../../lua/permits/lapse.lua");

/// SHA-1 names of the loaded scripts.
pub(crate) struct Scripts {
    /// `lua/permits/take.lua`
    pub(crate) take: String,
    /// `lua/permits/report.lua`
    pub(crate) report: String,
    /// `lua/permits/renew.lua`
    pub(crate) renew: String,
    /// `lua/permits/winners.lua`
    pub(crate) winners: String,
    /// `lua/permits/count.lua`
    pub(crate) count: String,
    /// `lua/rate/take.lua`
    pub(crate) rate: String,
    /// `lua/permits/heartbeat.lua`
    pub(crate) heartbeat: String,
    /// `lua/permits/lapse.lua`
    pub(crate) lapse: String,
}

impl Scripts {
    /// Loads them on a connection.
    ///
    /// # Errors
    /// The connection's error, or Redis's.
    pub(super) async fn load(connection: &mut MultiplexedConnection) -> RedisResult<Self> {
        let mut commands = redis::pipe();
        for text in [TAKE, REPORT, RENEW, WINNERS, COUNT, RATE, HEARTBEAT, LAPSE] {
            commands.cmd("SCRIPT").arg("LOAD").arg(text);
        }
        let (take, report, renew, winners, count, rate, heartbeat, lapse) =
            commands.query_async(connection).await?;
        Ok(Self {
            take,
            report,
            renew,
            winners,
            count,
            rate,
            heartbeat,
            lapse,
        })
    }
}
