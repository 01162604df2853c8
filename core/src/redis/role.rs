//! Which server takes writes: a server's own word (`ROLE`), and its Sentinels'.

/// What a server replies to `ROLE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Master,
    /// It copies another server, named as `host:port`.
    Replica {
        /// The server that it copies.
        of: String,
    },
    /// It is a Sentinel and holds no data.
    Sentinel,
    /// It does not say, as a proxy, or to a user who may not ask. Its replies to
    /// writes will tell.
    Unknown,
}

impl Role {
    /// Reads the reply's words: `master …`, `slave HOST PORT …` or `sentinel …`.
    #[must_use]
    pub fn parse(words: &[String]) -> Self {
        match words {
            [role, ..] if role == "master" => Self::Master,
            [role, ..] if role == "sentinel" => Self::Sentinel,
            [role, host, port, ..] if role == "slave" => Self::Replica {
                of: host_port(host, port),
            },
            _ => Self::Unknown,
        }
    }
}

/// `host:port`, with brackets around an IPv6 address.
fn host_port(host: &str, port: &str) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// What one Sentinel reports of a master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The master's address, `host:port`.
    pub address: String,
    /// Rises with every failover: of two reports the one with the higher epoch is
    /// the newer.
    pub epoch: u64,
}

impl Report {
    /// Reads the reply to `SENTINEL MASTER name`: fields and values in turn. `None`
    /// if it names no address.
    #[must_use]
    pub fn parse(fields: &[String]) -> Option<Self> {
        let field = |name: &str| {
            let pair = fields.chunks_exact(2).find(|pair| pair[0] == name)?;
            Some(pair[1].as_str())
        };
        Some(Self {
            address: host_port(field("ip")?, field("port")?),
            epoch: field("config-epoch")?.parse().ok()?,
        })
    }

    /// The newest of several Sentinels' reports: one that was cut off goes on naming
    /// the master of before.
    #[must_use]
    pub fn newest(reports: Vec<Self>) -> Option<Self> {
        reports.into_iter().reduce(|newest, report| {
            if report.epoch > newest.epoch {
                report
            } else {
                newest
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_role_is_read_as_redis_words_it() {
        assert_eq!(Role::parse(&words("master 3129659 -")), Role::Master);
        assert_eq!(
            Role::parse(&words("slave 10.0.0.7 6379 connected 3167038")),
            Role::Replica {
                of: "10.0.0.7:6379".into()
            }
        );
        assert_eq!(
            Role::parse(&words("slave fd00::7 6379 connect -1")),
            Role::Replica {
                of: "[fd00::7]:6379".into()
            }
        );
        assert_eq!(Role::parse(&words("sentinel resque")), Role::Sentinel);
        assert_eq!(Role::parse(&[]), Role::Unknown);
    }

    #[test]
    fn a_sentinel_that_was_cut_off_is_outvoted_by_a_newer_epoch() {
        let report = |address: &str, epoch| Report {
            address: address.into(),
            epoch,
        };
        let newest = Report::newest(vec![
            report("old:6379", 3),
            report("new:6379", 4),
            report("old:6379", 3),
        ]);
        assert_eq!(newest, Some(report("new:6379", 4)));
        assert_eq!(Report::newest(vec![]), None);
        let fields = words("name shop ip fd00::7 port 6380 flags master config-epoch 4");
        assert_eq!(Report::parse(&fields), Some(report("[fd00::7]:6380", 4)));
        assert_eq!(Report::parse(&words("name shop ip 10.0.0.1")), None);
    }
}
