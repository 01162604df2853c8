//! The verdict, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use seckill_core::history::Lie;
use seckill_core::history::record::{Answer, Call, History, What};
use serde_json::json;

use super::fault::Fault;
use super::quiet::Quiet;
use super::{Plan, plot};

/// The outcome of a drill.
#[derive(Debug)]
pub struct Report {
    name: String,
    faults: Vec<FaultReport>,
    /// What shoppers were told, by second and by word.
    timeline: BTreeMap<u64, BTreeMap<String, u32>>,
    /// Seconds in which nobody who clicked was accepted, though there was stock.
    refused_seconds: u64,
    purchases: usize,
    amount: u64,
    settled_seconds: f64,
    lies: Vec<Lie>,
    breaches: Vec<String>,
    /// Where the folder of a system that failed is kept.
    logs: Option<PathBuf>,
}

/// What one strike came to.
#[derive(Debug)]
struct FaultReport {
    fault: Fault,
    /// Seconds from the first call.
    at: f64,
    lasted: f64,
    /// Seconds until a shopper was told something that only the fault explains.
    detected: Option<f64>,
    /// Seconds from its end until a click that came after it was accepted, or told
    /// truly that nothing is left.
    recovered: Option<f64>,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        struck: &[(Fault, u64, u64)],
        quiet: Quiet,
        lies: Vec<Lie>,
        differences: Vec<String>,
    ) -> Self {
        let Quiet {
            history,
            verified,
            took,
        } = quiet;
        let first_us = history
            .calls
            .iter()
            .map(|call| call.called_us)
            .min()
            .unwrap_or(0);
        let timeline = timeline(&history, first_us);
        let refused = timeline.values().filter(|told| is_refused(told));
        Self {
            name: plan.name.clone(),
            faults: struck
                .iter()
                .map(|it| fault_report(&history, first_us, *it))
                .collect(),
            refused_seconds: refused.count() as u64,
            timeline,
            purchases: history.orders.len(),
            amount: history.amount,
            settled_seconds: took.as_secs_f64(),
            lies,
            breaches: (verified.breaches.iter().map(|it| it.what.clone()))
                .chain(differences)
                .collect(),
            logs: None,
        }
    }

    /// Notes where the system's folder is kept.
    pub(super) fn keep(&mut self, logs: PathBuf) {
        self.logs = Some(logs);
    }

    /// The timeline as a picture (SVG): for each second a bar of what those who clicked were
    /// told, with the faults behind the bars.
    #[must_use]
    pub fn plot(&self) -> String {
        plot::svg(&self.name, &self.timeline, &self.spans())
    }

    /// From when to when each fault lasted, in seconds.
    fn spans(&self) -> Vec<(f64, f64)> {
        let spans = self.faults.iter().map(|it| (it.at, it.at + it.lasted));
        spans.collect()
    }

    /// Whether nothing was sold twice, nobody lied to, and all parts agree.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        let recovered = self.faults.iter().all(|it| it.recovered.is_some());
        self.lies.is_empty() && self.breaches.is_empty() && recovered && self.purchases > 0
    }

    /// The last line.
    #[must_use]
    pub fn verdict(&self) -> String {
        let word = if self.has_passed() { "PASS" } else { "FAIL" };
        let (lies, breaches) = (self.lies.len(), self.breaches.len());
        let recovered = self.faults.iter().filter_map(|it| it.recovered);
        let recovered = recovered.fold(0.0, f64::max);
        format!(
            "{word} {}: {} orders of {} items, {lies} lies, {breaches} breaches, \
             sold again after {recovered:.1} s, {} s of refused service",
            self.name, self.purchases, self.amount, self.refused_seconds
        )
    }

    /// The timeline and what was found, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "second  what shoppers who clicked were told");
        for (second, told) in &self.timeline {
            let told: Vec<String> = told.iter().map(|(word, n)| format!("{n} {word}")).collect();
            let _ = writeln!(text, "{second:>6}  {}", told.join(", "));
        }
        for fault in &self.faults {
            let shown = |seconds: Option<f64>| match seconds {
                Some(seconds) => format!("{seconds:.1} s"),
                None => "never".to_owned(),
            };
            let _ = writeln!(
                text,
                "{} at {:.1} s for {:.1} s: shoppers noticed after {}, sold again after {}",
                fault.fault.name(),
                fault.at,
                fault.lasted,
                shown(fault.detected),
                shown(fault.recovered)
            );
        }
        let _ = writeln!(
            text,
            "all parts agreed {:.1} s after the last shopper",
            self.settled_seconds
        );
        for lie in &self.lies {
            let _ = writeln!(text, "LIE {}: {}", lie.kind, lie.what);
        }
        for breach in &self.breaches {
            let _ = writeln!(text, "BREACH {breach}");
        }
        if let Some(logs) = &self.logs {
            let _ = writeln!(text, "its logs are in {}", logs.display());
        }
        text
    }

    /// The report as JSON, for programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let faults = self.faults.iter().map(|it| {
            json!({
                "fault": it.fault.name(), "at_s": it.at, "lasted_s": it.lasted,
                "noticed_s": it.detected, "recovered_s": it.recovered,
            })
        });
        let lies = self
            .lies
            .iter()
            .map(|lie| json!({ "kind": lie.kind, "what": lie.what }));
        json!({
            "drill": self.name, "pass": self.has_passed(),
            "faults": faults.collect::<Vec<_>>(),
            "timeline": self.timeline,
            "refused_seconds": self.refused_seconds,
            "orders": self.purchases, "amount": self.amount,
            "settled_s": self.settled_seconds,
            "lies": lies.collect::<Vec<_>>(), "breaches": self.breaches,
        })
    }
}

