//! Looks for what keeps a system from selling, and says the cure of each finding:
//! nginx and the module, the edge's configuration beside the back end's, Redis,
//! clocks, files. It changes nothing.
//!
//! The judgements are pure functions over facts; what gathers the facts stands beside
//! them.

use std::path::PathBuf;

use serde::Serialize;

use crate::config::Config;

/// Certificates that expire.
mod certificates;
/// The clocks of edge, Redis and this machine.
mod clocks;
/// The edge's configuration beside the back end's.
mod edge_config;
/// Files, limits and the database of this machine.
mod host;
/// nginx, running and installed, and the module.
mod nginx;
/// The Redis servers.
mod redis;
/// The signature by which nginx knows its modules.
pub mod signature;

/// How good what was found is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// It is as it should be.
    Fine,
    /// It works, and will not in some case that the finding names.
    Doubtful,
    /// Something does not work.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in one word.
    pub subject: &'static str,
    /// How good it is.
    pub grade: Grade,
    /// What was found, as a sentence without its full stop.
    pub found: String,
    /// What to do; `None` if it is fine.
    pub cure: Option<String>,
}

impl Finding {
    fn fine(subject: &'static str, found: impl Into<String>) -> Self {
        Self {
            subject,
            grade: Grade::Fine,
            found: found.into(),
            cure: None,
        }
    }

    fn doubtful(subject: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            subject,
            grade: Grade::Doubtful,
            found: found.into(),
            cure: Some(cure.into()),
        }
    }

    fn wrong(subject: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            subject,
            grade: Grade::Wrong,
            found: found.into(),
            cure: Some(cure.into()),
        }
    }
}

/// Everything that was looked at.
#[derive(Debug, Serialize)]
pub struct Report {
    /// In the order in which it was looked at.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings have this grade.
    #[must_use]
    pub fn count(&self, grade: Grade) -> usize {
        self.findings.iter().filter(|it| it.grade == grade).count()
    }

    /// The report for people: a line for each finding, and below it its cure.
    #[must_use]
    pub fn table(&self) -> String {
        let lines = self.findings.iter().map(|finding| {
            let mark = match finding.grade {
                Grade::Fine => "ok",
                Grade::Doubtful => "doubtful",
                Grade::Wrong => "WRONG",
            };
            let cure = finding.cure.iter();
            let cure: String = cure
                .map(|cure| format!("{:20}cure: {cure}\n", ""))
                .collect();
            format!("{mark:9} {:9} {}\n{cure}", finding.subject, finding.found)
        });
        lines.collect()
    }
}

/// What to look at besides what the settings name.
#[derive(Debug, Default)]
pub struct Options {
    /// nginx's configuration file; `None` for that of the nginx that runs here, or its
    /// usual one.
    pub nginx_conf: Option<PathBuf>,
    /// Whether this machine has no edge, so that nginx is not looked at.
    pub no_edge: bool,
}

/// Looks at everything.
pub async fn examine(config: &Config, options: &Options) -> Report {
    let mut findings = host::examine(config).await;
    findings.extend(redis::examine(config).await);
    if !options.no_edge {
        findings.extend(nginx::examine(config).await);
        findings.extend(edge_config::examine(config, options.nginx_conf.as_deref()).await);
    }
    findings.extend(clocks::examine(config).await);
    Report { findings }
}
