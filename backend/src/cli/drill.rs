//! `seckill drill …`: runs drills. Those of [`crate::inspect::drill`] strike one part of a system
//! of their own and check every answer; the others are scripts of the repository, which
//! start a system, break something, and count.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::config::nearest::nearest;
use crate::inspect::drill::fault::Fault;
use crate::inspect::drill::{self, Plan, naive, random};
use anyhow::Context as _;
use clap::Args;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{say, stop_at_signals};

/// Their folder in the repository.
const FOLDER: &str = "t/drills";

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// "list", the name of one, "all" (the scripts too), or "random"
    name: String,
    /// With "random": which schedule of faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// With "random": how many minutes of faults
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: u64,
    /// With "random": seconds of faults, instead of minutes
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: Option<u64>,
    /// With "random": how many seeds, from --seed on
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: u64,
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

/// Carries out `seckill drill NAME [ARGUMENT...]`; "list", "all" and "random" are names
/// too.
pub(super) async fn run(config: &Config, arguments: &DrillArgs) -> anyhow::Result<()> {
    let DrillArgs {
        name,
        seed,
        minutes,
        seconds,
        seeds,
        arguments,
    } = arguments;
    anyhow::ensure!(
        arguments.is_empty() || !["list", "all", "random"].contains(&name.as_str()),
        "\"{name}\" takes no arguments: each drill has its own; name one"
    );
    let stop = &stop_at_signals()?;
    if let Some(fault) = Fault::parse(name) {
        return finish(vec![strike(config, &Plan::of(fault), stop).await?]);
    }
    if name == naive::NAME {
        return finish(vec![unguarded(config, stop).await?]);
    }
    let scripts = repository(config).and_then(|home| Ok((find(&home)?, home)));
    match name.as_str() {
        "list" => {
            let strikes = Fault::ALL.map(|it| (it.name(), it.about()));
            say(&strikes.map(|(name, about)| line(name, about)).concat())?;
            say(&line(naive::NAME, naive::ABOUT))?;
            list(&scripts?.0)
        }
        "random" => {
            let length = seconds.unwrap_or(minutes.saturating_mul(60));
            let mut verdicts = Vec::new();
            for seed in *seed..seed.saturating_add(*seeds) {
                let plan = random::plan(seed, Duration::from_secs(length));
                let name = plan.name.clone();
                let verdict = seeded(config, plan, stop).await;
                verdicts.push(or_failed(&name, verdict, stop)?);
            }
            finish(verdicts)
        }
        "all" => {
            let mut verdicts = Vec::new();
            let (drills, home) = scripts?;
            for fault in Fault::ALL {
                let verdict = strike(config, &Plan::of(fault), stop).await;
                verdicts.push(or_failed(fault.name(), verdict, stop)?);
            }
            let verdict = unguarded(config, stop).await;
            verdicts.push(or_failed(naive::NAME, verdict, stop)?);
            for drill in &drills {
                let verdict = script(drill, &home, &[], stop).await;
                verdicts.push(or_failed(&drill.name, verdict, stop)?);
            }
            finish(verdicts)
        }
        name => {
            let (drills, home) = scripts?;
            finish(vec![
                script(named(&drills, name)?, &home, arguments, stop).await?,
            ])
        }
    }
}

/// A verdict, with the lines that say why it is none to be proud of.
struct Verdict {
    passed: bool,
    lines: Vec<String>,
}

/// The verdict on a drill that could not be carried out, so that those behind it are; an
/// error only where all of them are to end.
fn or_failed(
    name: &str,
    verdict: anyhow::Result<Verdict>,
    stop: &CancellationToken,
) -> anyhow::Result<Verdict> {
    let Err(error) = verdict else { return verdict };
    if stop.is_cancelled() {
        return Err(error);
    }
    let line = format!("FAIL {name}: it broke off: {error:#}\n");
    say(&line)?;
    Ok(Verdict {
        passed: false,
        lines: vec![line],
    })
}

/// Runs the way that oversells.
async fn unguarded(config: &Config, stop: &CancellationToken) -> anyhow::Result<Verdict> {
    say(&format!("== Drill {}\n", naive::NAME))?;
    let outcome = naive::run(config, stop).await?;
    Ok(Verdict {
        passed: outcome.has_oversold(),
        lines: vec![format!("{}\n", outcome.verdict())],
    })
}

