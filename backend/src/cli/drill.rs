//! `seckill drill …`: runs the repository's drills, which are scripts that start
//! a system of their own, break something, and count.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::config::nearest::nearest;
use anyhow::Context as _;
use clap::Args;

use super::say;

/// Their folder in the repository.
const FOLDER: &str = "t/drills";

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// "list", the name of one, or "all"
    name: String,
    /// Options of the drill itself, such as --full for the size of a real sale
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// A drill that can be run.
#[derive(Debug, PartialEq, Eq)]
struct Drill {
    name: String,
    script: PathBuf,
    /// What it does, in a sentence.
    about: String,
}

/// The result of one.
#[derive(Debug, Default)]
struct Outcome {
    facts: usize,
    /// The FAIL lines.
    failures: Vec<String>,
    took: Duration,
}

impl Outcome {
    fn has_passed(&self) -> bool {
        self.failures.is_empty() && self.facts > 0
    }

    fn line(&self, name: &str) -> String {
        let (facts, failed) = (self.facts, self.failures.len());
        let seconds = self.took.as_secs();
        match self.has_passed() {
            true => format!("PASS {name}: {facts} facts in {seconds} s\n"),
            false => format!("FAIL {name}: {failed} of {facts} facts in {seconds} s\n"),
        }
    }
}

/// Carries out `seckill drill NAME [ARGUMENT...]`; "list" and "all" are names too.
pub(super) fn run(config: &Config, arguments: &DrillArgs) -> anyhow::Result<()> {
    let DrillArgs { name, arguments } = arguments;
    let home = repository(config)?;
    let drills = find(&home)?;
    anyhow::ensure!(
        arguments.is_empty() || !["list", "all"].contains(&name.as_str()),
        "\"{name}\" takes no arguments: each drill has its own; name one"
    );
    let chosen: Vec<&Drill> = match name.as_str() {
        "list" => return list(&drills),
        "all" => drills.iter().collect(),
        name => vec![named(&drills, name)?],
    };
    let mut lines = Vec::new();
    let mut failed = 0;
    for drill in chosen {
        say(&format!("== Drill {}: {}\n", drill.name, drill.about))?;
        let outcome = drill.run(&home, arguments)?;
        failed += usize::from(!outcome.has_passed());
        lines.extend(outcome.failures.iter().map(|line| format!("  {line}\n")));
        lines.push(outcome.line(&drill.name));
    }
    say(&format!("\n{}", lines.concat()))?;
    anyhow::ensure!(failed == 0, "{failed} of the drills failed; see above");
    Ok(())
}

/// The folder of the repository.
fn repository(config: &Config) -> anyhow::Result<PathBuf> {
    let home = config.home.as_deref().filter(|it| it.join(FOLDER).is_dir());
    home.map(Path::to_owned).with_context(|| {
        let looked = config.home.as_ref().map_or_else(
            || "no such folder is known".to_owned(),
            |home| format!("there is no {FOLDER} in {}", home.display()),
        );
        format!(
            "drills are scripts of the repository, and {looked}; run this in a clone, or name one with SECKILL_HOME"
        )
    })
}

fn find(home: &Path) -> anyhow::Result<Vec<Drill>> {
    let folder = home.join(FOLDER);
    let unreadable = || format!("{} cannot be read", folder.display());
    let mut drills = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(unreadable)? {
        let script = entry.with_context(unreadable)?.path();
        let Some(name) = script.file_stem().and_then(|name| name.to_str()) else {
            continue;
        };
        if script.extension().is_none_or(|extension| extension != "sh") {
            continue;
        }
        let text = std::fs::read_to_string(&script)
            .with_context(|| format!("{} cannot be read", script.display()))?;
        drills.push(Drill {
            name: name.to_owned(),
            about: first_sentence(&text),
            script,
        });
    }
    drills.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(drills)
}