/// Whether those who clicked in a second had nothing of it, and would have had something
/// of a system that is well.
fn is_refused(told: &BTreeMap<String, u32>) -> bool {
    let served = ["processing", "sold_out", "duplicate"];
    let trouble = ["busy", "unavailable", "halted", "lost"];
    let any = |words: &[&str]| words.iter().any(|word| told.contains_key(*word));
    any(&trouble) && !any(&served)
}

/// What those who clicked were told, by the second in which they were.
fn timeline(history: &History, first_us: u64) -> BTreeMap<u64, BTreeMap<String, u32>> {
    let mut timeline: BTreeMap<u64, BTreeMap<String, u32>> = BTreeMap::new();
    for call in &history.calls {
        if let What::Buy { .. } = call.what {
            let second = call.returned_us.saturating_sub(first_us) / 1_000_000;
            let told = timeline.entry(second).or_default();
            *told.entry(word(call)).or_default() += 1;
        }
    }
    timeline
}

fn word(call: &Call) -> String {
    match &call.answer {
        Answer::Accepted => "processing".to_owned(),
        Answer::Refused(code) => code.clone(),
        _ => "lost".to_owned(),
    }
}

fn fault_report(
    history: &History,
    first_us: u64,
    (fault, began_ms, ended_ms): (Fault, u64, u64),
) -> FaultReport {
    let seconds = |from_us: u64, to_us: u64| to_us.saturating_sub(from_us) as f64 / 1e6;
    let (began_us, ended_us) = (began_ms * 1_000, ended_ms * 1_000);
    let during = history
        .calls
        .iter()
        .filter(|call| call.called_us >= began_us);
    let shows = during.filter(|call| match &call.answer {
        Answer::Refused(code) => matches!(code.as_str(), "unavailable" | "halted" | "busy"),
        Answer::Status { status, .. } => matches!(status.as_str(), "processing" | "unknown"),
        answer => *answer == Answer::Lost,
    });
    let detected = shows.map(|call| call.returned_us).min();
    let clicks = history.calls.iter().filter(|call| {
        let is_click = matches!(call.what, What::Buy { .. });
        is_click && call.called_us >= ended_us
    });
    let served = clicks.filter(|call| match &call.answer {
        Answer::Accepted => true,
        Answer::Refused(code) => code == "sold_out",
        _ => false,
    });
    let recovered = served.map(|call| call.returned_us).min();
    FaultReport {
        fault,
        at: seconds(first_us, began_us),
        lasted: seconds(began_us, ended_us),
        detected: detected.map(|at| seconds(began_us, at)),
        recovered: recovered.map(|at| seconds(ended_us, at)),
    }
}
