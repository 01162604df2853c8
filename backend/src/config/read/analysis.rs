//! What the analysis does, and where the logs are.

use std::path::{Path, PathBuf};

use seckill_core::ids;
use seckill_core::shared::prefix::Prefix;
use seckill_core::suspicion;

use super::{ConfigError, Values, list};
use crate::config::ALL_ROUNDS;
use crate::config::analysis::{Policy, Rules};

fn shown(parts: &[String]) -> String {
    match parts {
        [] => "none".to_owned(),
        parts => parts.join(", "),
    }
}

impl Values {
    /// Paths of files, which need not be there yet.
    pub(in super::super) fn paths(
        &mut self,
        key: &'static str,
        default: &Path,
    ) -> Result<Vec<PathBuf>, ConfigError> {
        let parse = |text: &str| {
            let paths: Option<Vec<PathBuf>> = list(text)
                .map(|path| std::path::absolute(path).ok())
                .collect();
            let paths = paths?;
            let names: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            Some((paths, shown(&names)))
        };
        let fallback = std::path::absolute(default).unwrap_or_else(|_| default.to_owned());
        let name = fallback.display().to_string();
        let paths = self.read(
            key,
            "write a list of paths such as [\"/var/log/nginx/seckill.json\"]",
            || (vec![fallback], name),
            parse,
        )?;
        if !paths.is_empty() {
            let texts = paths.iter().map(|path| path.display().to_string());
            self.restate(key, texts.collect::<Vec<_>>().join(", "));
        }
        Ok(paths)
    }

    /// Ids of rounds; none by default.
    pub(in super::super) fn round_ids(
        &mut self,
        key: &'static str,
    ) -> Result<Vec<String>, ConfigError> {
        let parse = |text: &str| {
            let rounds: Vec<String> = list(text).map(str::to_owned).collect();
            let text = shown(&rounds);
            rounds
                .iter()
                .all(|id| ids::is_id(id) || id == ALL_ROUNDS)
                .then_some((rounds, text))
        };
        let none = || (Vec::new(), shown(&[]));
        self.read(
            key,
            "write a list of round ids such as [\"test1\"], or \"*\" for all",
            none,
            parse,
        )
    }

    /// What is done with likely programs.
    pub(in super::super) fn analysis(&mut self) -> Result<Rules, ConfigError> {
        let policy = |text: &str| Policy::parse(text).map(|policy| (policy, text.to_owned()));
        let minutes = self.number("analysis_ban_minutes", 60_u64, 1..=525_600)?;
        Ok(Rules {
            policy: self.read(
                "analysis",
                "write off, propose or ban",
                || (Policy::Propose, "propose".to_owned()),
                policy,
            )?,
            propose_score: self.number("analysis_propose_score", suspicion::PROPOSE, 1..=10_000)?,
            ban_score: self.number("analysis_ban_score", suspicion::BAN, 1..=10_000)?,
            ban_for_ms: minutes * 60_000,
            allow: self.networks("analysis_allow", &["127.0.0.1", "::1"])?,
            bans_per_minute: self.number("analysis_bans_per_minute", 600, 0..=1_000_000)?,
        })
    }

    fn networks(
        &mut self,
        key: &'static str,
        default: &[&str],
    ) -> Result<Vec<Prefix>, ConfigError> {
        let network = |text: &str| -> Option<Prefix> {
            let network: Prefix = text.parse().ok()?;
            (network.is_written(text) && network.length() > 0).then_some(network)
        };
        let read = |text: &str| {
            let networks: Option<Vec<Prefix>> = list(text).map(network).collect();
            let names: Vec<String> = list(text).map(str::to_owned).collect();
            Some((networks?, shown(&names)))
        };
        let usual = || read(&default.join(", ")).unwrap_or_default();
        self.read(
            key,
            "write a list such as [\"203.0.113.7\", \"10.0.0.0/8\"], without bits behind a prefix; \
             to allow everybody, set analysis = off",
            usual,
            read,
        )
    }
}