fn named<'a>(drills: &'a [Drill], name: &str) -> anyhow::Result<&'a Drill> {
    let names = || drills.iter().map(|drill| drill.name.as_str());
    let found = drills.iter().find(|drill| drill.name == name);
    found.with_context(|| match nearest(name, names()) {
        Some(near) => format!("there is no drill \"{name}\"; did you mean \"{near}\"?"),
        None => format!(
            "there is no drill \"{name}\"; there are {}, and \"all\"",
            names().collect::<Vec<_>>().join(", ")
        ),
    })
}

fn list(drills: &[Drill]) -> anyhow::Result<()> {
    let lines: Vec<String> = drills
        .iter()
        .map(|drill| format!("{:<10} {}\n", drill.name, drill.about))
        .collect();
    say(&lines.concat())
}

/// The first sentence of the comment that a script begins with; one that
/// introduces a list ends with its colon.
fn first_sentence(script: &str) -> String {
    let comment = script.lines().skip_while(|line| line.starts_with("#!"));
    let words: Vec<&str> = comment
        .map_while(|line| line.strip_prefix('#'))
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect();
    let words = words.join(" ");
    let end = words.find(". ").unwrap_or(words.len());
    let sentence = words.get(..end).unwrap_or_default();
    if sentence.ends_with(['?', '!']) {
        return sentence.to_owned();
    }
    format!("{}.", sentence.trim_end_matches(['.', ':']))
}

impl Drill {
    /// Runs it with its output on our standard output, and counts its facts.
    fn run(&self, home: &Path, arguments: &[String]) -> anyhow::Result<Outcome> {
        let began = Instant::now();
        let mut command = Command::new("bash");
        command.arg(&self.script).args(arguments).current_dir(home);
        // A drill has a system of its own: whatever is set for another one, above
        // all where its Redis and its database are, must not reach it.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SECKILL_") {
                command.env_remove(name);
            }
        }
        command.env("SECKILL_CONFIG", "/dev/null");
        if let Ok(program) = std::env::current_exe() {
            command.env("SECKILL", program);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("bash cannot be started, which drills are written for")?;
        let mut outcome = Outcome::default();
        let output = child.stdout.take().context("a drill has no output")?;
        for line in BufReader::new(output).lines() {
            let line = line.context("a drill's output cannot be read")?;
            say(&format!("{line}\n"))?;
            outcome.facts += usize::from(line.starts_with("PASS ") || line.starts_with("FAIL "));
            if line.starts_with("FAIL ") {
                outcome.failures.push(line);
            }
        }
        let status = child.wait().context("a drill was lost")?;
        if !status.success() && outcome.failures.is_empty() {
            let reason = format!("it broke off ({status}); its last lines are above");
            outcome.failures.push(reason);
        }
        outcome.took = began.elapsed();
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_is_described_by_the_first_sentence_of_its_comment() {
        let about = |comment: &str| first_sentence(&format!("#!/usr/bin/env bash\n{comment}"));
        assert_eq!(about("# Kills it.\n#\n#  1. Once\nset -e\n"), "Kills it.");
        assert_eq!(
            about("# Sells what\n# there is. Then counts.\nset -e\n"),
            "Sells what there is."
        );
        assert_eq!(about("# Counts:\n#\n#  1. All\n"), "Counts.");
    }

    #[test]
    fn every_drill_of_the_repository_says_what_it_does() {
        let home = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let drills = find(home).unwrap();
        assert!(drills.len() >= 9, "{drills:?}");
        for drill in &drills {
            assert!(drill.about.len() > 20, "{drill:?}");
        }
        let wrong = named(&drills, "rase").unwrap_err().to_string();
        assert!(wrong.contains("did you mean \"race\"?"), "{wrong}");
    }

    #[test]
    fn what_broke_off_or_found_nothing_out_has_not_passed() {
        let outcome = Outcome {
            facts: 3,
            ..Outcome::default()
        };
        assert_eq!(outcome.line("race"), "PASS race: 3 facts in 0 s\n");
        assert!(!Outcome::default().has_passed());
    }
}
