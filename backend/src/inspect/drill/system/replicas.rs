//! A replica, and the Sentinels that watch it and its master.

use anyhow::bail;
use redis::FromRedisValue as _;

use super::servers::RedisServer;
use super::{MASTER, SENTINELS, System, until};

impl System {
    pub(super) async fn start_replica_and_sentinels(&mut self) -> anyhow::Result<()> {
        let [master, replica] = &mut self.redis[..] else {
            bail!("a replicated Redis is two servers");
        };
        let port = master.port().to_string();
        replica.start(&["--replicaof", "127.0.0.1", &port]).await?;
        let (master, replica) = (&self.redis[0], &self.redis[1]);
        until("the replica follows its master", || async {
            let status = replica.replication("master_link_status").await;
            status.is_ok_and(|it| it == "up")
        })
        .await?;
        for sentinel in &mut self.sentinels {
            sentinel
                .start_sentinel(MASTER, master, SENTINELS / 2 + 1)
                .await?;
        }
        for sentinel in &self.sentinels {
            until("the Sentinels know each other and the replica", || async {
                knows(sentinel).await.unwrap_or_default() == (1, SENTINELS - 1)
            })
            .await?;
        }
        if !self.needs.without_wait {
            self.set("REDIS_WAIT_REPLICAS", "1".to_owned());
        }
        Ok(())
    }
}

/// How many replicas and other Sentinels a Sentinel knows of.
async fn knows(sentinel: &RedisServer) -> anyhow::Result<(usize, usize)> {
    let reply = sentinel.command(&["SENTINEL", "MASTER", MASTER]).await?;
    let fields = Vec::<String>::from_redis_value(reply)?;
    let number = |name: &str| {
        let pair = fields.chunks_exact(2).find(|pair| pair[0] == name);
        pair.and_then(|pair| pair[1].parse().ok()).unwrap_or(0)
    };
    Ok((number("num-slaves"), number("num-other-sentinels")))
}
