//! Progress: a line at the terminal, a file for a program that waits.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::world::World;

const EVERY: Duration = Duration::from_millis(250);
const WIDTH: usize = 30;

/// Where progress is reported.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// A file that always holds the latest state as JSON.
    pub file: Option<PathBuf>,
}

impl Progress {
    pub(super) async fn show(self, world: Arc<World>, gone: Arc<AtomicUsize>, all: usize) {
        let is_terminal = std::io::stderr().is_terminal();
        let from_ms = world.now_ms();
        let mut last = (Instant::now(), super::answers(&world));
        loop {
            let done = gone.load(Ordering::Relaxed);
            let answers = super::answers(&world);
            let rate = (answers - last.1) as f64 / last.0.elapsed().as_secs_f64().max(0.001);
            last = (Instant::now(), answers);
            if is_terminal {
                let line = bar(&world, from_ms, (done, all), answers, rate);
                // A closed terminal is no reason to stop.
                let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
            }
            self.write(&world, done, all, answers);
            if done >= all {
                break;
            }
            tokio::time::sleep(EVERY).await;
        }
        if is_terminal {
            let _ = writeln!(std::io::stderr());
        }
    }

    fn write(&self, world: &World, done: usize, all: usize, answers: usize) {
        let Some(file) = &self.file else { return };
        let now = json!({
            "actors": all, "gone": done, "requests": answers, "now_ms": world.now_ms(),
            "opens_ms": world.opens_ms, "until_ms": world.until_ms,
        });
        let draft = file.with_extension("new");
        // The next one is a moment away.
        let _ =
            std::fs::write(&draft, now.to_string()).and_then(|()| std::fs::rename(&draft, file));
    }
}

fn bar(
    world: &World,
    from_ms: u64,
    (done, all): (usize, usize),
    answers: usize,
    rate: f64,
) -> String {
    let now_ms = world.now_ms();
    let span = world.until_ms.saturating_sub(from_ms).max(1);
    let passed = now_ms.saturating_sub(from_ms).min(span);
    let full = if done >= all {
        WIDTH
    } else {
        usize::try_from(passed * WIDTH as u64 / span).unwrap_or(WIDTH)
    };
    let when = match world.opens_ms.checked_sub(now_ms) {
        Some(left) if left > 0 => format!("opens in {} s", left.div_ceil(1_000)),
        _ => format!("{} s left", world.until_ms.saturating_sub(now_ms) / 1_000),
    };
    format!(
        "[{}{}] {when} · {done} of {all} have left · {answers} answers · {rate:.0}/s",
        "#".repeat(full),
        ".".repeat(WIDTH - full),
    )
}
