//! The Redis servers: their versions, roles and settings.

use std::collections::HashMap;

use redis::AsyncCommands as _;

use super::Finding;
use crate::config::{Config, cluster_node};
use crate::redis::{RedisLink, RedisLinkError};

const SUBJECT: &str = "redis";
/// The oldest version that runs the scripts.
const OLDEST: (u32, u32) = (7, 0);
/// How full its memory may be, in percent.
const FULL: u64 = 80;

/// What a server says of itself: `INFO` and `CONFIG GET` by name.
#[derive(Debug, Default)]
struct Facts {
    info: HashMap<String, String>,
    settings: Option<HashMap<String, String>>,
}

/// Looks at the main Redis, and at each master that holds stock.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let masters = config.redis_segments.iter();
    let masters = masters.filter(|url| cluster_node(url).is_none());
    let mut urls = vec![config.redis_url.as_str()];
    urls.extend(masters.map(String::as_str));
    let mut findings = Vec::new();
    for url in urls {
        let start = match url == config.redis_url {
            true => start_main(config.journal_max_mb),
            false => "start it; what its segments hold is not sold meanwhile",
        };
        findings.extend(one(url, start).await);
    }
    findings
}

/// What to do about a main Redis that is away, and what it means until then.
fn start_main(journal_max_mb: u64) -> &'static str {
    match journal_max_mb {
        0 => "start it; nothing is sold without it, since journal_max_mb is 0",
        _ => {
            "start it; until it is back purchases wait in the journal, and none becomes an order \
             (docs/outages.md)"
        }
    }
}

/// Looks at one of them; `start` is what to do if it is away.
async fn one(url: &str, start: &str) -> Vec<Finding> {
    let link = match RedisLink::lazy(url) {
        Ok(link) => link,
        Err(error) => {
            return vec![Finding::wrong(
                SUBJECT,
                error.to_string(),
                "correct the setting",
            )];
        }
    };
    match facts(&link).await {
        Ok(facts) => judge(link.address(), &facts),
        Err(error) => {
            let cure = match &error {
                RedisLinkError::Away { .. } => start,
                _ => "see its log",
            };
            vec![Finding::wrong(SUBJECT, error.to_string(), cure)]
        }
    }
}

async fn facts(link: &RedisLink) -> Result<Facts, RedisLinkError> {
    let mut conn = link.conn().await?;
    let info: String = redis::cmd("INFO").query_async(&mut conn).await?;
    let info = info.lines().filter_map(|line| line.split_once(':'));
    let info = info.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let names = ["maxmemory-policy", "appendonly", "maxclients"];
    let mut settings = HashMap::new();
    let mut are_known = true;
    for name in names {
        // A managed Redis may refuse to show its settings.
        let found: Result<HashMap<String, String>, _> = redis::cmd("CONFIG")
            .arg("GET")
            .arg(name)
            .query_async(&mut conn)
            .await;
        match found {
            Ok(found) => settings.extend(found),
            Err(_) => are_known = false,
        }
    }
    // Whether commands that write are refused, which a replica does.
    let _: i64 = conn.exists("seckill::doctor").await?;
    Ok(Facts {
        info: info.collect(),
        settings: are_known.then_some(settings),
    })
}

fn judge(address: &str, facts: &Facts) -> Vec<Finding> {
    let info = |name: &str| facts.info.get(name).map_or("", String::as_str);
    let number = |name: &str| info(name).parse::<u64>().unwrap_or(0);
    let mut findings = Vec::new();
    let version = info("redis_version");
    if read_version(version) < OLDEST {
        findings.push(Finding::wrong(
            SUBJECT,
            format!("{address} is version {version}"),
            "install 7.0 or newer: the stock script needs it",
        ));
    }
    if info("role") != "master" {
        findings.push(Finding::wrong(
            SUBJECT,
            format!("{address} is a {}, which refuses to write", info("role")),
            "name the master; with Sentinels, name them",
        ));
    }
    match &facts.settings {
        None => findings.push(Finding::doubtful(
            SUBJECT,
            format!("{address} does not show its settings"),
            "see for yourself that maxmemory-policy is noeviction and appendonly is yes",
        )),
        Some(settings) => {
            let setting = |name: &str| settings.get(name).map_or("", String::as_str);
            let policy = setting("maxmemory-policy");
            if !policy.is_empty() && policy != "noeviction" {
                findings.push(Finding::wrong(
                    SUBJECT,
                    format!(
                        "{address} has maxmemory-policy {policy}: it may drop stock and buyers"
                    ),
                    "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
                ));
            }
            if setting("appendonly") == "no" {
                findings.push(Finding::doubtful(
                    SUBJECT,
                    format!("{address} has appendonly no: its stock is lost when it ends"),
                    "CONFIG SET appendonly yes, and the same in redis.conf",
                ));
            }
        }
    }
    let (used, most) = (number("used_memory"), number("maxmemory"));
    if most > 0 && used * 100 > most * FULL {
        findings.push(Finding::doubtful(
            SUBJECT,
            format!(
                "{address} uses {} of {} MB",
                used / 1_000_000,
                most / 1_000_000
            ),
            "raise maxmemory: when it is full, every purchase is refused",
        ));
    }
    if info("aof_last_write_status") == "err" || info("rdb_last_bgsave_status") == "err" {
        findings.push(Finding::wrong(
            SUBJECT,
            format!("{address} could not write to its disk and refuses to change anything"),
            "see its log, and make room on its disk",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::fine(
            SUBJECT,
            format!("{address} is a master of version {version}"),
        ));
    }
    findings
}

fn read_version(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::doctor::Grade;

    fn facts(info: &[(&str, &str)], settings: &[(&str, &str)]) -> Facts {
        let owned = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            pairs.collect::<HashMap<_, _>>()
        };
        let mut all = owned(&[("redis_version", "7.0.15"), ("role", "master")]);
        all.extend(owned(info));
        let mut chosen = owned(&[("maxmemory-policy", "noeviction"), ("appendonly", "yes")]);
        chosen.extend(owned(settings));
        Facts {
            info: all,
            settings: Some(chosen),
        }
    }

    fn grades(info: &[(&str, &str)], settings: &[(&str, &str)]) -> Vec<Grade> {
        let findings = judge("h:1", &facts(info, settings));
        findings.iter().map(|finding| finding.grade).collect()
    }

    #[test]
    fn a_sound_master_is_fine() {
        assert_eq!(grades(&[], &[]), [Grade::Fine]);
    }

    #[test]
    fn what_would_lose_or_refuse_a_purchase_is_wrong() {
        assert_eq!(grades(&[("redis_version", "6.2.1")], &[]), [Grade::Wrong]);
        assert_eq!(grades(&[("role", "slave")], &[]), [Grade::Wrong]);
        assert_eq!(
            grades(&[], &[("maxmemory-policy", "allkeys-lru")]),
            [Grade::Wrong]
        );
        assert_eq!(
            grades(&[("aof_last_write_status", "err")], &[]),
            [Grade::Wrong]
        );
    }

    #[test]
    fn what_will_hurt_later_is_doubtful() {
        assert_eq!(grades(&[], &[("appendonly", "no")]), [Grade::Doubtful]);
        let full = [("used_memory", "90"), ("maxmemory", "100")];
        assert_eq!(grades(&full, &[]), [Grade::Doubtful]);
        let silent = Facts {
            settings: None,
            ..facts(&[], &[])
        };
        assert_eq!(judge("h:1", &silent)[0].grade, Grade::Doubtful);
    }
}
