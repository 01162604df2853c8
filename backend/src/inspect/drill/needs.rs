//! What a drill's system consists of besides redis-server and `seckill up`.

/// What is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// The journal on a file system that is as good as full.
    pub small_disk: bool,
    /// A Redis with a replica and three Sentinels.
    pub replica: bool,
    /// Purchases count once the master has them: no `WAIT` for a replica.
    pub without_wait: bool,
    /// A proxy in front of Redis.
    pub redis_proxy: bool,
    /// MariaDB instead of SQLite.
    pub database: bool,
    /// A proxy in front of MariaDB.
    pub database_proxy: bool,
    /// RocketMQ instead of streams in Redis.
    pub queue: bool,
    /// Roles whose wall clock can be set.
    pub clock: bool,
    /// A payment provider at which buyers pay.
    pub provider: bool,
}

impl Needs {
    /// A drill that needs nothing of this.
    pub const NONE: Self = Self {
        small_disk: false,
        replica: false,
        without_wait: false,
        redis_proxy: false,
        database: false,
        database_proxy: false,
        queue: false,
        clock: false,
        provider: false,
    };

    /// What both need.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            small_disk: self.small_disk || other.small_disk,
            replica: self.replica || other.replica,
            without_wait: self.without_wait || other.without_wait,
            redis_proxy: self.redis_proxy || other.redis_proxy,
            database: self.database || other.database,
            database_proxy: self.database_proxy || other.database_proxy,
            queue: self.queue || other.queue,
            clock: self.clock || other.clock,
            provider: self.provider || other.provider,
        }
    }
}
