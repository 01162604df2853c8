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

    /// The newest of the reports that `asked` Sentinels made: one that was cut off goes on
    /// naming the master of before, and so does a minority that was cut off together, with
    /// whoever asks it and that master.
    ///
    /// # Errors
    /// Too few made one.
    pub fn by_majority(reports: Vec<Self>, asked: usize) -> Result<Self, Minority> {
        let minority = Minority {
            reports: reports.len(),
            asked,
        };
        let newest = reports.into_iter().reduce(|newest, report| {
            if report.epoch > newest.epoch {
                report
            } else {
                newest
            }
        });
        newest
            .filter(|_| minority.reports >= majority(asked))
            .ok_or(minority)
    }
}

/// How many of the `asked` Sentinels are a majority: 2 of 3, and 1 of 1.
#[must_use]
pub fn majority(asked: usize) -> usize {
    asked / 2 + 1
}

/// Too few Sentinels name a master to believe them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only {reports} of {asked} Sentinels name a master")]
pub struct Minority {
    /// Those that do.
    pub reports: usize,
    /// All.
    pub asked: usize,
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
        let reports = vec![
            report("old:6379", 3),
            report("new:6379", 4),
            report("old:6379", 3),
        ];
        let newest = Report::by_majority(reports, 3);
        assert_eq!(newest, Ok(report("new:6379", 4)));
        let fields = words("name shop ip fd00::7 port 6380 flags master config-epoch 4");
        assert_eq!(Report::parse(&fields), Some(report("[fd00::7]:6380", 4)));
        assert_eq!(Report::parse(&words("name shop ip 10.0.0.1")), None);
    }

    #[test]
    fn a_minority_of_sentinels_is_not_believed() {
        let report = Report {
            address: "old:6379".into(),
            epoch: 3,
        };
        let of = |reports: usize, asked| Report::by_majority(vec![report.clone(); reports], asked);
        for (reports, asked) in [(0, 1), (1, 2), (1, 3), (2, 4), (2, 5)] {
            assert_eq!(of(reports, asked), Err(Minority { reports, asked }));
        }
        for (reports, asked) in [(1, 1), (2, 2), (2, 3), (3, 4), (3, 5)] {
            assert_eq!(of(reports, asked), Ok(report.clone()));
        }
        let said = of(1, 3).unwrap_err().to_string();
        assert_eq!(said, "only 1 of 3 Sentinels name a master");
    }
}
