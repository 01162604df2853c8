//! The edge's configuration, as nginx itself reads it, beside the back end's settings.

use std::fs;
use std::path::{Path, PathBuf};

use seckill_core::signing::keyring::{Digest, Key, Keyring, Purpose};

use super::Finding;
use super::nginx::{self, Master};
use crate::config::Config;
use crate::redis::RedisLink;

const SUBJECT: &str = "edge";

/// Reads the configuration of each nginx that runs here, or of the one that is named.
pub(super) async fn examine(config: &Config, named: Option<&Path>) -> Vec<Finding> {
    let nothing = || Master {
        pid: 0,
        conf: None,
        prefix: None,
    };
    let masters = match named {
        Some(path) => vec![Master {
            conf: Some(path.to_owned()),
            ..nothing()
        }],
        None => match nginx::masters() {
            running if running.is_empty() => vec![nothing()],
            running => running,
        },
    };
    let mut findings = Vec::new();
    for master in masters {
        findings.extend(one(config, &master, named.is_some()).await);
    }
    findings
}

async fn one(config: &Config, master: &Master, is_named: bool) -> Vec<Finding> {
    let mut arguments = vec!["-T".to_owned()];
    for (flag, path) in [("-c", &master.conf), ("-p", &master.prefix)] {
        if let Some(path) = path {
            arguments.extend([flag.to_owned(), path.display().to_string()]);
        }
    }
    let shown = match &master.conf {
        Some(path) => path.display().to_string(),
        None => "nginx's configuration".to_owned(),
    };
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = match nginx::run(&config.nginx, &words).await {
        Ok(output) => output,
        // That nginx cannot be run is a finding already.
        Err(_) => return Vec::new(),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = said
            .lines()
            .find(|line| line.contains("[emerg]"))
            .unwrap_or("no reason given");
        let said = said.split_once("[emerg] ").map_or(said, |(_, rest)| rest);
        let cure = match said.contains("Permission denied") {
            true => "run this as root, who can read all of it",
            false => "correct it; nginx -t says the same",
        };
        return vec![Finding::wrong(
            SUBJECT,
            format!("{shown} is not accepted: {said}"),
            cure,
        )];
    }
    let edge = Edge::read(&text);
    match edge.is_ours() {
        true => edge.beside(config, &shown),
        false if is_named || master.pid == 0 => vec![Finding::doubtful(
            SUBJECT,
            format!("{shown} has no seckill_zone: this nginx is no edge"),
            "see docs/nginx.md; a machine without an edge: seckill doctor --no-edge",
        )],
        // Another nginx of this machine.
        false => Vec::new(),
    }
}

/// What matters in an edge's configuration.
#[derive(Debug, Default, PartialEq, Eq)]
struct Edge {
    zone: Option<String>,
    redis: Option<String>,
    keys: Option<PathBuf>,
}

impl Edge {
    /// Reads the directives out of what `nginx -T` prints.
    fn read(text: &str) -> Self {
        let value = |name: &str| {
            text.lines().map(str::trim).find_map(|line| {
                let rest = line.strip_prefix(name)?;
                if !rest.starts_with([' ', '\t']) {
                    return None;
                }
                let rest = rest.trim().trim_end_matches(';');
                let (first, _) = match rest.strip_prefix('"') {
                    Some(quoted) => quoted.split_once('"')?,
                    None => rest.split_once([' ', '\t', ';']).unwrap_or((rest, "")),
                };
                Some(first.to_owned())
            })
        };
        Self {
            zone: value("seckill_zone"),
            redis: value("seckill_redis"),
            keys: value("seckill_keys").map(PathBuf::from),
        }
    }

    fn is_ours(&self) -> bool {
        self.zone.is_some()
    }

    /// Compares it with the back end's settings.
    fn beside(&self, config: &Config, shown: &str) -> Vec<Finding> {
        let mut findings = vec![Finding::fine(SUBJECT, format!("{shown} is accepted"))];
        findings.extend(
            self.keys
                .as_deref()
                .map(|edge| same_ring(edge, &config.keys)),
        );
        if let (Some(edge), Ok(link)) = (&self.redis, RedisLink::lazy(&config.redis_url)) {
            findings.push(same_redis(edge, link.address()));
        }
        findings
    }
}

