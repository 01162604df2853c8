//! Which life of which server a connection leads to, as the server says it.
//!
//! A replica cannot be written to; a master that was promoted, or that took over the
//! data of another, has another replication id than before.

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};

/// A server's own account of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    /// Whether it is a master.
    pub(super) is_master: bool,
    /// Its replication id, which changes with every promotion.
    pub(super) replication: String,
}

impl Life {
    /// Asks the server. `None` if it does not say, because this user may not ask.
    pub(super) async fn read(conn: &mut MultiplexedConnection) -> RedisResult<Option<Self>> {
        let mut info = redis::cmd("INFO");
        match info.arg("replication").query_async::<String>(conn).await {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if is_reply(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        Some(Self {
            is_master: field("role")?.trim() == "master",
            replication: field("master_replid")?.trim().to_owned(),
        })
    }
}

/// Whether the server replied, though with an error.
fn is_reply(error: &RedisError) -> bool {
    error.code().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_and_replication_id_are_read() {
        let text = "# Replication\r\nrole:slave\r\nmaster_host:h\r\nmaster_replid:8c1f\r\n\
                    master_replid2:0000\r\n";
        let life = Life::parse(text).unwrap();
        assert!(!life.is_master);
        assert_eq!(life.replication, "8c1f");
        assert_eq!(Life::parse("# Replication\r\n"), None);
    }
}
