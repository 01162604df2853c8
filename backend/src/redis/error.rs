//! Why Redis gave no result, and whether the command may have been executed.

use redis::{ErrorKind, RedisError};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RedisLinkError {
    /// The address cannot be used.
    #[error(
        "\"{url}\" is no Redis address ({reason}); write redis://host:port/db, unix:///path/to/redis.sock, \
         redis+sentinel://host:port,host:port/NAME, or for TLS rediss://… and \
         rediss+sentinel://… with ?ca=FILE; a login at Sentinels is ?sentinel_password=…"
    )]
    Address {
        /// The address as it may be shown, without its password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two kinds of segment masters are configured.
    #[error(
        "segments live either on independent masters (redis://…) or in one Redis Cluster \
         (redis+cluster://…, any of its nodes); write all addresses in one way"
    )]
    Mixed,
    /// A segment that was preloaded has no stock on record.
    #[error(
        "segment {0} has no stock on record; if its Redis lost its data, run \"seckill stock rebuild\""
    )]
    NoStock(String),
    /// Nothing was sent: there is no connection.
    #[error("Redis at {address} cannot be reached ({reason}); see that redis-server runs there")]
    Away {
        /// Where it should be.
        address: String,
        /// What connecting failed with.
        reason: String,
    },
    /// Redis replied that it did nothing, and where else stock may be is away.
    #[error("other segments may have stock, and cannot be read: {0}")]
    OthersAway(String),
    /// The command was sent, and whether it was executed is not known.
    #[error("Redis did not reply ({0}); the command may or may not have been executed")]
    Unknown(RedisError),
    /// The master executed the command, and its replicas do not have it yet.
    #[error(
        "the replicas of Redis at {address} do not have what was written ({reason}); see that \
         they run and follow their master, or set redis_wait_replicas = 0 to do without"
    )]
    NotReplicated {
        /// Where the master is.
        address: String,
        /// What was waited for.
        reason: String,
    },
    /// The segment's Redis has forgotten events.
    #[error("the segment is halted, since its Redis is older than what was sold from it ({0})")]
    Halted(String),
    /// Redis replied with an error: the command was not executed.
    #[error("Redis refused: {0}")]
    Refused(RedisError),
}

impl RedisLinkError {
    /// Whether a segment is halted, because its Redis has forgotten events.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code() == Some("HALTED"))
    }

    /// Whether Redis has no memory left to write with, by its `maxmemory`.
    #[must_use]
    pub fn is_full(&self) -> bool {
        // A script says so in a sentence of its own.
        matches!(self, Self::Refused(error)
            if error.code() == Some("OOM") || error.to_string().contains("OOM command"))
    }

    /// Whether the command may have been executed all the same.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::NotReplicated { .. })
    }
}

impl From<RedisError> for RedisLinkError {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Refused(error),
            // Whatever went wrong on the way, the command may have arrived.
            _ => Self::Unknown(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::redis::RedisLink;

    #[test]
    fn a_wrong_address_is_named_without_its_password() {
        let error = RedisLink::lazy("http://u:secret@host")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("http://******@host") && !error.contains("secret"),
            "{error}"
        );
    }
}