/// Whether both sign with the same secrets. No secret is shown.
fn same_ring(edge: &Path, back_end: &Path) -> Finding {
    let read = |path: &Path| {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        Keyring::parse(&text).map_err(|error| error.to_string())
    };
    let (edge_shown, back_shown) = (edge.display(), back_end.display());
    let (ours, theirs) = match (read(back_end), read(edge)) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(reason), _) => return unread(back_end, &reason),
        (_, Err(reason)) => return unread(edge, &reason),
    };
    let is_known = |key: &Key, ring: &Keyring| {
        let (purpose, digest, parts) = (Purpose::Session, Digest::HmacSha256, ["doctor"]);
        let signature = key.sign(purpose, digest, &parts);
        let other = ring.find(key.kid());
        other.is_some_and(|other| other.verify(purpose, digest, &parts, &signature))
    };
    let cure = format!(
        "copy one of {edge_shown} and {back_shown} over the other, then reload nginx and restart the back end"
    );
    if !is_known(theirs.first(), &ours) {
        let kid = theirs.first().kid();
        return Finding::wrong(
            "keys",
            format!(
                "the edge signs with key \"{kid}\", which the back end does not have, or has with another secret"
            ),
            cure,
        );
    }
    if !is_known(ours.first(), &theirs) {
        let kid = ours.first().kid();
        return Finding::wrong(
            "keys",
            format!(
                "the back end signs with key \"{kid}\", which the edge does not have, or has with another secret"
            ),
            cure,
        );
    }
    Finding::fine(
        "keys",
        format!("edge and back end sign with key \"{}\"", ours.first().kid()),
    )
}

fn unread(path: &Path, reason: &str) -> Finding {
    let shown = path.display();
    Finding::doubtful(
        "keys",
        format!("the key ring {shown} cannot be read ({reason})"),
        "run this as root, or as a user in the group seckill",
    )
}

/// Whether the edge counts permits where the back end does.
fn same_redis(edge: &str, back_end: &str) -> Finding {
    let plain = |text: &str| {
        let text = text.strip_prefix("unix:").unwrap_or(text);
        text.replace("localhost:", "127.0.0.1:")
    };
    if plain(edge) == plain(back_end) {
        return Finding::fine(
            "edge",
            format!("it counts permits in the back end's Redis, {edge}"),
        );
    }
    Finding::doubtful(
        "edge",
        format!("seckill_redis is {edge} and the back end's redis_url is at {back_end}"),
        "that is right only if both are names of the same server; otherwise correct one of them",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::doctor::Grade;

    #[test]
    fn the_directives_are_read_from_what_nginx_prints() {
        let text = "# configuration file /etc/nginx/nginx.conf:\nhttp {\n    seckill_zone seckill:64m;\n    \
                    seckill_redis \"unix:/d/redis.sock\" timeout=50ms;\n    seckill_keys  /etc/seckill/keys;\n}\n";
        let edge = Edge::read(text);
        assert_eq!(edge.zone.as_deref(), Some("seckill:64m"));
        assert_eq!(edge.redis.as_deref(), Some("unix:/d/redis.sock"));
        assert_eq!(edge.keys.as_deref(), Some(Path::new("/etc/seckill/keys")));
        assert!(!Edge::read("http {\n  # seckill_zone is not here\n}\n").is_ours());
    }

    #[test]
    fn two_ways_to_write_one_redis_are_the_same() {
        assert_eq!(
            same_redis("localhost:6379", "127.0.0.1:6379").grade,
            Grade::Fine
        );
        assert_eq!(same_redis("unix:/r.sock", "/r.sock").grade, Grade::Fine);
        assert_eq!(
            same_redis("10.0.0.5:6379", "10.0.0.6:6379").grade,
            Grade::Doubtful
        );
    }

    #[test]
    fn rings_agree_when_each_knows_the_key_that_the_other_signs_with() {
        let folder = tempfile::tempdir().unwrap();
        let ring = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (old, new) = ("a".repeat(64), "b".repeat(64));
        let edge = ring("edge", &format!("k1 {old}\n"));
        let rolling = ring("rolling", &format!("k1 {old}\nk2 {new}\n"));
        let ahead = ring("ahead", &format!("k2 {new}\nk1 {old}\n"));
        let other = ring("other", &format!("k1 {new}\n"));
        assert_eq!(same_ring(&edge, &rolling).grade, Grade::Fine);
        assert_eq!(same_ring(&edge, &ahead).grade, Grade::Wrong);
        assert_eq!(same_ring(&edge, &other).grade, Grade::Wrong);
        assert!(
            !same_ring(&edge, &other).found.contains(&old),
            "a secret is shown"
        );
        assert_eq!(
            same_ring(&edge, Path::new("/nowhere")).grade,
            Grade::Doubtful
        );
    }
}
