//! The commands of a stream's consumer group.

use std::time::Duration;

use redis::streams::{StreamId, StreamReadReply};
use redis::{Cmd, RedisError, RedisResult, cmd};

/// A consumer group whose readers all share one consumer name: what one of them left
/// is taken over by another when it has been held too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerGroup {
    /// The name of the group.
    pub name: &'static str,
    /// The name under which its readers read.
    pub consumer: &'static str,
}

/// The reply of [`ConsumerGroup::read`]; `None` if there was nothing.
pub type ReadReply = Option<StreamReadReply>;

impl ConsumerGroup {
    /// Creates the group at the beginning of a stream, and the stream if there is none.
    /// The reply is for [`created`].
    #[must_use]
    pub fn create(&self, stream: &str) -> Cmd {
        let mut create = cmd("XGROUP");
        create.arg("CREATE").arg(stream).arg(self.name).arg("0");
        create.arg("MKSTREAM");
        create
    }

    /// Reads entries that were never delivered, up to `most` of each stream; waits for
    /// one if `wait` says how long. The reply is a [`ReadReply`].
    #[must_use]
    pub fn read(&self, streams: &[&str], most: usize, wait: Option<Duration>) -> Cmd {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(self.name).arg(self.consumer);
        read.arg("COUNT").arg(most);
        if let Some(wait) = wait {
            // BLOCK 0 would wait for ever.
            read.arg("BLOCK").arg(millis(wait).max(1));
        }
        read.arg("STREAMS").arg(streams);
        for _ in streams {
            read.arg(">");
        }
        read
    }

    /// Takes over up to `most` entries that were delivered at least `held` ago and not
    /// acknowledged. The reply is a `StreamAutoClaimReply`.
    #[must_use]
    pub fn claim(&self, stream: &str, held: Duration, most: usize) -> Cmd {
        let mut claim = cmd("XAUTOCLAIM");
        claim.arg(stream).arg(self.name).arg(self.consumer);
        claim.arg(millis(held)).arg("0").arg("COUNT").arg(most);
        claim
    }

    /// Acknowledges entries.
    #[must_use]
    pub fn acknowledge(&self, stream: &str, ids: &[&str]) -> Cmd {
        let mut acknowledge = cmd("XACK");
        acknowledge.arg(stream).arg(self.name).arg(ids);
        acknowledge
    }
}

/// Whether there is a group after [`ConsumerGroup::create`]: one that was there already
/// is as good.
///
/// # Errors
/// Another error than that.
pub fn created(reply: RedisResult<()>) -> RedisResult<()> {
    match reply {
        Err(error) if error.code() != Some("BUSYGROUP") => Err(error),
        _ => Ok(()),
    }
}

/// Whether a command failed because its group, or the whole stream, is gone: before it was
/// sent, or while it waited for entries. A wait also ends when a master becomes a replica:
/// then all is there, and another connection is needed.
#[must_use]
pub fn is_gone(error: &RedisError) -> bool {
    match error.code() {
        Some("NOGROUP") => true,
        Some("UNBLOCKED") => error
            .detail()
            .is_some_and(|detail| detail.contains("no longer exists")),
        _ => false,
    }
}

/// The entries of a reply to a read of one stream.
#[must_use]
pub fn entries(reply: ReadReply) -> Vec<StreamId> {
    let streams = reply.map(|reply| reply.keys).unwrap_or_default();
    streams.into_iter().flat_map(|stream| stream.ids).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_that_became_a_replica_has_lost_no_group() {
        let error = |code: &str, detail: &str| {
            redis::make_extension_error(code.to_owned(), Some(detail.to_owned()))
        };
        let deleted = error("UNBLOCKED", "the stream key no longer exists");
        let emptied = error("NOGROUP", "No such key 'outbox' or consumer group 'relay'");
        let demoted = error(
            "UNBLOCKED",
            "force unblock from blocking operation, instance state changed (master -> replica?)",
        );
        assert!(is_gone(&deleted) && is_gone(&emptied));
        assert!(!is_gone(&demoted));
    }
}
