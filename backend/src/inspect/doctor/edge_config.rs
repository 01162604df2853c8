//! The edge's configuration, as nginx itself reads it, beside the back end's settings.

use std::fs;
use std::path::Path;

use seckill_core::signing::keyring::{Digest, Key, Keyring, Purpose};

use super::{Finding, certificates};
use crate::config::Config;
use crate::inspect::edges::{self, Edge, Unread, is_same_redis};
use crate::inspect::masters::{Master, masters};
use crate::redis::RedisLink;

const SUBJECT: &str = "edge";

/// Reads the configuration of this system's edges that run here, or of the one that is
/// named. If no nginx runs, what it would run with is read.
pub(super) async fn examine(config: &Config, named: Option<&Path>) -> Vec<Finding> {
    let found = edges::find(config, named).await;
    let mut findings: Vec<Finding> = found
        .own
        .iter()
        .flat_map(|edge| one(config, edge, named.is_some()))
        .collect();
    let others: Vec<String> = found.others.iter().map(Edge::shown).collect();
    match (found.own.is_empty(), others.is_empty()) {
        (true, true) if masters().is_empty() => {
            let usual = Edge::read(&config.nginx, Master::of_file(None)).await;
            findings.extend(one(config, &usual, true));
        }
        (_, false) => findings.push(not_ours(found.own.is_empty(), &others)),
        (_, true) => {}
    }
    findings
}

/// Edges that count permits in another Redis and have other keys: nothing of theirs is
/// to be changed for this system.
fn not_ours(is_ours_missing: bool, others: &[String]) -> Finding {
    let others = others.join(", ");
    match is_ours_missing {
        true => Finding::doubtful(
            SUBJECT,
            format!("only edges of other systems run here, or none that may be read: {others}"),
            "if one of them is this system's: seckill doctor --nginx-conf FILE; a machine without \
             an edge: seckill doctor --no-edge",
        ),
        false => Finding::fine(
            SUBJECT,
            format!("not looked at, since they are not this system's: {others}"),
        ),
    }
}

fn one(config: &Config, edge: &Edge, is_expected: bool) -> Vec<Finding> {
    let shown = edge.shown();
    match &edge.directives {
        // That nginx cannot be run is a finding already.
        Err(Unread::NotRun(_)) => Vec::new(),
        Err(Unread::Refused(said)) => {
            let cure = match said.contains("Permission denied") {
                true => "run this as root, who can read all of it",
                false => "correct it; nginx -t says the same",
            };
            let found = format!("{shown} is not accepted: {said}");
            vec![Finding::wrong(SUBJECT, found, cure)]
        }
        Ok(_) if edge.is_edge() => beside(config, edge),
        Ok(_) if is_expected => vec![Finding::doubtful(
            SUBJECT,
            format!("{shown} has no seckill_zone: this nginx is no edge"),
            "see docs/nginx.md; a machine without an edge: seckill doctor --no-edge",
        )],
        Ok(_) => Vec::new(),
    }
}

/// Compares an edge with the back end's settings.
fn beside(config: &Config, edge: &Edge) -> Vec<Finding> {
    let mut findings = vec![Finding::fine(
        SUBJECT,
        format!("{} is accepted", edge.shown()),
    )];
    if let Some(keys) = edge.value("seckill_keys") {
        findings.push(same_ring(Path::new(keys), &config.keys));
    }
    if let (Some(redis), Ok(link)) = (
        edge.value("seckill_redis"),
        RedisLink::lazy(&config.redis_url),
    ) {
        findings.push(same_redis(redis, link.address()));
    }
    findings.extend(certificates::examine(edge));
    findings
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
    if is_same_redis(edge, back_end) {
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
    fn another_redis_is_doubtful() {
        let grade = |edge, back_end| same_redis(edge, back_end).grade;
        assert_eq!(grade("localhost:6379", "127.0.0.1:6379"), Grade::Fine);
        assert_eq!(grade("10.0.0.5:6379", "10.0.0.6:6379"), Grade::Doubtful);
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