/// Runs a schedule of a seed. One that fails is shortened as long as it still does.
async fn seeded(config: &Config, plan: Plan, stop: &CancellationToken) -> anyhow::Result<Verdict> {
    say(&schedule(&plan))?;
    let mut verdict = strike(config, &plan, stop).await?;
    let mut failing = plan;
    'shrinking: while !verdict.passed {
        for shorter in random::shorter(&failing) {
            say("It failed; a shorter schedule is tried:\n")?;
            say(&schedule(&shorter))?;
            let again = strike(config, &shorter, stop).await?;
            if !again.passed {
                (failing, verdict) = (shorter, again);
                continue 'shrinking;
            }
        }
        say("The shortest schedule that failed:\n")?;
        say(&schedule(&failing))?;
        break;
    }
    Ok(verdict)
}

/// The strikes of a plan, a line each.
fn schedule(plan: &Plan) -> String {
    let lines = plan.strikes.iter().map(|it| {
        let (at, lasts) = (it.at.as_secs_f64(), it.lasts.as_secs_f64());
        format!("{at:>6.1} s  {} for {lasts:.1} s\n", it.fault.name())
    });
    lines.collect()
}

/// Runs a drill of this program.
async fn strike(config: &Config, plan: &Plan, stop: &CancellationToken) -> anyhow::Result<Verdict> {
    say(&format!("== Drill {}\n", plan.name))?;
    let report = drill::run(config, plan, stop).await?;
    say(&report.text())?;
    let folder = drill::folder(config);
    let file = folder.join(format!("{}.json", plan.name));
    let text = serde_json::to_string_pretty(&report.json()).context("the report is no JSON")?;
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&file, text))
        .and_then(|()| std::fs::write(file.with_extension("svg"), report.plot()))
        .with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(Verdict {
        passed: report.has_passed(),
        lines: vec![format!("{}\n", report.verdict())],
    })
}

/// Runs a drill that is a script.
async fn script(
    drill: &Drill,
    home: &Path,
    arguments: &[String],
    stop: &CancellationToken,
) -> anyhow::Result<Verdict> {
    say(&format!("== Drill {}: {}\n", drill.name, drill.about))?;
    let outcome = drill.run(home, arguments, stop).await?;
    let failures = outcome.failures.iter().map(|line| format!("  {line}\n"));
    Ok(Verdict {
        passed: outcome.has_passed(),
        lines: failures.chain([outcome.line(&drill.name)]).collect(),
    })
}

fn finish(verdicts: Vec<Verdict>) -> anyhow::Result<()> {
    let failed = verdicts.iter().filter(|it| !it.passed).count();
    let lines: Vec<String> = verdicts.into_iter().flat_map(|it| it.lines).collect();
    say(&format!("\n{}", lines.concat()))?;
    anyhow::ensure!(failed == 0, "{failed} of the drills failed; see above");
    Ok(())
}

fn line(name: &str, about: &str) -> String {
    format!("{name:<23} {about}\n")
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
    let scripts = drills.iter().map(|drill| drill.name.as_str());
    let own = Fault::ALL.map(Fault::name).into_iter().chain([naive::NAME]);
    let all: Vec<&str> = scripts.chain(own).collect();
    let names = || all.iter().copied();
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
        .map(|drill| line(&drill.name, &drill.about))
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
    /// Runs it with its output on our standard output, and counts its facts. When `stop`
    /// is cancelled, the script and all it has started are told to end.
    async fn run(
        &self,
        home: &Path,
        arguments: &[String],
        stop: &CancellationToken,
    ) -> anyhow::Result<Outcome> {
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
            // Its own, so that it and all it starts are reached by one signal.
            .process_group(0)
            .spawn()
            .context("bash cannot be started, which drills are written for")?;
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        let mut outcome = Outcome::default();
        let output = child.stdout.take().context("a drill has no output")?;
        let mut lines = BufReader::new(output).lines();
        let mut interrupted = false;
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line.context("a drill's output cannot be read")?,
                () = stop.cancelled(), if !interrupted => {
                    interrupted = true;
                    if let Some(group) = group {
                        // All of it may have ended in this moment.
                        let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
                    }
                    continue;
                }
            };
            let Some(line) = line else { break };
            say(&format!("{line}\n"))?;
            outcome.facts += usize::from(line.starts_with("PASS ") || line.starts_with("FAIL "));
            if line.starts_with("FAIL ") {
                outcome.failures.push(line);
            }
        }
        let status = child.wait().await.context("a drill was lost")?;
        anyhow::ensure!(!interrupted, drill::INTERRUPTED);
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
    fn a_drill_that_cannot_be_carried_out_fails_and_those_behind_it_go_on() {
        let stop = CancellationToken::new();
        let broken = || Err(anyhow::anyhow!("no database").context("it cannot be started"));
        let verdict = or_failed("database-hang", broken(), &stop).unwrap();
        assert!(!verdict.passed);
        let line = "FAIL database-hang: it broke off: it cannot be started: no database\n";
        assert_eq!(verdict.lines, [line]);
        stop.cancel();
        assert!(or_failed("database-hang", broken(), &stop).is_err());
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
